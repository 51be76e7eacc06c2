package rollout

import "github.com/oakumhq/oakum/api"

// Sources of holds that the state machine itself looks for.
const (
	sourceBudget    = "budget"    // too many instances are away
	sourceHealth    = "health"    // fewer former instances are healthy than before
	sourceInstances = "instances" // some are down, and not by the patch
	sourceJob       = "job"       // somebody else changed the job
	sourceGraph     = "graph"     // the target tries what is denied
	sourceNomad     = "nomad"     // it did not carry a rollback to its end
	sourceSimulator = "simulator" // it could not carry the simulation out, or not decide
	sourceTarget    = "target"    // it is gone, as one look has found
)

// hold makes the rollout wait for what is away, and go on by itself when it is
// back. Without holds it ends a hold.
func (m *machine) hold(holds []api.Hold) {
	m.Holds = m.stamp(holds)
	switch {
	case m.Status == api.RolloutPaused || m.Status == api.RolloutRollingBack:
		return // a pause stays a pause; a rollback is never turned into a hold
	case len(holds) > 0:
		if m.Status != api.RolloutHolding {
			m.Resume = m.Status
		}
		m.enter(api.RolloutHolding, "%s", holds[0].Reason)
	case m.Status == api.RolloutHolding:
		m.unhold("what it held for is over")
	}
}

// stamp says of each hold since when it lasts.
func (m *machine) stamp(holds []api.Hold) []api.Hold {
	for i, h := range holds {
		for _, old := range m.was.Holds {
			if old.Source == h.Source && !old.Since.IsZero() {
				holds[i].Since = old.Since
			}
		}
		if holds[i].Since.IsZero() {
			holds[i].Since = m.now
		}
	}
	return holds
}

// unhold goes on where a hold or a pause began. The deadline of a stage does not
// run while nobody could act.
func (m *machine) unhold(reason string) {
	if last := lastStage(m.Rollout); last != nil && last.Ready.IsZero() {
		last.Deadline = last.Deadline.Add(max(0, m.now.Sub(m.Since))) // a former leader's clock may be ahead
	}
	status := m.Resume
	if status == "" {
		status = api.RolloutRunning
	}
	m.Resume, m.Holds = "", nil
	m.enter(status, "%s", reason)
}
