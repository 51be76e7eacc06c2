package kpi

import (
	"context"
	"maps"
	"math"
	"strconv"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/internal/promql"
)

const (
	// sourceTimeout bounds one question to one source: half of the profiler's default
	// interval, so that a slow source cannot delay the next round.
	sourceTimeout = 2500 * time.Millisecond
	// statsAtOnce bounds the requests to Nomad clients under way.
	statsAtOnce = 8
)

// Series is one time series in the answer to an instant query, with its present value.
// A native histogram has Upper and Counts, and a Value that is no number.
type Series struct {
	Labels map[string]string
	Value  float64
	Upper  []float64 // rising ends of the buckets that are not empty
	Counts []float64 // observations in each of them, not accumulated
}

// Metrics answers PromQL instant queries.
type Metrics interface {
	Query(ctx context.Context, promql string, at time.Time) ([]Series, error)
}

// Cost is what one question has cost.
type Cost struct {
	Samples int // that the store read for it; 0 where it does not say
	Bytes   int // of the answer
}

// AllocStats is what one allocation uses now.
type AllocStats struct {
	CPUCores    float64
	MemoryBytes float64
	Restarts    int
	OOMKills    []int64 // when tasks were killed for lack of memory, as Unix nanoseconds, rising; old ones may be missing
}

// oomSince is how many tasks were killed after an instant, and the last kill that is
// known of. Nomad forgets old events, so that the length of OOMKills may fall.
func (a AllocStats) oomSince(last int64) (kills float64, newest int64) {
	for _, at := range a.OOMKills {
		if at > last {
			kills++
		}
		newest = max(newest, at)
	}
	return kills, max(newest, last)
}

// Stats answers what one allocation uses.
type Stats interface {
	AllocStats(ctx context.Context, allocID string) (AllocStats, error)
}

// Reader asks the sources. It is safe for concurrent use.
type Reader struct {
	metrics   Metrics
	stats     Stats
	queries   Queries
	catalogue Catalogue
	addresses Addresses // nil where nobody knows them
	parsed    sync.Map  // question by its text: texts change with policies only, and are asked at each look
}

// question is what the text of a query says, but for the answer.
type question struct {
	endpoints string         // which scraped endpoints are behind the answer; "" where nobody can ask
	changes   promql.Changes // of the series behind it
	series    bool           // whether these can be asked for
	metrics   []string       // that it reads
	scale     float64        // to seconds
}

func (r *Reader) question(text string) question {
	if known, ok := r.parsed.Load(text); ok {
		return known.(question)
	}
	q := question{scale: promql.Scale(text)}
	if endpoints, ok := promql.Endpoints(text, r.queries.Label); ok {
		q.endpoints = endpoints
	}
	q.changes, q.series = promql.ChangesOf(text, r.queries.Label)
	if selectors, err := promql.Selectors(r.queries.expand(text, nil)); err == nil {
		for _, s := range selectors {
			q.metrics = append(q.metrics, s.Metric)
		}
	}
	r.parsed.Store(text, q)
	return q
}

// NewReader makes a reader. Metrics and stats are nil when there is no such source;
// the KPIs that need it are then not read. Queries that are empty are the default ones.
func NewReader(metrics Metrics, stats Stats, queries Queries) *Reader {
	queries = queries.or(DefaultQueries()).merged()
	return &Reader{
		metrics: metrics, stats: stats, queries: queries,
		catalogue: Catalogue{Queries: queries, Metrics: metrics != nil, Stats: stats != nil},
	}
}

// Catalogue says what the reader can measure.
func (r *Reader) Catalogue() Catalogue { return r.catalogue }

// Read reads the KPIs of a policy from some allocations. A source that does not answer
// is an error that names it. A KPI without a source is left out.
//
// Since is when they were read before: whether all series behind a counter went on since
// then is asked, and an allocation of which one did not has no increment. A zero time is
// for the first reading.
func (r *Reader) Read(ctx context.Context, specs []api.KPISpec, ids []string, since, at time.Time) (Reading, error) {
	out := Reading{At: at, Own: map[string]map[string]*Counters{}, Gauges: map[string]map[string]float64{}}
	var err error
	for _, want := range specs {
		way, own := r.queries.way(want)
		switch {
		case way == byUsage && r.stats != nil && out.Usage == nil:
			if out.Usage, err = r.usage(ctx, ids); len(out.Usage) == 0 && err != nil {
				return Reading{}, unavailable(SourceStats, err)
			}
			err = nil // some allocations did not answer: the judge sees which
		case way == byUsage || r.metrics == nil:
		case way == byCounters && out.Counters == nil:
			out.Counters, err = r.counters(ctx, ids, since, at)
		case way == byGauge:
			out.Gauges[want.KPI], err = r.gauge(ctx, own.Query, ids, at)
		case way == byOwn:
			out.Own[want.KPI], err = r.own(ctx, own, ids, since, at)
		}
		if err != nil {
			return Reading{}, err
		}
	}
	return out, nil
}

// counters asks for the counters that all instances have, of some allocations, or of
// the fleet when ids is empty.
func (r *Reader) counters(ctx context.Context, ids []string, since, at time.Time) (map[string]*Counters, error) {
	return r.countersOf(ctx, r.queries.Requests, r.queries.Errors, r.queries.Buckets, ids, since, at)
}

// addBuckets gives counters their histograms. The same bucket of several addresses of an
// allocation counts together.
func addBuckets(buckets []Series, of func(Series) *Counters, scale float64) {
	type place struct {
		in *Counters
		le string
	}
	there := map[place]int{}
	for _, s := range buckets {
		c := of(s)
		if c == nil {
			continue
		}
		if s.Upper != nil {
			c.native = layOut(c.native, s, scale)
			continue
		}
		at := place{c, s.Labels[promql.Bucket]}
		bound, err := strconv.ParseFloat(at.le, 64)
		if err != nil {
			continue
		}
		if i, ok := there[at]; ok {
			c.Buckets[i] += s.Value
			continue
		}
		there[at] = len(c.Upper)
		c.Upper, c.Buckets = append(c.Upper, bound*scale), append(c.Buckets, s.Value)
	}
}

// own asks for the counters of a count or a latency that Oakum does not know by itself.
func (r *Reader) own(ctx context.Context, own OwnQuery, ids []string, since, at time.Time) (map[string]*Counters, error) {
	if own.Kind == api.KPILatency {
		return r.countersOf(ctx, "", "", own.Query, ids, since, at)
	}
	return r.countersOf(ctx, own.Total, own.Query, "", ids, since, at)
}

// countersOf asks the queries that are not empty. Without a counter of the requests,
// the histogram's count of requests stands in.
func (r *Reader) countersOf(ctx context.Context, total, errors, histogram string, ids []string, since, at time.Time) (map[string]*Counters, error) {
	all := map[string]*Counters{}
	of := func(s Series) *Counters {
		id := s.Labels[r.queries.Label]
		if id == "" {
			return nil
		}
		if all[id] == nil {
			all[id] = &Counters{Requests: math.NaN()}
		}
		return all[id]
	}
	requests, err := r.ask(ctx, total, ids, at)
	if err != nil {
		return nil, err
	}
	for _, s := range requests {
		if c := of(s); c != nil && s.Upper == nil {
			if math.IsNaN(c.Requests) {
				c.Requests = 0
			}
			c.Requests += s.Value // of each of its addresses
		}
	}
	failed, err := r.ask(ctx, errors, ids, at)
	if err != nil {
		return nil, err
	}
	for _, s := range failed {
		if c := of(s); c != nil && s.Upper == nil {
			c.Errors += s.Value
		}
	}
	buckets, err := r.ask(ctx, histogram, ids, at)
	if err != nil {
		return nil, err
	}
	addBuckets(buckets, of, r.question(histogram).scale)
	if err := r.behind(ctx, all, []string{total, histogram}, errors, ids, since, at); err != nil {
		return nil, err
	}
	for _, c := range all {
		c.order()
		if n := len(c.Buckets); total == "" && n > 0 {
			c.Requests = c.Buckets[n-1]
		}
	}
	return all, nil
}

// gauge asks for one value of each allocation.
func (r *Reader) gauge(ctx context.Context, query string, ids []string, at time.Time) (map[string]float64, error) {
	series, err := r.ask(ctx, query, ids, at)
	if err != nil {
		return nil, err
	}
	out, twice := map[string]float64{}, map[string]bool{}
	for _, s := range series {
		id := s.Labels[r.queries.Label]
		if s.Upper != nil { // a histogram is no value
			continue
		}
		_, have := out[id]
		twice[id] = twice[id] || have
		out[id] = s.Value
	}
	// Of the values at several addresses nobody knows which is the allocation's.
	maps.DeleteFunc(out, func(id string, _ float64) bool { return twice[id] })
	return out, nil
}

func (r *Reader) ask(ctx context.Context, query string, ids []string, at time.Time) ([]Series, error) {
	if query == "" {
		return nil, nil
	}
	ctx, cancel := context.WithTimeout(ctx, sourceTimeout)
	defer cancel()
	query, known, err := r.addressed(ctx, query, ids)
	if err != nil {
		return nil, err
	}
	series, err := r.metrics.Query(ctx, r.queries.expand(query, ids), at)
	if err != nil {
		return nil, unavailable(SourceMetrics, err)
	}
	return r.named(series, known), nil
}

// usage asks Nomad for the usage of some allocations. An allocation that did not
// answer is missing; the error is the last one.
func (r *Reader) usage(ctx context.Context, ids []string) (map[string]AllocStats, error) {
	var (
		mu   sync.Mutex
		out  = map[string]AllocStats{}
		last error
		g    errgroup.Group
	)
	g.SetLimit(statsAtOnce)
	for _, id := range ids {
		g.Go(func() error {
			ctx, cancel := context.WithTimeout(ctx, sourceTimeout)
			defer cancel()
			u, err := r.stats.AllocStats(ctx, id)
			mu.Lock()
			defer mu.Unlock()
			if err != nil {
				last = err
				return nil
			}
			out[id] = u
			return nil
		})
	}
	_ = g.Wait() // the functions keep their errors
	return out, last
}

func unavailable(source string, err error) error {
	return api.Errorf(api.CodeUnavailable, "ask %s: %v", source, err)
}
