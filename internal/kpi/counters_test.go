package kpi

import (
	"context"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/shoenig/test/must"

	"github.com/oakumhq/oakum/api"
)

// TestHistogram_WithBoundsAtOrBelowZero is OpenTelemetry's default: the first bucket
// counts what took no time, and is empty.
func TestHistogram_WithBoundsAtOrBelowZero(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		les          []string
		counts       []float64
		upper, count []float64
	}{
		"first bound 0":     {[]string{"0.0", "0.005", "1.0", "+Inf"}, []float64{0, 400, 990, 1000}, []float64{0.005, 1}, []float64{400, 990, 1000}},
		"counts in it":      {[]string{"0", "0.005", "+Inf"}, []float64{3, 400, 1000}, []float64{0.005}, []float64{400, 1000}},
		"negative bounds":   {[]string{"-1", "0", "1", "+Inf"}, []float64{0, 1, 2, 3}, []float64{1}, []float64{2, 3}},
		"nothing above":     {[]string{"-1", "0", "+Inf"}, []float64{0, 1, 3}, nil, nil},
		"without the last":  {[]string{"0", "1"}, []float64{0, 1}, nil, nil},
		"a bound twice":     {[]string{"0", "1", "1.0", "+Inf"}, []float64{0, 1, 1, 2}, nil, nil},
		"only the last one": {[]string{"+Inf"}, []float64{2}, nil, nil},
	} {
		var buckets []Series
		for i, le := range c.les {
			s := of("a", c.counts[i])
			s.Labels["le"] = le
			buckets = append(buckets, s)
		}
		r := NewReader(answers{"_bucket": buckets, "http_requests_total": {of("a", 1000)}}, nil, Queries{})
		got, err := r.Read(t.Context(), []api.KPISpec{{KPI: "latency_p99"}}, []string{"a"}, time.Time{}, began())
		must.NoError(t, err)
		must.Eq(t, c.upper, got.Counters["a"].Upper, must.Sprint(name))
		must.Eq(t, c.count, []float64(got.Counters["a"].Buckets), must.Sprint(name))
	}
}

// endpoint is what one scraped endpoint of an allocation shows; nil when its scrape
// failed.
type endpoint struct {
	instance         string
	requests, failed float64
}

// endpoints answers as Prometheus does: sums over the endpoints that it has.
type endpoints []endpoint

func (e endpoints) Query(_ context.Context, promql string, _ time.Time) ([]Series, error) {
	var out []Series
	sum := 0.0
	for _, one := range e {
		if strings.HasPrefix(promql, "group by (alloc_id, job, instance)") {
			out = append(out, Series{Labels: map[string]string{"alloc_id": "a", "job": "two", "instance": one.instance}, Value: 1})
			continue
		}
		if strings.Contains(promql, "5..") {
			sum += one.failed
		} else {
			sum += one.requests
		}
	}
	switch {
	case len(out) > 0 || len(e) == 0:
		return out, nil
	case strings.Contains(promql, "_bucket"):
		return nil, nil
	}
	return []Series{of("a", sum)}, nil
}

// TestSince_OfAnEndpointThatMissesAScrape is an allocation with two endpoints. The scrape
// of one fails once: nothing is known of that interval, nor of the next.
func TestSince_OfAnEndpointThatMissesAScrape(t *testing.T) {
	t.Parallel()
	app := func(requests, failed float64) endpoint { return endpoint{"app:8080", requests, failed} }
	admin := func(requests float64) endpoint { return endpoint{"admin:9090", requests, 0} }
	other := "other endpoints were scraped than at the look before"
	var last *Counters
	for i, look := range []struct {
		has  endpoints
		want Increment
		why  string
	}{
		{has: endpoints{app(1000000, 50000), admin(200)}},
		{has: endpoints{admin(201)}, why: other},
		{has: endpoints{app(1000100, 50000), admin(202)}, why: other},
		{has: endpoints{admin(203), app(1000110, 50001)}, want: Increment{Requests: 11, Errors: 1}}, // in any order
		{has: endpoints{{"app:8081", 1000110, 50001}, admin(203)}, why: other},                      // as many, but others
		{has: endpoints{{"app:8081", 5, 0}, admin(203)}, why: "counter was reset"},
		{has: endpoints{{"app:8081", 7, 1}, admin(204)}, want: Increment{Requests: 3, Errors: 1}},
	} {
		r := NewReader(look.has, nil, Queries{})
		got, err := r.Read(t.Context(), []api.KPISpec{{KPI: api.KPIErrorRate}}, []string{"a"}, time.Time{}, began())
		must.NoError(t, err)
		now := got.Counters["a"]
		must.NotEq(t, 0, now.Endpoints)
		if last != nil {
			inc, why := now.Since(last)
			must.Eq(t, look.why, why, must.Sprint(i))
			if why == "" {
				must.Eq(t, look.want, inc, must.Sprint(i))
			}
		}
		last = now
	}
	// A server that did not ask for endpoints has left the last look.
	inc, why := (&Counters{Requests: 3, Endpoints: 1}).Since(&Counters{Requests: 1})
	must.Eq(t, "", why)
	must.Eq(t, 2, inc.Requests)
	must.False(t, math.IsNaN(inc.Requests))
}

// TestReader_ScalesUnits reads a histogram whose name says milliseconds.
func TestReader_ScalesUnits(t *testing.T) {
	t.Parallel()
	bucket := func(le string, n float64) Series {
		return Series{Labels: map[string]string{"alloc_id": "a", "le": le}, Value: n}
	}
	r := NewReader(answers{"_milliseconds_bucket": {bucket("5", 1), bucket("250", 2), bucket("+Inf", 3)}}, nil, Queries{})
	spec := api.KPISpec{KPI: "checkout_p99", Kind: api.KPILatency, Query: "sum by (alloc_id, le) (checkout_milliseconds_bucket)"}
	got, err := r.Read(t.Context(), []api.KPISpec{spec}, []string{"a"}, time.Time{}, began())
	must.NoError(t, err)
	must.Eq(t, []float64{0.005, 0.25}, got.Own["checkout_p99"]["a"].Upper)
}

// heard keeps the queries that it was asked.
type heard struct{ asked *[]string }

func (h heard) Query(_ context.Context, promql string, _ time.Time) ([]Series, error) {
	*h.asked = append(*h.asked, promql)
	return nil, nil
}

// TestReader_CountsReplicasOnce asks for the default queries, and for one of a policy.
func TestReader_CountsReplicasOnce(t *testing.T) {
	t.Parallel()
	var asked []string
	r := NewReader(heard{&asked}, nil, Queries{Replicas: []string{"replica"}})
	_, err := r.Read(t.Context(), []api.KPISpec{{KPI: api.KPIErrorRate}, {KPI: "queue", Query: "max by ($label) (queue{$instances})"}}, []string{"a"}, time.Time{}, began())
	must.NoError(t, err)
	must.SliceContains(t, asked, `sum by (alloc_id) (max without (replica) (http_requests_total{code=~"5..",alloc_id=~"a"}))`)
	must.SliceContains(t, asked, `max by (alloc_id) (max without (replica) (queue{alloc_id=~"a"}))`)
}
