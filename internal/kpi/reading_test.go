package kpi

import (
	"context"
	"encoding/json"
	"errors"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/shoenig/test/must"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/internal/judge"
)

// answers has an answer for each query that contains a text.
type answers map[string][]Series

func (a answers) Query(_ context.Context, promql string, _ time.Time) ([]Series, error) {
	for text, series := range a {
		if strings.Contains(promql, text) {
			return series, nil
		}
	}
	return nil, nil
}

// uses answers what allocations use; the others do not answer.
type uses map[string]AllocStats

func (u uses) AllocStats(_ context.Context, id string) (AllocStats, error) {
	if s, ok := u[id]; ok {
		return s, nil
	}
	return AllocStats{}, errors.New("no path to node")
}

func of(id string, value float64) Series {
	return Series{Labels: map[string]string{"alloc_id": id}, Value: value}
}

func known(t *testing.T, name string) judge.KPI {
	t.Helper()
	k, ok := judge.Known(name)
	must.True(t, ok)
	return k
}

func TestReader_ReadsWhatThePolicyNames(t *testing.T) {
	t.Parallel()
	metrics := answers{"http_requests_total{alloc_id": {of("a", 10)}, "queue": {of("a", 3)}, "failed": {of("a", 1)}, "tried": {of("a", 4)}}
	r := NewReader(metrics, uses{"a": {CPUCores: 0.5}}, Queries{Own: map[string]OwnQuery{"queue": {Query: "queue"}}})
	specs := []api.KPISpec{
		{KPI: api.KPIErrorRate}, {KPI: api.KPICPU}, {KPI: "queue"}, {KPI: "orders", Kind: api.KPICount, Query: "failed", Total: "tried"},
	}
	got, err := r.Read(t.Context(), specs, []string{"a", "b"}, time.Time{}, began())
	must.NoError(t, err)
	must.Eq(t, 10, got.Counters["a"].Requests)
	must.Eq(t, 3, got.Gauges["queue"]["a"])
	orders := got.Own["orders"]["a"]
	must.Eq(t, [2]float64{4, 1}, [2]float64{orders.Requests, orders.Errors})
	must.Eq(t, map[string]AllocStats{"a": {CPUCores: 0.5}}, got.Usage, must.Sprint("one that does not answer is missing"))

	got, err = r.Read(t.Context(), specs[:1], []string{"a"}, time.Time{}, began())
	must.NoError(t, err)
	must.Nil(t, got.Usage, must.Sprint("nobody asked for it"))
	_, err = r.Read(t.Context(), specs, []string{"b"}, time.Time{}, began())
	must.ErrorContains(t, err, "ask nomad-stats: no path to node")
	must.True(t, api.IsCode(err, api.CodeUnavailable))
}

func TestCatalogue_NamesTheSourceThatIsNotThere(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		catalogue Catalogue
		kpi, want string
	}{
		"counters without prometheus": {NewReader(nil, uses{}, Queries{}).Catalogue(), api.KPIErrorRate, SourceMetrics},
		"usage without nomad":         {NewReader(answers{}, nil, Queries{}).Catalogue(), api.KPICPU, SourceStats},
		"usage by a query":            {NewReader(answers{}, nil, Queries{CPU: "cpu"}).Catalogue(), api.KPICPU, ""},
		"a query without prometheus":  {NewReader(nil, uses{}, Queries{CPU: "cpu"}).Catalogue(), api.KPICPU, SourceMetrics},
		"restarts":                    {NewReader(nil, uses{}, Queries{}).Catalogue(), api.KPIRestarts, ""},
		"of a policy":                 {NewReader(nil, uses{}, Queries{}).Catalogue(), "orders", SourceMetrics},
		"recorded without prometheus": {Recorded(api.Profile{}, false), api.KPIErrorRate, SourceMetrics},
		"recorded":                    {Recorded(api.Profile{}, true), api.KPICPU, ""},
	} {
		must.Eq(t, c.want, c.catalogue.Lacks(c.kpi), must.Sprint(name))
	}
}

func TestRecorded_KnowsTheKPIsOfAProfile(t *testing.T) {
	t.Parallel()
	c := Recorded(api.Profile{KPIs: []api.Baseline{{KPI: "orders", Kind: api.KPICount, Unit: "orders", Source: SourceMetrics}}}, true)
	k, ok := c.Known(api.KPISpec{KPI: "orders"})
	must.True(t, ok)
	must.Eq(t, api.KPICount, k.Kind)
	must.Eq(t, "orders", k.Unit)
	_, ok = c.Known(api.KPISpec{KPI: "happiness"})
	must.False(t, ok)
}

func TestLast_Measure(t *testing.T) {
	t.Parallel()
	last := Last{
		At:       began(),
		Counters: map[string]*Counters{"a": {Requests: 100, Errors: 1}, "reset": {Requests: 100}},
		Restarts: map[string]int{"a": 1, "old": 1},
		OOM:      map[string]int64{"a": 5},
	}
	now := Reading{
		At:       began().Add(5 * time.Second),
		Counters: map[string]*Counters{"a": {Requests: 150, Errors: 3}, "reset": {Requests: 2}, "new": {Requests: 1}},
		Gauges:   map[string]map[string]float64{"queue": {"a": 2, "b": 4}},
		Usage: map[string]AllocStats{
			"a": {CPUCores: 0.5, Restarts: 3, OOMKills: []int64{5, 6}}, "old": {CPUCores: 1.5, Restarts: 0, OOMKills: []int64{7}}, "new": {},
		},
	}
	queue, _ := judge.Own("queue", api.KPIGauge, "")
	for name, c := range map[string]struct {
		kpi     judge.KPI
		ids     []string
		want    judge.Measure
		partial string
	}{
		"count":          {known(t, api.KPIErrorRate), []string{"a"}, judge.Count(2, 50), ""},
		"some are away":  {known(t, api.KPIErrorRate), []string{"a", "reset", "new", "b"}, judge.Count(2, 50), "counter was reset of reset, first look of new, no series of b"},
		"requests":       {known(t, api.KPIRequests), []string{"a"}, judge.Gauge(10), ""},
		"usage":          {known(t, api.KPICPU), []string{"a", "old", "b"}, judge.Gauge(1), "no allocation statistics of b"},
		"gauge":          {queue, []string{"a", "b", "new"}, judge.Gauge(3), "no series of new"},
		"restarts":       {known(t, api.KPIRestarts), []string{"a", "old", "new"}, judge.Count(2, 5), "restart counter was reset of old, first look of new"},
		"kills":          {known(t, api.KPIOOMKills), []string{"a"}, judge.Count(1, 5), ""},
		"kills not kept": {known(t, api.KPIOOMKills), []string{"a", "old"}, judge.Count(1, 5), "first look of old"},
	} {
		want := c.want
		want.Partial = c.partial
		must.Eq(t, want, last.Measure(c.kpi, c.ids, now), must.Sprint(name))
	}
	must.Eq(t, judge.Measure{Dropped: "no latency histogram of a"}, last.Measure(known(t, "latency_p90"), []string{"a"}, now))
}

// TestLast_GoesThroughTheState keeps what the next leader measures from.
func TestLast_GoesThroughTheState(t *testing.T) {
	t.Parallel()
	bounds := []float64{0.1, 1}
	reading := Reading{
		At:       began(),
		Counters: map[string]*Counters{"a": {Requests: 10, Upper: bounds, Buckets: []float64{5, 9, 10}}, "none": {Requests: math.NaN()}},
		Own:      map[string]map[string]*Counters{"orders": {"a": {Requests: 4, Errors: 1}}},
		Usage:    map[string]AllocStats{"a": {Restarts: 2, OOMKills: []int64{7}}},
	}
	next := Last{OOM: map[string]int64{"a": 9}}.Next([]string{"a", "none", "gone"}, reading)
	raw, err := json.Marshal(next)
	must.NoError(t, err)
	must.Eq(t, `{"at":"2026-03-02T10:00:00Z","upper":"mpmZmZmZuT8AAAAAAADwPw","counters":{"a":{"r":10,"e":0,"b":"AAAAAAAAFEAAAAAAAAAiQAAAAAAAACRA"}},"restarts":{"a":2},"oom":{"a":9},"own":{"orders":{"counters":{"a":{"r":4,"e":1}}}}}`, string(raw))
	var got Last
	must.NoError(t, json.Unmarshal(raw, &got))
	got.ShareBounds()
	must.Eq(t, bounds, got.Counters["a"].Upper)
	must.Eq(t, next, got)
}
