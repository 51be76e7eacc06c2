package convention

import (
	"slices"
	"strings"

	"github.com/oakumhq/oakum/api"
)

// Rule is how one KPI is read from the metrics of one convention.
//
// Vectors are PromQL in which {} behind the name of a metric stands for the matchers of
// the series, such as irate(container_fs_reads_total{}[1m]).
type Rule struct {
	Convention string      // the name that people know it by
	KPI        string      // one that Oakum knows by itself, or one of its own
	Kind       api.KPIKind // how it is measured
	Unit       string      // of a gauge
	Probe      string      // the metric whose series are counted; it must be there
	Where      string      // matchers of the series that count, or empty

	// Status lists the labels that may hold a request's status, the usual one first. The
	// series have one of them; $status stands for it in Fails. Without one of them the rule
	// does not apply.
	Status []string
	Total  string // count: vector of all events, a counter
	Failed string // count: vector of the failed events, a counter; Total when empty
	Fails  string // count: matchers of the failed events among those
	// Buckets is the vector of a histogram. Millis says that its bounds are milliseconds,
	// and Native that it has no classic buckets.
	Buckets string
	Millis  bool
	Native  bool
	Value   []string // gauge: vectors that are added up
	Max     bool     // gauge: of several series of an instance the largest counts, instead of their sum
}

// Rates reports whether the rule measures requests that the instance answers, for which
// Oakum has the KPIs error_rate and latency.
func (r Rule) Rates() bool { return r.KPI == api.KPIErrorRate || r.KPI == api.KPILatencyP99 }

// metrics are the names of the metrics that the rule reads, in the order of the rule.
func (r Rule) metrics() []string {
	names := []string{r.Probe}
	for _, v := range slices.Concat([]string{r.Total, r.Failed, r.Buckets}, r.Value) {
		if name := metricOf(v); name != "" && !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	return names
}

// metricOf is the name of the metric in a vector: what stands before {}.
func metricOf(vector string) string {
	before, _, found := strings.Cut(vector, "{}")
	if !found {
		return ""
	}
	return before[strings.LastIndexAny(before, "( ")+1:]
}

// OfNative is the rule for what it reads where a histogram is native only, with its name.
// It is false for a rule that reads no histogram in seconds.
func (r Rule) OfNative() (Rule, bool) {
	base, ok := strings.CutSuffix(r.Probe, "_count")
	if !ok || r.Millis {
		return r, false
	}
	switch {
	case r.Buckets == base+"_bucket{}":
		r.Buckets, r.Native = base+"{}", true
	case r.Total == base+"_count{}" && r.Failed == "":
		r.Total = "histogram_count(" + base + "{})"
	default:
		return r, false
	}
	r.Probe = base
	return r, true
}

// Metric is the name that people are shown: the histogram or counter that is read.
func (r Rule) Metric() string {
	for _, v := range slices.Concat([]string{r.Buckets, r.Total}, r.Value) {
		if name := metricOf(v); name != "" {
			return name
		}
	}
	return r.Probe
}

// Applies reports whether a store has every metric that the rule reads.
func (r Rule) Applies(names map[string]bool) bool {
	for _, name := range r.metrics() {
		if !names[name] {
			return false
		}
	}
	return true
}

// Pick is the label that holds the status, of those that the series have. It is empty
// for a rule without one, and false when the series have none that the rule knows.
func (r Rule) Pick(labels map[string]bool) (string, bool) {
	if len(r.Status) == 0 {
		return "", true
	}
	for _, l := range r.Status {
		if labels[l] {
			return l, true
		}
	}
	return "", false
}

// Selector is the selector of the series that are counted.
func (r Rule) Selector() string { return r.Probe + "{" + r.Where + "}" }

// Rules is the table of conventions. Of two rules for one KPI the earlier one is
// preferred where an instance has both.
func Rules() []Rule {
	return slices.Concat(httpRules(), rpcRules(), proxyRules(), serverRules(), clientRules(), hostRules(), runtimeRules())
}
