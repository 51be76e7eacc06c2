package rollout

import (
	"slices"

	"github.com/oakumhq/oakum/api"
)

// EffectResult is what became of an effect.
type EffectResult struct {
	ID         string
	OK         bool
	Overtaken  bool // somebody else changed the job first, so that it can't be carried out any more
	Outcome    string
	Index      uint64                // job modify index at which the outcome was seen
	Former     *api.FormerJob        // of a tag
	Unchanged  bool                  // of a tag: the job is what the patch makes of it, and nothing was marked
	Simulation string                // of a simulate
	Verdict    api.SimulationVerdict // of a simulate that was carried out
	Apply      []api.Apply           // of a simulate that baked an image: what production gets
	Decision   *api.Decision         // of a simulate: what the policies say now that the impact is known
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
		if res.Unchanged {
			m.enter(api.RolloutComplete, "nothing to do: %s", res.Outcome)
			return
		}
		m.Former = res.Former
	case api.EffectStage, api.EffectPromote:
		if res.Overtaken {
			m.overtaken()
			return
		}
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
		if launches(m.Rollout) {
			m.enter(api.RolloutComplete, "%s", defined(m.Rollout))
			return
		}
		m.keepFormer()
		m.enter(api.RolloutComplete, "all %d instances run %s", m.Former.Count, m.Patch)
	case api.EffectSettle: // the stage goes on, whatever came of it
	case api.EffectRollback, api.EffectUnpace:
		// The next tick sees how many instances are back.
	}
}

// overtaken leaves it to the next look what follows: the stage asks for its instances again
// where an autoscaler was faster, and holds where the job is not ours any more. Nothing
// speaks against the patch.
func (m *machine) overtaken() {
	if last := lastStage(m.Rollout); last != nil {
		last.Asked = min(last.Asked, m.wanted())
	}
}

// simulated goes on, rejects, or holds when the twins could not be compared.
func (m *machine) simulated(res EffectResult) {
	if res.Simulation != "" {
		m.Simulation = res.Simulation
	}
	m.Undecided = nil // of a simulation before this one
	switch {
	case !res.OK:
		m.tryAgain(res.Outcome, "the simulation could not be carried out: %s; resume to try again", res.Outcome)
		return
	case res.Verdict == api.SimulationReject:
		m.enter(api.RolloutRejected, "%s", res.Outcome)
		return
	}
	if res.Decision != nil {
		m.Decision = *res.Decision
	}
	if res.Verdict != api.SimulationPass {
		m.Undecided = &api.Undecided{At: m.now, Reason: res.Outcome, Follows: m.Decision.Inconclusive()}
		if m.Undecided.Follows == api.InconclusiveHold {
			// The scripts stay: only a bake proves the fix, so the next try needs one.
			m.tryAgain(res.Outcome, "the simulation was inconclusive: %s; resume to try again", res.Outcome)
			return
		}
		m.askForUndecided()
	}
	if len(res.Apply) > 0 {
		m.Apply = slices.Clone(res.Apply)
	}
	if m.Status == api.RolloutPaused || m.Status == api.RolloutHolding {
		m.Resume = api.RolloutPending
		return
	}
	m.awaitApproval()
}

// tryAgain holds until a person has the patch simulated once more.
func (m *machine) tryAgain(why, format string, args ...any) {
	m.Simulation = ""
	m.Resume = api.RolloutPending
	m.Holds = []api.Hold{{Source: sourceSimulator, Since: m.now, Reason: why}}
	m.enter(api.RolloutHolding, format, args...)
}
