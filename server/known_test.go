package server

import (
	"testing"
	"time"

	"github.com/hashicorp/raft"
	"github.com/shoenig/test/must"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/internal/simulator"
	"github.com/oakumhq/oakum/server/state"
)

func TestTwins_KnowTheVerdictsOfTheSameSubmission(t *testing.T) {
	t.Parallel()
	store := state.NewStore()
	fsm, index := state.NewFSM(store), uint64(0)
	put := func(cmd state.Command) {
		t.Helper()
		entry, err := fsm.Encode(cmd, time.Unix(1e9, 0), "test")
		must.NoError(t, err)
		index++
		must.Nil(t, fsm.Apply(&raft.Log{Index: index, Data: entry}))
	}
	for level := 2; level <= state.SupportedLevel; level++ {
		put(&state.LevelSet{Level: level})
	}
	baked := []api.Apply{{Kind: api.ApplyImage, Task: "vm", Image: "/images/web+a.qcow2", Digest: "ab"}}
	for plan, status := range map[string]api.SimulationStatus{
		"passed": api.SimulationPassed, "rejected": api.SimulationRejected, "undecided": api.SimulationInconclusive,
		"failed": api.SimulationFailed, "running": api.SimulationRunning,
	} {
		sim := api.Simulation{ID: "s-" + plan, Status: status, Impact: &api.Impact{Content: "same", Reason: plan}}
		put(&state.SimulationPut{Simulation: sim})
		put(&state.PatchSubmit{
			Patch: api.Patch{Name: plan, Digest: "d"}, Plan: api.Plan{ID: plan, Patch: plan},
			Rollouts: []api.Rollout{{
				ID: plan + "-0", Plan: plan, Patch: plan, PatchDigest: "d", Status: api.RolloutPending, Simulation: sim.ID, Apply: baked,
				Target: api.TargetRef{Namespace: "prod", Job: plan, Group: "vm"},
			}},
		})
	}
	know := twins{store: store}.known
	for plan, want := range map[string]bool{"passed": true, "rejected": true, "undecided": true, "failed": false, "running": false, "none": false} {
		k, ok := know(simulator.Request{Plan: plan}, "same")
		must.EqOp(t, want, ok, must.Sprint(plan))
		if want {
			must.EqOp(t, "s-"+plan, k.Simulation)
			must.EqOp(t, plan, k.Impact.Reason)
			must.Eq(t, baked, k.Apply)
		}
	}
	_, ok := know(simulator.Request{Plan: "passed"}, "other")
	must.False(t, ok)

	must.False(t, simulatedBefore(api.Rollout{Effects: []api.Effect{{Kind: api.EffectTag}}}))
	must.True(t, simulatedBefore(api.Rollout{Effects: []api.Effect{{Kind: api.EffectSimulate}}}))
}
