package cluster_test

import (
	"fmt"
	"io/fs"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/raft"
	raftboltdb "github.com/hashicorp/raft-boltdb/v2"
	raftwal "github.com/hashicorp/raft-wal"
	"github.com/shoenig/test/must"
	"go.etcd.io/bbolt"
)

// store is a log on disk.
type store interface {
	raft.LogStore
	Close() error
}

// logStores are the candidates.
func logStores() map[string]func(dir string) (store, error) {
	return map[string]func(string) (store, error){
		"boltdb": func(dir string) (store, error) {
			return raftboltdb.New(raftboltdb.Options{Path: filepath.Join(dir, "raft.db"), BoltOptions: &bbolt.Options{Timeout: time.Second}})
		},
		"boltdb-freelist-map": func(dir string) (store, error) {
			return raftboltdb.New(raftboltdb.Options{
				Path:        filepath.Join(dir, "raft.db"),
				BoltOptions: &bbolt.Options{Timeout: time.Second, NoFreelistSync: true, FreelistType: bbolt.FreelistMapType},
			})
		},
		"wal": func(dir string) (store, error) { return raftwal.Open(dir, raftwal.WithLogger(hclog.NewNullLogger())) },
	}
}

// sizes is the mix of entries that rollouts make, as BenchmarkTransition of
// package state and the worlds of package orchestrator measure it: most are a judge's look or a change of a
// few instances, some carry the former job, and a few a submission.
func sizes(rng *rand.Rand, n int) []*raft.Log {
	out := make([]*raft.Log, n)
	for i := range out {
		size := 300 + rng.IntN(900)
		switch p := rng.IntN(1000); {
		case p < 5:
			size = 100_000 + rng.IntN(300_000)
		case p < 100:
			size = 4_000 + rng.IntN(12_000)
		}
		data := make([]byte, size)
		for j := range data {
			data[j] = byte('a' + rng.IntN(26))
		}
		out[i] = &raft.Log{Index: uint64(i + 1), Term: 1, Type: raft.LogCommand, Data: data}
	}
	return out
}

// BenchmarkLogStore measures a log under the writes of rollouts: the time of
// one append and of a batch that Raft commits together, on a log that is
// truncated after snapshots as Raft does it; what it takes to open one with
// 100,000 entries; and the size on disk.
func BenchmarkLogStore(b *testing.B) {
	stores := logStores()
	for _, name := range []string{"wal", "boltdb", "boltdb-freelist-map"} {
		b.Run(name, func(b *testing.B) { benchStore(b, stores[name]) })
	}
}

func benchStore(b *testing.B, open func(string) (store, error)) {
	dir := b.TempDir()
	s, err := open(dir)
	must.NoError(b, err)
	const whole, batch, keep, cut = 100_000, 64, 10_240, 8_192
	logs := sizes(rand.New(rand.NewPCG(1, 2)), whole)
	var next uint64 = 1
	take := func(n int) []*raft.Log {
		part := make([]*raft.Log, n)
		for i := range part {
			l := *logs[int(next-1)%whole]
			l.Index = next
			part[i] = &l
			next++
		}
		return part
	}
	var truncations []time.Duration
	truncate := func() {
		first, err := s.FirstIndex()
		must.NoError(b, err)
		if next-first > keep+cut {
			start := time.Now()
			must.NoError(b, s.DeleteRange(first, next-1-keep))
			truncations = append(truncations, time.Since(start))
		}
	}
	for range whole / batch { // grown, and truncated every 8,192 entries
		must.NoError(b, s.StoreLogs(take(batch)))
		truncate()
	}
	var single []time.Duration
	b.ResetTimer()
	for b.Loop() {
		one := take(1)
		start := time.Now()
		must.NoError(b, s.StoreLogs(one))
		single = append(single, time.Since(start))
		if next%64 == 0 {
			truncate()
		}
	}
	b.StopTimer()
	slices.Sort(single)
	slices.Sort(truncations)
	b.ReportMetric(float64(truncations[len(truncations)/2].Microseconds())/1e3, "ms/truncate-8k")
	b.ReportMetric(float64(single[len(single)/2])/1e3, "µs/append-p50")
	b.ReportMetric(float64(single[len(single)*99/100])/1e3, "µs/append-p99")

	start := time.Now()
	const groups = 100
	for range groups {
		must.NoError(b, s.StoreLogs(take(batch)))
	}
	b.ReportMetric(groups*batch/time.Since(start).Seconds(), "entries/s-batched")
	b.ReportMetric(float64(diskSize(b, dir))/1e6, "MB/kept")
	must.NoError(b, s.Close())
	b.ReportMetric(reopen(b, open, logs), "ms/open-100k")
}

// reopen is how long opening a log of 100,000 entries and reading it once, as
// a server does that starts without a snapshot, takes in milliseconds.
func reopen(b *testing.B, open func(string) (store, error), logs []*raft.Log) float64 {
	b.Helper()
	dir := b.TempDir()
	s, err := open(dir)
	must.NoError(b, err)
	for part := range slices.Chunk(logs, 512) {
		must.NoError(b, s.StoreLogs(part))
	}
	must.NoError(b, s.Close())
	start := time.Now()
	s, err = open(dir)
	must.NoError(b, err)
	last, err := s.LastIndex()
	must.NoError(b, err)
	must.Eq(b, uint64(len(logs)), last)
	var entry raft.Log
	for i := uint64(1); i <= last; i++ {
		must.NoError(b, s.GetLog(i, &entry))
	}
	took := time.Since(start)
	must.NoError(b, s.Close())
	return float64(took.Microseconds()) / 1e3
}

func diskSize(b *testing.B, dir string) (total int64) {
	b.Helper()
	must.NoError(b, filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return fmt.Errorf("size of %s: %w", path, err)
		}
		total += info.Size()
		return nil
	}))
	return total
}
