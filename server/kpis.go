package server

import (
	"strings"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/internal/profiler"
	"github.com/oakumhq/oakum/server/config"
)

// kpiQueries is how the known KPIs are measured, as far as the configuration
// says otherwise; what it leaves out has the profiler's own default.
func kpiQueries(cfg *config.Config) profiler.KPIQueries {
	var q profiler.KPIQueries
	if cfg.Prometheus == nil {
		return q
	}
	q.Label, q.Scrape = cfg.Prometheus.AllocLabel, cfg.Prometheus.ScrapeInterval
	for _, k := range cfg.Prometheus.KPIs {
		switch {
		case k.Name == api.KPIErrorRate:
			q.Errors, q.Requests = k.Query, k.Total
		case strings.HasPrefix(k.Name, "latency_p"): // one histogram serves every quantile
			q.Buckets = k.Query
		case k.Name == api.KPICPU:
			q.CPU = k.Query
		case k.Name == api.KPIMemory:
			q.Memory = k.Query
		default:
			if q.Own == nil {
				q.Own = map[string]profiler.OwnQuery{}
			}
			q.Own[k.Name] = profiler.OwnQuery{Kind: k.Kind, Query: k.Query, Total: k.Total, Unit: k.Unit}
		}
	}
	return q
}
