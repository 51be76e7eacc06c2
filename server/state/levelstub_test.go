package state_test

import (
	"testing"

	"github.com/shoenig/test/must"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/server/state"
)

func TestEncode_RefusesALoadProgramBelowLevel7(t *testing.T) {
	t.Parallel()
	for level := 1; level <= state.SupportedLevel; level++ {
		submit := submission("p", "d", web())
		submit.Rollouts[0].Decision.Simulate = api.SimulateSpec{Required: true, Workload: "program", Program: &api.LoadProgram{Command: "wrk"}}
		err := at(t, level).commit(submit)
		must.EqOp(t, level < state.Level7, err != nil, must.Sprint(level, err))
	}
}

func TestEncode_LeavesStubsAndEnvironmentOutBelowLevel6(t *testing.T) {
	t.Parallel()
	wish := api.SimulateSpec{Required: true, Stubs: []api.Stub{{Name: "pricing", Port: 9091}}, Env: map[string]string{"A": "b"}}
	for level := 1; level <= state.SupportedLevel; level++ {
		submit := submission("p", "d", web())
		submit.Rollouts[0].Decision.Simulate = wish
		m := at(t, level)
		must.NoError(t, m.commit(submit))
		r, _ := m.store.Rollout("p-0")
		want := api.SimulateSpec{Required: true}
		if level >= state.Level6 {
			want = wish
		}
		must.Eq(t, want, r.Decision.Simulate)
	}
}
