package rollout

import (
	"slices"
	"strconv"

	"github.com/oakumhq/oakum/api"
)

// finished takes the outcome of the open effect. A result for another effect
// is late news of a superseded one and changes nothing.
func (m *machine) finished(res EffectResult) {
	if m.Effect == nil || m.Effect.ID != res.ID {
		return
	}
	e := *m.Effect
	status := api.EffectDone
	if !res.OK {
		status = api.EffectFailed
	}
	m.Effect.Index = res.Index
	m.close(status, res.Outcome)
	switch e.Kind {
	case api.EffectSimulate:
		m.simulated(res)
	case api.EffectTag:
		if !res.OK {
			m.enter(api.RolloutFailed, "mark the former job version: %s", res.Outcome)
			return
		}
		m.Former = res.Former
	case api.EffectStage, api.EffectPromote:
		if !res.OK {
			m.turnBack("stage %d: %s", e.Stage, res.Outcome)
			return
		}
		if last := lastStage(m.Rollout); e.Kind == api.EffectPromote && last != nil {
			last.Promoted = true
		}
	case api.EffectFinish:
		if !res.OK {
			m.hold([]api.Hold{{Source: sourceJob, Reason: res.Outcome}})
			return
		}
		m.enter(api.RolloutComplete, "all %d instances run %s", m.Former.Count, m.Patch)
	case api.EffectUnpace:
		if res.OK && m.Status == api.RolloutRollingBack {
			m.enter(api.RolloutRolledBack, "%s; every instance runs the former version", m.Reason)
		}
	case api.EffectRollback:
		// The next tick looks whether every instance is back.
	}
}

// simulated goes on, rejects, or holds when the twins could not be compared.
func (m *machine) simulated(res EffectResult) {
	if res.Simulation != "" {
		m.Simulation = res.Simulation
	}
	switch {
	case !res.OK:
		m.Simulation = ""
		m.Resume = api.RolloutPending
		m.Holds = []api.Hold{{Source: "simulator", Since: m.now, Reason: res.Outcome}}
		m.enter(api.RolloutHolding, "the simulation could not be carried out: %s; resume to try again", res.Outcome)
	case res.Rejected:
		m.enter(api.RolloutRejected, "%s", res.Outcome)
	default:
		if len(res.Apply) > 0 {
			m.Apply = slices.Clone(res.Apply)
		}
		if res.Decision != nil {
			m.Decision = *res.Decision
		}
		if m.Status == api.RolloutPaused || m.Status == api.RolloutHolding {
			m.Resume = api.RolloutPending
			return
		}
		m.await()
	}
}

// command does what a person asks, or says why not.
func (m *machine) command(c Command) error {
	switch c.Action {
	case "approve":
		return m.approve(c)
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
		m.turnBack("%s asked for by %s%s", c.Action, c.By.Name, note(c))
	default:
		return api.Errorf(api.CodeInvalid, "unknown action %q: want approve, pause, resume, promote, abort or rollback", c.Action)
	}
	return nil
}

// giveUp ends a rollback that cannot be: the job is somebody else's now, and
// stays as they made it.
func (m *machine) giveUp(c Command) error {
	i := slices.IndexFunc(m.Holds, func(h api.Hold) bool { return h.Source == sourceJob })
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

func (m *machine) approve(c Command) error {
	if m.Status != api.RolloutAwaitingApproval && m.Status != api.RolloutSimulating && m.Status != api.RolloutPending {
		return refuse(c, m.Rollout, "it does not wait for approval")
	}
	if from := m.Decision.Approval.From; from != "" && !slices.Contains(c.By.Groups, from) {
		return api.Errorf(api.CodePermissionDenied, "approve rollout %s: %s is not in group %s", m.ID, c.By.Name, from)
	}
	for _, a := range m.Approvals {
		if a.By == c.By.Name {
			return refuse(c, m.Rollout, c.By.Name+" has approved it already")
		}
	}
	m.Approvals = append(m.Approvals, api.Approval{By: c.By.Name, Groups: c.By.Groups, At: m.now, Note: c.Note})
	if m.Status == api.RolloutAwaitingApproval {
		m.await()
	}
	return nil
}

// resume ends a pause, or a hold that waits for a person: an undecided stage
// is then judged afresh.
func (m *machine) resume(c Command) error {
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

// promote is a person's verdict on the present stage in place of the judge's.
func (m *machine) promote(c Command) error {
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

func note(c Command) string {
	if c.Note == "" {
		return ""
	}
	return ": " + c.Note
}

func itoa(n uint64) string { return strconv.FormatUint(n, 10) }
