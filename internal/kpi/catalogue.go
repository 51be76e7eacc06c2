package kpi

import (
	"time"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/internal/judge"
)

// Names of the sources in baselines and verdicts.
const (
	SourceMetrics = "prometheus"
	SourceStats   = "nomad-stats"
)

// Catalogue says what can be measured: by which queries, and by which sources.
type Catalogue struct {
	Queries Queries
	Metrics bool // there is a source for PromQL
	Stats   bool // there is a source for allocation statistics
}

// Recorded is the catalogue of a server that has recorded a profile. It knows the KPIs
// that every server knows, and the KPIs of the profile. Metrics says whether that server
// has a source for PromQL.
func Recorded(profile api.Profile, metrics bool) Catalogue {
	own := map[string]OwnQuery{}
	for _, b := range profile.KPIs {
		if _, ok := judge.Known(b.KPI); !ok {
			// What was measured has a query. Nobody asks it here, so that any text will do.
			own[b.KPI] = OwnQuery{Kind: b.Kind, Unit: b.Unit, Query: b.Source}
		}
	}
	return Catalogue{Queries: Queries{Own: own}.or(DefaultQueries()), Metrics: metrics, Stats: true}
}

// Known describes a KPI of a policy. It is false for a name that neither Oakum, nor
// the configuration, nor the policy has a query for.
func (c Catalogue) Known(spec api.KPISpec) (judge.KPI, bool) { return c.Queries.known(spec) }

// Lacks names the source that a KPI would be read from and that there is none of. It is
// empty when the KPI can be read.
func (c Catalogue) Lacks(name string) string {
	way, _ := c.Queries.way(api.KPISpec{KPI: name})
	switch {
	case way == byUsage && !c.Stats:
		return SourceStats
	case way != byUsage && !c.Metrics: // also one that only a policy has a query for
		return SourceMetrics
	}
	return ""
}

// Scrape is the longest time between two scrapes of one series; 0 means
// judge.DefaultScrape.
func (c Catalogue) Scrape() time.Duration { return c.Queries.Scrape }

// Learned lists the KPIs that the profiler learns of every target: those that Oakum knows
// by itself, of the latencies one quantile, since all have the same query, and those that
// the configuration has a query for.
func (c Catalogue) Learned() []api.KPISpec {
	out := []api.KPISpec{{KPI: api.KPIErrorRate}, {KPI: api.KPILatencyP99}, {KPI: api.KPIRestarts}, {KPI: api.KPIOOMKills}}
	for _, name := range c.Queries.named() {
		out = append(out, api.KPISpec{KPI: name})
	}
	return out
}

// Asked is what is asked for a KPI. Texts that are empty are not asked.
type Asked struct {
	Source    string // "" where nobody has a query for it
	Value     string // a gauge
	Total     string // all events, a counter
	Failed    string // the failed ones, a counter
	Histogram string
}

// Asked says what is asked for a KPI of a policy. The placeholders stand in the texts.
func (c Catalogue) Asked(spec api.KPISpec) Asked {
	way, own := c.Queries.way(spec)
	_, quantile := api.KPIQuantile(spec.KPI)
	switch {
	case way == byUsage:
		return Asked{Source: SourceStats}
	case way == byGauge:
		return Asked{Source: SourceMetrics, Value: own.Query}
	case way == byCounters && quantile:
		return Asked{Source: SourceMetrics, Histogram: c.Queries.Buckets}
	case way == byCounters:
		return Asked{Source: SourceMetrics, Total: c.Queries.Requests, Failed: c.Queries.Errors}
	case way == byOwn && own.kind() == api.KPILatency:
		return Asked{Source: SourceMetrics, Histogram: own.Query}
	case way == byOwn:
		return Asked{Source: SourceMetrics, Total: own.Total, Failed: own.Query}
	}
	return Asked{}
}
