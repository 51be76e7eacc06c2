package kpi_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/shoenig/test/must"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/internal/kpi"
	"github.com/oakumhq/oakum/internal/kpi/promtest"
)

// book knows two allocations by their addresses.
type book struct{ err error }

func (b book) Addresses(context.Context, []string) (map[string]string, error) {
	return map[string]string{"10.0.0.1:80": "0a", "10.0.0.1:90": "0a", "10.0.0.2:80": "0b"}, b.err
}

// TestRead_ByAddress reads series that name their allocation by address and port.
func TestRead_ByAddress(t *testing.T) {
	t.Parallel()
	store := promtest.New()
	store.Play(t, 5*time.Second, `
		requests{instance="10.0.0.1:80"} 10
		requests{instance="10.0.0.1:90"} 5
		requests{instance="10.0.0.2:80"} 7
		requests{instance="10x0.0.2:80"} 1000
		requests{instance="10.0.0.3:80"} 9
		sidecar{alloc_id="0b"} 8
		sidecar{instance="10.0.0.1:80"} 4
		sidecar{instance="10.0.0.2:80"} 8
		heap{instance="10.0.0.1:80"} 1
		heap{instance="10.0.0.1:90"} 2
		heap{instance="10.0.0.2:80"} 3
		took_seconds_bucket{instance="10.0.0.1:80",le="1"} 1
		took_seconds_bucket{instance="10.0.0.1:80",le="+Inf"} 2
		took_seconds_bucket{instance="10.0.0.1:90",le="1"} 3
		took_seconds_bucket{instance="10.0.0.1:90",le="+Inf"} 4`)
	by := func(fold, metric, more string) string {
		return fold + ` by ($label` + more + `) (label_replace(` + metric + `{instance=~"$addresses"}, "$label", "$1", "instance", "(.+)"))`
	}
	both := `(` + by("sum", "sidecar", "") + `) or sum by ($label) (sidecar{$instances})`
	specs := []api.KPISpec{
		{KPI: "failures", Kind: api.KPICount, Query: by("sum", "requests", ""), Total: by("sum", "requests", "")},
		{KPI: "sidecar", Kind: api.KPICount, Query: both, Total: both},
		{KPI: "heap", Query: by("max", "heap", "")},
		{KPI: "took_p99", Kind: api.KPILatency, Query: by("sum", "took_seconds_bucket", ", le")},
	}
	reader := kpi.NewReader(store, nil, kpi.Queries{}).ByAddress(book{})
	got, err := reader.Read(t.Context(), specs, []string{"0a", "0b"}, time.Time{}, time.Unix(0, 0))
	must.NoError(t, err)
	must.MapLen(t, 2, got.Own["failures"])
	must.Eq(t, [2]float64{15, 15}, [2]float64{got.Own["failures"]["0a"].Requests, got.Own["failures"]["0a"].Errors})
	must.Eq(t, 7, got.Own["failures"]["0b"].Requests)
	must.Eq(t, 4, got.Own["sidecar"]["0a"].Requests)
	must.Eq(t, 8, got.Own["sidecar"]["0b"].Requests, must.Sprint("the same requests by ID and by address"))
	must.Eq(t, map[string]float64{"0b": 3}, got.Gauges["heap"], must.Sprint("two addresses have a value each"))
	must.Eq(t, []float64{4, 6}, got.Own["took_p99"]["0a"].Buckets)

	got, err = reader.Read(t.Context(), specs[:1], []string{"0b"}, time.Time{}, time.Unix(0, 0))
	must.NoError(t, err)
	must.MapLen(t, 1, got.Own["failures"], must.Sprint("the query asks for some"))
	got, err = reader.Read(t.Context(), specs[:1], []string{"0c"}, time.Time{}, time.Unix(0, 0))
	must.NoError(t, err)
	must.MapEmpty(t, got.Own["failures"])

	reader = kpi.NewReader(store, nil, kpi.Queries{}).ByAddress(book{errors.New("no answer")})
	_, err = reader.Read(t.Context(), specs, []string{"0a"}, time.Time{}, time.Unix(0, 0))
	must.ErrorContains(t, err, "ask addresses of allocations: no answer")
}

// TestRead_TheIDsInALongerText asks for those of some allocations.
func TestRead_TheIDsInALongerText(t *testing.T) {
	t.Parallel()
	const one, two = "0e2c1b7a-4c1d-9f55-1f53-2a0c5c1d7e01", "1e2c1b7a-4c1d-9f55-1f53-2a0c5c1d7e02"
	store := promtest.New()
	store.Play(t, 5*time.Second, `
		heap{consul_service_id="_nomad-task-`+one+`-web"} 1
		heap{consul_service_id="_nomad-task-`+two+`-web"} 2`)
	const which = `.*?($allocations).*`
	spec := api.KPISpec{KPI: "heap", Query: `max by ($label) (label_replace(heap{consul_service_id=~"` + which + `"}, "$label", "$1", "consul_service_id", "` + which + `"))`}
	reader := kpi.NewReader(store, nil, kpi.Queries{})
	got, err := reader.Read(t.Context(), []api.KPISpec{spec}, []string{two}, time.Time{}, time.Unix(0, 0))
	must.NoError(t, err)
	must.Eq(t, map[string]float64{two: 2}, got.Gauges["heap"])
	got, err = reader.Read(t.Context(), []api.KPISpec{spec}, nil, time.Time{}, time.Unix(0, 0))
	must.NoError(t, err)
	must.Eq(t, map[string]float64{one: 1, two: 2}, got.Gauges["heap"])
}
