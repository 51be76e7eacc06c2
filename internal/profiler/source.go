package profiler

import (
	"context"
	"strings"
	"time"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/internal/profiler/judge"
)

// Sample is one series of an instant query.
type Sample struct {
	Labels map[string]string
	Value  float64
}

// Metrics answers PromQL instant queries.
type Metrics interface {
	Query(ctx context.Context, promql string, at time.Time) ([]Sample, error)
}

// AllocStats is what one allocation uses now.
type AllocStats struct {
	CPUCores    float64
	MemoryBytes float64
	Restarts    int
	OOMKills    []int64 // when tasks were killed for lack of memory, as Unix nanoseconds, rising; old ones may be missing
}

// oomSince is how many tasks were killed after an instant, and the last instant
// that is known of. Nomad forgets old events, so that their number may fall.
func (a AllocStats) oomSince(last int64) (kills float64, newest int64) {
	for _, at := range a.OOMKills {
		if at > last {
			kills++
		}
		newest = max(newest, at)
	}
	return kills, max(newest, last)
}

// Stats answers what one allocation uses.
type Stats interface {
	AllocStats(ctx context.Context, allocID string) (AllocStats, error)
}

// Fleet knows the targets and their instances.
type Fleet interface {
	Targets(ctx context.Context) ([]api.Target, error)
	Instances(ctx context.Context, target api.TargetRef) ([]api.Instance, error)
}

// Recorder keeps profiles for the next leader and for readers.
type Recorder interface {
	RecordProfiles(ctx context.Context, profiles []api.Profile) error
}

// KPIQueries are the PromQL queries behind the KPIs, one for the whole fleet
// each. $label stands for the label that holds an allocation's ID, $instances
// for the matcher of the allocations that are asked for.
type KPIQueries struct {
	Label    string // default alloc_id
	Requests string // requests, a counter
	Errors   string // failed requests, a counter
	Buckets  string // latency histogram, counters by le
	// CPU (cores) and Memory (bytes) replace Nomad's allocation statistics.
	CPU    string
	Memory string
	// Gauges are KPIs of the operator's own, by name: I/O, pressure, queues.
	Gauges map[string]GaugeQuery
}

// GaugeQuery is how a gauge that Oakum does not know by itself is measured.
type GaugeQuery struct {
	Query string // one value per allocation
	Unit  string
}

// DefaultQueries are the queries for services that use the common names of
// HTTP metrics, scraped with the allocation's ID as a label.
func DefaultQueries() KPIQueries {
	return KPIQueries{
		Label:    "alloc_id",
		Requests: `sum by ($label) (http_requests_total{$instances})`,
		Errors:   `sum by ($label) (http_requests_total{code=~"5..",$instances})`,
		Buckets:  `sum by ($label, le) (http_request_duration_seconds_bucket{$instances})`,
	}
}

// known describes a KPI of a policy: one that Oakum knows by itself, or a gauge
// that the configuration or the policy has a query for.
func (q KPIQueries) known(spec api.KPISpec) (judge.KPI, bool) {
	if kpi, ok := judge.Known(spec.KPI); ok {
		return kpi, true
	}
	if own := q.gauge(spec); own.Query != "" {
		return judge.KPI{Name: spec.KPI, Kind: api.KPIGauge, Unit: own.Unit}, true
	}
	return judge.KPI{}, false
}

// gauge is the query of a gauge; that of the policy comes first.
func (q KPIQueries) gauge(spec api.KPISpec) GaugeQuery {
	own := q.Gauges[spec.KPI]
	if spec.Query != "" {
		own.Query = spec.Query
	}
	return own
}

// or fills what is empty from another set.
func (q KPIQueries) or(o KPIQueries) KPIQueries {
	fill := func(to *string, from string) {
		if *to == "" {
			*to = from
		}
	}
	fill(&q.Label, o.Label)
	fill(&q.Requests, o.Requests)
	fill(&q.Errors, o.Errors)
	fill(&q.Buckets, o.Buckets)
	fill(&q.CPU, o.CPU)
	fill(&q.Memory, o.Memory)
	if q.Gauges == nil {
		q.Gauges = o.Gauges
	}
	return q
}

// expand writes the query for some allocations, or for all when there are none.
// Allocation IDs are hexadecimal with dashes, which mean themselves in a
// regular expression; anything else is left out.
func (q KPIQueries) expand(text string, ids []string) string {
	matcher := q.Label + `!=""`
	if len(ids) > 0 {
		var plain []string
		for _, id := range ids {
			if id != "" && strings.Trim(id, "0123456789abcdefABCDEF-_") == "" {
				plain = append(plain, id)
			}
		}
		matcher = q.Label + `=~"` + strings.Join(plain, "|") + `"`
	}
	return strings.NewReplacer("$label", q.Label, "$instances", matcher).Replace(text)
}
