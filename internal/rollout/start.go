package rollout

import (
	"fmt"
	"slices"

	"github.com/oakumhq/oakum/api"
)

// start begins with the simulation, where the policy asks for one that was not run yet and
// nothing is closed.
func (m *machine) start(o Observation) {
	if !m.Decision.Simulate.Required || m.Simulation != "" {
		m.awaitApproval()
		return
	}
	m.Holds = m.stamp(slices.Clone(o.Closed))
	if len(o.Closed) > 0 {
		m.enter(api.RolloutPending, "%s", o.Closed[0].Reason)
		return
	}
	m.enter(api.RolloutSimulating, "trying the patch on twins")
	m.intend(api.Effect{Kind: api.EffectSimulate})
}

// awaitApproval goes on when enough people have consented.
func (m *machine) awaitApproval() {
	spec := m.Decision.Approval
	if have := len(m.consents()); have < spec.Count {
		from := spec.From
		if from == "" {
			from = "anybody who may approve"
		}
		reason := fmt.Sprintf("%d of %d approvals from %s", have, spec.Count, from)
		if m.Decision.InDoubt() {
			reason += ", asked for in doubt: " + m.Decision.Doubt.String()
		}
		m.enter(api.RolloutAwaitingApproval, "%s", reason+m.undecidedNote()+m.lapsedNote())
		return
	}
	m.Holds = nil
	reason := "waiting for its turn"
	if oneFirst(m.Rollout) {
		reason += ", with one instance first" + m.undecidedNote()
	}
	m.enter(api.RolloutWaiting, "%s", reason)
}

// consents are the approvals that count. Only those of the group that the decision asks
// do; the decision may have been made anew since they were given. A consent is to one
// decision and one change, and for a while only, where the policy says so.
// Where the simulation could not decide, only those who could know that do. Whoever
// submitted the patch does where the decision says so.
func (m *machine) consents() []api.Approval {
	var out []api.Approval
	for _, a := range m.Approvals {
		own := m.Submitter != "" && api.Identity{Name: a.By, Subject: a.Subject}.Is(m.SubmittedBy, m.Submitter)
		if m.counts(a.Groups) && m.informed(a) && m.lapsed(a) == "" && (!own || m.Decision.Approval.Self) {
			out = append(out, a)
		}
	}
	return out
}

// counts reports whether an approval by a member of some groups counts.
func (m *machine) counts(groups []string) bool {
	from := m.Decision.Approval.From
	return from == "" || slices.Contains(groups, from)
}

// reconsider ends a doubt once the decision was made anew with a whole graph. The
// rollout goes on as the new decision says: it may still ask for people, or for
// twins, which is why a doubt stays while nothing may go forward. Approvals that were
// given stay in the record, and count where the decision is as it was.
func (m *machine) reconsider(o Observation) {
	m.Holds = m.stamp(slices.Concat(o.Closed, o.Away))
	d := o.Anew
	if len(o.Closed) > 0 || d == nil || !m.Decision.InDoubt() || d.Doubt == nil || d.Doubt.Lapse == nil {
		m.awaitApproval()
		return
	}
	m.Decision, m.Holds = *d, nil
	m.askForUndecided()
	m.start(o)
	m.Reason = fmt.Sprintf("%s; the doubt has lapsed (%s): %s", m.Reason, d.Doubt, d.Doubt.Lapse.Reason)
}

// awaitTurn begins to touch the job when the gate opens.
func (m *machine) awaitTurn(o Observation) {
	switch waits := slices.Concat(o.Closed, o.Away); {
	case len(m.consents()) < m.Decision.Approval.Count:
		m.awaitApproval() // a consent has expired
	case len(waits) > 0:
		m.enter(api.RolloutWaiting, "%s", waits[0].Reason)
		m.Holds = m.stamp(waits)
	case !o.Gate.Open:
		m.Holds = m.stamp(slices.Clone(o.Gate.Holds))
		m.enter(api.RolloutWaiting, "%s", o.Gate.Reason)
	default:
		m.Holds = nil
		m.enter(api.RolloutRunning, "marking the former job version")
		m.intend(api.Effect{Kind: api.EffectTag})
	}
}
