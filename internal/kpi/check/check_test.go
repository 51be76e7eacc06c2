package check_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/tsdb/chunks"
	"github.com/shoenig/test/must"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/internal/kpi"
	"github.com/oakumhq/oakum/internal/kpi/check"
	"github.com/oakumhq/oakum/internal/kpi/convention"
	"github.com/oakumhq/oakum/internal/kpi/promtest"
)

// Allocations of the fleet: two of web, one of cart.
const (
	web1  = "0e2c1b7a-4c1d-9f55-1f53-2a0c5c1d7e01"
	web2  = "1e2c1b7a-4c1d-9f55-1f53-2a0c5c1d7e02"
	cart1 = "2e2c1b7a-4c1d-9f55-1f53-2a0c5c1d7e03"
	gone  = "3e2c1b7a-4c1d-9f55-1f53-2a0c5c1d7e04"
)

func ref(job string) api.TargetRef {
	return api.TargetRef{Namespace: "default", Job: job, Group: job}
}

func input(store check.Store, queries kpi.Queries) check.Input {
	tick := promtest.Last()
	return check.Input{
		Store: store, Catalogue: kpi.NewReader(store, nil, queries).Catalogue(),
		Judged: []check.Judged{{Policy: "web", Spec: api.KPISpec{KPI: api.KPIErrorRate}}, {Policy: "base", Spec: api.KPISpec{KPI: "latency_p90"}}},
		Instances: []convention.Instance{
			{ID: web1, Target: ref("web")}, {ID: web2, Target: ref("web")}, {ID: cart1, Target: ref("cart")},
		},
		Clock: func() time.Time { return tick },
	}
}

func of(t *testing.T, c api.KPICheck, name, what string) api.CheckedQuery {
	t.Helper()
	for _, k := range c.KPIs {
		for _, q := range k.Queries {
			if k.KPI == name && q.Of == what {
				return q
			}
		}
	}
	t.Fatalf("nothing is said of %s, %s: %+v", name, what, c.KPIs)
	return api.CheckedQuery{}
}

func load(t *testing.T, s *promtest.Store, id string) {
	t.Helper()
	s.Load(t, strings.ReplaceAll(`
http_requests_total{alloc_id="ID",code="200"} 24
http_requests_total{alloc_id="ID",code="500"} 1
http_request_duration_seconds_bucket{alloc_id="ID",le="0.1"} 20
http_request_duration_seconds_bucket{alloc_id="ID",le="+Inf"} 25`, "ID", id))
}

// holed is a series that lacks some of its samples, or whose counter began anew.
func holed(s *promtest.Store, id string, keep func(n int) bool, resetAt int) {
	var kept []chunks.Sample
	fresh := promtest.Samples(10)
	for n, sample := range promtest.Samples(10) {
		if resetAt > 0 && n >= resetAt {
			sample = at{sample, fresh[n-resetAt].F()}
		}
		if keep(n) {
			kept = append(kept, sample)
		}
	}
	s.Add(labels.FromStrings("__name__", "http_requests_total", "alloc_id", id, "code", "200"), kept)
}

// at is a sample with another value.
type at struct {
	chunks.Sample
	value float64
}

func (a at) F() float64             { return a.value }
func (a at) Copy() chunks.Sample    { return a }
func always(int) bool               { return true }
func everyOther(n int) bool         { return n%2 == 0 }
func fromTheLastMinutes(n int) bool { return n > 25 }

func TestRun_CountsWhatIsBehindEachQuery(t *testing.T) {
	t.Parallel()
	s := promtest.New()
	load(t, s, web1)
	load(t, s, web2)
	load(t, s, gone)
	got, err := check.Run(t.Context(), input(s, kpi.Queries{}))
	must.NoError(t, err)
	must.Eq(t, 3, got.Running)
	events := of(t, got, api.KPIErrorRate, "events")
	must.Eq(t, 3, events.Series)
	must.Eq(t, 6, events.Samples, must.Sprint("each series has two"))
	must.Positive(t, events.Bytes)
	must.Eq(t, 2, events.Instances)
	must.Eq(t, 1, events.Strangers)
	must.Eq(t, []api.TargetRef{ref("cart")}, events.Silent)
	must.Len(t, 1, events.Metrics)
	m := events.Metrics[0]
	must.Eq(t, "http_requests_total", m.Metric)
	must.Eq(t, 6, m.Series)
	must.Eq(t, 2, m.PerInstance)
	must.Eq(t, api.Duration(promtest.Every), m.Every)
	must.Eq(t, 0, m.GapCount)
	must.Eq(t, 0, m.ResetCount)
	must.Eq(t, "alloc_id", m.By)
	must.Eq(t, 3, of(t, got, api.KPIErrorRate, "failed").Metrics[0].Series)
	// Each quantile is a KPI of its own, of the same histogram.
	must.Eq(t, of(t, got, "latency_p99", "histogram"), of(t, got, "latency_p90", "histogram"))
	for _, k := range got.KPIs {
		switch k.KPI {
		case api.KPIErrorRate:
			must.Eq(t, []string{"web"}, k.Policies)
			must.Eq(t, kpi.SourceMetrics, k.Source)
		case api.KPIRestarts:
			must.Eq(t, kpi.SourceStats, k.Source)
			must.SliceEmpty(t, k.Queries)
		}
	}
}

func TestRun_FindsGapsAndResets(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name         string
		keep         func(int) bool
		resetAt      int
		gaps, resets []string
	}{
		{name: "whole", keep: always},
		{name: "every other scrape is missed", keep: everyOther, gaps: []string{web2}},
		{name: "the counter began anew", keep: always, resetAt: 30, resets: []string{web2}},
		{name: "a young series lacks nothing", keep: fromTheLastMinutes},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s := promtest.New()
			load(t, s, web1)
			holed(s, web2, tt.keep, tt.resetAt)
			got, err := check.Run(t.Context(), input(s, kpi.Queries{}))
			must.NoError(t, err)
			m := of(t, got, api.KPIErrorRate, "events").Metrics[0]
			must.Eq(t, tt.gaps, m.Gaps)
			must.Eq(t, len(tt.gaps), m.GapCount)
			must.Eq(t, tt.resets, m.Resets)
		})
	}
}

func TestRun_TellsInstancesByTheirAddressWhereTheQueryMakesTheLabel(t *testing.T) {
	t.Parallel()
	s := promtest.New()
	s.Load(t, `app_requests_total{instance="10.0.0.1:80",nomad="`+web1+`"} 5`)
	got, err := check.Run(t.Context(), input(s, kpi.Queries{
		Requests: `sum by (alloc_id) (label_replace(app_requests_total, "alloc_id", "$1", "nomad", "(.+)"))`,
	}))
	must.NoError(t, err)
	events := of(t, got, api.KPIErrorRate, "events")
	must.Eq(t, 1, events.Instances)
	must.Eq(t, "instance", events.Metrics[0].By)
	must.Eq(t, 1, events.Metrics[0].Series)
}

// away answers nothing.
type away struct{}

func (a away) Measured(ctx context.Context, text string, at time.Time) ([]kpi.Series, kpi.Cost, error) {
	found, err := a.Query(ctx, text, at)
	return found, kpi.Cost{}, err
}

func (away) Query(context.Context, string, time.Time) ([]kpi.Series, error) {
	return nil, errors.New("no route to host")
}

func TestRun_NeverTakesSilenceForOrder(t *testing.T) {
	t.Parallel()
	got, err := check.Run(t.Context(), input(away{}, kpi.Queries{}))
	must.NoError(t, err)
	q := of(t, got, api.KPIErrorRate, "events")
	must.StrContains(t, q.Error, "no route to host")
	must.SliceEmpty(t, q.Metrics)

	in := input(promtest.New(), kpi.Queries{})
	in.KPIs = []string{"heap"}
	_, err = check.Run(t.Context(), in)
	must.True(t, api.IsCode(err, api.CodeNotFound), must.Sprint(err))

	in.KPIs, in.Judged = nil, []check.Judged{{Policy: "own", Spec: api.KPISpec{KPI: "unheard"}}}
	got, err = check.Run(t.Context(), in)
	must.NoError(t, err)
	for _, k := range got.KPIs {
		if k.KPI == "unheard" {
			must.Eq(t, "", k.Source)
			return
		}
	}
	t.Fatal("a KPI without a query is left out")
}
