package server

import (
	"fmt"
	"testing"
	"time"

	"github.com/hashicorp/raft"
	"github.com/shoenig/test/must"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/internal/simulator"
	"github.com/oakumhq/oakum/server/state"
	"github.com/oakumhq/oakum/server/state/levels"
)

// newestState is a state at the newest level, and what puts commands into it.
func newestState(t *testing.T) (*state.Store, func(state.Command)) {
	t.Helper()
	store := state.NewStore()
	fsm, index := state.NewFSM(store), uint64(0)
	put := func(cmd state.Command) {
		t.Helper()
		entry, err := fsm.Encode(cmd, time.Unix(1e9, 0), "test")
		must.NoError(t, err)
		index++
		must.Nil(t, fsm.Apply(&raft.Log{Index: index, Data: entry}))
	}
	for level := 2; level <= levels.Supported; level++ {
		put(&state.LevelSet{Level: level})
	}
	return store, put
}

func TestTwins_KnowTheVerdictsOfTheSameSubmission(t *testing.T) {
	t.Parallel()
	store, put := newestState(t)
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

func TestTwins_BootsAreThoseOfTheTargetsOwnSimulations(t *testing.T) {
	t.Parallel()
	store, put := newestState(t)
	web, other := api.TargetRef{Namespace: "prod", Job: "web", Group: "vm"}, api.TargetRef{Namespace: "prod", Job: "shop", Group: "vm"}
	for i := range bootsFrom + 3 {
		put(&state.SimulationPut{Simulation: api.Simulation{
			ID: fmt.Sprintf("s-%02d", i), Target: web, Status: api.SimulationPassed, Ended: time.Unix(int64(i), 0),
			Impact: &api.Impact{Boots: []api.BootSpread{{KPI: api.KPICPU, Variance: float64(i), Freedom: 1}}},
		}})
	}
	late := time.Unix(1e6, 0)
	boots := []api.BootSpread{{KPI: api.KPICPU, Variance: -1, Freedom: 1}}
	put(&state.SimulationPut{Simulation: api.Simulation{ID: "taken", Target: web, Status: api.SimulationPassed, Ended: late, Impact: &api.Impact{SameAs: "s-01", Boots: boots}}})
	put(&state.SimulationPut{Simulation: api.Simulation{ID: "other", Target: other, Status: api.SimulationPassed, Ended: late, Impact: &api.Impact{Boots: boots}}})
	put(&state.SimulationPut{Simulation: api.Simulation{ID: "failed", Target: web, Status: api.SimulationFailed, Ended: late}})

	got := twins{store: store}.boots(web)
	must.Len(t, bootsFrom, got)
	for i, b := range got {
		must.Eq(t, float64(bootsFrom+2-i), b.Variance, must.Sprint("the newest come first"))
	}
	must.Eq(t, boots, twins{store: store}.boots(other))
	must.SliceEmpty(t, twins{store: store}.boots(api.TargetRef{Job: "none"}))
}
