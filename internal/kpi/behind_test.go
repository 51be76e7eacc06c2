package kpi_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/shoenig/test/must"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/internal/judge"
	"github.com/oakumhq/oakum/internal/kpi"
	"github.com/oakumhq/oakum/internal/kpi/promtest"
)

// TestRead_TakesIncrementsSeriesBySeries plays series that are scraped every five seconds,
// and looks as often. What a look shows is the requests and failures since the look before,
// as their series grew, or why that is not known.
func TestRead_TakesIncrementsSeriesBySeries(t *testing.T) {
	t.Parallel()
	const ended, back, reset, other = "some series ended", "some series came back", "counter was reset", "other endpoints were scraped than at the look before"
	for name, c := range map[string]struct {
		series string
		want   []string // from the second look on
	}{
		"one series": {`http_requests_total{alloc_id="a",code="200"} 10 12 15 15`, []string{"2/0", "3/0", "0/0"}},
		"an endpoint misses one scrape": {`
			http_requests_total{alloc_id="a",instance="app:8080",code="200"} 950000 stale 950100 950110
			http_requests_total{alloc_id="a",instance="app:8080",code="500"} 50000 stale 50000 50001
			http_requests_total{alloc_id="a",instance="admin:9090",code="200"} 200 201 202 203`, []string{other, other, "12/1"}},
		"failures begin": {`
			http_requests_total{alloc_id="a",code="200"} 10 12 15 20
			http_requests_total{alloc_id="a",code="500"} _ _ 3 5`, []string{"2/0", "6/3", "7/2"}},
		"a worker restarts, and the others grow by more": {`
			http_requests_total{alloc_id="a",worker="1",code="200"} 1000 1010 5 15 25 35 45
			http_requests_total{alloc_id="a",worker="2",code="200"} 100 110 3110 3120 3130 3140 3150`,
			// Samples are fifteen seconds apart at most, so that a reset is told for so long.
			[]string{"20/0", reset, reset, reset, "20/0", "20/0"}},
		"one worker takes the place of another": {`
			http_requests_total{alloc_id="a",pid="1",code="200"} 100 110 stale
			http_requests_total{alloc_id="a",pid="2",code="200"} _ _ 130 140`, []string{"10/0", ended, "10/0"}},
		"failures that an exporter had dropped come back": {`
			http_requests_total{alloc_id="a",code="200"} 10 20 30 40 50
			http_requests_total{alloc_id="a",code="500"} 50000 stale _ 50001 50002`, []string{ended, "10/0", back, "11/1"}},
		"of two Prometheus servers one misses a scrape": {`
			http_requests_total{alloc_id="a",replica="1",code="200"} 10 stale 30 40
			http_requests_total{alloc_id="a",replica="2",code="200"} 10 20 30 40`, []string{"10/0", "10/0", "10/0"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			const every = 5 * time.Second
			store := promtest.New()
			store.Play(t, every, c.series)
			reader := kpi.NewReader(store, nil, kpi.Queries{Replicas: []string{"replica"}})
			errorRate, _ := judge.Known(api.KPIErrorRate)
			var last kpi.Last
			ids := []string{"a"}
			for look := range len(c.want) + 1 {
				at := time.Unix(0, 0).Add(time.Duration(look) * every)
				reading, err := reader.Read(t.Context(), []api.KPISpec{{KPI: api.KPIErrorRate}}, ids, last.At, at)
				must.NoError(t, err)
				m := last.Measure(errorRate, ids, reading)
				last = last.Next(ids, reading)
				switch {
				case look == 0:
				case m.Present:
					must.Eq(t, c.want[look-1], fmt.Sprintf("%g/%g", m.Exposure, m.Events), must.Sprint("look ", look))
				default:
					must.Eq(t, c.want[look-1]+" of a", m.Dropped, must.Sprint("look ", look))
				}
			}
		})
	}
}

// TestRead_OfAHistogramAlone has no other counter of requests than a histogram, of which the
// series of one path are reset while those of another grow by more.
func TestRead_OfAHistogramAlone(t *testing.T) {
	t.Parallel()
	store := promtest.New()
	store.Play(t, 5*time.Second, `
		took_seconds_bucket{alloc_id="a",path="/",le="1"} 10 10 2
		took_seconds_bucket{alloc_id="a",path="/",le="+Inf"} 10 10 2
		took_seconds_bucket{alloc_id="a",path="/buy",le="1"} 10 20 40
		took_seconds_bucket{alloc_id="a",path="/buy",le="+Inf"} 10 20 40`)
	reader := kpi.NewReader(store, nil, kpi.Queries{})
	spec := api.KPISpec{KPI: "took_p99", Kind: api.KPILatency, Query: "sum by ($label, le) (took_seconds_bucket{$instances})"}
	p99, _ := reader.Catalogue().Known(spec)
	var last kpi.Last
	for look, want := range []string{"first look of a", "", "counter was reset of a"} {
		reading, err := reader.Read(t.Context(), []api.KPISpec{spec}, []string{"a"}, last.At, time.Unix(int64(5*look), 0))
		must.NoError(t, err)
		must.Eq(t, want, last.Measure(p99, []string{"a"}, reading).Dropped)
		last = last.Next([]string{"a"}, reading)
	}
}

// TestRead_AfterALongWhile knows nothing of an interval over which nobody can tell whether
// a series that began came back.
func TestRead_AfterALongWhile(t *testing.T) {
	t.Parallel()
	store := promtest.New()
	store.Play(t, 5*time.Second, `http_requests_total{alloc_id="a",code="200"} 10 20`)
	reader := kpi.NewReader(store, nil, kpi.Queries{})
	at := time.Unix(5, 0)
	reading, err := reader.Read(t.Context(), []api.KPISpec{{KPI: api.KPIErrorRate}}, []string{"a"}, at.Add(-7*time.Hour), at)
	must.NoError(t, err)
	_, why := reading.Counters["a"].Since(&kpi.Counters{Requests: 1})
	must.Eq(t, "the look before is too long ago", why)
}
