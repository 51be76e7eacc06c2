package cluster_test

import (
	"io"
	"log/slog"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/raft"
	raftboltdb "github.com/hashicorp/raft-boltdb/v2"
	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/server/cluster"
	"github.com/oakumhq/oakum/server/state"
	"github.com/oakumhq/oakum/server/state/levels"
	"github.com/shoenig/test/must"
)

// BenchmarkApply measures a command through the log of one server with its
// state on disk, at the newest cluster level. x_raft is the median time of bare
// Raft, which writes as many bytes to the same kind of store and applies
// nothing, over ours. The two take turns at going first, so that both see the
// same disk and the same machine, and the median leaves out the pauses that a
// busy one makes.
func BenchmarkApply(b *testing.B) {
	store := state.NewStore()
	fsm := state.NewFSM(store)
	node, err := cluster.Open(cluster.Config{
		ID: "oak", Dir: b.TempDir(), Bind: "127.0.0.1:0", BootstrapExpect: 1, Logger: slog.New(slog.DiscardHandler), Tuning: fast(),
	}, fsm)
	must.NoError(b, err)
	defer func() { must.NoError(b, node.Close()) }()
	bare := bareRaft(b)
	lead(b, node.IsLeader)
	lead(b, func() bool { return bare.State() == raft.Leader })
	for store.Level() < levels.Supported {
		_, err := node.Apply(b.Context(), &state.LevelSet{Level: store.Level() + 1}, "bench")
		must.True(b, err == nil || api.IsCode(err, api.CodeConflict), must.Sprint(err)) // the node raises it too
	}

	cmd := &state.SimulationPut{Simulation: api.Simulation{
		ID: "s", Patch: "openssl", Target: api.TargetRef{Namespace: "prod", Job: "web", Group: "vm"}, Status: api.SimulationRunning,
	}}
	entry, err := fsm.Encode(cmd, time.Now(), "bench")
	must.NoError(b, err)
	var ours, theirs []time.Duration
	run := []func(){
		func() {
			start := time.Now()
			_, err := node.Apply(b.Context(), cmd, "bench")
			ours = append(ours, time.Since(start))
			must.NoError(b, err)
		},
		func() {
			start := time.Now()
			err := bare.Apply(entry, time.Minute).Error()
			theirs = append(theirs, time.Since(start))
			must.NoError(b, err)
		},
	}
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		run[i%2]()
		run[1-i%2]()
	}
	b.ReportMetric(float64(median(ours)), "ns/apply")
	b.ReportMetric(float64(median(theirs))/float64(median(ours)), "x_raft")
}

func median(d []time.Duration) time.Duration {
	slices.Sort(d)
	return d[len(d)/2]
}

func bareRaft(b *testing.B) *raft.Raft {
	b.Helper()
	store, err := raftboltdb.NewBoltStore(filepath.Join(b.TempDir(), "raft.db"))
	must.NoError(b, err)
	logs, err := raft.NewLogCache(512, store)
	must.NoError(b, err)
	address, transport := raft.NewInmemTransport("")
	config := raft.DefaultConfig()
	config.LocalID, config.Logger = "bare", hclog.NewNullLogger()
	config.HeartbeatTimeout, config.ElectionTimeout = fast().Heartbeat, fast().Election
	config.LeaderLeaseTimeout, config.CommitTimeout = fast().LeaderLease, fast().Commit
	snapshots := raft.NewDiscardSnapshotStore()
	must.NoError(b, raft.BootstrapCluster(config, logs, store, snapshots, transport,
		raft.Configuration{Servers: []raft.Server{{ID: "bare", Address: address}}}))
	r, err := raft.NewRaft(config, nothing{}, logs, store, snapshots, transport)
	must.NoError(b, err)
	b.Cleanup(func() {
		must.NoError(b, r.Shutdown().Error())
		must.NoError(b, store.Close())
	})
	return r
}

// nothing is a state machine without state.
type nothing struct{}

func (nothing) Apply(*raft.Log) any                 { return nil }
func (nothing) Snapshot() (raft.FSMSnapshot, error) { return nil, nil }
func (nothing) Restore(from io.ReadCloser) error    { return from.Close() }

func lead(b *testing.B, leads func() bool) {
	b.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for !leads() {
		select {
		case <-tick.C:
		case <-b.Context().Done():
			b.Fatal("no leader")
		}
	}
}
