package server

import (
	"testing"

	"github.com/shoenig/test/must"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/internal/kpi"
	"github.com/oakumhq/oakum/server/config"
)

func TestKPIQueries_HaveEveryKPIOfTheConfiguration(t *testing.T) {
	got := kpiQueries(&config.Config{Prometheus: &config.Prometheus{AllocLabel: "alloc", KPIs: []config.KPI{
		{Name: api.KPIErrorRate, Query: "failed", Total: "all"},
		{Name: "latency_p90", Query: "buckets"},
		{Name: api.KPICPU, Query: "cpu"},
		{Name: api.KPIMemory, Kind: api.KPIGauge, Query: "memory"},
		{Name: api.KPIIOBytes, Query: "io"},
		{Name: "queue", Kind: api.KPIGauge, Query: "queue", Unit: "jobs"},
		{Name: "failures", Kind: api.KPICount, Query: "f", Total: "t"},
		{Name: "checkout_p99", Kind: api.KPILatency, Query: "c"},
	}}})
	must.Eq(t, kpi.Queries{
		Label: "alloc", Requests: "all", Errors: "failed", Buckets: "buckets", CPU: "cpu", Memory: "memory",
		Own: map[string]kpi.OwnQuery{
			api.KPIIOBytes: {Query: "io"},
			"queue":        {Kind: api.KPIGauge, Query: "queue", Unit: "jobs"},
			"failures":     {Kind: api.KPICount, Query: "f", Total: "t"},
			"checkout_p99": {Kind: api.KPILatency, Query: "c"},
		},
	}, got)
}
