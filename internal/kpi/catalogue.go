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
