package profiler

import (
	"context"
	"fmt"
	"math"
	"slices"
	"strconv"
	"time"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/internal/stats"
)

// counters are the cumulative figures of one instance at one time.
type counters struct {
	Requests float64      `json:"r"`
	Errors   float64      `json:"e"`
	Upper    []float64    `json:"-"` // rising bucket bounds without +Inf
	Buckets  stats.Vector `json:"b,omitempty"`
}

// increment is what one instance did between two looks.
type increment struct {
	Requests float64
	Errors   float64
	Upper    []float64
	Counts   []float64 // per bucket
}

// readCounters asks for the counters of some instances, or of the fleet.
func (p *Profiler) readCounters(ctx context.Context, ids []string, at time.Time) (map[string]*counters, error) {
	return p.readCountersOf(ctx, p.queries.Requests, p.queries.Errors, p.queries.Buckets, ids, at)
}

// readOwn asks for the counters of a count or a latency that Oakum does not know
// by itself.
func (p *Profiler) readOwn(ctx context.Context, own OwnQuery, ids []string, at time.Time) (map[string]*counters, error) {
	if own.Kind == api.KPILatency {
		return p.readCountersOf(ctx, "", "", own.Query, ids, at)
	}
	return p.readCountersOf(ctx, own.Total, own.Query, "", ids, at)
}

// readCountersOf asks the queries that are not empty. Without a counter of the
// requests those of the histogram count.
func (p *Profiler) readCountersOf(ctx context.Context, total, errors, histogram string, ids []string, at time.Time) (map[string]*counters, error) {
	all := map[string]*counters{}
	of := func(s Sample) *counters {
		id := s.Labels[p.queries.Label]
		if id == "" {
			return nil
		}
		if all[id] == nil {
			all[id] = &counters{Requests: math.NaN()}
		}
		return all[id]
	}
	requests, err := p.ask(ctx, total, ids, at)
	if err != nil {
		return nil, err
	}
	for _, s := range requests {
		if c := of(s); c != nil {
			c.Requests = s.Value
		}
	}
	failed, err := p.ask(ctx, errors, ids, at)
	if err != nil {
		return nil, err
	}
	for _, s := range failed {
		if c := of(s); c != nil {
			c.Errors = s.Value
		}
	}
	buckets, err := p.ask(ctx, histogram, ids, at)
	if err != nil {
		return nil, err
	}
	for _, s := range buckets {
		bound, err := strconv.ParseFloat(s.Labels["le"], 64)
		if c := of(s); c != nil && err == nil {
			c.Upper = append(c.Upper, bound)
			c.Buckets = append(c.Buckets, s.Value)
		}
	}
	for _, c := range all {
		c.order()
		if n := len(c.Buckets); total == "" && n > 0 {
			c.Requests = c.Buckets[n-1]
		}
	}
	return all, nil
}

func (p *Profiler) ask(ctx context.Context, query string, ids []string, at time.Time) ([]Sample, error) {
	if query == "" {
		return nil, nil
	}
	ctx, cancel := context.WithTimeout(ctx, sourceTimeout)
	defer cancel()
	samples, err := p.metrics.Query(ctx, p.queries.expand(query, ids), at)
	p.told(sourceMetrics, err)
	if err != nil {
		return nil, unavailable(sourceMetrics, err)
	}
	return samples, nil
}

// order sorts the histogram and takes the bound +Inf off. A histogram without
// it, or with a bound twice, is no histogram.
func (c *counters) order() {
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
	if !good || !math.IsInf(upper[n-1], 1) || upper[0] <= 0 {
		c.Upper, c.Buckets = nil, nil
		return
	}
	c.Upper, c.Buckets = upper[:n-1], buckets
}

// since is the increment from an earlier reading. The reason says why there is
// none: the instance restarted, or its series began or ended.
func (c *counters) since(before *counters) (increment, string) {
	var inc increment
	if math.IsNaN(c.Requests) || math.IsInf(c.Requests, 0) || math.IsNaN(c.Errors) || math.IsInf(c.Errors, 0) {
		return inc, "no request counter"
	}
	if math.IsNaN(before.Requests) {
		return inc, "request counter was just seen for the first time"
	}
	inc.Requests, inc.Errors = c.Requests-before.Requests, c.Errors-before.Errors
	if inc.Requests < 0 || inc.Errors < 0 {
		return increment{}, "counter was reset"
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
			return increment{}, "histogram was reset"
		}
	}
	inc.Upper, inc.Counts = c.Upper, counts
	return inc, ""
}

// add joins increments of several instances; histograms with other buckets are
// left out, and the answer is false.
func (i *increment) add(o increment) bool {
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

// short is how an allocation's ID is told to people.
func short(id string) string {
	if len(id) > 8 {
		return id[:8]
	}
	return id
}

func noted(id, why string) string { return fmt.Sprintf("%s of %s", why, short(id)) }
