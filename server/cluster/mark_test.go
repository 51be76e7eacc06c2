package cluster

import (
	"fmt"
	"log/slog"
	"testing"
	"time"

	"github.com/hashicorp/raft"
	"github.com/shoenig/test/must"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/internal/wait"
	"github.com/oakumhq/oakum/server/state"
)

// markedReplica applies commands as Raft would, and marks.
type markedReplica struct {
	*marker
	index uint64
}

func newMarkedReplica(t *testing.T) *markedReplica {
	t.Helper()
	m := newMarker(state.NewFSM(state.NewStore()), time.Minute)
	stop := make(chan struct{})
	ended := make(chan struct{})
	go func() { m.run(stop); close(ended) }()
	t.Cleanup(func() { close(stop); <-ended })
	return &markedReplica{marker: m}
}

func (r *markedReplica) put(t *testing.T, name string, at time.Time) {
	t.Helper()
	r.index++
	entry, err := state.Encode(&state.PolicyPut{Policy: api.Policy{Name: name}}, at, "tester")
	must.NoError(t, err)
	must.Nil(t, r.Apply(&raft.Log{Index: r.index, Data: entry, AppendedAt: at}))
}

// settled waits until n marks are there and returns them.
func (r *markedReplica) settled(t *testing.T, n int) []mark {
	t.Helper()
	var kept []mark
	wait.For(t, fmt.Sprint("marks: ", n), func() bool { kept = r.kept(); return len(kept) == n })
	return kept
}

func TestMarks_AreMadeAtTheSameIndexes(t *testing.T) {
	t.Parallel()
	a, b := newMarkedReplica(t), newMarkedReplica(t)
	at := time.Date(2026, 3, 1, 12, 0, 30, 0, time.UTC)
	for i := range 7 {
		for _, r := range []*markedReplica{a, b} {
			r.put(t, fmt.Sprint("p", i), at.Add(time.Duration(i)*20*time.Second))
		}
		if i == 2 { // the second minute begins at index 3
			a.settled(t, 1)
			b.settled(t, 1)
		}
	}
	// 12:00:30, :50, 12:01:10, :30, :50, 12:02:10, :30
	must.Eq(t, []uint64{3, 6}, []uint64{a.settled(t, 2)[0].Index, a.settled(t, 2)[1].Index})
	must.Eq(t, a.settled(t, 2), b.settled(t, 2))

	t.Log("a clock of a leader that goes back marks nothing twice")
	a.put(t, "back", at)
	a.put(t, "back", at.Add(2*time.Minute-10*time.Second))
	must.Len(t, 3, a.settled(t, 3), must.Sprint("the next period after it does"))
}

func TestMarks_ReportAStateWhileItDiffers(t *testing.T) {
	t.Parallel()
	a, b := newMarkedReplica(t), newMarkedReplica(t)
	at := time.Date(2026, 3, 1, 12, 0, 30, 0, time.UTC)
	a.put(t, "same", at)
	b.put(t, "other", at)
	for _, r := range []*markedReplica{a, b} {
		r.put(t, "next", at.Add(time.Minute))
		r.settled(t, 1)
	}
	n := &Node{cfg: Config{ID: "a", Version: "1"}, logger: slog.New(slog.DiscardHandler), marks: a.marker}
	d := newDelegate(n)
	d.begin(nil)
	reports := map[raft.ServerID]report{
		"a": {status: status{Version: "1", Marks: a.kept()}},
		"b": {status: status{Version: "1", Marks: b.kept()}},
		"c": {status: status{Version: "2", Marks: b.kept()}}, // another version may write it differently
		"d": {status: status{Version: "1", Marks: a.kept()}},
		"e": {status: status{Version: "1"}},
	}
	d.compareMarks(reports)
	must.MapLen(t, 1, d.divergent)
	found := d.divergent["b"]
	must.Eq(t, 2, found.Index)
	must.NotEq(t, found.Hash, found.Leader)

	t.Log("it joined again with an empty directory")
	reports["b"] = report{status: status{Version: "1", Marks: a.kept()}}
	d.compareMarks(reports)
	must.MapEmpty(t, d.divergent)
	reports["b"] = report{status: status{Version: "1", Marks: b.kept()}}
	d.compareMarks(reports)
	delete(reports, "b")
	d.compareMarks(reports)
	must.MapEmpty(t, d.divergent, must.Sprint("a server that has gone is none of ours"))
}

// BenchmarkMark measures one hash of a state with 10,000 rollouts and 20,000
// services.
func BenchmarkMark(b *testing.B) {
	store := state.NewStore()
	fsm := state.NewFSM(store)
	index := uint64(0)
	apply := func(cmd state.Command) {
		index++
		entry, err := state.Encode(cmd, time.Unix(1e9, 0), "bench")
		must.NoError(b, err)
		if refused, ok := fsm.Apply(&raft.Log{Index: index, Data: entry}).(error); ok {
			must.NoError(b, refused)
		}
	}
	var services []api.Service
	for i := range 20_000 {
		services = append(services, api.Service{Name: fmt.Sprint("service-", i), Instances: 5, Healthy: 5})
	}
	apply(&state.GraphChange{GraphChange: api.GraphChange{Services: services}})
	for patch := range 10 {
		cmd := &state.PatchSubmit{
			Patch: api.Patch{Name: fmt.Sprint("patch-", patch), Digest: "d"}, Plan: api.Plan{ID: fmt.Sprint("plan-", patch), Patch: fmt.Sprint("patch-", patch)},
		}
		for i := range 1000 {
			cmd.Rollouts = append(cmd.Rollouts, api.Rollout{
				ID: fmt.Sprintf("%d-%d", patch, i), Plan: cmd.Plan.ID, Patch: cmd.Patch.Name, PatchDigest: "d", Status: api.RolloutPending,
				Target: api.TargetRef{Namespace: "prod", Job: fmt.Sprintf("job-%d-%d", patch, i), Group: "g"},
			})
		}
		apply(cmd)
	}
	m := newMarker(fsm, time.Minute)
	b.ResetTimer()
	for b.Loop() {
		snapshot, err := fsm.Snapshot()
		must.NoError(b, err)
		m.hash(unhashed{index: index, state: snapshot})
	}
	b.StopTimer()
	must.SliceNotEmpty(b, m.kept())
}

func TestMarks_TravelBetweenServers(t *testing.T) {
	t.Parallel()
	open := func(id string, change func(*Config)) *Node {
		cfg := Config{
			ID: id, Bind: "127.0.0.1:0", Version: "1", Logger: slog.New(slog.DiscardHandler),
			Autopilot: api.AutopilotConfig{LastContactThreshold: api.Duration(time.Second), MaxTrailingLogs: 100},
			Tuning: Tuning{
				Heartbeat: 500 * time.Millisecond, Election: 500 * time.Millisecond, LeaderLease: 500 * time.Millisecond,
				Join: 20 * time.Millisecond, Autopilot: 50 * time.Millisecond, Mark: 100 * time.Millisecond,
			},
		}
		change(&cfg)
		n, err := Open(cfg, state.NewFSM(state.NewStore()))
		must.NoError(t, err)
		t.Cleanup(func() { must.NoError(t, n.Close()) })
		return n
	}
	first := open("a", func(c *Config) { c.BootstrapExpect = 1 })
	second := open("b", func(c *Config) { c.RetryJoin = []string{first.Address()} })
	i, common := 0, 0
	wait.For(t, "three marks in common", func() bool {
		i++
		// Without a leader there is nothing to mark: the next tick tries again.
		_, _ = first.Apply(t.Context(), &state.PolicyPut{Policy: api.Policy{Name: fmt.Sprint("p", i)}}, "tester")
		if mine, theirs, ok := lastCommon(first.marks.kept(), second.marks.kept()); ok {
			must.Eq(t, mine, theirs)
			common++
		}
		return common >= 3
	})
	seen, err := first.Autopilot()
	must.NoError(t, err)
	must.SliceEmpty(t, seen.Divergent)
}
