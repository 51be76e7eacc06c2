package server

import (
	"cmp"
	"slices"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/internal/simulator"
)

// known finds the recorded verdict on the same content among the rollouts of the same
// submission. Images that they were given stay while one of them is open.
func (t twins) known(r simulator.Request, content string) (simulator.Known, bool) {
	for _, outline := range t.store.Outlines(r.Plan) {
		if outline.Plan != r.Plan {
			continue
		}
		other, _ := t.store.Rollout(outline.ID)
		sim, ok := t.store.Simulation(other.Simulation)
		if !ok || sim.Impact == nil || sim.Impact.Content != content {
			continue
		}
		switch sim.Status {
		case api.SimulationPassed, api.SimulationRejected, api.SimulationInconclusive:
			return simulator.Known{Simulation: sim.ID, Impact: *sim.Impact, Apply: other.Apply}, true
		case api.SimulationRunning, api.SimulationFailed, api.SimulationCancelled:
		}
	}
	return simulator.Known{}, false
}

// bootsFrom is how many of a target's newest simulations say what its boots differ by.
const bootsFrom = 20

// boots is what machines of the target differed by in its newest simulations. A verdict
// that was taken from another simulation counts once.
func (t twins) boots(target api.TargetRef) []api.BootSpread {
	list := slices.DeleteFunc(t.store.Simulations(), func(s api.Simulation) bool {
		return s.Target != target || s.Impact == nil || s.Impact.SameAs != "" || len(s.Impact.Boots) == 0
	})
	slices.SortFunc(list, func(a, b api.Simulation) int {
		return cmp.Or(b.Ended.Compare(a.Ended), cmp.Compare(a.ID, b.ID))
	})
	var out []api.BootSpread
	for _, s := range list[:min(len(list), bootsFrom)] {
		out = append(out, s.Impact.Boots...)
	}
	return out
}

// simulatedBefore reports whether a simulation of a rollout has ended before.
func simulatedBefore(r api.Rollout) bool {
	for _, e := range r.Effects {
		if e.Kind == api.EffectSimulate {
			return true
		}
	}
	return false
}
