package state

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/raft"
	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/server/state/levels"
	"github.com/shoenig/test/must"
)

// BenchmarkCommand measures what a command costs a leader beside Raft: its encoding, its
// reading back, and its transaction.
func BenchmarkCommand(b *testing.B) {
	fsm := NewFSM(NewStore())
	cmd := &SimulationPut{Simulation: api.Simulation{
		ID: "s", Patch: "openssl", Target: api.TargetRef{Namespace: "prod", Job: "web", Group: "vm"}, Status: api.SimulationRunning,
	}}
	at := time.Unix(1e9, 0)
	index := uint64(0)
	for level := 2; level <= levels.Supported; level++ { // it rises by one at a time
		entry, err := Encode(&LevelSet{Level: level}, at, "bench")
		must.NoError(b, err)
		index++
		must.Nil(b, fsm.Apply(&raft.Log{Index: index, Data: entry}))
	}
	b.ReportAllocs()
	for b.Loop() {
		entry, err := fsm.Entry(cmd, at, "bench")
		must.NoError(b, err)
		forget := fsm.Prepare(entry)
		index++
		must.Nil(b, fsm.Apply(&raft.Log{Index: index, Data: entry.Data}))
		forget()
	}
}

// BenchmarkSnapshot measures a state of 1,000 targets with 100 instances each,
// a rollout under way on every one, and 10,000 rollouts of history: what it
// weighs in memory, how long the whole of it is written, hashed and read, and
// how long a command waits at most while a snapshot is written.
func BenchmarkSnapshot(b *testing.B) {
	before := heap()
	store := history(1_000, 100, 10_000)
	b.Logf("state: %.0f MB in memory", float64(heap()-before)/1e6)
	memory := float64(heap()-before) / 1e6
	var out bytes.Buffer
	must.NoError(b, store.Snapshot(&out))
	b.Run("save", func(b *testing.B) {
		for b.Loop() {
			must.NoError(b, store.Snapshot(io.Discard))
		}
		b.ReportMetric(b.Elapsed().Seconds()/float64(b.N), "s")
		b.ReportMetric(memory, "MB-state")
		b.ReportMetric(float64(out.Len())/1e6, "MB-snapshot")
	})
	b.Run("hash", func(b *testing.B) {
		for b.Loop() {
			store.Hash()
		}
		b.ReportMetric(b.Elapsed().Seconds()/float64(b.N), "s")
	})
	b.Run("restore", func(b *testing.B) {
		for b.Loop() {
			must.NoError(b, NewStore().Restore(bytes.NewReader(out.Bytes())))
		}
		b.ReportMetric(b.Elapsed().Seconds()/float64(b.N), "s")
	})
	b.Run("apply-meanwhile", func(b *testing.B) { applyMeanwhile(b, store) })
}

// applyMeanwhile applies commands while a snapshot is written.
func applyMeanwhile(b *testing.B, store *Store) {
	fsm := NewFSM(store)
	index := store.Index()
	var waits []time.Duration
	for b.Loop() {
		snap, err := fsm.Snapshot()
		must.NoError(b, err)
		done := make(chan error, 1)
		go func() { done <- snap.Persist(discard{io.Discard}) }()
		for writing := true; writing; {
			entry, err := fsm.Encode(&PolicyPut{Policy: api.Policy{Name: "p"}}, time.Unix(1e9, 0), "bench")
			must.NoError(b, err)
			index++
			start := time.Now()
			must.Nil(b, fsm.Apply(&raft.Log{Index: index, Data: entry}))
			waits = append(waits, time.Since(start))
			select {
			case err := <-done:
				must.NoError(b, err)
				writing = false
			default:
			}
		}
	}
	slices.Sort(waits)
	b.ReportMetric(float64(waits[len(waits)*99/100].Microseconds()), "µs-p99")
	b.ReportMetric(float64(waits[len(waits)-1].Microseconds()), "µs-max")
}

// discard is a snapshot's destination that keeps nothing.
type discard struct{ io.Writer }

func (discard) ID() string    { return "bench" }
func (discard) Cancel() error { return nil }
func (discard) Close() error  { return nil }

// heap is what is in use after a collection.
func heap() uint64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

// history makes a state of targets with instances and a rollout each, and of
// ended rollouts as the state machine leaves them.
func history(targets, instances, ended int) *Store {
	s := NewStore()
	db := s.t.open()
	txn := db.Txn(true)
	for i := range ended {
		r := past(i, 100)
		r.Status, r.Ended = api.RolloutComplete, r.Since
		slim(r)
		s.t.rollouts.put(txn, r)
	}
	for i := range targets {
		r := past(ended+i, instances)
		r.Target.Job = fmt.Sprintf("open-%05d", i)
		s.t.rollouts.put(txn, r)
		s.t.targets.put(txn, &api.Target{TargetRef: r.Target, Count: instances, Driver: "qemu", Meta: map[string]string{"os": "debian-12", "tier": "1"}})
	}
	for i := range maxEvents {
		s.t.events.put(txn, &api.Event{
			Index: uint64(i), Topic: api.TopicRollout, Type: "hold", Key: fmt.Sprintf("01J-%06d", i), At: time.Unix(1e9, 0).UTC(),
			Text: `prod/web/vm is holding with patch "openssl": prometheus gives no answer`, Payload: json.RawMessage(`{"patch":"openssl","status":"holding"}`),
		})
	}
	txn.Commit()
	m := newMeta()
	m.Level, m.Events, m.Index = levels.Supported, maxEvents, uint64(maxEvents)
	s.replace(db, m)
	return s
}

// past is a rollout in three stages, each judged, with the job that it was
// made of.
func past(i, instances int) *api.Rollout {
	at := time.Unix(1e9+int64(i), 0).UTC()
	r := &api.Rollout{
		ID: fmt.Sprintf("01J-%06d", i), Plan: fmt.Sprintf("plan-%04d", i/50), Patch: "openssl-3.0.16", PatchDigest: strings.Repeat("d", 64),
		Target: api.TargetRef{Namespace: "prod", Job: fmt.Sprintf("web-%05d", i), Group: "vm"}, Wave: 1 + i%5, Status: api.RolloutRunning,
		Reason: "stage 3: 40 of 40 patched and healthy", Since: at, Created: at, SubmittedBy: "pipeline", CreateIndex: uint64(i), ModifyIndex: uint64(i),
		Apply:  []api.Apply{{Kind: api.ApplyImage, Task: "vm", Image: "/images/web-3.0.16.qcow2"}},
		Former: &api.FormerJob{Version: 7, ModifyIndex: 100, Count: instances, Digest: strings.Repeat("f", 64), Job: json.RawMessage(`{"ID":"web","Spec":"` + strings.Repeat("x", 12<<10) + `"}`)},
		Judge:  &api.JudgeState{Stage: 3, Started: at, Looks: 60, Bank: json.RawMessage(`{"kpis":[` + strings.Repeat(`{"n":1000,"sum":0.25},`, 40) + `{}]}`)},
	}
	for range 6 {
		r.Decision.Because = append(r.Decision.Because, api.Because{})
	}
	for n := 1; n <= 3; n++ {
		v := &api.Verdict{Kind: api.VerdictPromote, At: at, Looks: 20, Reason: "no worse than the margin in error_rate, latency_p99 and cpu"}
		r.Stages = append(r.Stages, api.Stage{Number: n, Percent: 33 * n, Mode: api.StageInPlace, Instances: n, Began: at, Deadline: at, Ready: at, Judged: at, Verdict: v})
		r.Effects = append(r.Effects, api.Effect{ID: fmt.Sprintf("%s.%d", r.ID, n), Kind: api.EffectStage, Stage: n, Want: n, Status: api.EffectDone, Outcome: "job version 8: 4 of 40 instances run the patch", Intended: at, Ended: at})
	}
	for n := range instances {
		r.Instances = append(r.Instances, api.Instance{
			ID: fmt.Sprintf("a1b2c3d4-%04x-4000-8000-%012d", n, i), Name: fmt.Sprintf("web-%05d.vm[%d]", i, n), Node: fmt.Sprintf("node-%04d", n),
			JobVersion: 8, Build: api.BuildPatched, Health: api.Healthy, Started: at, Address: "10.20.30.40:8080",
		})
	}
	return r
}
