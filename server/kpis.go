package server

import (
	"strings"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/internal/kpi"
	"github.com/oakumhq/oakum/server/config"
)

// kpiQueries is how the known KPIs are measured, as far as the configuration
// says otherwise; a query that it leaves out is the default one.
func kpiQueries(cfg *config.Config) kpi.Queries {
	var q kpi.Queries
	if cfg.Prometheus == nil {
		return q
	}
	q.Replicas = cfg.Prometheus.ReplicaLabels
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
				q.Own = map[string]kpi.OwnQuery{}
			}
			q.Own[k.Name] = kpi.OwnQuery{Kind: k.Kind, Query: k.Query, Total: k.Total, Unit: k.Unit}
		}
	}
	return q
}
