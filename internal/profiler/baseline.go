package profiler

import (
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"sort"
	"time"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/internal/profiler/judge"
	"github.com/oakumhq/oakum/internal/stats"
)

const (
	// coldBelow is how many samples a baseline needs before it counts: about
	// what the tails of a mean need to look normal.
	coldBelow = 30
	// phiFrom is how many differences the autocorrelation is learned from, at
	// least: with twenty its error is about 0.2, which the judge allows for.
	phiFrom = 20
	// hourMemory is how many samples an hour of the week remembers: four
	// weeks of samples every five seconds.
	hourMemory = 4 * 720
	// referenceLimit is where the sums of a reference are halved, so that old
	// days fade from it.
	referenceLimit = 1_000_000
	// hoursOfWeek is the length of the weekly profile.
	hoursOfWeek = 7 * 24
)

// series is what is known about one KPI of one target.
type series struct {
	kpi        judge.KPI
	source     string
	samples    int64
	last       float64
	sketch     *stats.Sketch
	hours      [hoursOfWeek]hour
	reference  judge.Reference
	dispersion stats.Dispersion
	levels     stats.Series // values
	control    judge.Control
	halves     stats.Series // differences between two halves of the instances, per instance
}

type hour struct {
	mean float64
	n    float64
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
}

func newSeries(kpi judge.KPI, source string) *series {
	return &series{kpi: kpi, source: source, sketch: stats.NewSketch()}
}

// learn adds one value of the KPI. Values that cannot be are refused.
func (s *series) learn(value float64, now time.Time) {
	if err := s.sketch.Add(value, 1); err != nil {
		return
	}
	s.samples++
	s.last = value
	h := &s.hours[stats.HourOfWeek(now)]
	h.n = min(h.n+1, hourMemory)
	h.mean += (value - h.mean) / h.n
	if s.kpi.Kind == api.KPIGauge {
		observe(&s.levels, value)
		r := &s.reference
		r.N++
		delta := value - r.Mean
		r.Mean += delta / r.N
		r.M2 += delta * (value - r.Mean)
		if r.N > hourMemory {
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
	if s.N > hourMemory {
		s.Fade()
	}
}

// watch lets the judge compare two halves of the instances.
func (s *series) watch(one, other judge.Measure, interval time.Duration, seconds float64, now time.Time) {
	s.control.Observe(s.describe(interval, interval), one, other, now, seconds)
}

// learnCounts adds events and exposure to the reference of a count.
func (s *series) learnCounts(events, exposure float64) {
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

// usual is what the series has for a KPI in the unit of the KPI: the rate of a
// count, the mean of a gauge, the quantile of a latency.
func (s *series) usual(kpi judge.KPI) (float64, bool) {
	r := s.reference
	switch {
	case kpi.Kind == api.KPICount && r.Exposure > 0:
		return r.Events / r.Exposure, true
	case kpi.Kind == api.KPILatency && len(r.Counts) > 0:
		v := judge.Quantile(r.Upper, r.Counts, kpi.Quantile)
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

// baseline is the series as it is recorded and read.
func (s *series) baseline() (api.Baseline, error) {
	b := api.Baseline{
		KPI: s.kpi.Name, Kind: s.kpi.Kind, Unit: s.kpi.Unit, Source: s.source,
		Samples: s.samples, Cold: s.cold(), Last: s.last, Mean: s.sketch.Mean(),
		P50: s.sketch.Quantile(0.5), P90: s.sketch.Quantile(0.9), P99: s.sketch.Quantile(0.99),
		Hours:       make([]*float64, hoursOfWeek),
		ControlRuns: s.control.Runs, ControlAlarms: s.control.Alarms, Distrust: s.control.Distrust(),
	}
	for i, h := range s.hours {
		if h.n > 0 {
			mean := h.mean
			b.Hours[i] = &mean
		}
	}
	raw, err := json.Marshal(extra{s.sketch.Bytes(), s.sketch.Mean(), s.reference, s.dispersion, s.halves, s.levels, s.control})
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
		reference: x.Reference, dispersion: x.Dispersion, halves: x.Halves, levels: x.Levels, control: x.Control}
	for i, mean := range b.Hours {
		if mean != nil && i < hoursOfWeek {
			s.hours[i] = hour{mean: *mean, n: coldBelow}
		}
	}
	return s, nil
}
