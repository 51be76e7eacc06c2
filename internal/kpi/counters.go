package kpi

import (
	"math"
	"slices"

	"github.com/oakumhq/oakum/internal/stats"
)

// Counters are the cumulative figures of one instance at one time. Requests is not a
// number where the instance has no counter of requests. They are part of the
// replicated state.
type Counters struct {
	Requests float64      `json:"r"`
	Errors   float64      `json:"e"`
	Upper    []float64    `json:"-"` // rising bucket bounds without +Inf
	Buckets  stats.Vector `json:"b,omitempty"`
	// Endpoints is a hash of the scraped endpoints whose series are added up; 0 where
	// they are not known.
	Endpoints uint64 `json:"n,omitempty"`

	// changed says what became of a series behind the figures since the look before, so
	// that they did not grow by what the series grew. It is empty where nothing did, and
	// where nobody asked.
	changed string
	native  stats.Vector // accumulated counts of a native histogram by nativeBounds
}

// Increment is by how much the counters of one instance, or of some together, grew
// between two readings.
type Increment struct {
	Requests float64
	Errors   float64
	Upper    []float64 // rising bucket bounds in seconds, without +Inf
	Counts   []float64 // requests per bucket, one more than bounds
}

// order sorts the histogram and takes the bound +Inf off. A histogram without
// it, or with a bound twice, is no histogram. Bounds at or below 0 are taken off as
// well, since no request takes less than no time: what they count is in the next bucket,
// which counts all below it.
//
// An instance that has no classic histogram shows its native one.
func (c *Counters) order() {
	if len(c.Upper) == 0 && c.native != nil {
		c.Upper, c.Buckets, c.native = nativeBounds(), c.native, nil
		return
	}
	c.native = nil
	n := len(c.Upper)
	index := make([]int, n)
	for i := range index {
		index[i] = i
	}
	slices.SortFunc(index, func(a, b int) int {
		switch {
		case c.Upper[a] < c.Upper[b]:
			return -1
		case c.Upper[a] > c.Upper[b]:
			return 1
		}
		return 0
	})
	upper, buckets := make([]float64, n), make(stats.Vector, n)
	good := n >= 2
	for to, from := range index {
		upper[to], buckets[to] = c.Upper[from], c.Buckets[from]
		good = good && (to == 0 || upper[to] > upper[to-1])
	}
	first := 0
	for first < n && upper[first] <= 0 {
		first++
	}
	if !good || !math.IsInf(upper[n-1], 1) || n-first < 2 {
		c.Upper, c.Buckets = nil, nil
		return
	}
	c.Upper, c.Buckets = upper[first:n-1], buckets[first:]
}

// Since is the increment since an earlier reading. The reason says why there is
// none, and is empty otherwise: the instance restarted, or some of its series were reset,
// ended or came back. So did those of an endpoint whose scrape failed: a sum without them
// is lower, and the next sum with them would count their whole life.
func (c *Counters) Since(before *Counters) (Increment, string) {
	var inc Increment
	if math.IsNaN(c.Requests) || math.IsInf(c.Requests, 0) || math.IsNaN(c.Errors) || math.IsInf(c.Errors, 0) {
		return inc, "no request counter"
	}
	if math.IsNaN(before.Requests) {
		return inc, "request counter was just seen for the first time"
	}
	if c.Endpoints != before.Endpoints && c.Endpoints != 0 && before.Endpoints != 0 {
		return inc, "other endpoints were scraped than at the look before"
	}
	if c.changed != "" {
		return inc, c.changed
	}
	inc.Requests, inc.Errors = c.Requests-before.Requests, c.Errors-before.Errors
	if inc.Requests < 0 || inc.Errors < 0 {
		return Increment{}, "counter was reset"
	}
	// Both counters come from one scrape, yet a slow reader may see the errors
	// of a later one.
	inc.Errors = min(inc.Errors, inc.Requests)
	if len(c.Buckets) == 0 || len(before.Buckets) != len(c.Buckets) {
		return inc, ""
	}
	counts := make([]float64, len(c.Buckets))
	lower := 0.0
	for i := range counts {
		grown := c.Buckets[i] - before.Buckets[i]
		counts[i] = grown - lower
		lower = grown
		if !(grown >= 0) || counts[i] < 0 || math.IsInf(grown, 0) {
			return Increment{}, "histogram was reset"
		}
	}
	inc.Upper, inc.Counts = c.Upper, counts
	return inc, ""
}

// Add adds the increment of another instance. A histogram with other bounds is left
// out, and Add returns false.
func (i *Increment) Add(o Increment) bool {
	i.Requests += o.Requests
	i.Errors += o.Errors
	if len(o.Counts) == 0 {
		return true
	}
	if i.Counts == nil {
		i.Upper, i.Counts = o.Upper, slices.Clone(o.Counts)
		return true
	}
	if !slices.Equal(i.Upper, o.Upper) {
		return false
	}
	for k, c := range o.Counts {
		i.Counts[k] += c
	}
	return true
}
