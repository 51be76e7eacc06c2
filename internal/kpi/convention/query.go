package convention

import (
	"cmp"
	"strings"

	"github.com/oakumhq/oakum/api"
)

// Found is a rule whose metrics are there, with the label that names the instances.
type Found struct {
	Rule
	Status string // the label that holds the status, or empty
	Naming Naming // its way is one that can be queried
}

// Queries are the texts of one KPI in the agent's configuration.
type Queries struct {
	Query string
	Total string // of a count
}

// idInside takes the IDs of the allocations that are asked for out of a longer text.
const idInside = `.*?($allocations).*`

// Queries writes the queries of a rule. configured is the label by which the
// configuration names instances.
func (f Found) Queries(configured string) Queries {
	switch f.Kind {
	case api.KPICount:
		fails := strings.ReplaceAll(f.Fails, "$status", f.Status)
		return Queries{
			Query: f.sum(cmp.Or(f.Failed, f.Total), configured, fails, ""),
			Total: f.sum(f.Total, configured, "", ""),
		}
	case api.KPILatency:
		if f.Native {
			return Queries{Query: f.sum(f.Buckets, configured, "", "")}
		}
		return Queries{Query: f.sum(f.Buckets, configured, "", ", le")}
	case api.KPIGauge:
	}
	var parts []string
	for _, v := range f.Value {
		parts = append(parts, f.sum(v, configured, "", ""))
	}
	return Queries{Query: strings.Join(parts, " + ")}
}

// sum adds up the series of each instance, or takes the largest.
func (f Found) sum(vector, configured, more, by string) string {
	vector = strings.Replace(vector, "{}", "{"+f.matchers(configured, more)+"}", 1)
	if f.Naming.Label != configured || f.Naming.Way != ByID {
		regex := "(.+)"
		if f.Naming.Way == Inside {
			regex = idInside
		}
		vector = `label_replace(` + vector + `, "$label", "$1", "` + f.Naming.Label + `", "` + regex + `")`
	}
	if f.Millis && by != "" {
		vector = inSeconds(vector)
	}
	how := "sum"
	if f.Max {
		how = "max"
	}
	return how + " by ($label" + by + ") (" + vector + ")"
}

// matchers are those of the rule, of the failed events, and of the instances.
func (f Found) matchers(configured, more string) string {
	which := "$instances"
	switch {
	case f.Naming.Label == configured && f.Naming.Way == ByID:
	case f.Naming.Way == Inside:
		which = f.Naming.Label + `=~"` + idInside + `"`
	case f.Naming.Way == ByAddress:
		which = f.Naming.Label + `=~"$addresses"`
	default:
		which = f.Naming.Label + `=~"$allocations"`
	}
	var parts []string
	for _, m := range [...]string{f.Where, more, which} {
		if m != "" {
			parts = append(parts, m)
		}
	}
	return strings.Join(parts, ",")
}

// inSeconds moves the decimal point of a histogram's bounds from milliseconds to seconds.
// PromQL can't calculate with labels, but it can write digits anew. Each form is told
// apart by the copy of the bound in another label, which the sum drops.
func inSeconds(vector string) string {
	vector = `label_replace(` + vector + `, "ms", "$1", "le", "(.+)")`
	for _, form := range [...][2]string{
		{`([0-9])(?:[.]([0-9]+))?`, "0.00$1$2"},
		{`([0-9]{2})(?:[.]([0-9]+))?`, "0.0$1$2"},
		{`([0-9]{3})(?:[.]([0-9]+))?`, "0.$1$2"},
		{`([0-9]+)([0-9]{3})(?:[.]([0-9]+))?`, "$1.$2$3"},
		{`([0-9]+(?:[.][0-9]+)?)e[+]06`, "${1}e+03"},
		{`([0-9]+(?:[.][0-9]+)?)e[+]07`, "${1}e+04"},
	} {
		vector = `label_replace(` + vector + `, "le", "` + form[1] + `", "ms", "` + form[0] + `")`
	}
	return vector
}

// Either joins the queries of several rules for one KPI. An instance is read by the first
// rule that it has series of, since figures of two rules would count the same requests
// twice and bounds of two histograms don't mix. has are the queries that say for each
// rule which instances it has series of.
func Either(queries, has []string) string {
	last := len(queries) - 1
	out := queries[last]
	// From inside out, each rule stands there twice, however many there are.
	for n := last - 1; n >= 0; n-- {
		out = queries[n] + "\nor ((" + out + ")\n  unless on ($label) (" + has[n] + "))"
	}
	return out
}
