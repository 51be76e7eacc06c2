package judge

import (
	"fmt"
	"math"
	"sort"
	"time"
)

// Look holds the measurements of one interval, for any of the bank's KPIs. A KPI
// without an entry had no data.
type Look struct {
	At      time.Time
	Seconds float64 // length of the interval
	KPIs    map[string]Pair
}

// Pair is one KPI of both arms: canary and stable, or treatment and control.
type Pair struct {
	Canary, Stable Measure
}

// Measure is one arm's share of a look. The zero value says that there was no
// data. Build others with Count, Samples, Buckets and Gauge.
type Measure struct {
	Present  bool
	Dropped  string    // why there is no data though something was read
	Partial  string    // the instances of the arm without data; the others count, and nothing promotes
	Events   float64   // count
	Exposure float64   // count: the number that the events are out of
	Upper    []float64 // latency: rising bucket bounds in seconds
	Counts   []float64 // latency: requests per bucket, the last one beyond all bounds
	Value    float64   // gauge: mean over the arm's instances
}

// Count is events out of an exposure: requests, or instance-seconds.
func Count(events, exposure float64) Measure {
	return Measure{Present: true, Events: events, Exposure: exposure}
}

// Gauge is the mean over an arm's instances.
func Gauge(value float64) Measure { return Measure{Present: true, Value: value} }

// Buckets is a latency histogram: rising upper bounds in seconds and the
// requests of this interval per bucket (not accumulated), one more than bounds,
// the last beyond all of them.
func Buckets(upper, counts []float64) Measure {
	return Measure{Present: true, Upper: upper, Counts: counts}
}

const (
	// Samples are put in buckets five percent wide from 100 microseconds to
	// about 110 seconds: finer than any margin, and short enough for a state.
	sampleFirst   = 1e-4
	sampleStep    = 1.05
	sampleBuckets = 286
)

// Samples is a list of latencies in seconds.
func Samples(seconds []float64) Measure {
	upper := make([]float64, sampleBuckets)
	bound := sampleFirst
	for i := range upper {
		upper[i] = bound
		bound *= sampleStep
	}
	counts := make([]float64, sampleBuckets+1)
	for _, s := range seconds {
		if math.IsNaN(s) || math.IsInf(s, 0) || s < 0 {
			return Measure{Dropped: fmt.Sprintf("a latency of %g s", s)}
		}
		counts[sort.SearchFloat64s(upper, s)]++
	}
	return Buckets(upper, counts)
}

// requests is the number of requests in a histogram.
func (m Measure) requests() float64 {
	var sum float64
	for _, c := range m.Counts {
		sum += c
	}
	return sum
}

// measureMost is the largest value that is taken for a measurement. Sums of its square
// do not overflow.
const measureMost = 1e18

// exposureLeast is far below one request or one instance's millisecond: of less,
// the quotients of rates overflow.
const exposureLeast = 1e-9

// usable returns why the measure has no data for a KPI, or "".
func (m Measure) usable(kpi KPI) string {
	if !m.Present {
		if m.Dropped != "" {
			return m.Dropped
		}
		return "no data"
	}
	bad := func(values ...float64) string {
		for _, v := range values {
			if v >= 0 && v <= measureMost {
				continue // as nearly all are
			}
			if math.IsNaN(v) || math.IsInf(v, 0) {
				return "a value that is not a finite number"
			}
			if v < 0 {
				return "a negative value"
			}
			return "a value beyond all measure"
		}
		return ""
	}
	switch {
	case kpi.Quantile > 0:
		if len(m.Upper) == 0 || len(m.Counts) != len(m.Upper)+1 {
			return "a histogram without bounds"
		}
		if !sort.Float64sAreSorted(m.Upper) || m.Upper[0] <= 0 {
			return "a histogram whose bounds do not rise above zero"
		}
		if why := bad(m.Upper...); why != "" {
			return why
		}
		return bad(m.Counts...)
	case m.Exposure > 0 && m.Exposure < exposureLeast:
		return "an exposure below all measure"
	default:
		return bad(m.Events, m.Exposure, m.Value)
	}
}
