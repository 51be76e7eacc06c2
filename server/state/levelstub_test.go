package state_test

import (
	"testing"

	"github.com/shoenig/test/must"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/server/state"
	"github.com/oakumhq/oakum/server/state/levels"
)

func TestEncode_RefusesALoadProgramBelowLevel7(t *testing.T) {
	t.Parallel()
	for level := 1; level <= levels.Supported; level++ {
		submit := submission("p", "d", web())
		submit.Rollouts[0].Decision.Simulate = api.SimulateSpec{Required: true, Workload: "program", Program: &api.LoadProgram{Command: "wrk"}}
		err := at(t, level).commit(submit)
		must.EqOp(t, level < levels.Seven, err != nil, must.Sprint(level, err))
	}
}

// TestEncode_RefusesAJobWithRunsBelowLevel7: a former server would look for its instances.
func TestEncode_RefusesAJobWithRunsBelowLevel7(t *testing.T) {
	t.Parallel()
	for level := 1; level <= levels.Supported; level++ {
		captured := submission("p", "d", web())
		captured.Rollouts[0].Former = &api.FormerJob{Launch: api.LaunchPeriodic}
		planned := submission("p", "d", web())
		planned.Plan.Waves = []api.Wave{{Number: 1, Targets: []api.PlannedTarget{{Target: api.Target{TargetRef: web(), Launch: api.LaunchPeriodic}}}}}
		for _, submit := range []*state.PatchSubmit{captured, planned} {
			err := at(t, level).commit(submit)
			must.EqOp(t, level < levels.Seven, err != nil, must.Sprint(level, err))
		}
	}
}

func TestEncode_LeavesStubsAndEnvironmentOutBelowLevel6(t *testing.T) {
	t.Parallel()
	wish := api.SimulateSpec{Required: true, Stubs: []api.Stub{{Name: "pricing", Port: 9091}}, Env: map[string]string{"A": "b"}}
	for level := 1; level <= levels.Supported; level++ {
		submit := submission("p", "d", web())
		submit.Rollouts[0].Decision.Simulate = wish
		m := at(t, level)
		must.NoError(t, m.commit(submit))
		r, _ := m.store.Rollout("p-0")
		want := api.SimulateSpec{Required: true}
		if level >= levels.Six {
			want = wish
		}
		must.Eq(t, want, r.Decision.Simulate)
	}
}

func TestEncode_LeavesOutOfASimulationWhatBelongsToLevel7(t *testing.T) {
	t.Parallel()
	sim := api.Simulation{
		ID: "s1", Patch: "ssl", Target: web(), Status: api.SimulationPassed, Started: epoch(),
		Decision: &api.Decision{Order: api.OrderExposedFirst, Selection: &api.Selection{Chosen: true}, JobDeadline: true},
		Impact:   &api.Impact{Boots: []api.BootSpread{{KPI: "cpu", Variance: 1, Freedom: 1}}, Revert: &api.Revert{}},
	}
	for level := levels.Five; level <= levels.Supported; level++ {
		m := at(t, level)
		must.NoError(t, m.commit(&state.SimulationPut{Simulation: sim}))
		have, ok := m.store.Simulation("s1")
		must.True(t, ok)
		must.EqOp(t, level >= levels.Seven, have.Decision.Order != "", must.Sprint(level))
		must.EqOp(t, level >= levels.Seven, have.Decision.Selection != nil, must.Sprint(level))
		must.EqOp(t, level >= levels.Seven, len(have.Impact.Boots) > 0, must.Sprint(level))
		must.EqOp(t, level >= levels.Seven, have.Decision.JobDeadline, must.Sprint(level))
		must.EqOp(t, level >= levels.Six, have.Impact.Revert != nil, must.Sprint(level))
	}
	must.Len(t, 1, sim.Impact.Boots, must.Sprint("the simulation itself is not changed"))
	must.NotNil(t, sim.Decision.Selection)

	sim.Decision.Simulate.Program = &api.LoadProgram{Command: "wrk"}
	for level := levels.Five; level < levels.Seven; level++ {
		err := at(t, level).commit(&state.SimulationPut{Simulation: sim})
		must.True(t, api.IsCode(err, api.CodeConflict), must.Sprint(level, err))
	}
	must.NoError(t, at(t, levels.Seven).commit(&state.SimulationPut{Simulation: sim}))
}
