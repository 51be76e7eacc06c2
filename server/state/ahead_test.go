package state

import (
	"testing"
	"time"

	"github.com/hashicorp/raft"
	"github.com/shoenig/test/must"

	"github.com/oakumhq/oakum/api"
)

// TestPrepare_ChangesNothing carries the same entries out on a leader, which need not
// decode them, and on a follower.
func TestPrepare_ChangesNothing(t *testing.T) {
	t.Parallel()
	leader, follower := NewFSM(NewStore()), NewFSM(NewStore())
	at := time.Unix(1e9, 0)
	for i, cmd := range []Command{
		&PolicyPut{Policy: api.Policy{Name: "web", Blocks: []string{"web"}}},
		&SimulationPut{Simulation: api.Simulation{ID: "s", Status: api.SimulationRunning}},
		&SimulationPut{Simulation: api.Simulation{ID: "s", Status: api.SimulationPassed}},
		&SimulationPut{Simulation: api.Simulation{ID: "s", Status: api.SimulationRunning}}, // it has ended: refused
		&PolicyDelete{Name: "web"},
	} {
		entry, err := leader.Entry(cmd, at, "somebody")
		must.NoError(t, err)
		log := &raft.Log{Index: uint64(i + 1), Data: entry.Data}
		forget := leader.Prepare(entry)
		must.Eq(t, follower.Apply(log), leader.Apply(log))
		must.MapEmpty(t, leader.ahead.entries, must.Sprint("an entry is taken once"))
		forget()
	}
	must.Eq(t, follower.store.Events(0, 0), leader.store.Events(0, 0))
	must.Eq(t, follower.store.Simulations(), leader.store.Simulations())
	must.Eq(t, follower.store.Policies(), leader.store.Policies())
}

// TestPrepare_KeepsNothing of entries whose outcome is known.
func TestPrepare_KeepsNothing(t *testing.T) {
	t.Parallel()
	fsm := NewFSM(NewStore())
	entry, err := fsm.Entry(&PolicyDelete{Name: "web"}, time.Unix(1e9, 0), "somebody")
	must.NoError(t, err)
	forget := fsm.Prepare(entry)
	must.MapLen(t, 1, fsm.ahead.entries)
	forget()
	must.MapEmpty(t, fsm.ahead.entries)
	must.Error(t, fsm.Apply(&raft.Log{Index: 1, Data: entry.Data}).(error), must.Sprint("what was not prepared is decoded by Apply"))
}
