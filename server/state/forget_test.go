package state

import (
	"fmt"
	"testing"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/server/state/levels"
	"github.com/shoenig/test/must"
)

// TestStore_ForgetsNoSimulationThatIsNeeded puts one more into a full table whose oldest
// have ended: one owns something, and a rollout that goes on asks for the other.
func TestStore_ForgetsNoSimulationThatIsNeeded(t *testing.T) {
	t.Parallel()
	for _, level := range []int{levels.Six, levels.Seven} {
		t.Run(fmt.Sprint("level ", level), func(t *testing.T) {
			t.Parallel()
			s := NewStore()
			v := s.present.Load()
			rows := v.rows.Snapshot()
			txn := rows.Txn(true)
			for i := range maxEnded(level) + 2 {
				sim := &api.Simulation{ID: fmt.Sprintf("s%05d", i), Status: api.SimulationPassed}
				if i == 0 {
					sim.Owned = []api.SandboxObject{{Kind: api.ObjectJob, Name: "twin"}}
				}
				s.t.simulations.put(txn, sim)
			}
			target := api.TargetRef{Namespace: "prod", Job: "web", Group: "vm"}
			s.t.rollouts.put(txn, &api.Rollout{ID: "open", Target: target, Status: api.RolloutWaiting, Simulation: "s00001"})
			s.t.rollouts.put(txn, &api.Rollout{ID: "over", Target: target, Status: api.RolloutComplete, Simulation: "s00002"})
			txn.Commit()
			meta := *v.meta
			meta.Level = level
			s.replace(rows, &meta)
			must.NoError(t, s.apply(1, envelope{}, &SimulationPut{Simulation: api.Simulation{ID: "t", Status: api.SimulationPassed}}))
			kept := func(id string) bool { _, ok := s.Simulation(id); return ok }
			must.True(t, kept("s00000"), must.Sprint("it owns something"))
			must.EqOp(t, level >= levels.Seven, kept("s00001"), must.Sprint("its rollout goes on; servers of former levels must do what they did"))
			must.False(t, kept("s00002"), must.Sprint("the oldest of the others"))
			must.True(t, kept("s00004"))
		})
	}
}
