package rollout

import (
	"slices"

	"github.com/oakumhq/oakum/api"
)

// EffectResult is what became of an effect.
type EffectResult struct {
	ID         string
	OK         bool
	Outcome    string
	Index      uint64         // job modify index at which the outcome was seen
	Former     *api.FormerJob // of a tag
	Simulation string         // of a simulate
	Rejected   bool           // of a simulate: the impact is negative
	Apply      []api.Apply    // of a simulate that baked an image: what production gets
	Decision   *api.Decision  // of a simulate: what the policies say now that the impact is known
}

// finished takes the outcome of the open effect. A result for another effect comes
// late, after that one was superseded, and changes nothing.
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
		// The next tick sees whether every instance is back.
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
		m.awaitApproval()
	}
}
