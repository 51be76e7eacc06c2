package rollout

import (
	"fmt"
	"slices"
	"strings"

	"github.com/oakumhq/oakum/api"
)

// command does what a person asks, or says why not.
func (m *machine) command(c Command) error {
	switch c.Action {
	case "approve":
		return m.approve(c)
	case "unapprove":
		return m.unapprove(c)
	case "pause":
		if m.Status == api.RolloutRollingBack || m.Status == api.RolloutPaused {
			return refuse(c, m.Rollout, "it cannot be paused now")
		}
		if m.Status != api.RolloutHolding {
			m.Resume = m.Status
		}
		m.enter(api.RolloutPaused, "paused by %s%s", c.By.Name, note(c))
	case "resume":
		return m.resume(c)
	case "promote":
		return m.promote(c)
	case "abort", "rollback":
		if m.Status == api.RolloutRollingBack {
			return m.giveUp(c)
		}
		if c.Action == "abort" {
			m.callOff(c)
		}
		m.turnBack("%s asked for by %s%s", c.Action, c.By.Name, note(c))
	default:
		return api.Errorf(api.CodeInvalid, "unknown action %q: want approve, unapprove, pause, resume, promote, abort or rollback", c.Action)
	}
	return nil
}

// giveUp ends a rollback that is not possible any more: somebody else changed the
// job, and it stays as they made it. Or every instance runs the former version, and not
// as many are healthy as before.
func (m *machine) giveUp(c Command) error {
	i := slices.IndexFunc(m.Holds, func(h api.Hold) bool { return h.Source == sourceJob || h.Source == sourceHealth })
	if c.Action != "abort" || i < 0 {
		return refuse(c, m.Rollout, "it is rolling back already")
	}
	why := m.Holds[i].Reason
	if m.Effect != nil {
		m.close(api.EffectFailed, "given up")
	}
	m.enter(api.RolloutFailed, "rollback given up by %s%s: %s", c.By.Name, note(c), why)
	return nil
}

// approve records a person's consent. A consent that changes nothing is refused, with
// the names of those who gave theirs. A person whose earlier approval does not count,
// since the decision asks another group by now, may approve again. A person counts
// once, whatever token they have, and not for their own patch, unless the policy says so.
func (m *machine) approve(c Command) error {
	waits := m.Status == api.RolloutAwaitingApproval || m.Status == api.RolloutSimulating || m.Status == api.RolloutPending
	spec, have := m.Decision.Approval, m.consents()
	switch {
	case waits && slices.ContainsFunc(have, func(a api.Approval) bool { return c.By.Is(a.By, a.Subject) }):
		return refuse(c, m.Rollout, c.By.Name+" has approved it already")
	case spec.Count > 0 && len(have) >= spec.Count:
		return refuse(c, m.Rollout, "it is approved already, by "+strings.Join(names(have), " and "))
	case !waits:
		return refuse(c, m.Rollout, "it does not wait for approval")
	case !m.counts(c.By.Groups):
		return api.Errorf(api.CodePermissionDenied, "approve rollout %s: %s is not in group %s", m.ID, c.By.Name, spec.From)
	case !spec.Self && c.By.Is(m.SubmittedBy, m.Submitter) && c.By.Via != api.ViaDev:
		return api.Errorf(api.CodePermissionDenied, "approve rollout %s: %s submitted the patch, and somebody else must approve it", m.ID, c.By.Name)
	}
	m.dropApprovals(c.By)
	m.Approvals = append(m.Approvals, api.Approval{By: c.By.Name, Subject: c.By.Subject, Groups: c.By.Groups, At: m.now, Note: c.Note, Of: consentOf(m.Rollout)})
	if m.Status == api.RolloutAwaitingApproval {
		m.awaitApproval()
	}
	return nil
}

// unapprove takes a person's consent back, until the rollout begins to touch the job.
func (m *machine) unapprove(c Command) error {
	at := m.Status
	if at == api.RolloutPaused {
		at = m.Resume
	}
	switch at {
	case api.RolloutPending, api.RolloutSimulating, api.RolloutAwaitingApproval, api.RolloutWaiting:
	case api.RolloutRunning, api.RolloutHolding, api.RolloutPaused, api.RolloutRollingBack, api.RolloutComplete,
		api.RolloutRolledBack, api.RolloutRejected, api.RolloutFailed, api.RolloutCancelled:
		return refuse(c, m.Rollout, "it has begun; pause it or roll it back")
	}
	if !m.dropApprovals(c.By) {
		return refuse(c, m.Rollout, c.By.Name+" has not approved it")
	}
	switch {
	case at == api.RolloutPending || at == api.RolloutSimulating:
	case m.Status == api.RolloutPaused:
		m.Resume = api.RolloutAwaitingApproval
	default:
		m.awaitApproval()
	}
	return nil
}

// dropApprovals forgets the approvals of a person, and reports whether there were any.
func (m *machine) dropApprovals(by api.Identity) bool {
	had := len(m.Approvals)
	m.Approvals = slices.DeleteFunc(m.Approvals, func(a api.Approval) bool { return by.Is(a.By, a.Subject) })
	return len(m.Approvals) < had
}

// names are the people who gave approvals.
func names(list []api.Approval) []string {
	out := make([]string, len(list))
	for i, a := range list {
		out[i] = a.By
	}
	return out
}

// resume ends a pause, or a hold that waits for a person. A stage that the judge
// could not decide on is judged afresh.
func (m *machine) resume(c Command) error {
	if m.Blocked() && m.Status == api.RolloutWaiting {
		return m.insist(c)
	}
	if m.Status != api.RolloutPaused && m.Status != api.RolloutHolding {
		return refuse(c, m.Rollout, "it is neither paused nor holding")
	}
	if inconclusive(m.Rollout) {
		afresh := *m.Judge
		afresh.Stage = 0 // what it learned stays, the stage's judgement begins again
		m.Judge, m.Verdict = &afresh, nil
	}
	m.accept()
	m.unhold("resumed by " + c.By.Name + note(c))
	return nil
}

// insist takes a rollout as one that may begin in spite of the rollouts that failed at
// targets which it is chained to. A limit of failures is the policy's, and stays.
func (m *machine) insist(c Command) error {
	if !slices.ContainsFunc(m.Holds, func(h api.Hold) bool { return h.Source == api.HoldDependency }) {
		return refuse(c, m.Rollout, m.Reason)
	}
	m.Despite = m.was.ModifyIndex // what fails from now on counts
	m.Holds = nil
	m.Reason = fmt.Sprintf("%s goes on in spite of what failed%s", c.By.Name, note(c))
	return nil
}

// promote puts a person's verdict on the present stage in place of the judge's.
func (m *machine) promote(c Command) error {
	if m.Status == api.RolloutRollingBack {
		return refuse(c, m.Rollout, "it is on its way back")
	}
	last := lastStage(m.Rollout)
	if last == nil || last.Ready.IsZero() || !last.Judged.IsZero() || !last.Lapsed.IsZero() {
		return refuse(c, m.Rollout, "no stage with healthy instances waits for a verdict")
	}
	last.Judged = m.now
	m.Verdict = nil
	m.accept()
	if m.Status == api.RolloutHolding || m.Status == api.RolloutPaused {
		m.unhold("")
	}
	m.enter(api.RolloutRunning, "stage %d promoted by %s%s", last.Number, c.By.Name, note(c))
	return nil
}

// note is the person's note, as the end of a reason.
func note(c Command) string {
	if c.Note == "" {
		return ""
	}
	return ": " + c.Note
}

// refuse says why a command is not carried out.
func refuse(c Command, r api.Rollout, why string) error {
	return api.Errorf(api.CodeConflict, "%s rollout %s: %s (status %s)", c.Action, r.ID, why, r.Status)
}
