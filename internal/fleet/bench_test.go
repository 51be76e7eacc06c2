package fleet

import (
	"fmt"
	"runtime"
	"testing"
	"time"
)

// large is a fleet of 20,000 jobs with 100,000 instances on 1,000 nodes, at rest.
func large(b *testing.B) *Fleet {
	b.Helper()
	f := New(1, start())
	for i := range 1000 {
		f.AddNode(Node{Name: fmt.Sprintf("n%d", i), CPU: 100_000, MemoryMB: 100_000})
	}
	for i := range 20_000 {
		j := web(5, "v1", rolling(5))
		j.ID = fmt.Sprintf("web-%05d", i)
		if _, err := f.Register(j, false, 0); err != nil {
			b.Fatal(err)
		}
	}
	f.Advance(start().Add(time.Hour))
	return f
}

// BenchmarkLarge builds the large fleet, and says how much memory it takes.
func BenchmarkLarge(b *testing.B) {
	var before, after runtime.MemStats
	for b.Loop() {
		runtime.GC()
		runtime.ReadMemStats(&before)
		f := large(b)
		runtime.GC()
		runtime.ReadMemStats(&after)
		if n := len(f.allocs); n != 100_000 {
			b.Fatalf("%d allocations", n)
		}
	}
	b.ReportMetric(float64(after.HeapAlloc-before.HeapAlloc)/(1<<20), "MiB")
}

// BenchmarkRest advances the large fleet by a minute in which nothing is due.
func BenchmarkRest(b *testing.B) {
	f := large(b)
	for b.Loop() {
		f.Advance(f.Now().Add(time.Minute))
	}
}

// BenchmarkStage moves one instance of one job of the large fleet.
func BenchmarkStage(b *testing.B) {
	f := large(b)
	i := 0
	for b.Loop() {
		i++
		j := web(5, fmt.Sprintf("v%d", i+1), held(1, 0))
		j.ID = "web-00042"
		if _, err := f.Register(j, false, 0); err != nil {
			b.Fatal(err)
		}
		f.Advance(f.Now().Add(time.Second))
	}
}
