package access_test

import (
	"encoding/json"
	"testing"

	"github.com/shoenig/test/must"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/internal/access"
)

func ref(namespace, job string) api.TargetRef {
	return api.TargetRef{Namespace: namespace, Job: job, Group: job}
}

func service(name string, refs ...api.TargetRef) api.Service {
	return api.Service{Name: name, Targets: refs, Nodes: []string{"n1"}}
}

// ofA is the view of a caller who may read namespace a, of a fleet in which payroll is b's.
func ofA() *access.View {
	known := access.Known{
		Services: []api.Service{
			service("web", ref("a", "web")), service("shared", ref("a", "shared"), ref("b", "shared")),
			service("payroll", ref("b", "payroll")), service("nobody"),
		},
		Targets: []api.TargetRef{ref("b", "nightly"), ref("a", "batch"), ref("b", "batch")},
	}
	return access.New(identity(reads([]string{"a"}, nil)), api.CapRead, known)
}

func TestView_Graph(t *testing.T) {
	t.Parallel()
	edge := func(from, to string) api.Edge { return api.Edge{From: from, To: to, State: api.EdgeConfirmed} }
	all := api.Graph{
		Services: []api.Service{
			service("nobody"), service("payroll", ref("b", "payroll")), service("shared", ref("a", "shared"), ref("b", "shared")), service("web", ref("a", "web")),
		},
		Edges: []api.Edge{
			edge("payroll", "web"), edge("web", "payroll"),
			{From: "web", To: "shared", Via: []string{"payroll"}, Evidence: []api.Evidence{{Detail: "payroll"}}},
		},
		Criticality: []api.Criticality{{Service: "payroll"}, {Service: "web", Dependants: []string{"payroll", "shared"}, SharedNodesWith: []string{"payroll"}}},
		Targets:     []api.TargetView{{Target: api.Target{TargetRef: ref("a", "web")}}, {Target: api.Target{TargetRef: ref("b", "payroll")}}},
	}
	before, err := json.Marshal(all)
	must.NoError(t, err)
	got := ofA().Graph(all)
	text, err := json.Marshal(got)
	must.NoError(t, err)
	must.StrNotContains(t, string(text), "payroll")
	must.StrNotContains(t, string(text), "nobody")
	must.Len(t, 2, got.Services)
	must.Len(t, 1, got.Edges)          // from web to shared
	must.Nil(t, got.Services[0].Nodes) // of shared: some are b's
	must.Eq(t, []string{"n1"}, got.Services[1].Nodes)
	must.Eq(t, []string{"shared"}, got.Criticality[0].Dependants)
	must.Len(t, 1, got.Targets)
	after, err := json.Marshal(all)
	must.NoError(t, err)
	must.EqOp(t, string(before), string(after)) // it is not the view's to change
	must.Eq(t, all, access.All().Graph(all))
}

func TestView_Text(t *testing.T) {
	t.Parallel()
	v := ofA()
	for given, want := range map[string]string{
		"waits for b/payroll/payroll, which is worse": "waits for (hidden), which is worse",
		"waits for b/gone/gone.":                      "waits for (hidden).",
		"waits for b/periodic/42/group":               "waits for (hidden)",
		"waits for a/web/web (a/shared/shared)":       "waits for a/web/web (a/shared/shared)",
		`service "payroll" is worse`:                  `service "(hidden)" is worse`,
		"job nightly of payroll/payroll":              "job (hidden) of (hidden)",
		"batch and web and shared are fine":           "batch and web and shared are fine",
		"image /srv/images/web.img is not there":      "image /srv/images/web.img is not there",
		"payroll":                                     "payroll", // one word may be a status
		"":                                            "",
	} {
		must.EqOp(t, want, v.Text(given))
	}
	must.EqOp(t, "waits for b/payroll/payroll", access.All().Text("waits for b/payroll/payroll"))
}

func TestRedact(t *testing.T) {
	t.Parallel()
	r := api.Rollout{
		ID: "r", Target: ref("a", "web"), Reason: "waits for payroll", ModifyIndex: 1<<63 + 1,
		Decision: api.Decision{Strategy: api.StrategySpec{Config: json.RawMessage(`{}`)}},
		Apply:    []api.Apply{{Kind: api.ApplyScript, Script: "systemctl restart payroll"}},
		Holds:    []api.Hold{{Source: "budget", Reason: "b/payroll/payroll is under way"}},
	}
	got, err := access.Redact(ofA(), r)
	must.NoError(t, err)
	want := r
	want.Reason, want.Holds = "waits for (hidden)", []api.Hold{{Source: "budget", Reason: "(hidden) is under way"}}
	must.Eq(t, want, got) // what will run is shown as it is
	whole, err := access.Redact(access.All(), r)
	must.NoError(t, err)
	must.Eq(t, r, whole)
}

// TestRedact_TakesHiddenTargetsOutOfLists has what a verdict and a decision name beside
// the rollout's own target.
func TestRedact_TakesHiddenTargetsOutOfLists(t *testing.T) {
	t.Parallel()
	verdict := &api.Verdict{
		Blame:      []api.Blame{{Rollout: "rb", Target: ref("b", "payroll")}, {Rollout: "ra", Target: ref("a", "shared")}},
		Neighbours: []api.NeighbourEffect{{Target: ref("b", "payroll"), KPI: api.KPICPU}},
	}
	r := api.Rollout{
		ID: "r", Target: ref("a", "web"), Verdict: verdict, Stages: []api.Stage{{Number: 1, Verdict: verdict}},
		Decision: api.Decision{Target: ref("a", "web"), Doubt: &api.Doubt{Lapse: &api.Lapse{Criticality: api.Criticality{
			Service: "web", Dependants: []string{"payroll", "shared"}, Dominates: []string{"payroll"}, SharedNodesWith: []string{"payroll"},
		}}}},
	}
	before, err := json.Marshal(r)
	must.NoError(t, err)
	got, err := access.Redact(ofA(), r)
	must.NoError(t, err)
	text, err := json.Marshal(got)
	must.NoError(t, err)
	must.StrNotContains(t, string(text), "payroll")
	must.Eq(t, []api.Blame{{Rollout: "ra", Target: ref("a", "shared")}}, got.Verdict.Blame)
	must.Eq(t, got.Verdict.Blame, got.Stages[0].Verdict.Blame)
	must.Eq(t, []string{"shared"}, got.Decision.Doubt.Lapse.Criticality.Dependants)
	must.EqOp(t, r.Target, got.Target)
	after, err := json.Marshal(r)
	must.NoError(t, err)
	must.EqOp(t, string(before), string(after))

	held, err := access.Redact(ofA(), api.Decision{Target: ref("b", "payroll")})
	must.NoError(t, err)
	must.EqOp(t, api.TargetRef{Namespace: access.Hidden, Job: access.Hidden, Group: access.Hidden}, held.Target)
	plan := api.Plan{Refusals: []api.Refusal{{Target: api.TargetRef{Namespace: "a", Job: "x,y-*"}}}}
	kept, err := access.Redact(ofA(), plan) // a selector that chose nothing
	must.NoError(t, err)
	must.Eq(t, plan.Refusals, kept.Refusals)
}

func TestView_TextHidesOddNames(t *testing.T) {
	t.Parallel()
	odd := api.TargetRef{Namespace: "b", Job: "pay:day (new)", Group: "g"}
	v := access.New(identity(reads([]string{"a"}, nil)), api.CapRead, access.Known{
		Targets: []api.TargetRef{odd, ref("b", "tail-"), ref("b", "payroll"), {Namespace: "a", Job: "web", Group: "payroll"}, ref("b", "x/1"), ref("a", "api:v1")},
	})
	for given, want := range map[string]string{
		"waits for " + odd.String() + " now":       "waits for (hidden) now",
		"job pay:day (new) is worse":               "job (hidden) is worse",
		"b/pay:day (new) is worse":                 "(hidden) is worse",
		"job tail- is worse":                       "job (hidden) is worse",
		"allocation payroll.payroll[0] failed":     "allocation (hidden)[0] failed",
		"no host payroll.service.consul.":          "no host (hidden).",
		"job b/payroll is worse":                   "job (hidden) is worse",
		"group web/payroll of web.payroll[0]":      "group web/payroll of web.payroll[0]",
		"job x/1 waits":                            "job (hidden) waits",
		"version 1.2.3 of a/api:v1/api:v1, 10.0.0": "version 1.2.3 of a/api:v1/api:v1, 10.0.0",
	} {
		must.EqOp(t, want, v.Text(given))
	}
}

// TestAll_CopiesNothing keeps the lists of a large fleet as they are for those who see all.
func TestAll_CopiesNothing(t *testing.T) {
	t.Parallel()
	targets := []api.TargetRef{ref("a", "web"), ref("b", "payroll")}
	kept := access.Kept(access.All(), targets, func(r api.TargetRef) api.TargetRef { return r })
	must.Len(t, 2, kept)
	must.True(t, &targets[0] == &kept[0])
	same, err := access.Redact(access.All(), targets)
	must.NoError(t, err)
	must.True(t, &targets[0] == &same[0])
	g := access.All().Graph(api.Graph{Services: []api.Service{service("web", targets...)}})
	must.True(t, &targets[0] == &g.Services[0].Targets[0])
}

func TestView_Plan(t *testing.T) {
	t.Parallel()
	planned := func(ref api.TargetRef) api.PlannedTarget {
		return api.PlannedTarget{Target: api.Target{TargetRef: ref}, Criticality: api.Criticality{Dependants: []string{"payroll"}}}
	}
	plan := api.Plan{
		ID: "p", Order: "payroll last", Exposure: &api.Exposure{Before: 2},
		Waves:       []api.Wave{{Number: 1, Targets: []api.PlannedTarget{planned(ref("a", "web")), planned(ref("b", "payroll"))}}, {Number: 2, Targets: []api.PlannedTarget{planned(ref("b", "x"))}}},
		Refusals:    []api.Refusal{{Target: ref("b", "payroll")}, {Target: api.TargetRef{Namespace: "a", Job: "x,y-*"}}},
		NothingToDo: []api.NothingToDo{{Target: ref("b", "payroll")}},
	}
	v := ofA()
	got, sees := v.Plan(plan)
	must.Len(t, 1, got.Waves)
	must.Len(t, 1, got.Waves[0].Targets)
	must.SliceEmpty(t, got.Waves[0].Targets[0].Criticality.Dependants)
	must.Eq(t, []api.Refusal{{Target: api.TargetRef{Namespace: "a", Job: "x,y-*"}}}, got.Refusals)
	must.SliceEmpty(t, got.NothingToDo)
	must.EqOp(t, "", got.Order)
	must.Nil(t, got.Exposure)
	must.Len(t, 2, plan.Waves[0].Targets)
	must.Eq(t, []string{"payroll"}, plan.Waves[0].Targets[0].Criticality.Dependants)
	must.True(t, sees)
	_, sees = v.Plan(api.Plan{Waves: plan.Waves[1:]})
	must.False(t, sees)
}

func TestView_Patch(t *testing.T) {
	t.Parallel()
	own, foreign := api.TargetSelector{Namespace: "a", Jobs: []string{"web"}}, api.TargetSelector{Namespace: "b", Jobs: []string{"payroll"}}
	patch := api.Patch{Name: "p", Description: "for payroll", File: api.SourceFile{Name: "p.hcl", Text: "payroll"}, Targets: []api.TargetSelector{own, foreign}}
	v := ofA()
	_, ok := v.Patch(patch, false)
	must.False(t, ok)
	got, ok := v.Patch(patch, true)
	must.True(t, ok)
	must.Eq(t, api.Patch{Name: "p", File: api.SourceFile{Name: "p.hcl"}, Targets: []api.TargetSelector{own}}, got)
	patch.Targets = patch.Targets[:1]
	got, ok = v.Patch(patch, false)
	must.True(t, ok)
	must.Eq(t, patch, got)
}
