package server

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/internal/consul"
	"github.com/oakumhq/oakum/internal/kpi"
	"github.com/oakumhq/oakum/internal/kpi/check"
	"github.com/oakumhq/oakum/internal/kpi/convention"
	"github.com/oakumhq/oakum/internal/kpi/discover"
	"github.com/oakumhq/oakum/internal/nomad"
	"github.com/oakumhq/oakum/internal/prometheus"
	"github.com/oakumhq/oakum/policies"
	"github.com/oakumhq/oakum/server/config"
	"github.com/oakumhq/oakum/server/service"
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

// measurements looks at what the metrics of the fleet can show.
type measurements struct {
	nomad      *nomad.Client
	consul     *consul.Client     // nil without Consul
	prometheus *prometheus.Client // nil without Prometheus
	queries    kpi.Queries        // in force
}

var _ service.Measurements = measurements{}

// reader reads the KPIs by the queries in force.
func (s *Server) reader() *kpi.Reader {
	book := &addressBook{read: s.measurements().instances, log: s.log}
	return kpi.NewReader(s.metrics(), usage{s.adapters.nomad}, kpiQueries(s.cfg)).ByAddress(book)
}

// metricStore answers questions about metrics from Prometheus.
type metricStore struct {
	metrics
	*prometheus.Client
}

var _ discover.Store = metricStore{}

// Query answers one PromQL instant query.
func (s metricStore) Query(ctx context.Context, promql string, at time.Time) ([]kpi.Series, error) {
	return s.metrics.Query(ctx, promql, at)
}

// Discover says which KPIs the metrics can show.
func (m measurements) Discover(ctx context.Context, target *api.TargetRef, kpis []string, now time.Time) (api.KPIDiscovery, error) {
	if m.prometheus == nil {
		return api.KPIDiscovery{}, noPrometheus()
	}
	instances, missing, err := m.instances(ctx)
	if err != nil {
		return api.KPIDiscovery{}, err
	}
	return discover.Run(ctx, discover.Input{
		Store: metricStore{metrics{m.prometheus}, m.prometheus}, Queries: m.queries, Instances: instances, Target: target, KPIs: kpis, Now: now, Missing: missing,
	})
}

// Check asks the queries in force.
func (m measurements) Check(ctx context.Context, judged []policies.JudgedKPI, kpis []string) (api.KPICheck, error) {
	instances, missing, err := m.instances(ctx)
	if err != nil {
		return api.KPICheck{}, err
	}
	in := check.Input{
		Catalogue: kpi.NewReader(nil, nil, m.queries).Catalogue(), KPIs: kpis, Instances: instances, Clock: time.Now, Missing: missing,
	}
	for _, j := range judged {
		in.Judged = append(in.Judged, check.Judged(j))
	}
	if m.prometheus == nil {
		in.Missing = append(in.Missing, noPrometheus().Error())
	} else {
		in.Store = metrics{m.prometheus}
	}
	return check.Run(ctx, in)
}

func noPrometheus() error {
	return api.Errorf(api.CodeUnavailable, "this server has no prometheus block in its configuration, so that there are no metrics to look at")
}

// instances lists what runs, with the addresses that Nomad and Consul have for it. missing
// says which of them can't be told.
func (m measurements) instances(ctx context.Context) (out []convention.Instance, missing []string, err error) {
	layout, err := m.nomad.Layout(ctx)
	if err != nil {
		return nil, nil, fmt.Errorf("list instances: %w", err)
	}
	for _, i := range layout.Instances {
		// The layout is shared.
		out = append(out, convention.Instance{ID: i.ID, Target: i.Target, Addresses: append([]string(nil), i.Addresses...)})
	}
	known := convention.NewInstances(out)
	directory, err := m.nomad.Directory(ctx)
	if err != nil {
		missing = append(missing, "addresses in Nomad's catalog: "+err.Error())
	}
	for _, r := range directory.Registrations {
		known.Register(r.Instance, r.Address)
	}
	if m.consul == nil {
		return out, missing, nil
	}
	services, partial, err := m.consul.Addresses(ctx)
	if err != nil {
		missing = append(missing, "addresses in Consul's catalog: "+err.Error())
	}
	if partial != "" {
		missing = append(missing, "addresses in Consul's catalog: "+partial)
	}
	for address, id := range services {
		known.Register(id, address)
	}
	return out, missing, nil
}
