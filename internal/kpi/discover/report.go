package discover

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/internal/judge"
	"github.com/oakumhq/oakum/internal/kpi"
	"github.com/oakumhq/oakum/internal/kpi/convention"
)

// Who measures what no convention is needed for.
const (
	byNomad         = "Nomad's statistics"
	byConfiguration = "the agent's queries"
)

// relabel is what Prometheus needs to know where it finds its targets in Consul or in
// Nomad. Nomad writes the allocation's ID into the ID of each service that it registers.
const relabel = `relabel_configs:
  - source_labels: [__meta_consul_service_id]   # in consul_sd_configs
    regex: _nomad-task-([0-9a-f]{8}-[0-9a-f-]{27})-.*
    target_label: %[1]s
  - source_labels: [__meta_nomad_service_id]    # in nomad_sd_configs
    regex: _nomad-task-([0-9a-f]{8}-[0-9a-f-]{27})-.*
    target_label: %[1]s
`

// asked lists the KPIs that are missed where a target has no metric for them.
func asked() []string {
	return []string{api.KPIErrorRate, api.KPILatencyP99, api.KPIIOOperations, api.KPIIOBytes, api.KPIPressureCPU, api.KPIPressureMemory, api.KPIPressureIO}
}

// report puts together what was found.
func (r *run) report(metrics int) api.KPIDiscovery {
	// The goroutines end in any order.
	slices.SortFunc(r.sights, func(a, b sight) int { return cmp.Or(a.order-b.order, cmp.Compare(a.status, b.status)) })
	slices.SortFunc(r.unnamed, func(a, b api.UnnamedMetric) int {
		return cmp.Or(cmp.Compare(a.Metric, b.Metric), cmp.Compare(a.KPI, b.KPI))
	})
	out := api.KPIDiscovery{At: r.Now, Metrics: metrics, Targets: []api.KPICoverage{}, Unnamed: r.unnamed, Missing: slices.Sorted(slices.Values(r.missing))}
	wanted := map[string][]convention.Found{}
	for _, target := range r.known.Targets() {
		if r.Target != nil && *r.Target != target {
			continue
		}
		out.Targets = append(out.Targets, r.cover(target, wanted))
	}
	if slices.ContainsFunc(out.Targets, r.hidden) {
		out.Relabel = fmt.Sprintf(relabel, r.Queries.Label)
	}
	out.Block = r.block(wanted)
	return out
}

// hidden reports whether a KPI that a target lacks may be there by series that name no
// allocation.
func (r *run) hidden(t api.KPICoverage) bool {
	return slices.ContainsFunc(t.Lacks, func(l api.LackingKPI) bool {
		return strings.HasSuffix(l.Why, needsRelabel) ||
			slices.ContainsFunc(r.unnamed, func(u api.UnnamedMetric) bool { return u.KPI == l.KPI })
	})
}

// needsRelabel ends the reason of a KPI that Prometheus' configuration hides.
const needsRelabel = "which no query can turn into an allocation: Prometheus must label it"

// cover says what one target has and lacks. wanted gets the rules that measure what the
// queries in force do not.
func (r *run) cover(target api.TargetRef, wanted map[string][]convention.Found) api.KPICoverage {
	out := api.KPICoverage{Target: target, Instances: r.known.Count(target), Has: []api.FoundKPI{}}
	have := map[string]bool{}
	for _, name := range [...]string{api.KPICPU, api.KPIMemory, api.KPIRestarts, api.KPIOOMKills} {
		if have[name] = r.inForce[name] == nil; have[name] {
			out.Has = append(out.Has, api.FoundKPI{KPI: name, Kind: kindOf(name), Convention: byNomad, Instances: out.Instances, InForce: true})
		}
	}
	for name, measured := range r.inForce {
		n := measured[target]
		if n == 0 {
			continue
		}
		have[name] = n == out.Instances
		f := api.FoundKPI{KPI: name, Kind: r.kindInForce(name), Convention: byConfiguration, Label: r.Queries.Label, Instances: n, InForce: true}
		if s, _, _ := r.best(target, name); s != nil {
			f.Convention, f.Metric = s.rule.Convention, s.rule.Metric()
		}
		out.Has = append(out.Has, f)
	}
	names := map[string]bool{}
	for _, s := range r.sights {
		names[s.rule.KPI] = true
	}
	for _, name := range slices.Sorted(maps.Keys(names)) {
		s, naming, n := r.best(target, name)
		if s == nil || have[name] || n <= r.inForce[name][target] {
			continue
		}
		have[name] = true
		out.Has = append(out.Has, api.FoundKPI{
			KPI: name, Kind: s.rule.Kind, Convention: s.rule.Convention, Metric: s.rule.Metric(), Label: naming.Label, Instances: n,
		})
		found := convention.Found{Rule: s.rule, Status: s.status, Naming: naming}
		if !slices.ContainsFunc(wanted[name], func(f convention.Found) bool {
			return f.Convention == found.Convention && f.Probe == found.Probe && f.Status == found.Status && f.Naming == found.Naming
		}) {
			wanted[name] = append(wanted[name], found)
		}
	}
	for _, name := range asked() {
		if !have[name] && r.inForce[name][target] == 0 {
			out.Lacks = append(out.Lacks, api.LackingKPI{KPI: name, Why: r.why(target, name)})
		}
	}
	slices.SortFunc(out.Has, func(a, b api.FoundKPI) int {
		return cmp.Or(cmp.Compare(a.KPI, b.KPI), cmp.Compare(b.Convention, a.Convention))
	})
	slices.SortFunc(out.Lacks, func(a, b api.LackingKPI) int { return cmp.Compare(a.KPI, b.KPI) })
	return out
}

// best is the first rule by which a query can measure a KPI of a target, the label that
// names the instances, and how many it names.
func (r *run) best(target api.TargetRef, name string) (*sight, convention.Naming, int) {
	for i := range r.sights {
		s := &r.sights[i]
		if s.rule.KPI != name || s.lacks != "" {
			continue
		}
		most, by := 0, convention.Naming{}
		for naming, counts := range s.seen {
			n := counts[target]
			if naming.Way.Queried() && (n > most || n == most && n > 0 && naming.Label < by.Label) {
				most, by = n, naming
			}
		}
		if most > 0 {
			return s, by, most
		}
	}
	return nil, convention.Naming{}, 0
}

// why says why a target does not have a KPI.
func (r *run) why(target api.TargetRef, name string) string {
	for _, s := range r.sights {
		if s.rule.KPI != name {
			continue
		}
		for naming, counts := range s.seen {
			if counts[target] == 0 {
				continue
			}
			if s.lacks != "" {
				return s.lacks
			}
			return fmt.Sprintf("%s (%s) names the instance in %q by the beginning of an allocation's ID, %s", s.rule.Metric(), s.rule.Convention, naming.Label, needsRelabel)
		}
	}
	return "no metric of a known convention names one of its instances"
}

func kindOf(name string) api.KPIKind {
	k, _ := judge.Known(name)
	return k.Kind
}

func (r *run) kindInForce(name string) api.KPIKind {
	if own, ok := r.Queries.Own[name]; ok {
		return cmp.Or(own.Kind, api.KPIGauge)
	}
	return kindOf(name)
}

// block writes the configuration that measures what is wanted and not measured. Where
// the query in force measures some instance, it stays the first one.
func (r *run) block(wanted map[string][]convention.Found) string {
	var out []convention.Configured
	for _, name := range slices.SortedFunc(maps.Keys(wanted), byImportance) {
		if !r.offered(name) {
			continue
		}
		k := convention.Configured{KPI: name, Kind: wanted[name][0].Kind, Unit: wanted[name][0].Unit}
		var query, total []string
		if len(r.inForce[name]) > 0 {
			now := inForceText(r.Queries, name)
			query = append(query, strings.TrimSpace(now.Query))
			total = append(total, cmp.Or(strings.TrimSpace(now.Total), strings.TrimSpace(now.Query)))
		}
		for _, f := range wanted[name] {
			q := f.Queries(r.Queries.Label)
			query, total = append(query, q.Query), append(total, cmp.Or(q.Total, q.Query))
		}
		k.Query = convention.Either(query, total)
		if k.Kind == api.KPICount {
			k.Total = convention.Either(total, total)
		}
		out = append(out, k)
	}
	return convention.Block(out)
}

// offered reports whether a KPI goes into the block: one that Oakum knows by itself, or
// that was asked for.
func (r *run) offered(name string) bool {
	return slices.Contains(asked(), name) || slices.Contains(r.KPIs, name) || slices.Contains(r.KPIs, All)
}

// byImportance orders KPIs: those that a judge usually asks for come first.
func byImportance(a, b string) int {
	place := func(name string) int {
		if i := slices.Index(asked(), name); i >= 0 {
			return i
		}
		return len(asked())
	}
	return cmp.Or(place(a)-place(b), cmp.Compare(a, b))
}

// inForceText is the query of a KPI as the configuration has it.
func inForceText(q kpi.Queries, name string) convention.Queries {
	switch name {
	case api.KPIErrorRate:
		return convention.Queries{Query: q.Errors, Total: q.Requests}
	case api.KPILatencyP99:
		return convention.Queries{Query: q.Buckets}
	case api.KPICPU:
		return convention.Queries{Query: q.CPU}
	case api.KPIMemory:
		return convention.Queries{Query: q.Memory}
	}
	own := q.Own[name]
	return convention.Queries{Query: own.Query, Total: own.Total}
}
