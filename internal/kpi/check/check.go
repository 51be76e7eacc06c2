// Package check asks the queries of the KPIs in force as the profiler and the judge ask them,
// and looks at what is behind the answers: how many series, how often there is a sample,
// where samples are missing and where counters began anew.
//
// It changes nothing and decides nothing. A question that fails is told with its reason;
// what it asked about is then unknown, and never in order. Goroutines: Run starts atOnce of
// them and waits for all.
package check

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/internal/kpi"
	"github.com/oakumhq/oakum/internal/kpi/convention"
	"github.com/oakumhq/oakum/internal/promql"
)

const (
	// atOnce bounds the questions under way, so that others still get their answers.
	atOnce = 4
	// Window is how far back samples are counted. A series that is younger is not held
	// against its instance: it may have begun with the first request of its kind.
	Window = 10 * time.Minute
	// enough is the share of the samples that a series must have. Two scrapes in three
	// minutes may miss by chance; a series that lacks more makes increments late.
	enough = 0.9
	// namesMax is how many instances are named.
	namesMax = 16
)

// What a query is asked for.
const (
	ofValue     = "value"
	ofEvents    = "events"
	ofFailed    = "failed"
	ofHistogram = "histogram"
)

// Judged is a KPI by which a policy judges.
type Judged struct {
	Policy string
	Spec   api.KPISpec
}

// Store answers questions about metrics, and says what they have cost.
type Store interface {
	kpi.Metrics
	Measured(ctx context.Context, promql string, at time.Time) ([]kpi.Series, kpi.Cost, error)
}

// Input is what a check needs to know.
type Input struct {
	Store     Store // nil where there is no Prometheus
	Catalogue kpi.Catalogue
	Judged    []Judged
	KPIs      []string // to check; empty means all
	Instances []convention.Instance
	Clock     func() time.Time
	Missing   []string // what could not be read of the instances
}

type run struct {
	Input
	at    time.Time
	known *convention.Instances
}

// Run asks. The error has code not_found when a KPI that is asked for is neither in force
// nor known.
func Run(ctx context.Context, in Input) (api.KPICheck, error) {
	r := &run{Input: in, at: in.Clock(), known: convention.NewInstances(in.Instances)}
	list, err := r.inForce()
	if err != nil {
		return api.KPICheck{}, err
	}
	var group errgroup.Group
	group.SetLimit(atOnce)
	answers := map[string]*api.CheckedQuery{} // latencies of all quantiles come from one histogram
	for _, one := range list {
		for _, q := range one.Queries {
			if answers[q.Query] == nil {
				answer := &q
				answers[q.Query] = answer
				group.Go(func() error {
					r.ask(ctx, answer)
					return nil
				})
			}
		}
	}
	_ = group.Wait() // the functions keep their errors
	for _, one := range list {
		for j, q := range one.Queries {
			one.Queries[j] = *answers[q.Query]
		}
	}
	if err := context.Cause(ctx); err != nil {
		return api.KPICheck{}, api.Errorf(api.CodeTimeout, "ask prometheus for its metrics: %v", err)
	}
	return api.KPICheck{At: r.at, Window: api.Duration(Window), Running: len(in.Instances), KPIs: list, Missing: in.Missing}, nil
}

// inForce lists the KPIs that are learned of every target, and those by which policies
// judge, with the queries that are asked for them.
func (r *run) inForce() ([]api.CheckedKPI, error) {
	found := map[string]api.CheckedKPI{}
	for _, spec := range r.Catalogue.Learned() {
		found[spec.KPI] = r.checked(spec)
	}
	for _, j := range r.Judged {
		one, ok := found[j.Spec.KPI]
		if !ok || j.Spec.Query != "" {
			policies := one.Policies
			one = r.checked(j.Spec)
			one.Policies = policies
		}
		if !slices.Contains(one.Policies, j.Policy) {
			one.Policies = append(one.Policies, j.Policy)
			slices.Sort(one.Policies)
		}
		found[j.Spec.KPI] = one
	}
	for _, name := range r.KPIs {
		if _, ok := found[name]; !ok {
			return nil, api.Errorf(api.CodeNotFound, "kpi %q is in force nowhere: no policy judges by it and no configuration has a query for it", name)
		}
	}
	if len(r.KPIs) > 0 {
		maps.DeleteFunc(found, func(name string, _ api.CheckedKPI) bool { return !slices.Contains(r.KPIs, name) })
	}
	return slices.SortedFunc(maps.Values(found), func(a, b api.CheckedKPI) int { return cmp.Compare(a.KPI, b.KPI) }), nil
}

// checked is a KPI with the queries that are asked for it.
func (r *run) checked(spec api.KPISpec) api.CheckedKPI {
	out := api.CheckedKPI{KPI: spec.KPI}
	known, ok := r.Catalogue.Known(spec)
	if !ok {
		return out
	}
	out.Kind = known.Kind
	asked := r.Catalogue.Asked(spec)
	out.Source = asked.Source
	for of, text := range map[string]string{ofValue: asked.Value, ofEvents: asked.Total, ofFailed: asked.Failed, ofHistogram: asked.Histogram} {
		if text != "" && r.Store != nil {
			out.Queries = append(out.Queries, api.CheckedQuery{Of: of, Query: r.Catalogue.Queries.Text(text)})
		}
	}
	slices.SortFunc(out.Queries, func(a, b api.CheckedQuery) int { return cmp.Compare(a.Of, b.Of) })
	return out
}

// ask asks one query, and what is behind it.
func (r *run) ask(ctx context.Context, q *api.CheckedQuery) {
	began := r.Clock()
	series, cost, err := r.Store.Measured(ctx, q.Query, r.at)
	q.Samples, q.Bytes = cost.Samples, cost.Bytes
	q.Took = api.Duration(r.Clock().Sub(began))
	if err != nil {
		q.Error = err.Error()
		return
	}
	label, has := r.Catalogue.Queries.Label, map[string]bool{}
	for _, s := range series {
		has[cmp.Or(r.known.Named(s.Labels[label]), s.Labels[label])] = true
	}
	q.Series = len(series)
	running := map[string]bool{}
	silent := map[api.TargetRef]bool{}
	for _, i := range r.Instances {
		running[i.ID] = true
		if _, seen := silent[i.Target]; !seen {
			silent[i.Target] = true
		}
		if has[i.ID] {
			q.Instances++
			silent[i.Target] = false
		}
	}
	for _, s := range series {
		if !running[r.known.Named(s.Labels[label])] {
			q.Strangers++
		}
	}
	for target, none := range silent {
		if none {
			q.Silent = append(q.Silent, target)
		}
	}
	slices.SortFunc(q.Silent, func(a, b api.TargetRef) int { return cmp.Compare(a.String(), b.String()) })
	selectors, err := promql.Selectors(q.Query)
	if err != nil {
		q.Error = err.Error()
		return
	}
	for _, s := range selectors {
		q.Metrics = append(q.Metrics, r.behind(ctx, s, q.Of != ofValue))
	}
}

// behind looks at the series that a query reads.
func (r *run) behind(ctx context.Context, s promql.Selector, counter bool) api.CheckedMetric {
	out := api.CheckedMetric{Metric: cmp.Or(s.Metric, s.String()), By: r.Catalogue.Queries.Label}
	by := func(fold, of string) (map[string]float64, error) {
		found, err := r.Store.Query(ctx, fmt.Sprintf("%s by (%s) (%s)", fold, out.By, of), r.at)
		values := map[string]float64{}
		for _, one := range found {
			values[one.Labels[out.By]] = one.Value
		}
		return values, err
	}
	count, err := by("count", s.String())
	if _, unnamed := count[""]; err == nil && unnamed && len(count) == 1 {
		out.By = promql.EndpointInstance // the query makes the instance's label of another one
		count, err = by("count", s.String())
	}
	if err != nil {
		out.Error = err.Error()
		return out
	}
	for _, n := range count {
		out.Series += int(n)
		out.PerInstance = max(out.PerInstance, int(n))
	}
	whole := "count_over_time(" + s.Ranged(Window) + ") and (" + s.Since(Window) + ")"
	most, err := by("max", whole)
	if err == nil {
		best := 0.0
		for _, n := range most {
			best = max(best, n)
		}
		if best > 0 {
			out.Every = api.Duration((Window / time.Duration(best)).Round(time.Second))
		}
		var fewest map[string]float64
		fewest, err = by("min", whole)
		out.Gaps, out.GapCount = named(fewest, func(n float64) bool { return n < enough*best })
	}
	if err == nil && counter {
		var anew map[string]float64
		anew, err = by("sum", "resets("+s.Ranged(Window)+")")
		out.Resets, out.ResetCount = named(anew, func(n float64) bool { return n > 0 })
	}
	if err != nil {
		out.Error = err.Error()
	}
	return out
}

// named lists the instances of which something holds, at most namesMax, and counts all.
func named(values map[string]float64, holds func(float64) bool) ([]string, int) {
	var out []string
	for name, value := range values {
		if holds(value) {
			out = append(out, name)
		}
	}
	slices.Sort(out)
	return out[:min(len(out), namesMax)], len(out)
}
