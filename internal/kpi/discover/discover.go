// Package discover asks Prometheus which KPIs its metrics can show. It asks for the names
// of metrics, holds them against the table of package convention, and counts for each
// convention that is there which instances have series of it.
//
// It asks for no series one by one: a store of 200,000 series answers with some names and
// with one row for each instance and convention. Goroutines: Run starts atOnce of them and
// waits for all.
package discover

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/internal/kpi"
	"github.com/oakumhq/oakum/internal/kpi/convention"
)

const (
	// atOnce bounds the questions under way, so that others still get their answers.
	atOnce = 4
	// nameLimit bounds the names of metrics. A store of millions of series has ten thousand.
	nameLimit = 50_000
	// since is how far back a metric counts as there.
	since = 15 * time.Minute
)

// Store answers questions about metrics. Names lists the metrics that had samples since a
// time, at most so many; LabelNames lists the labels of some series.
type Store interface {
	kpi.Metrics
	Names(ctx context.Context, since time.Time, limit int) (names []string, whole bool, err error)
	LabelNames(ctx context.Context, selector string, since time.Time) ([]string, error)
	// Types lists what the store was told of the types of metrics: counter, gauge, histogram
	// and so on. Some stores know none.
	Types(ctx context.Context) (map[string]string, error)
}

// All in Input.KPIs stands for every KPI.
const All = "all"

// Input is what a discovery needs to know.
type Input struct {
	Store     Store
	Queries   kpi.Queries // in force
	Instances []convention.Instance
	Target    *api.TargetRef // nil means every target
	KPIs      []string       // of those that Oakum does not know by itself, the ones to write into the block; All for every one
	Now       time.Time
	Missing   []string // what could not be read of the instances
}

// run is one discovery.
type run struct {
	Input
	known  *convention.Instances
	labels []string // by which series name instances
	names  map[string]bool

	mu      sync.Mutex
	sights  []sight
	unnamed []api.UnnamedMetric
	missing []string
	inForce map[string]map[api.TargetRef]int // by KPI, how many instances of each target the queries in force measure
}

// sight is what one rule found.
type sight struct {
	rule   convention.Rule
	order  int // of the rule in the table
	status string
	lacks  string                                      // the metric that the rule needs and that is not there
	seen   map[convention.Naming]map[api.TargetRef]int // instances of each target
}

// Run asks. Questions that fail are named in the answer; without the names of metrics
// there is none.
func Run(ctx context.Context, in Input) (api.KPIDiscovery, error) {
	r := &run{
		Input: in, known: convention.NewInstances(in.Instances), labels: convention.Labels(in.Queries.Label), names: map[string]bool{},
		missing: slices.Clone(in.Missing), inForce: map[string]map[api.TargetRef]int{},
	}
	names, whole, err := in.Store.Names(ctx, in.Now.Add(-since), nameLimit)
	if err != nil {
		return api.KPIDiscovery{}, fmt.Errorf("list metrics: %w", err)
	}
	for _, n := range names {
		r.names[n] = true
	}
	if !whole {
		r.miss("there are more than %d names of metrics, and the others were not looked at", nameLimit)
	}
	types, err := in.Store.Types(ctx)
	if err != nil {
		r.miss("types of metrics: %v", err)
	}
	var group errgroup.Group
	group.SetLimit(atOnce)
	for name, query := range inForce(in.Queries) {
		group.Go(func() error {
			r.measured(ctx, name, query)
			return nil
		})
	}
	for order, rule := range convention.Rules() {
		lacks := ""
		if !rule.Applies(r.names) {
			native, ok := rule.OfNative()
			switch {
			case ok && native.Applies(r.names) && types[native.Probe] == "histogram":
				rule = native
			case r.withoutBuckets(rule):
				lacks = fmt.Sprintf("%s has no buckets: switch them on (%s)", strings.TrimSuffix(rule.Probe, "_count"), rule.Convention)
			default:
				continue
			}
		}
		group.Go(func() error {
			r.look(ctx, rule, order, lacks)
			return nil
		})
	}
	_ = group.Wait() // the functions keep their errors
	if err := context.Cause(ctx); err != nil {
		return api.KPIDiscovery{}, api.Errorf(api.CodeTimeout, "ask prometheus for its metrics: %v", err)
	}
	return r.report(len(names)), nil
}

// withoutBuckets reports whether a rule is for a histogram whose requests are counted while
// its buckets are not there.
func (r *run) withoutBuckets(rule convention.Rule) bool {
	return rule.Buckets != "" && r.names[rule.Probe]
}

// inForce are the queries that say which instances the agent measures, by KPI.
func inForce(q kpi.Queries) map[string]string {
	out := map[string]string{api.KPIErrorRate: q.Requests, api.KPILatencyP99: q.Buckets}
	for name, query := range map[string]string{api.KPICPU: q.CPU, api.KPIMemory: q.Memory} {
		if query != "" {
			out[name] = query
		}
	}
	for name, own := range q.Own {
		out[name] = cmp.Or(own.Total, own.Query)
	}
	return out
}

func (r *run) miss(format string, args ...any) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if text := fmt.Sprintf(format, args...); !slices.Contains(r.missing, text) {
		r.missing = append(r.missing, text)
	}
}

// measured asks which instances a query in force measures.
func (r *run) measured(ctx context.Context, name, query string) {
	series, err := r.Store.Query(ctx, "count by ("+r.Queries.Label+") ("+r.Queries.Text(query)+")", r.Now)
	if err != nil {
		r.miss("%s as it is measured now: %v", name, err)
		return
	}
	has := map[string]bool{}
	for _, s := range series {
		has[r.known.Named(s.Labels[r.Queries.Label])] = true
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.inForce[name] = r.known.Tally(has)
}

// look asks which instances have the metrics of a rule, once for each label that holds
// a status.
func (r *run) look(ctx context.Context, rule convention.Rule, order int, lacks string) {
	found, err := r.Store.LabelNames(ctx, rule.Selector(), r.Now.Add(-since))
	if err != nil {
		r.miss("labels of %s: %v", rule.Probe, err)
		return
	}
	if len(found) == 0 {
		return
	}
	has := map[string]bool{}
	for _, l := range found {
		has[l] = true
	}
	statuses := slices.DeleteFunc(slices.Clone(rule.Status), func(l string) bool { return !has[l] })
	if len(rule.Status) == 0 {
		statuses = []string{""}
	}
	for _, status := range statuses {
		r.count(ctx, sight{rule: rule, order: order, status: status, lacks: lacks, seen: map[convention.Naming]map[api.TargetRef]int{}},
			slices.DeleteFunc(slices.Clone(r.labels), func(l string) bool { return !has[l] }))
	}
}

// count asks for one row for each instance that a rule has series of.
func (r *run) count(ctx context.Context, s sight, by []string) {
	var matchers []string
	if s.rule.Where != "" {
		matchers = append(matchers, s.rule.Where)
	}
	if s.status != "" {
		matchers = append(matchers, s.status+`!=""`)
	}
	query := "count by (" + strings.Join(by, ", ") + ") (" + s.rule.Probe + "{" + strings.Join(matchers, ",") + "})"
	rows, err := r.Store.Query(ctx, query, r.Now)
	if err != nil {
		r.miss("instances that have %s: %v", s.rule.Probe, err)
		return
	}
	unnamed := api.UnnamedMetric{Metric: s.rule.Metric(), Convention: s.rule.Convention, KPI: s.rule.KPI}
	ids := map[convention.Naming]map[string]bool{}
	for _, row := range rows {
		instance, naming := r.known.Of(row.Labels, by)
		if instance == nil {
			if unnamed.Series++; unnamed.Labels == nil {
				unnamed.Labels = row.Labels
			}
			continue
		}
		if ids[naming] == nil {
			ids[naming] = map[string]bool{}
		}
		ids[naming][instance.ID] = true
	}
	for naming, named := range ids {
		s.seen[naming] = r.known.Tally(named)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(s.seen) > 0 {
		r.sights = append(r.sights, s)
	}
	if unnamed.Series > 0 && len(s.seen) == 0 { // else those are of what Nomad does not run
		r.unnamed = append(r.unnamed, unnamed)
	}
}
