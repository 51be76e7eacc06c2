package planner_test

import (
	"strings"
	"testing"

	"github.com/shoenig/test/must"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/internal/planner"
)

// Green stands in the same service as blue, and nothing says who gets how much
// (hashicorp/nomad#4668): a plan tells what it gets before anybody has judged it.
func TestPlan_TellsWhatGreenGetsUnjudged(t *testing.T) {
	t.Parallel()
	with := func(t api.Target, count int, services ...string) api.Target {
		t.Count, t.Services = count, services
		return t
	}
	elsewhere := func(t api.Target) api.Target {
		t.Namespace = "other"
		return t
	}
	for name, c := range map[string]struct {
		targets []api.Target
		policy  string
		want    []api.GreenShare
	}{
		"the full set": {
			[]api.Target{with(target("cart"), 4, "cart")}, "",
			[]api.GreenShare{{Service: "cart", Green: 4, Of: 8, Dependants: 1}},
		},
		"its first step": {
			[]api.Target{with(target("cart"), 4, "cart")}, `strategy "blue_green" { stages = [10, 100] }`,
			[]api.GreenShare{{Service: "cart", Green: 1, Of: 5, Dependants: 1}},
		},
		"with others in the service": {
			[]api.Target{with(target("cart"), 4, "cart"), with(target("cart-old"), 6, "cart", "cart")}, "",
			[]api.GreenShare{{Service: "cart", Green: 4, Of: 14, Dependants: 1}},
		},
		"a target that is listed twice": {
			[]api.Target{with(target("cart"), 4, "cart"), with(target("cart"), 4, "cart")}, "",
			[]api.GreenShare{{Service: "cart", Green: 4, Of: 8, Dependants: 1}},
		},
		"another namespace may have a service of the same name": {
			[]api.Target{with(target("cart"), 4, "cart"), elsewhere(with(target("cart-old"), 6, "cart"))}, "",
			[]api.GreenShare{{Service: "cart", Green: 4, Of: 8, Dependants: 1}},
		},
		"several services": {
			[]api.Target{with(target("cart"), 4, "cart", "cart-admin")}, "",
			[]api.GreenShare{{Service: "cart", Green: 4, Of: 8, Dependants: 1}, {Service: "cart-admin", Green: 4, Of: 8}},
		},
		"no service": {[]api.Target{with(target("cart"), 4)}, "", nil},
		"in place":   {[]api.Target{with(target("cart"), 4, "cart")}, `strategy "phased" {}`, nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			in := planner.Input{
				Patch: patch(t, "target {\n jobs = [\"cart\"]\n namespace = \"default\"\n}"), Targets: c.targets, Now: now(),
				Graph:   graphOf([]string{"cart", "front"}, edge("front", "cart")),
				Library: library(t),
			}
			if c.policy != "" {
				in.Library = library(t, "policy \"own\" {\n applies = target.job == \"cart\"\n "+c.policy+"\n}")
			}
			plan, err := planner.Plan(in)
			must.NoError(t, err)
			must.Len(t, 1, plan.Waves, must.Sprint(plan.Refusals))
			must.Eq(t, c.want, plan.Waves[0].Targets[0].Green)
		})
	}
}

// A policy may keep green small, and the plan says that this is why another strategy is taken.
func TestPlan_FallsBackWhereGreenWouldGetTooMuch(t *testing.T) {
	t.Parallel()
	const policy = `policy "small" {
  applies = target.namespace == "default"
  strategy "blue_green" { when = target.green_share <= 0.25 }
  strategy "phased"     { stages = [10, 100] }
}`
	alone, among := target("cart"), target("web")
	rest := target("web-old")
	rest.Count, rest.Services = 10, among.Services
	plan, err := planner.Plan(planner.Input{
		Patch: patch(t, `target { jobs = ["cart", "web"] }`), Targets: []api.Target{alone, among, rest}, Now: now(),
		Graph: graphOf([]string{"cart", "web"}), Library: library(t, policy),
	})
	must.NoError(t, err)
	found := map[string]api.Decision{}
	for _, w := range plan.Waves {
		for _, p := range w.Targets {
			found[p.Target.Job] = p.Decision
		}
	}
	must.Eq(t, "phased", found["cart"].Strategy.Name)
	must.Eq(t, "blue_green", found["web"].Strategy.Name)
	because := func(job string) string {
		for _, b := range found[job].Because {
			if b.Field == "strategy" {
				return b.Reason
			}
		}
		return ""
	}
	must.StrContains(t, because("cart"), "blue_green is passed over, for target.green_share = 0.5, not <= 0.25")
	must.True(t, strings.Contains(because("web"), "target.green_share = 0.14"), must.Sprint(because("web")))
}
