package state_test

import (
	"testing"

	"github.com/shoenig/test/must"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/server/state"
	"github.com/oakumhq/oakum/server/state/levels"
)

// A cluster of an older level keeps nothing of the rehearsal of reverts. What would let a
// patch go further, or give twins production's data, is refused instead.
func TestEncode_LeavesRevertsOutBelowLevel6(t *testing.T) {
	t.Parallel()
	wish := func(s api.SimulateSpec) *state.PatchSubmit {
		submit := submission("p", "d", web())
		submit.Rollouts[0].Decision.Simulate = s
		submit.Plan.Waves[0].Targets = []api.PlannedTarget{{Decision: submit.Rollouts[0].Decision}}
		return submit
	}
	for level := 1; level <= levels.Supported; level++ {
		told := level >= levels.Six
		for _, s := range []api.SimulateSpec{{Required: true, Revert: api.RevertRequired}, {Required: true, Data: api.DataEmpty}} {
			m := at(t, level)
			must.EqOp(t, !told, api.IsCode(m.commit(wish(s)), api.CodeConflict))
			put := &state.SimulationPut{Simulation: api.Simulation{ID: "s", Status: api.SimulationRunning, Decision: &api.Decision{Simulate: s}}}
			must.EqOp(t, level == levels.Five, api.IsCode(m.commit(put), api.CodeConflict), must.Sprint("below, no server knows the decision of a simulation"))
		}
		m, off := at(t, level), wish(api.SimulateSpec{Required: true, Revert: api.RevertOff})
		must.NoError(t, m.commit(off))
		r, _ := m.store.Rollout("p-0")
		plan, _ := m.store.Plan("p")
		must.EqOp(t, told, r.Decision.Simulate.Revert == api.RevertOff)
		must.EqOp(t, told, plan.Waves[0].Targets[0].Decision.Simulate.Revert == api.RevertOff)
		must.True(t, r.Decision.Simulate.Required)

		r.Decision.Simulate.Revert = api.RevertOff
		must.NoError(t, m.commit(&state.RolloutTransition{Kind: "effect_finish", Expect: r.ModifyIndex, Rollout: r}))
		r, _ = m.store.Rollout("p-0")
		must.EqOp(t, told, r.Decision.Simulate.Revert == api.RevertOff)
		r.Decision.Simulate.Revert = api.RevertRequired
		must.EqOp(t, !told, m.commit(&state.RolloutTransition{Kind: "effect_finish", Expect: r.ModifyIndex, Rollout: r}) != nil)

		impact := &api.Impact{Verdict: api.SimulationPass, Pairs: 2, Revert: &api.Revert{Outcome: api.RevertServes}}
		must.NoError(t, m.commit(&state.SimulationPut{Simulation: api.Simulation{ID: "t", Status: api.SimulationPassed, Impact: impact}}))
		sim, _ := m.store.Simulation("t")
		must.EqOp(t, told, sim.Impact.Revert != nil)
		must.EqOp(t, level >= levels.Five, sim.Impact.Pairs == 2)
		must.NotNil(t, impact.Revert, must.Sprint("the simulation itself is not changed"))
	}
}
