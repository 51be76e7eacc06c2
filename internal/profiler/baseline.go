package profiler

import (
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"sort"
	"time"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/internal/judge"
	"github.com/oakumhq/oakum/internal/kpi"
	"github.com/oakumhq/oakum/internal/stats"
)

const (
	// coldBelow is how many samples a baseline needs before it counts: about
	// what the tails of a mean need to look normal.
	coldBelow = 30
	// phiFrom is how many differences the autocorrelation is learned from, at
	// least: with twenty its error is about 0.2, which the judge allows for.
	phiFrom = 20
	// levelMemory is how many samples the level of a gauge remembers: four hours of
	// samples every five seconds.
	levelMemory = 4 * 720
	// referenceLimit is where the sums of a reference are halved, so that old
	// days fade from it.
	referenceLimit = 1_000_000
)

// baseline is what is known about one KPI of one target.
type baseline struct {
	kpi        judge.KPI
	source     string
	samples    int64
	last       float64
	sketch     *stats.Sketch
	week       *stats.WeekSketch
	recorded   int64 // the hour that the week was in when it was recorded; 0 for never
	reference  judge.Reference
	dispersion stats.Dispersion
	levels     stats.Series // values
	control    judge.Control
	halves     stats.Series // differences between two halves of the instances, per instance
	recent     recent
	drifts     *float64 // the drift since something was last learned; nil until it is asked for
}

// extra is the part of a baseline that has no field of its own in an api.Baseline.
type extra struct {
	Sketch     []byte           `json:"sketch"`
	Mean       float64          `json:"mean"`
	Reference  judge.Reference  `json:"reference,omitzero"`
	Dispersion stats.Dispersion `json:"dispersion,omitzero"`
	Halves     stats.Series     `json:"halves,omitzero"`
	Levels     stats.Series     `json:"levels,omitzero"`
	Control    judge.Control    `json:"control,omitzero"`
	Windows    windows          `json:"windows,omitzero"`
}

func newBaseline(k judge.KPI, source string) *baseline {
	return &baseline{kpi: k, source: source, sketch: stats.NewSketch(), week: stats.NewWeekSketch()}
}

// learn adds one sample, of the kind that the baseline is of.
func (b *baseline) learn(sample kpi.Sample, interval time.Duration) {
	b.drifts = nil
	switch sample.KPI.Kind {
	case api.KPIGauge:
		b.learnGauge(sample.Values, sample.At, interval)
	case api.KPICount:
		b.learnShare(sample.Counted, sample.Seconds, sample.At, interval)
	case api.KPILatency:
		b.learnLatency(sample.Counted, sample.Seconds, sample.At, interval)
	}
}

// learnGauge adds one interval of a gauge, a value per instance.
func (b *baseline) learnGauge(values []float64, now time.Time, interval time.Duration) {
	b.learnValue(mean(values), now)
	if len(values) < 2 {
		return
	}
	half := len(values) / 2
	one, other := mean(values[:half]), mean(values[half:])
	// In units of one instance: a mean of n varies by 1/n of its variance.
	size := math.Sqrt(1/float64(half) + 1/float64(len(values)-half))
	observe(&b.halves, (one-other)/size)
	b.compare(judge.Gauge(one), judge.Gauge(other), interval, interval.Seconds(), now)
}

// learnShare adds one interval of a count.
func (b *baseline) learnShare(c *kpi.Counted, seconds float64, now time.Time, interval time.Duration) {
	b.learnValue(c.Sum.Errors/c.Sum.Requests, now)
	b.learnCounts(c.Sum.Errors, c.Sum.Requests, now)
	errors, requests := make([]float64, len(c.Each)), make([]float64, len(c.Each))
	for i, in := range c.Each {
		errors[i], requests[i] = in.Errors, in.Requests
	}
	b.dispersion.Observe(errors, requests)
	if one, other := c.Halves[0], c.Halves[1]; one.Requests > 0 && other.Requests > 0 {
		b.compare(judge.Count(one.Errors, one.Requests), judge.Count(other.Errors, other.Requests), interval, seconds, now)
	}
}

// learnLatency adds one interval of a histogram. What instances differ by is learned
// once, for every quantile, by all latencies but latency_p50.
func (b *baseline) learnLatency(c *kpi.Counted, seconds float64, now time.Time, interval time.Duration) {
	b.learnValue(judge.Quantile(c.Sum.Upper, c.Sum.Counts, b.kpi.Quantile), now)
	if b.kpi.Name == api.KPILatencyP50 {
		b.learnBuckets(c.Sum.Upper, c.Sum.Counts)
		return
	}
	b.learnSlow(c.Each)
	b.learnBuckets(c.Sum.Upper, c.Sum.Counts)
	if one, other := c.Halves[0], c.Halves[1]; len(one.Counts) > 0 && slices.Equal(one.Upper, other.Upper) {
		b.compare(judge.Buckets(one.Upper, one.Counts), judge.Buckets(other.Upper, other.Counts), interval, seconds, now)
	}
}

// learnValue adds one value of the KPI. Values that cannot be are refused.
func (b *baseline) learnValue(value float64, now time.Time) {
	if err := b.sketch.Add(value, 1); err != nil {
		return
	}
	b.samples++
	b.last = value
	if b.kpi.Kind != api.KPICount { // learnCounts does
		_ = b.week.Add(now, value) // the sketch of all time has refused what can't be
	}
	if b.kpi.Kind == api.KPIGauge {
		observe(&b.levels, value)
		r := &b.reference
		r.N++
		delta := value - r.Mean
		r.Mean += delta / r.N
		r.M2 += delta * (value - r.Mean)
		if r.N > levelMemory {
			r.N, r.M2 = r.N/2, r.M2/2
		}
	}
}

// learnSlow compares how many requests of each instance are among the slowest
// tenth of the history: requests of one burst are slow together, and count as the
// fewer that they are worth.
func (b *baseline) learnSlow(instances []kpi.Increment) {
	r := b.reference
	if len(r.Counts) == 0 {
		return
	}
	within := sort.SearchFloat64s(r.Upper, judge.Quantile(r.Upper, r.Counts, 0.9)) // the bucket of the quantile
	var slow, requests []float64
	for _, in := range instances {
		if !slices.Equal(in.Upper, r.Upper) {
			continue
		}
		var above, all float64
		for k, c := range in.Counts {
			all += c
			if k > within {
				above += c
			}
		}
		slow, requests = append(slow, above), append(requests, all)
	}
	b.dispersion.Observe(slow, requests)
}

// observe adds a value to a series that forgets as an hour of the week does.
func observe(s *stats.Series, value float64) {
	s.Observe(value)
	if s.N > levelMemory {
		s.Fade()
	}
}

// compare lets the judge compare two halves of the instances, which are equal.
func (b *baseline) compare(one, other judge.Measure, interval time.Duration, seconds float64, now time.Time) {
	b.control.Observe(b.describe(interval, interval), one, other, now, seconds)
}

// learnCounts adds events and exposure to the reference of a count and to the hour.
func (b *baseline) learnCounts(events, exposure float64, now time.Time) {
	_ = b.week.AddShare(now, events, exposure) // the sketch of all time has refused what can't be
	r := &b.reference
	r.Events += events
	r.Exposure += exposure
	if r.Exposure > referenceLimit {
		r.Events, r.Exposure = r.Events/2, r.Exposure/2
	}
}

// learnBuckets adds a histogram to the reference of a latency. New buckets
// replace old ones.
func (b *baseline) learnBuckets(upper, counts []float64) {
	r := &b.reference
	sum := kpi.Increment{Upper: r.Upper, Counts: r.Counts}
	if !sum.Add(kpi.Increment{Upper: upper, Counts: counts}) {
		sum = kpi.Increment{Upper: upper, Counts: append([]float64(nil), counts...)}
	}
	var total float64
	for _, c := range sum.Counts {
		total += c
	}
	if total > referenceLimit {
		for i := range sum.Counts {
			sum.Counts[i] /= 2
		}
	}
	r.Upper, r.Counts = sum.Upper, sum.Counts
}

// referenceAt is what stable instances show at a time: the hour of the week where it
// has enough samples, else all time. Latencies are judged by buckets, which are not
// kept by hour.
func (b *baseline) referenceAt(at time.Time) judge.Reference {
	h := b.week.Moments(stats.HourOfWeek(at))
	switch {
	case h.Enough() && b.kpi.Kind == api.KPICount:
		return judge.Reference{Events: h.Events, Exposure: h.Exposure}
	case h.Enough() && b.kpi.Kind == api.KPIGauge:
		return judge.Reference{N: h.N, Mean: h.Mean, M2: h.M2}
	}
	return b.reference
}

// usual is the baseline's figure for a KPI at a time, in the unit of the KPI: the
// rate of a count, the mean of a gauge, the quantile of a latency.
func (b *baseline) usual(k judge.KPI, at time.Time) (float64, bool) {
	r := b.referenceAt(at)
	switch {
	case k.Kind == api.KPICount && r.Exposure > 0:
		return r.Events / r.Exposure, true
	case k.Kind == api.KPILatency && len(r.Counts) > 0:
		v := judge.Quantile(r.Upper, r.Counts, k.Quantile)
		// All requests give the best quantile. The samples give the hour's deviation from it.
		if h := b.week.Moments(stats.HourOfWeek(at)); h.Enough() && b.sketch.Mean() > 0 {
			v *= h.Mean / b.sketch.Mean()
		}
		return v, !math.IsNaN(v) && !math.IsInf(v, 0)
	case k.Kind == api.KPIGauge && r.N > 0:
		return r.Mean, true
	}
	return 0, false
}

func (b *baseline) cold() bool { return b.samples < coldBelow }

// describe is the KPI with what the judge may learn from history, for looks
// that are apart by interval while samples were apart by learned.
func (b *baseline) describe(interval, learned time.Duration) judge.KPI {
	k := b.kpi
	k.Dispersion = b.dispersion.Factor()
	power := float64(interval) / float64(learned)
	if h := b.halves.History(power, phiFrom); !h.Unknown {
		k.Phi, k.PhiError, k.PhiKnown = h.Phi, h.Error, true
		k.Noise = judge.Noise{Canary: h.Variance, Stable: h.Variance, N: h.N}
	}
	if h := b.levels.History(power, phiFrom); !h.Unknown {
		k.Level = &h
	}
	if !b.cold() {
		k.Reference = b.reference
	}
	return k
}

// due reports whether the week is to be recorded: an hour of it has ended since it
// last was, or never was and there is something to know.
func (b *baseline) due() bool {
	return b.week.Hour() > b.recorded && (b.recorded > 0 || !b.cold())
}

// record is the baseline as it is recorded and read, with or without its week.
func (b *baseline) record(week bool) (api.Baseline, error) {
	out := api.Baseline{
		KPI: b.kpi.Name, Kind: b.kpi.Kind, Unit: b.kpi.Unit, Source: b.source,
		Samples: b.samples, Cold: b.cold(), Last: b.last, Mean: b.sketch.Mean(),
		P50: b.sketch.Quantile(0.5), P90: b.sketch.Quantile(0.9), P99: b.sketch.Quantile(0.99),
		ControlRuns: b.control.Runs, ControlAlarms: b.control.Alarms, Distrust: b.control.Distrust(),
	}
	means := b.week.Means()
	out.Hours = means[:]
	if week {
		out.HourSketches = b.week.Bytes()
	}
	raw, err := json.Marshal(extra{b.sketch.Bytes(), b.sketch.Mean(), b.reference, b.dispersion, b.halves, b.levels, b.control, b.recent.windows})
	if err != nil {
		return api.Baseline{}, fmt.Errorf("write baseline of %s: %w", b.kpi.Name, err)
	}
	out.Sketch = raw
	return out, nil
}

// restore reads a recorded baseline.
func restore(record api.Baseline) (*baseline, error) {
	k, ok := judge.Known(record.KPI)
	if !ok { // one of the operator's own
		k, ok = judge.Own(record.KPI, record.Kind, record.Unit)
	}
	if !ok {
		return nil, fmt.Errorf("read baseline of %s: not a known KPI", record.KPI)
	}
	var x extra
	if err := json.Unmarshal(record.Sketch, &x); err != nil {
		return nil, fmt.Errorf("read baseline of %s: %w", record.KPI, err)
	}
	sketch, err := stats.DecodeSketch(x.Sketch, x.Mean)
	if err != nil {
		return nil, fmt.Errorf("read baseline of %s: %w", record.KPI, err)
	}
	b := &baseline{kpi: k, source: record.Source, samples: record.Samples, last: record.Last, sketch: sketch,
		reference: x.Reference, dispersion: x.Dispersion, halves: x.Halves, levels: x.Levels, control: x.Control, recent: recent{windows: x.Windows}}
	if len(record.HourSketches) == 0 {
		b.week = stats.WeekOfMeans(record.Hours, coldBelow)
		return b, nil
	}
	if b.week, err = stats.DecodeWeek(record.HourSketches); err != nil {
		return nil, fmt.Errorf("read baseline of %s: %w", record.KPI, err)
	}
	b.recorded = b.week.Hour()
	return b, nil
}

func mean(values []float64) float64 {
	var sum float64
	for _, v := range values {
		sum += v
	}
	return sum / float64(len(values))
}
