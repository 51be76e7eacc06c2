package profiler

import (
	"math"
	"slices"
	"time"

	"gonum.org/v1/gonum/stat/distuv"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/internal/judge"
	"github.com/oakumhq/oakum/internal/kpi"
	"github.com/oakumhq/oakum/internal/stats"
)

const (
	// windowSamples is over how many samples the last minute goes: a minute at the
	// default interval, which evens out a burst and is still news.
	windowSamples = 12
	// windowLeast is how many of them a gauge needs. Counts and latencies need as many
	// events as it takes to be sure.
	windowLeast = windowSamples / 2
	// windowsLeast is how many minutes a history needs before its noise is known. With
	// fewer, the factor in next is beyond reach anyway.
	windowsLeast = 5
	// windowMemory is how many minutes a history remembers: a day of them.
	windowMemory = 24 * 60
	// driftMiss is how rarely one minute of all instances may be beyond their drift. A
	// stage has several, which resemble each other.
	driftMiss = 1e-3
	// pastEvery and pastMost are how often the last minute is kept while a rollout at a
	// neighbour is under way, in samples, and how many are kept: one each half minute for
	// an hour.
	pastEvery = windowSamples / 2
	pastMost  = 120
)

// moment sums up one sample of one KPI, or some samples in a row.
type moment struct {
	at       time.Time // of the last sample
	n        float64   // samples
	events   float64   // of a count
	exposure float64
	sum      float64 // of a gauge's values
	buckets  kpi.Increment
}

func (m *moment) add(o moment) {
	m.at = o.at
	m.n += o.n
	m.events += o.events
	m.exposure += o.exposure
	m.sum += o.sum
	if !m.buckets.Add(o.buckets) { // other bounds than before: the newest count
		m.buckets = kpi.Increment{Upper: o.buckets.Upper, Counts: slices.Clone(o.buckets.Counts)}
	}
}

// recent holds the last samples and minutes of a KPI. They show whether the last
// minute is out of the ordinary. Only the windows are recorded.
type recent struct {
	ring    []moment  // the last samples, the newest last
	windows windows   // minutes that do not overlap, while the baseline learns
	closed  time.Time // the end of the last window
	past    []moment  // minutes since a rollout at a neighbour is under way
	skipped int       // samples since past last grew
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
	for len(r.ring) > windowSamples || m.at.Sub(r.ring[0].at) >= span {
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

// remember keeps the minute so far when it is time to, while a rollout at a neighbour
// is under way, and forgets all kept minutes when none is. It comes before the next
// sample, so that the first kept minute is from before the rollout did anything.
func (r *recent) remember(resting bool) {
	if !resting {
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

// note takes a sample into the last minute, whose length is span. Where the baseline
// learns it, each minute that is over joins the history of minutes.
func (b *baseline) note(sample kpi.Sample, span time.Duration, resting, learns bool) {
	b.recent.remember(resting)
	b.recent.note(momentOf(sample), span)
	if !learns {
		return
	}
	w := b.recent.window()
	if value, ok := figure(b.kpi, w); ok {
		b.recent.learn(b.scaled(value), w.exposure, span)
	}
}

// momentOf turns one sample into a moment.
func momentOf(s kpi.Sample) moment {
	m := moment{at: s.At, n: 1}
	switch s.KPI.Kind {
	case api.KPIGauge:
		m.sum = mean(s.Values)
	case api.KPICount:
		m.events, m.exposure = s.Counted.Sum.Errors, s.Counted.Sum.Requests
	case api.KPILatency:
		m.buckets = s.Counted.Sum
	}
	return m
}

// figure is what a minute has for a KPI, in the unit of the KPI. It is false when the
// minute has too little.
func figure(k judge.KPI, w moment) (float64, bool) {
	switch {
	case k.Kind == api.KPICount && w.exposure > 0:
		return w.events / w.exposure, true
	case k.Kind == api.KPILatency && len(w.buckets.Counts) > 0:
		v := judge.Quantile(w.buckets.Upper, w.buckets.Counts, k.Quantile)
		return v, v > 0 && !math.IsInf(v, 0)
	case k.Kind == api.KPIGauge && w.n >= windowLeast:
		return w.sum / w.n, true
	}
	return 0, false
}

// exposed is what the figure of a minute is of: requests or instance-seconds, and the
// samples of a gauge.
func (m moment) exposed(k judge.KPI) float64 {
	switch k.Kind {
	case api.KPICount:
		return m.exposure
	case api.KPILatency:
		var requests float64
		for _, c := range m.buckets.Counts {
			requests += c
		}
		return requests
	case api.KPIGauge:
	}
	return m.n
}

// scaled is a figure on the scale on which its noise is kept. For gauges and
// latencies the scale is the logarithm, because their noise is in proportion to
// them. The noise of a latency is then alike at every quantile. For counts the
// figure is the share itself, which is often 0.
func (b *baseline) scaled(value float64) float64 {
	if b.kpi.Kind == api.KPICount {
		return value
	}
	return math.Log(max(value, 1e-9))
}

// next is by how much one more minute may be above the mean of the minutes seen, by
// chance alone; it is more with probability miss, and infinite while there are too few
// minutes. The part of their variance that the caller knows already is left out.
func (w windows) next(known, miss float64) float64 {
	if w.N < windowsLeast {
		return math.Inf(1)
	}
	t := distuv.StudentsT{Mu: 0, Sigma: 1, Nu: w.N - 1}.Quantile(1 - miss)
	return t * math.Sqrt(max(w.Variance()-known, 0)*(1+1/w.N))
}

// drift is by how much a minute of all instances may be above the reference without any
// patch. The chance of single events is left out, since the judge knows of it. While too
// few minutes are known, the drift is a factor of two: wider than steady traffic
// differs, and within what a failing patch does.
func (b *baseline) drift() float64 {
	if b.drifts == nil {
		d := b.newDrift()
		b.drifts = &d
	}
	return *b.drifts
}

func (b *baseline) newDrift() float64 {
	var rate, chance float64
	if r := b.reference; r.Exposure > 0 {
		rate = r.Events / r.Exposure
	}
	w := b.recent.windows
	if w.Exposure > 0 {
		chance = rate / w.Exposure * b.dispersion.Factor()
	}
	switch limit := w.next(chance, driftMiss); {
	case !math.IsInf(limit, 0):
		return limit
	case b.kpi.Kind == api.KPICount:
		return rate
	}
	return math.Ln2
}
