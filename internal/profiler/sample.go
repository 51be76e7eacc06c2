package profiler

import (
	"context"
	"math"
	"slices"
	"time"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/internal/judge"
)

// round is what one round of samples leaves for the next; only Run touches it.
type round struct {
	at        time.Time
	last      map[string]*counters
	own       map[string]map[string]*counters // by KPI
	usage     map[string]used                 // by allocation
	turn      int                             // rotates over the instances of large targets
	near, far turns                           // of the targets beside rollouts, and of the others
	statsLeft int                             // allocations that this round may still ask
	statsFrom int                             // rotates over the targets that are asked first
}

// used is what an allocation's statistics said last.
type used struct {
	at       time.Time
	restarts int
	oom      int64 // when a task was last killed for lack of memory
}

// sample takes one round over all targets.
func (p *Profiler) sample(ctx context.Context, r *round, now time.Time) {
	layout, err := p.fleet.Layout(ctx)
	if err != nil {
		p.log.Warn("sample targets", "error", err)
		return
	}
	p.saw(layout.Targets, now)
	visits, ids := r.visits(layout, p.excluded(), p.pause(now))
	var seen map[string]*counters
	if p.metrics != nil {
		if seen, err = p.readCounters(ctx, ids, now); err != nil {
			p.log.Warn("sample counters", "error", err)
		}
	}
	seconds := now.Sub(r.at).Seconds()
	// After a gap the increments would be averages over it; start anew.
	fresh := r.at.IsZero() || seconds <= 0 || seconds > 10*p.interval.Seconds()
	var gauges map[string]map[string]float64
	var owns map[string]map[string]*counters
	if seen != nil { // who did not answer just now is not asked again and again
		gauges, owns = p.sampleGauges(ctx, ids, now), p.sampleOwns(ctx, ids, now)
	}
	usage := p.sampleStats(ctx, r, visits)
	for _, v := range visits {
		ref := v.target.TargetRef
		if !fresh {
			p.learnCounters(ref, v.ids, r.last, seen, seconds, now)
			for name, counted := range owns {
				p.learnOwn(ref, name, v.ids, r.own[name], counted, seconds, now)
			}
		}
		p.learnStats(ref, v.ids, r, usage, fresh, now)
		for name, values := range gauges {
			p.learnGauge(ref, name, sourceMetrics, pick(values, v.ids), now)
		}
	}
	r.forget(layout)
	// After a round without an answer there is no increment: it would be that of
	// two rounds.
	r.last, r.own = seen, owns
	r.at = now
	r.turn++
}

// learnCounters adds one interval of requests, errors and latencies.
func (p *Profiler) learnCounters(ref api.TargetRef, ids []string, last, seen map[string]*counters, seconds float64, now time.Time) {
	g := gather(ids, last, seen)
	if len(g.requests) == 0 {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	sum := g.sum
	p.learnValue(ref, p.series(ref, api.KPIRequests, sourceMetrics, now), sum.Requests/seconds/float64(len(g.requests)), now)
	if sum.Requests > 0 {
		p.learnShare(ref, p.series(ref, api.KPIErrorRate, sourceMetrics, now), g, seconds, now)
	}
	if len(sum.Counts) == 0 || sum.Requests == 0 {
		return
	}
	p50 := p.series(ref, api.KPILatencyP50, sourceMetrics, now)
	if p.learns(ref, p50) { // what is recent, the series of the p99 has for every quantile
		p50.learn(judge.Quantile(sum.Upper, sum.Counts, p50.kpi.Quantile), now)
		p50.learnBuckets(sum.Upper, sum.Counts)
	}
	p.learnLatency(ref, p.series(ref, api.KPILatencyP99, sourceMetrics, now), g, seconds, now)
}

// learnValue adds one value of a gauge and reports whether the baseline learned it.
func (p *Profiler) learnValue(ref api.TargetRef, s *series, value float64, now time.Time) bool {
	if !p.note(ref, s, moment{at: now, sum: value}) {
		return false
	}
	s.learn(value, now)
	return true
}

// learnShare adds one interval of a count.
func (p *Profiler) learnShare(ref api.TargetRef, s *series, g gathered, seconds float64, now time.Time) {
	if p.note(ref, s, moment{at: now, events: g.sum.Errors, exposure: g.sum.Requests}) {
		s.learnShare(g, p.interval, seconds, now)
	}
}

// learnLatency adds one interval of a histogram.
func (p *Profiler) learnLatency(ref api.TargetRef, s *series, g gathered, seconds float64, now time.Time) {
	if p.note(ref, s, moment{at: now, buckets: g.sum}) {
		s.learnLatency(g, p.interval, seconds, now)
	}
}

// sampleOwns asks for the counts and latencies that the configuration has queries
// for.
func (p *Profiler) sampleOwns(ctx context.Context, ids []string, now time.Time) map[string]map[string]*counters {
	out := map[string]map[string]*counters{}
	for name, own := range p.queries.Own {
		if own.kind() == api.KPIGauge || p.metrics == nil {
			continue
		}
		seen, err := p.readOwn(ctx, own, ids, now)
		if err != nil {
			p.log.Warn("sample counters", "kpi", name, "error", err)
			continue
		}
		out[name] = seen
	}
	return out
}

// learnOwn adds one interval of a count or a latency of the operator's own.
func (p *Profiler) learnOwn(ref api.TargetRef, name string, ids []string, last, seen map[string]*counters, seconds float64, now time.Time) {
	g := gather(ids, last, seen)
	if g.sum.Requests <= 0 {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	s := p.series(ref, name, sourceMetrics, now)
	switch {
	case s.kpi.Kind == api.KPICount:
		p.learnShare(ref, s, g, seconds, now)
	case s.kpi.Kind == api.KPILatency && len(g.sum.Counts) > 0:
		p.learnLatency(ref, s, g, seconds, now)
	}
}

// gathered is one interval of the counters of some instances.
type gathered struct {
	sum              increment
	halves           [2]increment
	errors, requests []float64 // by instance
	each             []increment
}

func gather(ids []string, last, seen map[string]*counters) gathered {
	g := gathered{
		errors: make([]float64, 0, len(ids)), requests: make([]float64, 0, len(ids)), each: make([]increment, 0, len(ids)),
	}
	for i, id := range ids {
		before, after := last[id], seen[id]
		if before == nil || after == nil {
			continue
		}
		inc, why := after.since(before)
		if why != "" {
			continue
		}
		g.sum.add(inc)
		g.halves[i%2].add(inc)
		g.each = append(g.each, inc)
		g.errors, g.requests = append(g.errors, inc.Errors), append(g.requests, inc.Requests)
	}
	return g
}

// learnShare adds one interval of a count.
func (s *series) learnShare(g gathered, interval time.Duration, seconds float64, now time.Time) {
	s.learn(g.sum.Errors/g.sum.Requests, now)
	s.learnCounts(g.sum.Errors, g.sum.Requests, now)
	s.dispersion.Observe(g.errors, g.requests)
	if one, other := g.halves[0], g.halves[1]; one.Requests > 0 && other.Requests > 0 {
		s.watch(judge.Count(one.Errors, one.Requests), judge.Count(other.Errors, other.Requests), interval, seconds, now)
	}
}

// learnLatency adds one interval of a histogram.
func (s *series) learnLatency(g gathered, interval time.Duration, seconds float64, now time.Time) {
	s.learn(judge.Quantile(g.sum.Upper, g.sum.Counts, s.kpi.Quantile), now)
	s.learnSlow(g.each)
	s.learnBuckets(g.sum.Upper, g.sum.Counts)
	if one, other := g.halves[0], g.halves[1]; len(one.Counts) > 0 && slices.Equal(one.Upper, other.Upper) {
		s.watch(judge.Buckets(one.Upper, one.Counts), judge.Buckets(other.Upper, other.Counts), interval, seconds, now)
	}
}

// sampleStats asks for the usage of some allocations of each target, until the
// round has asked its share. It begins with other targets each time, so that a
// fleet that is larger gets round to all of them.
func (p *Profiler) sampleStats(ctx context.Context, r *round, visits []visit) map[string]AllocStats {
	if p.stats == nil || len(visits) == 0 {
		return nil
	}
	r.statsLeft = statsPerRound
	from, targets := r.statsFrom%len(visits), 0
	var ids []string
	for ; targets < len(visits) && r.statsLeft > 0; targets++ {
		ids = append(ids, r.asked(visits[(from+targets)%len(visits)].ids)...)
	}
	r.statsFrom = (from + targets) % len(visits)
	usage, _ := p.readStats(ctx, ids)
	return usage
}

// learnStats adds one interval of CPU, memory and restarts. A restart is counted
// against the time since the allocation was asked before.
func (p *Profiler) learnStats(ref api.TargetRef, ids []string, r *round, usage map[string]AllocStats, fresh bool, now time.Time) {
	var cpu, memory []float64
	var restarts, kills, watched float64 // watched in seconds, of all allocations
	for _, id := range ids {
		u, ok := usage[id]
		if !ok {
			continue
		}
		cpu, memory = append(cpu, u.CPUCores), append(memory, u.MemoryBytes)
		before, ok := r.usage[id]
		n, last := u.oomSince(before.oom)
		if ok && !fresh && u.Restarts >= before.restarts {
			restarts += float64(u.Restarts - before.restarts)
			kills += n
			watched += now.Sub(before.at).Seconds()
		}
		r.usage[id] = used{at: now, restarts: u.Restarts, oom: last}
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
			if p.note(ref, s, moment{at: now, events: events, exposure: watched}) {
				s.learn(events/watched, now)
				s.learnCounts(events, watched, now)
			}
		}
	}
}

// sampleGauges asks for the gauges that have a query of their own.
func (p *Profiler) sampleGauges(ctx context.Context, ids []string, now time.Time) map[string]map[string]float64 {
	out := map[string]map[string]float64{}
	queries := map[string]string{api.KPICPU: p.queries.CPU, api.KPIMemory: p.queries.Memory}
	for name, own := range p.queries.Own {
		if own.kind() == api.KPIGauge {
			queries[name] = own.Query
		}
	}
	for name, query := range queries {
		values, err := p.readGauge(ctx, query, ids, now)
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
	if p.learnValue(ref, s, mean(values), now) && len(values) > 1 {
		half := len(values) / 2
		// In units of one instance: a mean of n varies by 1/n of its variance.
		size := math.Sqrt(1/float64(half) + 1/float64(len(values)-half))
		observe(&s.halves, (mean(values[:half])-mean(values[half:]))/size)
		s.watch(judge.Gauge(mean(values[:half])), judge.Gauge(mean(values[half:])), p.interval, p.interval.Seconds(), now)
	}
}
