package profiler

import (
	"cmp"
	"context"
	"maps"
	"strings"
	"time"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/internal/graph"
	"github.com/oakumhq/oakum/internal/judge"
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
	// Layout lists all of both; the targets are sorted. In a large fleet it may be
	// some minutes old.
	Layout(ctx context.Context) (graph.Layout, error)
}

// Recorder keeps profiles for the next leader and for readers.
type Recorder interface {
	// RecordProfiles stores profiles. A baseline without HourSketches leaves those that
	// are stored as they are.
	RecordProfiles(ctx context.Context, profiles []api.Profile) error
	// ForgetProfiles drops the profiles of targets that were not seen for so long.
	ForgetProfiles(ctx context.Context, targets []api.TargetRef, unseen time.Duration) error
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
	// Own are further KPIs by name: I/O, pressure, and the operator's.
	Own map[string]OwnQuery
	// Scrape is the longest between two samples of one series; 0 means 15 s.
	Scrape time.Duration
}

// OwnQuery is how a KPI that is no part of KPIQueries is measured.
type OwnQuery struct {
	Kind  api.KPIKind // a gauge when empty
	Query string      // gauge: the value; count: what failed, a counter; latency: histogram, counters by le
	Total string      // count: all of which Query counts those that failed, a counter
	Unit  string
}

func (o OwnQuery) kind() api.KPIKind { return cmp.Or(o.Kind, api.KPIGauge) }

// Matchers that follow the name of a counter. wholeDisks leaves out devices that
// are made of others, whose figures would count twice, and those that are no
// disks.
const (
	allSeries  = `{$instances}`
	wholeDisks = `{device!~"(dm-|md|loop|z?ram|sr|fd).*",$instances}`
)

// perSecond adds up the rates of some counters, for each exporter by itself, and
// takes the first exporter that has them all for an allocation. A rate is the
// one between the last two scrapes: that over a minute is too small for an
// instance that began within the minute, as canaries do, and would make the worst
// of them look good.
func perSecond(exporters ...[]string) string {
	var either []string
	for _, counters := range exporters {
		var sum []string
		for _, c := range counters {
			sum = append(sum, "sum by ($label) (irate("+c+"[1m]))")
		}
		either = append(either, "("+strings.Join(sum, " + ")+")")
	}
	return strings.Join(either, " or ")
}

// DefaultQueries are the queries for services that use the common names of
// HTTP metrics, scraped with the allocation's ID as a label.
func DefaultQueries() KPIQueries {
	return KPIQueries{
		Label:    "alloc_id",
		Requests: `sum by ($label) (http_requests_total{$instances})`,
		Errors:   `sum by ($label) (http_requests_total{code=~"5..",$instances})`,
		Buckets:  `sum by ($label, le) (http_request_duration_seconds_bucket{$instances})`,
		Own: map[string]OwnQuery{
			api.KPIIOOperations: {Unit: judge.UnitRate, Query: perSecond(
				[]string{"container_fs_reads_total" + allSeries, "container_fs_writes_total" + allSeries},
				[]string{"node_disk_reads_completed_total" + wholeDisks, "node_disk_writes_completed_total" + wholeDisks})},
			api.KPIIOBytes: {Unit: judge.UnitByteRate, Query: perSecond(
				[]string{"container_fs_reads_bytes_total" + allSeries, "container_fs_writes_bytes_total" + allSeries},
				[]string{"node_disk_read_bytes_total" + wholeDisks, "node_disk_written_bytes_total" + wholeDisks})},
			api.KPIPressureCPU:    {Unit: judge.UnitShare, Query: pressureOf("cpu")},
			api.KPIPressureMemory: {Unit: judge.UnitShare, Query: pressureOf("memory")},
			api.KPIPressureIO:     {Unit: judge.UnitShare, Query: pressureOf("io")},
		},
	}
}

// pressureOf is the share of the time that some task waited for a resource.
func pressureOf(resource string) string {
	return perSecond(
		[]string{"container_pressure_" + resource + "_waiting_seconds_total" + allSeries},
		[]string{"node_pressure_" + resource + "_waiting_seconds_total" + allSeries})
}

// known describes a KPI of a policy: one that Oakum knows by itself, or one that
// the configuration or the policy has a query for.
func (q KPIQueries) known(spec api.KPISpec) (judge.KPI, bool) {
	if kpi, ok := judge.Known(spec.KPI); ok {
		return kpi, true
	}
	if own := q.own(spec); own.Query != "" {
		return judge.Own(spec.KPI, own.kind(), own.Unit)
	}
	return judge.KPI{}, false
}

// own is the query of a KPI that Oakum does not know by itself; that of the
// policy comes first.
func (q KPIQueries) own(spec api.KPISpec) OwnQuery {
	own := q.Own[spec.KPI]
	if spec.Query != "" {
		own.Kind, own.Query, own.Total = spec.Kind, spec.Query, spec.Total
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
	own := maps.Clone(o.Own)
	for name, query := range q.Own {
		fill(&query.Unit, own[name].Unit)
		if own == nil {
			own = map[string]OwnQuery{}
		}
		own[name] = query
	}
	q.Own = own
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
