package config

import (
	"errors"
	"slices"

	"github.com/hashicorp/hcl/v2"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/internal/mapper"
	"github.com/oakumhq/oakum/internal/prometheus"
	"github.com/oakumhq/oakum/internal/promql"
)

// KindCustom is the kind of traffic metrics that the configuration describes
// itself.
const KindCustom = "custom"

// Traffic is one family of metrics in Prometheus that shows who calls whom.
type Traffic struct {
	Name     string
	Kind     string // one of prometheus.Families, or KindCustom
	From, To string // labels, of a custom kind
	Raw      bool   // they hold addresses or containers
	Mesh     bool   // the mesh itself reports them
	Queries  map[prometheus.Measure]string
}

// Family is what reads it.
func (t Traffic) Family() (prometheus.Family, error) {
	if t.Kind != KindCustom {
		return prometheus.Preset(t.Kind)
	}
	return prometheus.NewFamily(prometheus.Custom{Name: t.Name, From: t.From, To: t.To, Raw: t.Raw, Mesh: t.Mesh, Queries: t.Queries})
}

type trafficBlock struct {
	Name        string         `hcl:"name,label"`
	Kind        *hcl.Attribute `hcl:"kind,optional"`
	From        *hcl.Attribute `hcl:"from,optional"`
	To          *hcl.Attribute `hcl:"to,optional"`
	Raw         *hcl.Attribute `hcl:"raw,optional"`
	Mesh        *hcl.Attribute `hcl:"mesh,optional"`
	Bytes       *hcl.Attribute `hcl:"bytes,optional"`
	Requests    *hcl.Attribute `hcl:"requests,optional"`
	Errors      *hcl.Attribute `hcl:"errors,optional"`
	Latency     *hcl.Attribute `hcl:"latency,optional"`
	Connections *hcl.Attribute `hcl:"connections,optional"`
	Endpoints   *hcl.Attribute `hcl:"endpoints,optional"`
	Healthy     *hcl.Attribute `hcl:"healthy,optional"`
	Attempts    *hcl.Attribute `hcl:"attempts,optional"`
	Unanswered  *hcl.Attribute `hcl:"unanswered,optional"`
}

func (l *loader) traffic(b trafficBlock) {
	l.within("traffic."+b.Name, func() {
		at := named(&l.cfg.Mapper.Traffic, func(have Traffic) bool { return have.Name == b.Name }, Traffic{Name: b.Name, Kind: KindCustom, Mesh: true})
		l.str(b.Kind, &at.Kind)
		l.str(b.From, &at.From)
		l.str(b.To, &at.To)
		l.flag(b.Raw, &at.Raw)
		l.flag(b.Mesh, &at.Mesh)
		for measure, attr := range map[prometheus.Measure]*hcl.Attribute{
			prometheus.Bytes: b.Bytes, prometheus.Requests: b.Requests, prometheus.Errors: b.Errors, prometheus.Latency: b.Latency,
			prometheus.Connections: b.Connections, prometheus.Endpoints: b.Endpoints, prometheus.Healthy: b.Healthy, prometheus.Attempts: b.Attempts, prometheus.Unanswered: b.Unanswered,
		} {
			text := ""
			l.str(attr, &text)
			if text != "" {
				if at.Queries == nil {
					at.Queries = make(map[prometheus.Measure]string)
				}
				at.Queries[measure] = text
			}
		}
	})
}

// checkMapper refuses what could only fail later, in the middle of a term.
func (l *loader) checkMapper() {
	m := l.cfg.Mapper
	if m.KeepObserved < 0 || m.StaleAfter < 0 || m.HalfLife < 0 || m.MinBytes < 0 || m.AwayAfter < 0 || m.AwayTries < 0 {
		l.problem("mapper", "want no negative values")
	}
	if m.KeepObserved > longestMemory {
		l.problem("mapper.keep_observed", "want at most %d days", api.MaxDays)
	}
	if _, err := mapper.ParseEnds(m.IgnoreEnds); err != nil {
		l.problem("mapper.ignore_ends", "%s", api.AsError(err).Message)
	}
	if len(m.Traffic) > 0 && l.cfg.Prometheus == nil {
		l.problem("mapper.traffic", "want a prometheus block as well, where these metrics are")
	}
	for _, t := range m.Traffic {
		l.checkFamily(t)
		if t.Kind != KindCustom && (t.From != "" || t.To != "" || len(t.Queries) > 0) {
			l.problem("mapper.traffic."+t.Name, "want queries and labels with kind = %q only: kind %q brings its own", KindCustom, t.Kind)
		}
	}
	for _, name := range m.LoadBalancers {
		if slices.Contains(m.Ignore, name) {
			l.problem("mapper.load_balancers", "%s is ignored as well; leave it out of one of them", name)
		}
	}
}

// checkFamily refuses metrics that could not be read.
func (l *loader) checkFamily(t Traffic) {
	path := "mapper.traffic." + t.Name
	_, err := t.Family()
	query, ok := errors.AsType[*prometheus.QueryError](err)
	fault, inside := errors.AsType[*promql.Fault](err)
	switch {
	case ok && inside:
		l.problemIn(path+"."+string(query.Measure), fault)
	case err != nil:
		l.problem(path, "%s", api.AsError(err).Message)
	}
}
