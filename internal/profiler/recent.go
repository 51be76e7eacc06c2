package profiler

import (
	"maps"
	"math"
	"slices"
	"time"

	"gonum.org/v1/gonum/stat/distuv"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/internal/judge"
	"github.com/oakumhq/oakum/internal/stats"
)

const (
	// recentSamples is over how many samples a recent figure goes: a minute at the
	// default interval, which evens out a burst and is still news.
	recentSamples = 12
	// recentLeast is how many of them a gauge needs; counts and latencies need as
	// many events as it takes to be sure.
	recentLeast = recentSamples / 2
	// windowsLeast is how many recent figures a history needs before it tells their
	// noise: with fewer the factor below is beyond reach anyway.
	windowsLeast = 5
	// windowMemory is how many it remembers: a day of minutes.
	windowMemory = 24 * 60
	// noiseMiss is how rarely the noise of a healthy target may look worse, at one
	// look, in each of the two ways that a figure is held against it. DESIGN.md has
	// what that comes to in an hour of looks.
	noiseMiss = 1e-6
	// baseMiss is how rarely the true rate may be beyond what the baseline's limit
	// says: the confidence that the judge asks of a baseline too.
	baseMiss = 0.005
	// driftMiss is how rarely one minute of all instances may be beyond their drift. A
	// stage has several, which resemble each other.
	driftMiss = 1e-3
	// pastEvery and pastMost are how often recent figures are kept beside a rollout,
	// in samples, and how many: one each half minute for an hour.
	pastEvery = recentSamples / 2
	pastMost  = 120
)

// moment is what one sample, or some in a row, said of one KPI.
type moment struct {
	at       time.Time // of the last sample
	n        float64   // samples
	events   float64   // of a count
	exposure float64
	sum      float64 // of a gauge's values
	buckets  increment
}

func (m *moment) add(o moment) {
	m.at = o.at
	m.n += o.n
	m.events += o.events
	m.exposure += o.exposure
	m.sum += o.sum
	if !m.buckets.add(o.buckets) { // other bounds than before: the newest count
		m.buckets = increment{Upper: o.buckets.Upper, Counts: slices.Clone(o.buckets.Counts)}
	}
}

// recent is what a series keeps beside its baseline, to tell whether the last
// minute is out of the ordinary. Only the windows are recorded.
type recent struct {
	ring    []moment  // the last samples, the newest last
	windows windows   // minutes that do not overlap, while the baseline learns
	closed  time.Time // the end of the last of them
	past    []moment  // minutes since a rollout beside it is under way
	skipped int       // samples since the last of these
}

// windows are figures of minutes.
type windows struct {
	stats.Series
	Exposure float64 `json:"exposure,omitempty"` // of a count in one minute, the mean
}

// note takes a sample in. Samples older than span are forgotten.
func (r *recent) note(m moment, span time.Duration) {
	if n := len(r.ring); n > 0 && slices.Equal(r.ring[n-1].buckets.Upper, m.buckets.Upper) {
		m.buckets.Upper = r.ring[n-1].buckets.Upper // once in memory
	}
	r.ring = append(r.ring, m)
	for len(r.ring) > recentSamples || m.at.Sub(r.ring[0].at) >= span {
		r.ring = slices.Delete(r.ring, 0, 1)
	}
	if len(r.ring) == 1 {
		r.closed = m.at // the first sample, or the first of a turn: a minute begins
	}
}

// window is the last samples together.
func (r *recent) window() moment {
	var w moment
	for _, m := range r.ring {
		w.add(m)
	}
	return w
}

// remember keeps the minute so far when it is time to, while a rollout beside the
// target is under way, and forgets all of them when none is. It comes before the
// next sample, so that the first of them is from before the rollout did anything.
func (r *recent) remember(paused bool) {
	if !paused {
		r.past, r.skipped = nil, 0
		return
	}
	if len(r.ring) == 0 {
		return
	}
	if r.skipped == 0 {
		r.past = append(r.past, r.window())
		r.past = r.past[max(0, len(r.past)-pastMost):]
	}
	r.skipped = (r.skipped + 1) % pastEvery
}

// learn adds the present minute to the history of minutes, once each.
func (r *recent) learn(value, exposure float64, span time.Duration) {
	now := r.ring[len(r.ring)-1].at
	if now.Sub(r.closed) < span {
		return
	}
	r.closed = now
	r.windows.Observe(value)
	r.windows.Exposure += (exposure - r.windows.Exposure) / r.windows.N
	if r.windows.N > windowMemory {
		r.windows.Fade()
	}
}

// pause notes for one round which baselines do not learn, and returns them with
// when a rollout was last beside them: those that one is beside now, and for a
// minute more, since metrics come late and old instances end last.
func (p *Profiler) pause(now time.Time) map[api.TargetRef]time.Time {
	beside := p.beside()
	p.mu.Lock()
	defer p.mu.Unlock()
	for ref := range beside {
		p.paused[ref] = now
	}
	maps.DeleteFunc(p.paused, func(_ api.TargetRef, last time.Time) bool { return now.Sub(last) >= recentSamples*p.interval })
	return maps.Clone(p.paused)
}

// learns reports whether a baseline may learn now: not while a rollout beside the
// target is under way, whose doing what is seen may be, unless it is cold. The
// caller holds the lock.
func (p *Profiler) learns(ref api.TargetRef, s *series) bool {
	return p.paused[ref].IsZero() || s.cold()
}

// note takes a sample of a series in, and reports whether its baseline learns it.
// The caller holds the lock.
func (p *Profiler) note(ref api.TargetRef, s *series, m moment) bool {
	span := recentSamples * p.interval
	m.n = 1
	s.recent.remember(!p.paused[ref].IsZero())
	s.recent.note(m, span)
	if !p.learns(ref, s) {
		return false
	}
	w := s.recent.window()
	if value, ok := s.figure(s.kpi, w); ok {
		s.recent.learn(s.scaled(value), w.exposure, span)
	}
	return true
}

// figure is what a minute has for a KPI, in the unit of the KPI.
func (s *series) figure(kpi judge.KPI, w moment) (float64, bool) {
	switch {
	case kpi.Kind == api.KPICount && w.exposure > 0:
		return w.events / w.exposure, true
	case kpi.Kind == api.KPILatency && len(w.buckets.Counts) > 0:
		v := judge.Quantile(w.buckets.Upper, w.buckets.Counts, kpi.Quantile)
		return v, v > 0 && !math.IsInf(v, 0)
	case kpi.Kind == api.KPIGauge && w.n >= recentLeast:
		return w.sum / w.n, true
	}
	return 0, false
}

// scaled is a figure on the scale on which its noise is told: of gauges and
// latencies the logarithm, since their noise is in proportion to them, and that of
// a latency at every quantile alike. Shares of events are often 0.
func (s *series) scaled(value float64) float64 {
	if s.kpi.Kind == api.KPICount {
		return value
	}
	return math.Log(max(value, 1e-9))
}

// worse reports whether a minute is clearly worse than the baseline, and both
// figures: by more than the margins, by more than minutes differ among each
// other, and by more events than chance brings.
func (s *series) worse(kpi judge.KPI, spec api.KPISpec, w moment) (value, before float64, worse bool) {
	value, ok := s.figure(kpi, w)
	if !ok {
		return 0, 0, false
	}
	before, ok = s.usual(kpi, w.at)
	limit := spec.Margins().PromoteLimit(before)
	if !ok || value <= limit || s.scaled(value) <= s.scaled(before)+s.recent.windows.next(0, noiseMiss) {
		return value, before, false
	}
	return value, before, s.beyond(kpi, limit, w)
}

// next is by how much one more minute may be above the mean of those seen by chance,
// missed with probability miss, infinite while they are too few. Of their variance
// known is left out.
func (w windows) next(known, miss float64) float64 {
	if w.N < windowsLeast {
		return math.Inf(1)
	}
	t := distuv.StudentsT{Mu: 0, Sigma: 1, Nu: w.N - 1}.Quantile(1 - miss)
	return t * math.Sqrt(max(w.Variance()-known, 0)*(1+1/w.N))
}

// drift is by how much a minute of all instances may be above the reference without
// any patch, the chance of single events aside, which the judge knows of. While too
// few minutes are known, it is a factor of two: wider than steady traffic differs,
// and within what a failing patch does.
func (s *series) drift() float64 {
	if s.drifts > 0 {
		return s.drifts
	}
	var rate, chance float64
	if r := s.reference; r.Exposure > 0 {
		rate = r.Events / r.Exposure
	}
	w := s.recent.windows
	if w.Exposure > 0 {
		chance = rate / w.Exposure * s.dispersion.Factor()
	}
	switch limit := w.next(chance, driftMiss); {
	case !math.IsInf(limit, 0):
		return limit
	case s.kpi.Kind == api.KPICount:
		return rate
	}
	return math.Ln2
}

// beyond reports whether the events of a minute are more than chance brings at a
// rate as at the limit, or at the highest that the baseline is compatible with.
// Those of a latency are the requests above the limit.
func (s *series) beyond(kpi judge.KPI, limit float64, w moment) bool {
	r := s.referenceAt(w.at)
	var events, exposure, base, seen float64
	switch kpi.Kind {
	case api.KPIGauge:
		return true
	case api.KPICount:
		events, exposure, base, seen = w.events, w.exposure, r.Events, r.Exposure
	case api.KPILatency:
		events, exposure = above(w.buckets.Upper, w.buckets.Counts, limit)
		base, seen = above(r.Upper, r.Counts, limit)
		limit = 1 - kpi.Quantile
	}
	d := s.dispersion.Factor()
	_, high := stats.RateBounds(base/d, seen/d, baseMiss)
	low, _ := stats.RateBounds(events/d, exposure/d, noiseMiss)
	return low > max(limit, high)
}

// above counts the requests in buckets that lie above a limit altogether, and all.
func above(upper, counts []float64, limit float64) (slow, all float64) {
	for i, c := range counts {
		all += c
		if i > 0 && upper[i-1] >= limit {
			slow += c
		}
	}
	return slow, all
}

// Worse lists the KPIs of a target that are clearly worse now than its baseline,
// in the order of the margins, each with both figures and since when, as far as
// this leader has seen. Earlier says that it was so before began. KPIs whose
// baseline is cold, that the judge distrusts, or of which there is no recent
// sample are never listed.
func (p *Profiler) Worse(ref api.TargetRef, began, now time.Time, margins []api.KPISpec) []api.NeighbourEffect {
	p.mu.Lock()
	defer p.mu.Unlock()
	var out []api.NeighbourEffect
	for _, spec := range margins {
		kpi, ok := p.queries.known(spec)
		if !ok {
			continue
		}
		s := p.history(ref, kpi)
		if s == nil || s.cold() || s.control.Distrust() != "" {
			continue
		}
		w := s.recent.window()
		if now.Sub(w.at) >= recentSamples*p.interval {
			continue
		}
		value, before, worse := s.worse(kpi, spec, w)
		if !worse {
			continue
		}
		e := api.NeighbourEffect{Target: ref, KPI: spec.KPI, Unit: kpi.Unit, Value: value, Before: before, Since: w.at}
		e.Since, e.Earlier = s.onset(kpi, spec, e.Since, began)
		out = append(out, e)
	}
	return out
}

// onset is since when a series that is worse now has been so without a break, and
// whether it was by the time that a rollout began. What was before the minutes
// that are kept, nobody knows; it is then no older than the first of them.
func (s *series) onset(kpi judge.KPI, spec api.KPISpec, since, began time.Time) (time.Time, bool) {
	for _, w := range slices.Backward(s.recent.past) {
		if _, _, worse := s.worse(kpi, spec, w); !worse {
			return since, false
		}
		since = w.at
		if !w.at.After(began) {
			return since, true
		}
	}
	return since, false
}
