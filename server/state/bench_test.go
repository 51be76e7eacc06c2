package state

import (
	"testing"
	"time"

	"github.com/hashicorp/raft"
	"github.com/oakumhq/oakum/api"
	"github.com/shoenig/test/must"
)

// BenchmarkCommand measures what a command costs beside Raft: its encoding,
// decoding and transaction.
func BenchmarkCommand(b *testing.B) {
	fsm := NewFSM(NewStore())
	cmd := &SimulationPut{Simulation: api.Simulation{
		ID: "s", Patch: "openssl", Target: api.TargetRef{Namespace: "prod", Job: "web", Group: "vm"}, Status: api.SimulationRunning,
	}}
	at := time.Unix(1e9, 0)
	entry, err := Encode(&LevelSet{Level: SupportedLevel}, at, "bench")
	must.NoError(b, err)
	index := uint64(1)
	must.Nil(b, fsm.Apply(&raft.Log{Index: index, Data: entry}))
	b.ReportAllocs()
	for b.Loop() {
		entry, err := fsm.Encode(cmd, at, "bench")
		must.NoError(b, err)
		index++
		must.Nil(b, fsm.Apply(&raft.Log{Index: index, Data: entry}))
	}
}
