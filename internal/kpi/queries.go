package kpi

import (
	"cmp"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/internal/judge"
	"github.com/oakumhq/oakum/internal/promql"
)

// DefaultLabel is the label of a metric that holds an allocation's ID.
const DefaultLabel = "alloc_id"

// Queries are the PromQL queries behind the KPIs. Each is written once and asked for
// the whole fleet or for some allocations: $label stands for the label that holds an
// allocation's ID, and $instances for the matcher of the allocations.
type Queries struct {
	Label    string // DefaultLabel when empty
	Requests string // requests, a counter
	Errors   string // failed requests, a counter
	Buckets  string // latency histogram, counters by le
	// CPU (cores) and Memory (bytes) replace Nomad's allocation statistics.
	CPU    string
	Memory string
	// Own are further KPIs by name: I/O, pressure, and the operator's.
	Own map[string]OwnQuery
	// Scrape is the longest time between two scrapes of one series; 0 means
	// judge.DefaultScrape.
	Scrape time.Duration
	// Replicas are the labels that tell apart series of several Prometheus servers that
	// scrape the same endpoints. Such series count once.
	Replicas []string
}

// OwnQuery is how a KPI is measured that has no field in Queries.
type OwnQuery struct {
	Kind  api.KPIKind // a gauge when empty
	Query string      // gauge: the value; count: the failed events, a counter; latency: the histogram, counters by le
	Total string      // count: all events, a counter
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
// takes the first exporter that has all of the counters for an allocation. A rate
// goes over the last two scrapes. A rate over a minute would be too small for an
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
func DefaultQueries() Queries {
	return Queries{
		Label:    DefaultLabel,
		Requests: `sum by ($label) (http_requests_total{$instances})`,
		Errors:   `sum by ($label) (http_requests_total{code=~"5..",$instances})`,
		Buckets: `sum by ($label, le) (http_request_duration_seconds_bucket{$instances})` +
			` or sum by ($label) (http_request_duration_seconds{$instances})`, // a native histogram
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

// known describes a KPI of a policy. It is false for a name that neither Oakum, nor
// the configuration, nor the policy has a query for.
func (q Queries) known(spec api.KPISpec) (judge.KPI, bool) {
	if kpi, ok := judge.Known(spec.KPI); ok {
		return kpi, true
	}
	if own := q.own(spec); own.Query != "" {
		return judge.Own(spec.KPI, own.kind(), own.Unit)
	}
	return judge.KPI{}, false
}

// own is the query of a KPI that Oakum does not know by itself. The policy's query
// comes before the configuration's.
func (q Queries) own(spec api.KPISpec) OwnQuery {
	own := q.Own[spec.KPI]
	if spec.Query != "" {
		own.Kind = spec.Kind
		own.Query, own.Total = promql.Merge(spec.Query, q.Label, q.Replicas), promql.Merge(spec.Total, q.Label, q.Replicas)
	}
	return own
}

// way is the kind of question by which a KPI is read.
type way int

const (
	unread     way = iota // nobody has a query for it
	byCounters            // the counters that all instances have: requests, errors, latency buckets
	byUsage               // Nomad's allocation statistics
	byGauge               // one PromQL query, a value for each instance
	byOwn                 // counters of its own
)

// way says by which question a KPI of a policy is read, and by which query where the
// KPI has one of its own.
func (q Queries) way(spec api.KPISpec) (way, OwnQuery) {
	query := ""
	switch spec.KPI {
	case api.KPIRestarts, api.KPIOOMKills:
		return byUsage, OwnQuery{}
	case api.KPICPU:
		query = q.CPU
	case api.KPIMemory:
		query = q.Memory
	default:
		if _, ok := judge.Known(spec.KPI); ok {
			return byCounters, OwnQuery{}
		}
		own := q.own(spec)
		switch {
		case own.Query == "":
			return unread, own
		case own.kind() == api.KPIGauge:
			return byGauge, own
		}
		return byOwn, own
	}
	if query == "" {
		return byUsage, OwnQuery{}
	}
	return byGauge, OwnQuery{Kind: api.KPIGauge, Query: query}
}

// named lists the KPIs that may have a query of their own.
func (q Queries) named() []string {
	return append(slices.Sorted(maps.Keys(q.Own)), api.KPICPU, api.KPIMemory)
}

// or fills what is empty from another set.
func (q Queries) or(o Queries) Queries {
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

// merged takes the series of several Prometheus servers for one in every query.
func (q Queries) merged() Queries {
	of := func(text string) string { return promql.Merge(text, q.Label, q.Replicas) }
	q.Requests, q.Errors, q.Buckets, q.CPU, q.Memory = of(q.Requests), of(q.Errors), of(q.Buckets), of(q.CPU), of(q.Memory)
	own := make(map[string]OwnQuery, len(q.Own))
	for name, query := range q.Own {
		query.Query, query.Total = of(query.Query), of(query.Total)
		own[name] = query
	}
	q.Own = own
	return q
}

// expand writes the query for some allocations, or for all when there are none.
// Allocation IDs are hexadecimal digits and dashes, which mean themselves in a regular
// expression. An ID with any other character is left out.
func (q Queries) expand(text string, ids []string) string {
	matcher, which := q.Label+`!=""`, anyAllocation
	if len(ids) > 0 {
		var plain []string
		for _, id := range ids {
			if id != "" && strings.Trim(id, "0123456789abcdefABCDEF-_") == "" {
				plain = append(plain, id)
			}
		}
		matcher = q.Label + `=~"` + strings.Join(plain, "|") + `"`
		which = orNothing(plain)
	}
	return strings.NewReplacer("$label", q.Label, "$instances", matcher,
		allocationsPlaceholder, which, addressesPlaceholder, ".+").Replace(text)
}
