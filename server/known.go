package server

import (
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

// simulatedBefore reports whether a simulation of a rollout has ended before.
func simulatedBefore(r api.Rollout) bool {
	for _, e := range r.Effects {
		if e.Kind == api.EffectSimulate {
			return true
		}
	}
	return false
}
