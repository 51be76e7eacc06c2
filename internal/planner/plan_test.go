package planner_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/shoenig/test/must"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/internal/planner"
	"github.com/oakumhq/oakum/policies"
)

func schemas(name string) (api.ConfigSchema, bool) {
	switch name {
	case "phased":
		return api.ConfigSchema{Attributes: []api.ConfigAttribute{
			{Name: "stages", Type: "list(number)", Default: json.RawMessage("[10,50,100]")},
		}}, true
	case "blue_green":
		return api.ConfigSchema{Attributes: []api.ConfigAttribute{{Name: "stages", Type: "list(number)"}}}, true
	}
	return api.ConfigSchema{}, false
}

func library(t testing.TB, texts ...string) *policies.Library {
	t.Helper()
	files := policies.Builtin()
	for i, text := range texts {
		files = append(files, api.SourceFile{Name: fmt.Sprintf("p%d.hcl", i), Text: text})
	}
	lib, diags := policies.Load(files, schemas)
	if err := policies.DiagnosticsError(diags, files); err != nil {
		t.Fatal(err)
	}
	return lib
}

func patch(t testing.TB, selector string) api.Patch {
	t.Helper()
	file := api.SourceFile{Name: "p.hcl", Text: fmt.Sprintf(`patch "p" {
  severity = "high"
  %s
  apply "job" {
    task = "server"
    env  = { VERSION = "2" }
  }
}`, selector)}
	p, diags := policies.ParsePatch(file)
	if err := policies.DiagnosticsError(diags, []api.SourceFile{file}); err != nil {
		t.Fatal(err)
	}
	return p
}

func target(name string) api.Target {
	return api.Target{
		TargetRef: api.TargetRef{Namespace: "default", Job: name, Group: name}, Count: 2, Driver: "docker",
		Services: []string{name}, Tasks: []api.Task{{Name: "server", Driver: "docker"}},
	}
}

// graphOf builds a graph out of pairs "who depends", "on whom", with the blast
// radius of each service counted by walking.
func graphOf(names []string, edges ...api.Edge) api.Graph {
	g := api.Graph{Edges: edges}
	for _, n := range names {
		g.Services = append(g.Services, api.Service{Name: n, Instances: 2})
		seen := map[string]bool{n: true}
		for queue := []string{n}; len(queue) > 0; queue = queue[1:] {
			for _, e := range edges {
				if e.To == queue[0] && e.State.Certain() && !seen[e.From] {
					seen[e.From] = true
					queue = append(queue, e.From)
				}
			}
		}
		g.Criticality = append(g.Criticality, api.Criticality{Service: n, BlastRadius: len(seen) - 1})
	}
	slices.SortFunc(g.Criticality, func(a, b api.Criticality) int { return cmpString(a.Service, b.Service) })
	return g
}

func cmpString(a, b string) int {
	switch {
	case a < b:
		return -1
	case a > b:
		return 1
	}
	return 0
}

func edge(from, to string) api.Edge { return api.Edge{From: from, To: to, State: api.EdgeConfirmed} }

func now() time.Time { return time.Date(2026, 10, 7, 12, 0, 0, 0, time.UTC) }

func shop() ([]api.Target, api.Graph) {
	names := []string{"front", "backoffice", "catalog", "cart", "pricing", "store"}
	var targets []api.Target
	for _, n := range names {
		targets = append(targets, target(n))
	}
	return targets, graphOf(names, edge("front", "catalog"), edge("front", "cart"), edge("backoffice", "catalog"),
		edge("catalog", "pricing"), edge("catalog", "store"), edge("cart", "pricing"), edge("cart", "store"))
}

func waveNames(p api.Plan) [][]string {
	var out [][]string
	for _, w := range p.Waves {
		var jobs []string
		for _, t := range w.Targets {
			jobs = append(jobs, t.Target.Job)
		}
		out = append(out, jobs)
	}
	return out
}

func TestPlan_OrdersTheShop(t *testing.T) {
	t.Parallel()
	targets, graph := shop()
	in := planner.Input{ID: "plan-1", Patch: patch(t, `target { jobs = ["*"] }`), Targets: targets, Graph: graph, Library: library(t), Now: now()}
	plan, err := planner.Plan(in)
	must.NoError(t, err)
	must.Eq(t, [][]string{{"backoffice", "front"}, {"cart"}, {"catalog"}, {"pricing", "store"}}, waveNames(plan))
	must.EqOp(t, "least critical first: 6 targets in 4 waves, the 3 critical last; within each group a service goes before what it depends on", plan.Order)
	must.SliceEmpty(t, plan.Refusals)
	must.EqOp(t, "phased", plan.Waves[2].Targets[0].Decision.Strategy.Name)
	must.EqOp(t, "blue_green", plan.Waves[0].Targets[0].Decision.Strategy.Name)
	must.EqOp(t, 4, planner.Bound(graph, plan))

	slices.Reverse(in.Targets)
	in.ID, in.Now = "plan-2", now().Add(time.Minute)
	again, err := planner.Plan(in)
	must.NoError(t, err)
	must.EqOp(t, plan.Digest, again.Digest)
	must.Eq(t, "", cmp.Diff(plan.Waves, again.Waves))
	in.Patch.Digest = "other"
	changed, err := planner.Plan(in)
	must.NoError(t, err)
	must.NotEqOp(t, plan.Digest, changed.Digest)
}

func TestPlan_PassesUnplannedServices(t *testing.T) {
	t.Parallel()
	targets, graph := shop()
	p := patch(t, `target { jobs = ["front", "pricing", "store"] }`)
	plan, err := planner.Plan(planner.Input{Patch: p, Targets: targets, Graph: graph, Library: library(t,
		`policy "same" {
  specificity = 9
  critical    = false
}`), Now: now()})
	must.NoError(t, err)
	must.Eq(t, [][]string{{"front"}, {"pricing", "store"}}, waveNames(plan))
}

func TestPlan_OrdersACycle(t *testing.T) {
	t.Parallel()
	names := []string{"a", "b", "c", "entry", "leaf"}
	graph := graphOf(names, edge("entry", "a"), edge("a", "b"), edge("b", "c"), edge("c", "a"), edge("c", "leaf"))
	targets := []api.Target{target("a"), target("b"), target("c"), target("entry"), target("leaf")}
	in := planner.Input{Patch: patch(t, `target { jobs = ["*"] }`), Targets: targets, Graph: graph, Library: library(t), Now: now()}
	plan, err := planner.Plan(in)
	must.NoError(t, err)
	must.Eq(t, [][]string{{"entry"}, {"a"}, {"c"}, {"b"}, {"leaf"}}, waveNames(plan))

	files := []api.SourceFile{{Name: "any.hcl", Text: `policy "any" {
  strategy "blue_green" {}
}`}}
	in.Library, _ = policies.Load(files, schemas)
	plan, err = planner.Plan(in)
	must.NoError(t, err)
	must.Eq(t, [][]string{{"entry"}, {"a", "b", "c"}, {"leaf"}}, waveNames(plan))
}

func TestPlan_Refuses(t *testing.T) {
	t.Parallel()
	targets, graph := shop()
	empty, other, agent := target("empty"), target("other"), target("agent")
	empty.Count = 0
	agent.Type, agent.Unfit = "sysbatch", "its job is of type sysbatch"
	other.Tasks[0].Name = "main"
	targets = append(targets, empty, other, agent)
	ref := func(name string) api.TargetRef { return target(name).TargetRef }
	p := patch(t, `target {
    jobs  = ["front", "cart", "store", "pricing", "empty", "other", "agent", "ghost", "gho*", "once"]
    where = target.job != "pricing"
  }
  target {
    jobs   = ["front"]
    groups = ["nowhere"]
  }`)
	plan, err := planner.Plan(planner.Input{
		Patch: p, Targets: targets, Graph: graph, Now: now(), Library: library(t, `policy "broken" {
  applies = target.job == "store" && target.meta.weight > 3
}`),
		Open: []api.Rollout{
			{ID: "r1", Patch: "q", Target: ref("front"), Status: api.RolloutRunning},
			{ID: "r2", Patch: "q", Target: ref("catalog"), Status: api.RolloutComplete},
		},
		Quarantines: []api.Quarantine{
			{Patch: "p", Target: ref("cart"), Reason: "latency_p99 rose", Since: now().Add(-time.Hour)},
			{Patch: "other", Target: ref("store")},
		},
		Sources: []api.SourceStatus{{Name: "prometheus", Since: now(), Error: "refused"}, {Name: "nomad", OK: true}},
		Idle: []api.Target{
			{TargetRef: api.TargetRef{Namespace: "default", Job: "once"}, Unfit: "its job is stopped"},
			{TargetRef: api.TargetRef{Namespace: "default", Job: "gho-2"}, Unfit: "a pattern names nobody"},
		},
	})
	must.NoError(t, err)
	must.SliceEmpty(t, plan.Waves)
	nowhere := ref("front")
	nowhere.Group = "nowhere"
	must.Eq(t, []api.Refusal{
		{Target: ref("agent"), Code: api.CodeConflict, Reason: "its job is of type sysbatch"},
		{Target: ref("cart"), Code: api.CodeConflict, Reason: "the patch is quarantined on it since 2026-10-07 11:00:00Z: latency_p99 rose; oakum patch lift-quarantine p default/cart/cart lets it be tried again"},
		{Target: ref("empty"), Code: api.CodeConflict, Reason: "it has no instances: its count is 0"},
		{Target: ref("front"), Code: api.CodeConflict, Reason: "rollout r1 of patch q is already under way on it (running)"},
		{Target: nowhere, Code: api.CodeConflict, Reason: `job "front" has no group "nowhere"`},
		{Target: api.TargetRef{Namespace: "default", Job: "ghost"}, Code: api.CodeNotFound, Reason: `there is no job "ghost" in namespace "default"`},
		{Target: api.TargetRef{Namespace: "default", Job: "once"}, Code: api.CodeConflict, Reason: "its job is stopped"},
		{Target: ref("other"), Code: api.CodeConflict, Reason: `it has no task "server" that the patch could change; its tasks are main`},
		{Target: api.TargetRef{Namespace: "default", Job: "pricing"}, Code: api.CodeConflict, Reason: "the patch names it, but the where condition does not hold for it"},
		{Target: ref("store"), Code: api.CodeInvalid, Reason: "decide default/store/store: p0.hcl:2,38: Operation failed; Error during operation: argument must not be null."},
	}, plan.Refusals)
	must.Eq(t, []string{"prometheus is away since 2026-10-07T12:00:00Z: refused"}, plan.Weak)
	refused := planner.Refused(plan)
	must.EqOp(t, api.CodeConflict, refused.Code)
	must.Len(t, 10, refused.Details)
}

// TestPlan_TakesAJobWithRuns: it has no instances, and is in the plan all the same.
func TestPlan_TakesAJobWithRuns(t *testing.T) {
	t.Parallel()
	targets, graph := shop()
	report := target("report")
	report.Type, report.Launch, report.Count = "batch", api.LaunchPeriodic, 0
	plan, err := planner.Plan(planner.Input{
		Patch: patch(t, `target { jobs = ["report"] }`), Targets: append(targets, report), Graph: graph, Library: library(t), Now: now(),
	})
	must.NoError(t, err)
	must.SliceEmpty(t, plan.Refusals)
	must.Eq(t, [][]string{{"report"}}, waveNames(plan))
}

func TestPlan_RefusesASelectorThatMatchesNothing(t *testing.T) {
	t.Parallel()
	targets, graph := shop()
	for _, selector := range []string{`target { jobs = ["ghost"] }`, `target { jobs = ["gho*"] }`} {
		plan, err := planner.Plan(planner.Input{Patch: patch(t, selector), Targets: targets, Graph: graph, Library: library(t), Now: now()})
		must.NoError(t, err)
		must.SliceEmpty(t, plan.Waves)
		must.EqOp(t, api.CodeNotFound, planner.Refused(plan).Code, must.Sprint(selector))
		must.Len(t, 1, planner.Refused(plan).Details)
	}
}

func TestPlan_FollowsWindows(t *testing.T) {
	t.Parallel()
	targets, graph := shop()
	lib := library(t, `policy "slow" {
  applies = target.job == "front" || target.job == "store"
  window "night" {
    start  = "0 22 * * *"
    length = "2h"
  }
}
policy "frozen" {
  applies = target.job == "cart"
  freeze "forever" {
    from   = "2026-01-01"
    to     = "2036-01-01"
    reason = "out of service"
  }
}
policy "never" {
  applies = target.job == "pricing"
  window "one" {
    start  = "0 1 * * *"
    length = "1h"
  }
}
policy "never2" {
  applies = target.job == "pricing"
  window "two" {
    start  = "0 2 * * *"
    length = "1h"
  }
}`)
	plan, err := planner.Plan(planner.Input{Patch: patch(t, `target { jobs = ["*"] }`), Targets: targets, Graph: graph, Library: lib, Now: now()})
	must.NoError(t, err)
	must.Eq(t, [][]string{{"backoffice"}, {"front"}, {"catalog"}, {"store"}}, waveNames(plan))
	night := time.Date(2026, 10, 7, 22, 0, 0, 0, time.UTC)
	must.True(t, plan.Waves[0].Opens.IsZero())
	must.EqOp(t, night, plan.Waves[1].Opens)
	must.Eq(t, []api.Refusal{
		{Target: target("cart").TargetRef, Code: api.CodeConflict, Reason: `it could never start: windows and freezes leave no moment within two years; the last obstacle is: freeze "frozen/forever" until 2036-01-01T00:00:00Z: out of service`},
		{Target: target("pricing").TargetRef, Code: api.CodeConflict, Reason: `it could never start: windows and freezes leave no moment within two years; the last obstacle is: window "never/one" opens at 2028-10-09T01:00:00Z`},
	}, plan.Refusals)
}

func TestRollouts(t *testing.T) {
	t.Parallel()
	targets, graph := shop()
	p := patch(t, `target { jobs = ["front", "store"] }`)
	p.SubmittedBy = "pipeline"
	plan, err := planner.Plan(planner.Input{ID: "plan-1", Patch: p, Targets: targets, Graph: graph, Library: library(t), Now: now()})
	must.NoError(t, err)
	n := 0
	rollouts := planner.Rollouts(plan, p, func() string { n++; return fmt.Sprint("r", n) }, now())
	must.Len(t, 2, rollouts)
	want := api.Rollout{
		ID: "r2", Plan: "plan-1", Patch: "p", PatchDigest: p.Digest, Apply: p.Apply, Target: target("store").TargetRef, Wave: 2,
		Status: api.RolloutPending, Reason: "planned in wave 2 of 2", Since: now(), Created: now(),
		Decision: plan.Waves[1].Targets[0].Decision, SubmittedBy: "pipeline",
	}
	must.Eq(t, want, rollouts[1])
}

func TestRedecide_KnowsTheImpact(t *testing.T) {
	t.Parallel()
	targets, graph := shop()
	in := planner.Input{
		ID: "plan-1", Patch: patch(t, `target { jobs = ["front"] }`), Targets: targets, Graph: graph, Now: now(),
		Library: library(t, `policy "wary" {
  applies = target.namespace == "default"
  strategy "phased" {
    when   = impact.simulated && impact.ratio.latency_p99 > 1.05
    stages = [5, 100]
  }
  strategy "blue_green" {
    when = true
  }
}`),
	}
	plan, err := planner.Plan(in)
	must.NoError(t, err)
	planned := plan.Waves[0].Targets[0]
	must.EqOp(t, "blue_green", planned.Decision.Strategy.Name)

	slower := api.Impact{KPIs: []api.KPIEffect{{KPI: api.KPILatencyP99, Ratio: 1.08}}}
	decision, err := planner.Redecide(in, planned, planned.Decision, slower)
	must.NoError(t, err)
	must.EqOp(t, "phased", decision.Strategy.Name, must.Sprint(decision.Because))
	decision, err = planner.Redecide(in, planned, planned.Decision, api.Impact{KPIs: []api.KPIEffect{{KPI: api.KPILatencyP99, Ratio: 1}}})
	must.NoError(t, err)
	must.EqOp(t, "blue_green", decision.Strategy.Name)
}

func TestCriticalityOf(t *testing.T) {
	t.Parallel()
	all := []api.Criticality{
		{Service: "a", BlastRadius: 1, SinglePoint: true, Dependants: []string{"x"}},
		{Service: "b", BlastRadius: 3, Score: 0.5, Dependants: []string{"y", "x"}},
	}
	multi := target("m")
	multi.Services = []string{"a", "b", "unknown"}
	must.Eq(t, api.Criticality{Service: "b", BlastRadius: 3, Score: 0.5, SinglePoint: true, Dependants: []string{"x", "y"}},
		planner.CriticalityOf(multi, all))
	must.Eq(t, api.Criticality{}, planner.CriticalityOf(target("z"), all))
}

func TestViews(t *testing.T) {
	t.Parallel()
	targets, graph := shop()
	views := planner.Views(library(t), targets, graph, now())
	must.Len(t, 6, views)
	must.EqOp(t, "catalog", views[2].Target.Job)
	must.True(t, views[2].Critical)
	must.EqOp(t, `graph.blast_radius = 2 >= 2 (policy "default", default.hcl:7,14)`, views[2].Why)
	must.False(t, views[0].Critical)
}
