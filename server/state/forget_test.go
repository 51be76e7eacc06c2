package state

import (
	"fmt"
	"testing"

	"github.com/oakumhq/oakum/api"
	"github.com/shoenig/test/must"
)

// TestStore_ForgetsNoSimulationThatOwnsSomething puts one more into a full table whose
// two oldest have ended.
func TestStore_ForgetsNoSimulationThatOwnsSomething(t *testing.T) {
	t.Parallel()
	s := NewStore()
	v := s.present.Load()
	txn := v.db.Txn(true)
	for i := range maxEnded(1) + 1 {
		sim := &api.Simulation{ID: fmt.Sprintf("s%05d", i), Status: api.SimulationPassed}
		if i == 0 {
			sim.Owned = []api.SandboxObject{{Kind: api.ObjectJob, Name: "twin"}}
		}
		s.t.simulations.put(txn, sim)
	}
	txn.Commit()
	s.advance(v.db, v.meta)
	must.NoError(t, s.apply(1, envelope{}, &SimulationPut{Simulation: api.Simulation{ID: "t", Status: api.SimulationPassed}}))
	_, owner := s.Simulation("s00000")
	must.True(t, owner)
	_, oldest := s.Simulation("s00001")
	must.False(t, oldest)
	_, next := s.Simulation("s00002")
	must.True(t, next)
}
