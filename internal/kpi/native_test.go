package kpi

import (
	"math"
	"testing"
	"time"

	"github.com/shoenig/test/must"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/internal/judge"
)

func nativeSeries(upper, counts []float64) Series {
	return Series{Labels: map[string]string{"alloc_id": "a"}, Value: math.NaN(), Upper: upper, Counts: counts}
}

// TestNative_IsComparedFromLookToLook has other buckets in each answer.
func TestNative_IsComparedFromLookToLook(t *testing.T) {
	t.Parallel()
	p99, _ := judge.Own("checkout_p99", api.KPILatency, judge.UnitSeconds)
	spec := api.KPISpec{KPI: "checkout_p99", Kind: api.KPILatency, Query: "sum by (alloc_id) (checkout_seconds)"}
	read := func(at time.Time, series ...Series) Reading {
		r := NewReader(answers{"checkout_seconds": series}, nil, Queries{})
		got, err := r.Read(t.Context(), []api.KPISpec{spec}, []string{"a"}, time.Time{}, at)
		must.NoError(t, err)
		return got
	}
	// Schema 3 first: eight buckets for each doubling, and the zero bucket.
	first := read(began(), nativeSeries([]float64{2.9e-39, math.Exp2(1. / 8), math.Exp2(2. / 8), 2}, []float64{1, 10, 5, 1}))
	must.Eq(t, 17, first.Own["checkout_p99"]["a"].Requests, must.Sprint("the histogram counts the requests"))
	// Then schema 2, and one request beyond all bounds.
	second := read(began().Add(5*time.Second), nativeSeries([]float64{2.9e-39, math.Exp2(1. / 4), 2, 256}, []float64{1, 18, 4, 1}))
	m := Last{}.Next([]string{"a"}, first).Measure(p99, []string{"a"}, second)
	must.True(t, m.Present, must.Sprint(m.Dropped))
	must.Eq(t, nativeBounds(), m.Upper)
	seen := map[float64]float64{}
	for i, c := range m.Counts {
		upper := math.Inf(1)
		if i < len(m.Upper) {
			upper = m.Upper[i]
		}
		if c != 0 {
			seen[upper] = c
		}
	}
	must.Eq(t, map[float64]float64{math.Exp2(1. / 4): 3, 2: 3, math.Inf(1): 1}, seen)

	// It was reset.
	third := read(began().Add(10*time.Second), nativeSeries([]float64{2}, []float64{2}))
	m = Last{}.Next([]string{"a"}, second).Measure(p99, []string{"a"}, third)
	must.Eq(t, "counter was reset of a", m.Dropped)
}

func TestNative_StandsBesideClassicOnes(t *testing.T) {
	t.Parallel()
	classic := func(le string, n float64) Series {
		return Series{Labels: map[string]string{"alloc_id": "a", "le": le}, Value: n}
	}
	metrics := answers{
		"_bucket":             {classic("0.1", 1), classic("+Inf", 2), nativeSeries([]float64{1}, []float64{2})},
		"http_requests_total": {of("a", 2)}, "queue": {nativeSeries([]float64{1}, []float64{2})},
	}
	r := NewReader(metrics, nil, Queries{Own: map[string]OwnQuery{"queue": {Query: "queue"}}})
	got, err := r.Read(t.Context(), []api.KPISpec{{KPI: "latency_p99"}, {KPI: "queue"}}, []string{"a"}, time.Time{}, began())
	must.NoError(t, err)
	must.Eq(t, []float64{0.1}, got.Counters["a"].Upper, must.Sprint("the classic one is what earlier looks have"))
	must.MapEmpty(t, got.Gauges["queue"], must.Sprint("a histogram is no value, least of all 0"))
}

func TestNative_InMilliseconds(t *testing.T) {
	t.Parallel()
	counts := layOut(nil, nativeSeries([]float64{1000, 2000}, []float64{3, 4}), 1e-3)
	bounds := nativeBounds()
	for i, upper := range bounds {
		want := 0.0
		if upper >= 1 {
			want = 3
		}
		if upper >= 2 {
			want = 7
		}
		must.Eq(t, want, counts[i], must.Sprint(upper))
	}
	must.Eq(t, 1.0/10000, math.Round(bounds[0]*10000)/10000)
	must.True(t, bounds[len(bounds)-1] > 100)
}
