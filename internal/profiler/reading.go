package profiler

import (
	"context"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/internal/judge"
	"github.com/oakumhq/oakum/internal/stats"
)

// memorised are the counters of one KPI at the last look.
type memorised struct {
	Upper    stats.Vector         `json:"upper,omitempty"`
	Counters map[string]*counters `json:"counters"`
}

// bound gives the counters the bounds that all of them share.
func (m *memorised) bound() {
	for _, c := range m.Counters {
		c.Upper = m.Upper
	}
}

// memorise keeps the counters of some instances.
func memorise(ids []string, after map[string]*counters) *memorised {
	m := &memorised{Counters: map[string]*counters{}}
	for _, id := range ids {
		c := after[id]
		if c == nil || math.IsNaN(c.Requests) { // never seen
			continue
		}
		if m.Upper == nil {
			m.Upper = c.Upper
		}
		kept := *c
		if !slices.Equal(m.Upper, c.Upper) {
			kept.Upper, kept.Buckets = nil, nil
		}
		m.Counters[id] = &kept
	}
	return m
}

// look reads both arms and feeds the bank.
func (p *Profiler) look(ctx context.Context, r Request, m *memory) error {
	canary, stable := some(r.Canary), some(r.Stable)
	ids := slices.Concat(canary, stable)
	if len(ids) == 0 {
		return api.Errorf(api.CodeUnavailable, "no healthy instance to look at")
	}
	reading := &reading{before: m.Counters, restarts: m.Restarts, oom: m.OOM, seconds: r.Now.Sub(m.At).Seconds()}
	var err error
	if p.metrics != nil && p.needs(r.Spec, true) {
		if reading.after, err = p.readCounters(ctx, ids, r.Now); err != nil {
			return err
		}
	}
	if p.needs(r.Spec, false) && p.stats != nil {
		if reading.usage, err = p.readStats(ctx, ids); len(reading.usage) == 0 && err != nil {
			return unavailable(sourceStats, err)
		}
	}
	if reading.cpu, err = p.readGauge(ctx, p.queries.CPU, ids, r.Now); err != nil {
		return err
	}
	if reading.memory, err = p.readGauge(ctx, p.queries.Memory, ids, r.Now); err != nil {
		return err
	}
	if reading.gauges, err = p.readGauges(ctx, r.Spec, ids, r.Now); err != nil {
		return err
	}
	if reading.own, err = p.readOwns(ctx, r.Spec, ids, r.Now); err != nil {
		return err
	}
	reading.ownBefore = m.Own
	first := m.At.IsZero()
	m.remember(r.Now, ids, reading)
	if first {
		return nil // increments begin with the next look
	}
	look := judge.Look{At: r.Now, Seconds: reading.seconds, KPIs: map[string]judge.Pair{}}
	for _, want := range r.Spec.KPIs {
		if kpi, ok := p.queries.known(want); ok {
			look.KPIs[want.KPI] = judge.Pair{Canary: reading.measure(kpi, canary), Stable: reading.measure(kpi, stable)}
		}
	}
	m.Bank.Observe(look)
	return nil
}

// needs reports whether a spec has a KPI from PromQL counters, or one from
// allocation statistics.
func (p *Profiler) needs(spec api.JudgeSpec, counters bool) bool {
	for _, want := range spec.KPIs {
		kpi, ok := judge.Known(want.KPI)
		if !ok {
			continue
		}
		usage := want.KPI == api.KPICPU || want.KPI == api.KPIMemory || want.KPI == api.KPIRestarts || want.KPI == api.KPIOOMKills
		if counters && !usage || !counters && usage && !p.byQuery(kpi) {
			return true
		}
	}
	return false
}

// readGauges asks for the gauges of a spec that Oakum does not know by itself.
func (p *Profiler) readGauges(ctx context.Context, spec api.JudgeSpec, ids []string, at time.Time) (map[string]map[string]float64, error) {
	out := map[string]map[string]float64{}
	for _, want := range spec.KPIs {
		if _, ok := judge.Known(want.KPI); ok {
			continue
		}
		own := p.queries.own(want)
		if own.kind() != api.KPIGauge {
			continue
		}
		values, err := p.readGauge(ctx, own.Query, ids, at)
		if err != nil {
			return nil, err
		}
		if values != nil {
			out[want.KPI] = values
		}
	}
	return out, nil
}

// readOwns asks for the counts and latencies of a spec that Oakum does not know
// by itself.
func (p *Profiler) readOwns(ctx context.Context, spec api.JudgeSpec, ids []string, at time.Time) (map[string]map[string]*counters, error) {
	out := map[string]map[string]*counters{}
	for _, want := range spec.KPIs {
		own := p.queries.own(want)
		if _, ok := judge.Known(want.KPI); ok || p.metrics == nil || own.Query == "" || own.kind() == api.KPIGauge {
			continue
		}
		seen, err := p.readOwn(ctx, own, ids, at)
		if err != nil {
			return nil, err
		}
		out[want.KPI] = seen
	}
	return out, nil
}

// readGauge asks for one value per instance, when there is a query for it.
func (p *Profiler) readGauge(ctx context.Context, query string, ids []string, at time.Time) (map[string]float64, error) {
	if query == "" || p.metrics == nil {
		return nil, nil
	}
	samples, err := p.ask(ctx, query, ids, at)
	if err != nil {
		return nil, err
	}
	out := map[string]float64{}
	for _, s := range samples {
		out[s.Labels[p.queries.Label]] = s.Value
	}
	return out, nil
}

// some takes the first instances of an arm by ID, so that the choice stays the
// same from look to look.
func some(ids []string) []string {
	ids = slices.Clone(ids)
	slices.Sort(ids)
	ids = slices.Compact(ids)
	return ids[:min(len(ids), judgedInstances)]
}

// remember keeps what the next look must know, of these instances only.
func (m *memory) remember(now time.Time, ids []string, r *reading) {
	m.At = now
	m.Restarts, m.OOM, m.Own = map[string]int{}, map[string]int64{}, nil
	kept := memorise(ids, r.after)
	m.Upper, m.Counters = kept.Upper, kept.Counters
	for name, seen := range r.own {
		if m.Own == nil {
			m.Own = map[string]*memorised{}
		}
		m.Own[name] = memorise(ids, seen)
	}
	for _, id := range ids {
		if u, ok := r.usage[id]; ok {
			m.Restarts[id] = u.Restarts
			_, m.OOM[id] = u.oomSince(r.oom[id])
		}
	}
}

// reading is what one look read, with what the last one left.
type reading struct {
	seconds  float64
	before   map[string]*counters
	after    map[string]*counters
	restarts map[string]int
	oom      map[string]int64
	usage    map[string]AllocStats
	cpu      map[string]float64
	memory   map[string]float64
	gauges   map[string]map[string]float64 // by KPI and instance
	// Counts and latencies with queries of their own, by KPI and instance.
	own       map[string]map[string]*counters
	ownBefore map[string]*memorised
}

// measure is one arm's share of a KPI. Instances without data are named in
// Partial; an arm of which none has data is absent.
func (r *reading) measure(kpi judge.KPI, ids []string) judge.Measure {
	var sum increment
	var values []float64
	var restarts float64
	var silent []string
	have := 0
	for _, id := range ids {
		why := ""
		own, isOwn := r.gauges[kpi.Name]
		switch name := kpi.Name; {
		case isOwn:
			why = gauge(id, own, nil, nil, &values)
		case name == api.KPICPU:
			why = gauge(id, r.cpu, r.usage, func(u AllocStats) float64 { return u.CPUCores }, &values)
		case name == api.KPIMemory:
			why = gauge(id, r.memory, r.usage, func(u AllocStats) float64 { return u.MemoryBytes }, &values)
		case name == api.KPIRestarts:
			why = r.restarted(id, &restarts)
		case name == api.KPIOOMKills:
			why = r.killed(id, &restarts)
		default:
			why = r.counted(kpi, id, &sum)
		}
		if why != "" {
			silent = append(silent, noted(id, why))
			continue
		}
		have++
	}
	if have == 0 {
		return judge.Measure{Dropped: strings.Join(silent, ", ")}
	}
	var m judge.Measure
	switch {
	case kpi.Kind == api.KPILatency:
		m = judge.Buckets(sum.Upper, sum.Counts)
	case kpi.Name == api.KPIRestarts, kpi.Name == api.KPIOOMKills:
		m = judge.Count(restarts, float64(have)*r.seconds)
	case kpi.Kind == api.KPICount:
		m = judge.Count(sum.Errors, sum.Requests)
	case kpi.Name == api.KPIRequests:
		m = judge.Gauge(sum.Requests / r.seconds / float64(have))
	default:
		m = judge.Gauge(mean(values))
	}
	m.Partial = strings.Join(silent, ", ")
	return m
}

func gauge(id string, queried map[string]float64, usage map[string]AllocStats, of func(AllocStats) float64, values *[]float64) string {
	if queried != nil {
		v, ok := queried[id]
		if !ok {
			return "no series"
		}
		*values = append(*values, v)
		return ""
	}
	u, ok := usage[id]
	if !ok {
		return "no allocation statistics"
	}
	*values = append(*values, of(u))
	return ""
}

func (r *reading) restarted(id string, restarts *float64) string {
	u, ok := r.usage[id]
	if !ok {
		return "no allocation statistics"
	}
	before, ok := r.restarts[id]
	if !ok {
		return "first look"
	}
	if u.Restarts < before {
		return "restart counter was reset"
	}
	*restarts += float64(u.Restarts - before)
	return ""
}

func (r *reading) killed(id string, kills *float64) string {
	u, ok := r.usage[id]
	if !ok {
		return "no allocation statistics"
	}
	last, ok := r.oom[id]
	if !ok {
		return "first look"
	}
	n, _ := u.oomSince(last)
	*kills += n
	return ""
}

// counted adds one instance's increment.
func (r *reading) counted(kpi judge.KPI, id string, sum *increment) string {
	after, before := r.after[id], r.before[id]
	if own, ok := r.own[kpi.Name]; ok {
		after, before = own[id], nil
		if last := r.ownBefore[kpi.Name]; last != nil {
			before = last.Counters[id]
		}
	}
	switch {
	case after == nil:
		return "no series"
	case before == nil:
		return "first look"
	}
	inc, why := after.since(before)
	if why != "" {
		return why
	}
	if kpi.Kind == api.KPILatency && len(inc.Counts) == 0 {
		return "no latency histogram"
	}
	if !sum.add(inc) && kpi.Kind == api.KPILatency {
		return "other histogram buckets"
	}
	return ""
}
