package planner_test

import (
	"testing"

	"github.com/shoenig/test/must"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/internal/planner"
)

// No node has a place for a second instance of a system job: a strategy that starts one is
// refused for it by name, and the default policy takes another one.
func TestPlan_OfASystemJob(t *testing.T) {
	t.Parallel()
	agent, web := target("agent"), target("web")
	agent.Type = "system"
	for name, c := range map[string]struct {
		policies          []string
		strategy, refused string
	}{
		"by the default policy": {nil, "phased", ""},
		"side by side": {[]string{`policy "green" {
  applies = target.job == "agent"
  strategy "blue_green" {}
}`}, "", `its job is of type system, and strategy "blue_green" starts a second instance beside each`},
		"by its type": {[]string{`policy "by-type" {
  strategy "phased" {
    when   = target.type == "system"
    stages = [20, 100]
  }
  strategy "blue_green" {}
}`}, "phased", ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			plan, err := planner.Plan(planner.Input{
				Patch: patch(t, `target { jobs = ["agent", "web"] }`), Targets: []api.Target{agent, web}, Now: now(), Library: library(t, c.policies...),
			})
			must.NoError(t, err)
			chosen := map[string]string{}
			for _, w := range plan.Waves {
				for _, p := range w.Targets {
					chosen[p.Target.Job] = p.Decision.Strategy.Name
				}
			}
			must.EqOp(t, "blue_green", chosen["web"])
			must.EqOp(t, c.strategy, chosen["agent"])
			if c.refused == "" {
				must.SliceEmpty(t, plan.Refusals)
				return
			}
			must.Len(t, 1, plan.Refusals)
			must.Eq(t, agent.TargetRef, plan.Refusals[0].Target)
			must.EqOp(t, api.CodeConflict, plan.Refusals[0].Code)
			must.StrContains(t, plan.Refusals[0].Reason, c.refused)
		})
	}
}
