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

// series is what is known about one KPI of one target.
type series struct {
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
	drifts     float64 // the drift, once nothing is learned any more; 0 before
}

// extra is the part of a series that has no field of its own in a Baseline.
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

func newSeries(kpi judge.KPI, source string) *series {
	return &series{kpi: kpi, source: source, sketch: stats.NewSketch(), week: stats.NewWeekSketch()}
}

// learn adds one value of the KPI. Values that cannot be are refused.
func (s *series) learn(value float64, now time.Time) {
	if err := s.sketch.Add(value, 1); err != nil {
		return
	}
	s.samples++
	s.last = value
	if s.kpi.Kind != api.KPICount { // learnCounts does
		_ = s.week.Add(now, value) // the sketch of all time has refused what can't be
	}
	if s.kpi.Kind == api.KPIGauge {
		observe(&s.levels, value)
		r := &s.reference
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
func (s *series) learnSlow(instances []increment) {
	r := s.reference
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
	s.dispersion.Observe(slow, requests)
}

// observe adds a value to a series that forgets as an hour of the week does.
func observe(s *stats.Series, value float64) {
	s.Observe(value)
	if s.N > levelMemory {
		s.Fade()
	}
}

// watch lets the judge compare two halves of the instances.
func (s *series) watch(one, other judge.Measure, interval time.Duration, seconds float64, now time.Time) {
	s.control.Observe(s.describe(interval, interval), one, other, now, seconds)
}

// learnCounts adds events and exposure to the reference of a count and to the hour.
func (s *series) learnCounts(events, exposure float64, now time.Time) {
	_ = s.week.AddShare(now, events, exposure) // the sketch of all time has refused what can't be
	r := &s.reference
	r.Events += events
	r.Exposure += exposure
	if r.Exposure > referenceLimit {
		r.Events, r.Exposure = r.Events/2, r.Exposure/2
	}
}

// learnBuckets adds a histogram to the reference of a latency. New buckets
// replace old ones.
func (s *series) learnBuckets(upper, counts []float64) {
	r := &s.reference
	sum := increment{Upper: r.Upper, Counts: r.Counts}
	if !sum.add(increment{Upper: upper, Counts: counts}) {
		sum = increment{Upper: upper, Counts: append([]float64(nil), counts...)}
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
func (s *series) referenceAt(at time.Time) judge.Reference {
	h := s.week.Moments(stats.HourOfWeek(at))
	switch {
	case h.Enough() && s.kpi.Kind == api.KPICount:
		return judge.Reference{Events: h.Events, Exposure: h.Exposure}
	case h.Enough() && s.kpi.Kind == api.KPIGauge:
		return judge.Reference{N: h.N, Mean: h.Mean, M2: h.M2}
	}
	return s.reference
}

// usual is what the series has for a KPI at a time in the unit of the KPI: the rate
// of a count, the mean of a gauge, the quantile of a latency.
func (s *series) usual(kpi judge.KPI, at time.Time) (float64, bool) {
	r := s.referenceAt(at)
	switch {
	case kpi.Kind == api.KPICount && r.Exposure > 0:
		return r.Events / r.Exposure, true
	case kpi.Kind == api.KPILatency && len(r.Counts) > 0:
		v := judge.Quantile(r.Upper, r.Counts, kpi.Quantile)
		// All requests tell the quantile best, and the samples how this hour differs.
		if h := s.week.Moments(stats.HourOfWeek(at)); h.Enough() && s.sketch.Mean() > 0 {
			v *= h.Mean / s.sketch.Mean()
		}
		return v, !math.IsNaN(v) && !math.IsInf(v, 0)
	case kpi.Kind == api.KPIGauge && r.N > 0:
		return r.Mean, true
	}
	return 0, false
}

func (s *series) cold() bool { return s.samples < coldBelow }

// describe is the KPI with what the judge may learn from history, for looks
// that are apart by interval while samples were apart by learned.
func (s *series) describe(interval, learned time.Duration) judge.KPI {
	kpi := s.kpi
	kpi.Dispersion = s.dispersion.Factor()
	power := float64(interval) / float64(learned)
	if h := s.halves.History(power, phiFrom); !h.Unknown {
		kpi.Phi, kpi.PhiError, kpi.PhiKnown = h.Phi, h.Error, true
		kpi.Noise = judge.Noise{Canary: h.Variance, Stable: h.Variance, N: h.N}
	}
	if h := s.levels.History(power, phiFrom); !h.Unknown {
		kpi.Level = &h
	}
	if !s.cold() {
		kpi.Reference = s.reference
	}
	return kpi
}

// due reports whether the week is to be recorded: an hour of it has ended since it
// last was, or never was and there is something to know.
func (s *series) due() bool {
	return s.week.Hour() > s.recorded && (s.recorded > 0 || !s.cold())
}

// baseline is the series as it is recorded and read, with or without its week.
func (s *series) baseline(week bool) (api.Baseline, error) {
	b := api.Baseline{
		KPI: s.kpi.Name, Kind: s.kpi.Kind, Unit: s.kpi.Unit, Source: s.source,
		Samples: s.samples, Cold: s.cold(), Last: s.last, Mean: s.sketch.Mean(),
		P50: s.sketch.Quantile(0.5), P90: s.sketch.Quantile(0.9), P99: s.sketch.Quantile(0.99),
		ControlRuns: s.control.Runs, ControlAlarms: s.control.Alarms, Distrust: s.control.Distrust(),
	}
	means := s.week.Means()
	b.Hours = means[:]
	if week {
		b.HourSketches = s.week.Bytes()
	}
	raw, err := json.Marshal(extra{s.sketch.Bytes(), s.sketch.Mean(), s.reference, s.dispersion, s.halves, s.levels, s.control, s.recent.windows})
	if err != nil {
		return api.Baseline{}, fmt.Errorf("write baseline of %s: %w", s.kpi.Name, err)
	}
	b.Sketch = raw
	return b, nil
}

// restore reads a recorded baseline.
func restore(b api.Baseline) (*series, error) {
	kpi, ok := judge.Known(b.KPI)
	if !ok { // one of the operator's own
		kpi, ok = judge.Own(b.KPI, b.Kind, b.Unit)
	}
	if !ok {
		return nil, fmt.Errorf("read baseline of %s: not a known KPI", b.KPI)
	}
	var x extra
	if err := json.Unmarshal(b.Sketch, &x); err != nil {
		return nil, fmt.Errorf("read baseline of %s: %w", b.KPI, err)
	}
	sketch, err := stats.DecodeSketch(x.Sketch, x.Mean)
	if err != nil {
		return nil, fmt.Errorf("read baseline of %s: %w", b.KPI, err)
	}
	s := &series{kpi: kpi, source: b.Source, samples: b.Samples, last: b.Last, sketch: sketch,
		reference: x.Reference, dispersion: x.Dispersion, halves: x.Halves, levels: x.Levels, control: x.Control, recent: recent{windows: x.Windows}}
	if len(b.HourSketches) == 0 {
		s.week = stats.WeekOfMeans(b.Hours, coldBelow)
		return s, nil
	}
	if s.week, err = stats.DecodeWeek(b.HourSketches); err != nil {
		return nil, fmt.Errorf("read baseline of %s: %w", b.KPI, err)
	}
	s.recorded = s.week.Hour()
	return s, nil
}
