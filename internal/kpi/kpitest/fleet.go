// Package kpitest is a fleet in memory, for tests of what reads, learns and judges KPIs.
// It answers the default queries and Nomad's allocation statistics. Only tests import it.
package kpitest

import (
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/internal/graph"
	"github.com/oakumhq/oakum/internal/kpi"
)

// Fleet is some instances with their metrics: each serves requests at its own rate, with
// its own share of errors and its own latency. One seed makes each run like the last.
type Fleet struct {
	Targets   []api.Target
	Instances map[string]*Instance // by allocation
	Away      error                // what Prometheus answers with instead
	StatsAway error                // what Nomad answers with instead, when it is asked for statistics

	mu    sync.Mutex
	rng   *rand.Rand
	at    time.Time
	order []string
}

// Instance is one allocation and how it behaves.
type Instance struct {
	Target   api.TargetRef
	RPS      float64 // requests a second
	Errors   float64 // share
	Slow     float64 // factor of its latencies
	CPU      float64 // cores
	Restarts int
	Silent   bool    // Prometheus has no series of it
	Kills    []int64 // for lack of memory, as Unix nanoseconds

	asked    uint64
	requests float64
	failed   float64
	buckets  []float64 // cumulative, the last is +Inf
}

var (
	_ kpi.Metrics = (*Fleet)(nil)
	_ kpi.Stats   = (*Fleet)(nil)
	_ kpi.Fleet   = (*Fleet)(nil)
)

// Bounds are the bucket bounds of all latencies, in seconds and without +Inf.
func Bounds() []float64 {
	return []float64{0.001, 0.0025, 0.005, 0.01, 0.02, 0.03, 0.05, 0.075, 0.1, 0.15, 0.25, 0.5, 1, 2.5, 5}
}

// Shop is the target of a new fleet.
func Shop() api.TargetRef { return api.TargetRef{Namespace: "default", Job: "shop", Group: "web"} }

// ID is the allocation of one instance.
func ID(i int) string { return fmt.Sprintf("%08x-0000-0000-0000-000000000000", i) }

// IDs are the allocations from one instance to another, without the latter.
func IDs(from, to int) []string {
	var out []string
	for i := from; i < to; i++ {
		out = append(out, ID(i))
	}
	return out
}

// New is a fleet of one target, Shop, with so many healthy instances.
func New(n int) *Fleet {
	f := &Fleet{rng: rand.New(rand.NewPCG(1, 2)), Instances: map[string]*Instance{},
		Targets: []api.Target{{TargetRef: Shop(), Count: n}}}
	for i := range n {
		f.Add(Shop(), i)
	}
	return f
}

// Add adds an instance to a target.
func (f *Fleet) Add(ref api.TargetRef, i int) {
	f.Instances[ID(i)] = &Instance{Target: ref, RPS: 8, Errors: 0.001, Slow: 1, CPU: 0.2, buckets: make([]float64, len(Bounds())+1)}
	f.order = append(f.order, ID(i))
}

// Reset is what a restart of the process does to its counters.
func (in *Instance) Reset() {
	in.requests, in.failed, in.buckets = 0, 0, make([]float64, len(Bounds())+1)
}

// advance lets everybody serve until now.
func (f *Fleet) advance(now time.Time) {
	if f.at.IsZero() {
		f.at = now
	}
	seconds := now.Sub(f.at).Seconds()
	f.at = now
	for _, name := range f.order {
		in := f.Instances[name]
		n := int(in.RPS*seconds + f.rng.NormFloat64()*math.Sqrt(in.RPS*seconds))
		for range n {
			in.requests++
			if f.rng.Float64() < in.Errors {
				in.failed++
			}
			latency := 0.03 * in.Slow * math.Exp(0.5*f.rng.NormFloat64())
			for b, upper := range append(Bounds(), math.Inf(1)) {
				if latency <= upper {
					in.buckets[b]++
				}
			}
		}
	}
}

// Query knows the default queries.
func (f *Fleet) Query(_ context.Context, promql string, at time.Time) ([]kpi.Series, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.Away != nil {
		return nil, f.Away
	}
	if strings.HasPrefix(promql, "group by") {
		return nil, nil // of the endpoints nothing is known
	}
	f.advance(at)
	var out []kpi.Series
	for _, name := range f.order {
		in := f.Instances[name]
		if in.Silent || strings.Contains(promql, "=~\"0") && !strings.Contains(promql, name) {
			continue
		}
		switch {
		case strings.Contains(promql, "_bucket"):
			for b, upper := range append(Bounds(), math.Inf(1)) {
				le := strconv.FormatFloat(upper, 'g', -1, 64)
				out = append(out, kpi.Series{Labels: map[string]string{"alloc_id": name, "le": le}, Value: in.buckets[b]})
			}
		case strings.Contains(promql, `code=~"5.."`):
			if in.failed > 0 { // a series begins with its first event
				out = append(out, kpi.Series{Labels: map[string]string{"alloc_id": name}, Value: in.failed})
			}
		default:
			out = append(out, kpi.Series{Labels: map[string]string{"alloc_id": name}, Value: in.requests})
		}
	}
	return out, nil
}

// AllocStats is what one instance uses, with some noise.
func (f *Fleet) AllocStats(_ context.Context, alloc string) (kpi.AllocStats, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.StatsAway != nil {
		return kpi.AllocStats{}, f.StatsAway
	}
	in := f.Instances[alloc]
	if in == nil {
		return kpi.AllocStats{}, errors.New("unknown allocation")
	}
	in.asked++ // noise of its own, because instances are asked in any order
	noise := rand.New(rand.NewPCG(in.asked, uint64(slices.Index(f.order, alloc)))).NormFloat64()
	return kpi.AllocStats{CPUCores: in.CPU * (1 + 0.05*noise), MemoryBytes: 100 << 20, Restarts: in.Restarts, OOMKills: in.Kills}, nil
}

// Layout lists the targets and their instances, all of them healthy.
func (f *Fleet) Layout(context.Context) (graph.Layout, error) {
	layout := graph.Layout{Targets: f.Targets}
	for _, name := range f.order {
		layout.Instances = append(layout.Instances, graph.Instance{ID: name, Target: f.Instances[name].Target, Healthy: true})
	}
	return layout, nil
}

// OwnQueries are a count and a latency for which Fleet has counters under other names.
func OwnQueries() kpi.Queries {
	return kpi.Queries{Own: map[string]kpi.OwnQuery{
		"checkout_failures": {Kind: api.KPICount, Query: `checkouts{code=~"5..",$instances}`, Total: `checkouts{$instances}`},
		"checkout_p90":      {Kind: api.KPILatency, Query: `checkout_seconds_bucket{$instances}`},
	}}
}
