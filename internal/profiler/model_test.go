package profiler

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
)

// model is a fleet with its metrics: every instance serves requests at its own
// rate, with its own share of errors and its own latency.
type model struct {
	mu        sync.Mutex
	rng       *rand.Rand
	at        time.Time
	targets   []api.Target
	instances map[string]*instance
	order     []string
	away      error // PromQL answers with this
	statsAway error
	recorded  []api.Profile
	queries   int
	records   int
	weeks     int // with how many weeks of a KPI
}

type instance struct {
	target   api.TargetRef
	rps      float64
	errors   float64 // share
	slow     float64 // factor
	cpu      float64
	restarts int
	asked    uint64
	silent   bool
	kills    []int64
	requests float64
	failed   float64
	buckets  []float64 // cumulative, the last is +Inf
}

func bounds() []float64 {
	return []float64{0.001, 0.0025, 0.005, 0.01, 0.02, 0.03, 0.05, 0.075, 0.1, 0.15, 0.25, 0.5, 1, 2.5, 5}
}

func shop() api.TargetRef { return api.TargetRef{Namespace: "default", Job: "shop", Group: "web"} }

func newModel(n int) *model {
	m := &model{rng: rand.New(rand.NewPCG(1, 2)), instances: map[string]*instance{},
		targets: []api.Target{{TargetRef: shop(), Count: n}}}
	for i := range n {
		m.add(shop(), i)
	}
	return m
}

func id(i int) string { return fmt.Sprintf("%08x-0000-0000-0000-000000000000", i) }

func ids(from, to int) []string {
	var out []string
	for i := from; i < to; i++ {
		out = append(out, id(i))
	}
	return out
}

func (m *model) add(ref api.TargetRef, i int) {
	m.instances[id(i)] = &instance{target: ref, rps: 8, errors: 0.001, slow: 1, cpu: 0.2, buckets: make([]float64, len(bounds())+1)}
	m.order = append(m.order, id(i))
}

// advance lets everybody serve until now.
func (m *model) advance(now time.Time) {
	if m.at.IsZero() {
		m.at = now
	}
	seconds := now.Sub(m.at).Seconds()
	m.at = now
	for _, name := range m.order {
		in := m.instances[name]
		n := int(in.rps*seconds + m.rng.NormFloat64()*math.Sqrt(in.rps*seconds))
		for range n {
			in.requests++
			if m.rng.Float64() < in.errors {
				in.failed++
			}
			latency := 0.03 * in.slow * math.Exp(0.5*m.rng.NormFloat64())
			for b, upper := range append(bounds(), math.Inf(1)) {
				if latency <= upper {
					in.buckets[b]++
				}
			}
		}
	}
}

// reset is what a restart of the process does to its counters.
func (in *instance) reset() {
	in.requests, in.failed, in.buckets = 0, 0, make([]float64, len(bounds())+1)
}

// Query knows the default queries.
func (m *model) Query(_ context.Context, promql string, at time.Time) ([]Sample, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.queries++
	if m.away != nil {
		return nil, m.away
	}
	m.advance(at)
	var out []Sample
	for _, name := range m.order {
		in := m.instances[name]
		if in.silent || strings.Contains(promql, "=~\"0") && !strings.Contains(promql, name) {
			continue
		}
		switch {
		case strings.Contains(promql, "_bucket"):
			for b, upper := range append(bounds(), math.Inf(1)) {
				out = append(out, Sample{map[string]string{"alloc_id": name, "le": strconv.FormatFloat(upper, 'g', -1, 64)}, in.buckets[b]})
			}
		case strings.Contains(promql, `code=~"5.."`):
			if in.failed > 0 { // a series begins with its first event
				out = append(out, Sample{map[string]string{"alloc_id": name}, in.failed})
			}
		default:
			out = append(out, Sample{map[string]string{"alloc_id": name}, in.requests})
		}
	}
	return out, nil
}

func (m *model) AllocStats(_ context.Context, alloc string) (AllocStats, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.statsAway != nil {
		return AllocStats{}, m.statsAway
	}
	in := m.instances[alloc]
	if in == nil {
		return AllocStats{}, errors.New("unknown allocation")
	}
	in.asked++ // noise of its own, because instances are asked in any order
	noise := rand.New(rand.NewPCG(in.asked, uint64(slices.Index(m.order, alloc)))).NormFloat64()
	return AllocStats{CPUCores: in.cpu * (1 + 0.05*noise), MemoryBytes: 100 << 20, Restarts: in.restarts, OOMKills: in.kills}, nil
}

func (m *model) Layout(context.Context) (graph.Layout, error) {
	layout := graph.Layout{Targets: m.targets}
	for _, name := range m.order {
		layout.Instances = append(layout.Instances, graph.Instance{ID: name, Target: m.instances[name].target, Healthy: true})
	}
	return layout, nil
}

func (m *model) RecordProfiles(_ context.Context, profiles []api.Profile) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.records++
	for _, p := range profiles {
		for i := range p.KPIs {
			m.weeks += min(len(p.KPIs[i].HourSketches), 1)
			m.keep(p.Target, &p.KPIs[i])
		}
		m.recorded = slices.DeleteFunc(m.recorded, func(o api.Profile) bool { return o.Target == p.Target })
		m.recorded = append(m.recorded, p)
	}
	return nil
}

// keep is what the state does with a record without a week.
func (m *model) keep(ref api.TargetRef, b *api.Baseline) {
	if len(b.HourSketches) > 0 {
		return
	}
	for _, p := range m.recorded {
		for _, old := range p.KPIs {
			if p.Target == ref && old.KPI == b.KPI {
				b.HourSketches = old.HourSketches
			}
		}
	}
}

func (m *model) ForgetProfiles(_ context.Context, targets []api.TargetRef, _ time.Duration) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.recorded = slices.DeleteFunc(m.recorded, func(o api.Profile) bool { return slices.Contains(targets, o.Target) })
	return nil
}

func (m *model) profiles() []api.Profile {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.Clone(m.recorded)
}

var (
	_ Metrics  = (*model)(nil)
	_ Stats    = (*model)(nil)
	_ Fleet    = (*model)(nil)
	_ Recorder = (*model)(nil)
)
