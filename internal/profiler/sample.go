package profiler

import (
	"context"
	"math"
	"slices"
	"time"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/internal/profiler/judge"
)

// round is what one round of samples leaves for the next; only Run touches it.
type round struct {
	at       time.Time
	last     map[string]*counters
	restarts map[string]int
	oom      map[string]int64
	turn     int // rotates over the instances of large targets
}

// sample takes one round over all targets.
func (p *Profiler) sample(ctx context.Context, r *round, now time.Time) {
	targets, err := p.fleet.Targets(ctx)
	if err != nil {
		p.log.Warn("sample targets", "error", err)
		return
	}
	var seen map[string]*counters
	if p.metrics != nil {
		if seen, err = p.readCounters(ctx, nil, now); err != nil {
			p.log.Warn("sample counters", "error", err)
		}
	}
	seconds := now.Sub(r.at).Seconds()
	// After a gap the increments would be averages over it; start anew.
	fresh := r.at.IsZero() || seconds <= 0 || seconds > 10*p.interval.Seconds()
	excluded := p.excluded()
	gauges := p.sampleGauges(ctx, now)
	for _, t := range targets {
		instances, err := p.fleet.Instances(ctx, t.TargetRef)
		if err != nil {
			p.log.Warn("sample instances", "target", t.String(), "error", err)
			continue
		}
		var ids []string
		for _, in := range instances {
			if in.Health == api.Healthy && !excluded[in.ID] {
				ids = append(ids, in.ID)
			}
		}
		slices.Sort(ids)
		if !fresh {
			p.learnCounters(t.TargetRef, ids, r.last, seen, seconds, now)
		}
		p.learnStats(ctx, t.TargetRef, ids, r, fresh, seconds, now)
		for name, values := range gauges {
			p.learnGauge(t.TargetRef, name, sourceMetrics, pick(values, ids), now)
		}
	}
	if seen != nil {
		r.last = seen
	}
	r.at = now
	r.turn++
}

// learnCounters adds one interval of requests, errors and latencies.
func (p *Profiler) learnCounters(ref api.TargetRef, ids []string, last, seen map[string]*counters, seconds float64, now time.Time) {
	var sum increment
	var halves [2]increment
	var errors, requests []float64
	var histograms []increment
	for i, id := range ids {
		before, after := last[id], seen[id]
		if before == nil || after == nil {
			continue
		}
		inc, why := after.since(before)
		if why != "" {
			continue
		}
		sum.add(inc)
		halves[i%2].add(inc)
		histograms = append(histograms, inc)
		errors, requests = append(errors, inc.Errors), append(requests, inc.Requests)
	}
	if len(requests) == 0 {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.series(ref, api.KPIRequests, sourceMetrics, now).learn(sum.Requests/seconds/float64(len(requests)), now)
	if sum.Requests > 0 {
		s := p.series(ref, api.KPIErrorRate, sourceMetrics, now)
		s.learn(sum.Errors/sum.Requests, now)
		s.learnCounts(sum.Errors, sum.Requests)
		s.dispersion.Observe(errors, requests)
		if halves[0].Requests > 0 && halves[1].Requests > 0 {
			s.watch(judge.Count(halves[0].Errors, halves[0].Requests), judge.Count(halves[1].Errors, halves[1].Requests), p.interval, seconds, now)
		}
	}
	if len(sum.Counts) == 0 || sum.Requests == 0 {
		return
	}
	for _, name := range []string{api.KPILatencyP50, api.KPILatencyP99} {
		s := p.series(ref, name, sourceMetrics, now)
		s.learn(judge.Quantile(sum.Upper, sum.Counts, s.kpi.Quantile), now)
		if name == api.KPILatencyP99 {
			s.learnSlow(histograms)
		}
		s.learnBuckets(sum.Upper, sum.Counts)
		if name == api.KPILatencyP99 && len(halves[0].Counts) > 0 && slices.Equal(halves[0].Upper, halves[1].Upper) {
			s.watch(judge.Buckets(halves[0].Upper, halves[0].Counts), judge.Buckets(halves[1].Upper, halves[1].Counts), p.interval, seconds, now)
		}
	}
}

// learnStats adds one interval of CPU, memory and restarts.
func (p *Profiler) learnStats(ctx context.Context, ref api.TargetRef, ids []string, r *round, fresh bool, seconds float64, now time.Time) {
	if p.stats == nil || len(ids) == 0 {
		return
	}
	if len(ids) > statsPerTarget {
		from := r.turn * statsPerTarget % len(ids)
		ids = append(slices.Clone(ids[from:]), ids[:from]...)[:statsPerTarget]
	}
	usage, _ := p.readStats(ctx, ids)
	var cpu, memory []float64
	var restarts, kills, watched float64
	for _, id := range ids {
		u, ok := usage[id]
		if !ok {
			continue
		}
		cpu, memory = append(cpu, u.CPUCores), append(memory, u.MemoryBytes)
		if before, ok := r.restarts[id]; ok && !fresh && u.Restarts >= before {
			restarts += float64(u.Restarts - before)
			n, _ := u.oomSince(r.oom[id])
			kills += n
			watched++
		}
		r.restarts[id] = u.Restarts
		_, r.oom[id] = u.oomSince(r.oom[id])
	}
	if len(cpu) == 0 {
		return
	}
	if p.queries.CPU == "" {
		p.learnGauge(ref, api.KPICPU, sourceStats, cpu, now)
	}
	if p.queries.Memory == "" {
		p.learnGauge(ref, api.KPIMemory, sourceStats, memory, now)
	}
	if watched > 0 {
		p.mu.Lock()
		defer p.mu.Unlock()
		for name, events := range map[string]float64{api.KPIRestarts: restarts, api.KPIOOMKills: kills} {
			s := p.series(ref, name, sourceStats, now)
			s.learn(events/(watched*seconds), now)
			s.learnCounts(events, watched*seconds)
		}
	}
}

// sampleGauges asks for the gauges that have a query of their own.
func (p *Profiler) sampleGauges(ctx context.Context, now time.Time) map[string]map[string]float64 {
	out := map[string]map[string]float64{}
	queries := map[string]string{api.KPICPU: p.queries.CPU, api.KPIMemory: p.queries.Memory}
	for name, own := range p.queries.Gauges {
		queries[name] = own.Query
	}
	for name, query := range queries {
		values, err := p.readGauge(ctx, query, nil, now)
		if err != nil {
			p.log.Warn("sample gauge", "kpi", name, "error", err)
			continue
		}
		if values != nil {
			out[name] = values
		}
	}
	return out
}

// pick takes the values of some instances, in their order.
func pick(values map[string]float64, ids []string) []float64 {
	var out []float64
	for _, id := range ids {
		if v, ok := values[id]; ok {
			out = append(out, v)
		}
	}
	return out
}

// learnGauge adds one interval of a gauge, a value per instance.
func (p *Profiler) learnGauge(ref api.TargetRef, name, source string, values []float64, now time.Time) {
	if len(values) == 0 {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	s := p.series(ref, name, source, now)
	s.learn(mean(values), now)
	if len(values) > 1 {
		half := len(values) / 2
		// In units of one instance: a mean of n varies by 1/n of its variance.
		size := math.Sqrt(1/float64(half) + 1/float64(len(values)-half))
		observe(&s.halves, (mean(values[:half])-mean(values[half:]))/size)
		s.watch(judge.Gauge(mean(values[:half])), judge.Gauge(mean(values[half:])), p.interval, p.interval.Seconds(), now)
	}
}
