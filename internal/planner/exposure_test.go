package planner_test

import (
	"fmt"
	"math"
	"slices"
	"testing"
	"time"

	"github.com/shoenig/test/must"
	"pgregory.net/rapid"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/internal/planner"
	"github.com/oakumhq/oakum/policies"
)

// selected are policies that go to whom the patch affects, most exposed first.
const selected = `policy "selected" {
  order = "exposed_first"
  select { affected = true }
  strategy "blue_green" {}
  budget { targets = 1 }
}`

// assessed says of targets, by the name of their job, what an assessment says; of others
// nothing is known.
func assessed(of map[string]api.TargetAssessment) func(api.Target) *policies.Installed {
	return func(t api.Target) *policies.Installed {
		a, ok := of[t.Job]
		if !ok {
			a = api.TargetAssessment{Status: api.AssessmentUnknown, Reason: "there is no inventory of it"}
		}
		return &policies.Installed{Assessment: &a, Missing: "packages don't matter here"}
	}
}

func TestPlan_GoesToTheMostExposedFirst(t *testing.T) {
	t.Parallel()
	names := []string{"db", "gate", "idle", "legacy", "stock", "web"}
	graph := graphOf(names, edge("gate", "web"), edge("web", "stock"), edge("stock", "db"),
		api.Edge{From: "10.0.0.9", To: "legacy", State: api.EdgeObservedOffMesh}, edge("legacy", "db"))
	graph.Services[1].Kind = api.KindGateway
	var targets []api.Target
	for _, name := range names[:1] {
		targets = append(targets, target(name))
	}
	for _, name := range names[2:] {
		targets = append(targets, target(name))
	}
	affected := api.TargetAssessment{Status: api.AssessmentAffected, Reason: "openssl is 3.0.14", Score: 8, Advisories: []string{"DSA-1"}}
	exploited := affected
	exploited.Exploited = true
	of := map[string]api.TargetAssessment{
		"db": affected, "web": affected, "legacy": exploited, "idle": {Status: api.AssessmentFixed, Reason: "openssl is 3.0.16"},
	}
	in := planner.Input{
		Patch: patch(t, `target { jobs = ["*"] }`), Targets: targets, Graph: graph, Library: library(t, selected), Now: now(), Installed: assessed(of),
		Quarantines: []api.Quarantine{{Patch: "p", Target: target("web").TargetRef, Reason: "it failed"}},
	}
	plan, err := planner.Plan(in)
	must.NoError(t, err)
	must.Eq(t, [][]string{{"legacy"}, {"db"}, {"stock"}}, waveNames(plan))
	must.Eq(t, []api.NothingToDo{{Target: target("idle").TargetRef, Status: api.AssessmentFixed, Reason: "it is fixed already: openssl is 3.0.16"}}, plan.NothingToDo)
	must.EqOp(t, "most exposed first: 3 targets in 3 waves", plan.Order)

	legacy := plan.Waves[0].Targets[0].Exposure
	must.EqOp(t, 0, legacy.Hops)
	must.EqOp(t, "called from outside, CVSS 8.0, known to be exploited, 1 dependant", legacy.Reason)
	must.InDelta(t, 1.6*2, legacy.Value, 1e-9)
	db := plan.Waves[1].Targets[0].Exposure
	must.EqOp(t, 1, db.Hops, must.Sprint("by way of legacy"))
	must.InDelta(t, 0.8*4/2, db.Value, 1e-9)
	stock := plan.Waves[2].Targets[0]
	must.EqOp(t, api.AssessmentUnknown, stock.Assessment.Status)
	must.InDelta(t, 0.75*3/2, stock.Exposure.Value, 1e-9, must.Sprint("the severity of the patch, since nobody knows by which advisory"))
	must.True(t, stock.Decision.Simulate.Required)

	web := 0.8 * 2 // it is quarantined, so its exposure stays
	must.InDelta(t, 3.2+1.6+1.125+web, plan.Exposure.Before, 1e-9)
	for i, want := range []float64{1.6 + 1.125 + web, 1.125 + web, web} {
		must.InDelta(t, want, plan.Exposure.Left[i], 1e-9)
	}
}

func TestPlan_CountsAsCalledFromOutsideWhatNoPathIsKnownTo(t *testing.T) {
	t.Parallel()
	graph := graphOf([]string{"a", "b"}, edge("a", "b"), edge("b", "a")) // a circle that nothing enters
	lost := target("lost")
	lost.Services = nil
	in := planner.Input{
		Patch: patch(t, `target { jobs = ["*"] }`), Targets: []api.Target{target("a"), lost}, Graph: graph, Library: library(t, selected), Now: now(), Installed: assessed(nil),
	}
	plan, err := planner.Plan(in)
	must.NoError(t, err)
	for _, w := range plan.Waves {
		must.EqOp(t, -1, w.Targets[0].Exposure.Hops)
		must.StrContains(t, w.Targets[0].Exposure.Reason, "no path from outside is known")
	}
	must.InDelta(t, 0.75*2, plan.Waves[0].Targets[0].Exposure.Value, 1e-9)
	must.InDelta(t, 0.75, plan.Waves[1].Targets[0].Exposure.Value, 1e-9)
}

func TestPlan_HasNoExposureWhenThePatchDoesNotSayWhomItAffects(t *testing.T) {
	t.Parallel()
	targets, graph := shop()
	in := planner.Input{Patch: patch(t, `target { jobs = ["*"] }`), Targets: targets, Graph: graph, Library: library(t), Now: now(),
		Installed: func(api.Target) *policies.Installed { return &policies.Installed{} }}
	plan, err := planner.Plan(in)
	must.NoError(t, err)
	must.Nil(t, plan.Exposure)
	in.Installed = nil
	bare, err := planner.Plan(in)
	must.NoError(t, err)
	must.EqOp(t, bare.Digest, plan.Digest)
}

func TestPlan_KeepsTheExposureOfWhomThePoliciesLeaveAlone(t *testing.T) {
	t.Parallel()
	of := map[string]api.TargetAssessment{}
	for _, name := range []string{"web", "kept"} {
		of[name] = api.TargetAssessment{Status: api.AssessmentAffected, Reason: "openssl is 3.0.14", Score: 8}
	}
	lib := library(t, `policy "selected" {
  select {
    affected = true
    unknown  = "exclude"
    where    = target.job != "kept"
  }
  strategy "blue_green" {}
}`)
	plan, err := planner.Plan(planner.Input{
		Patch: patch(t, `target { jobs = ["*"] }`), Targets: []api.Target{target("web"), target("kept"), target("unknown")},
		Graph: graphOf([]string{"web", "kept", "unknown"}), Library: lib, Now: now(), Installed: assessed(of),
	})
	must.NoError(t, err)
	must.Eq(t, [][]string{{"web"}}, waveNames(plan))
	must.Len(t, 2, plan.NothingToDo)
	for _, n := range plan.NothingToDo {
		must.True(t, n.MayBeAffected())
	}
	must.InDelta(t, 0.8+0.8+0.75, plan.Exposure.Before, 1e-9)
	must.InDelta(t, 0.8+0.75, plan.Exposure.Left[0], 1e-9, must.Sprint("one is affected still, and of the other nobody knows"))
	plan.Waves = nil
	must.StrContains(t, planner.Refused(plan).Details[1], "default/unknown/unknown: left out: nobody knows whether it is affected")
}

func TestPlan_GoesToTheCriticalLastWhenNobodyKnowsWhoIsExposed(t *testing.T) {
	t.Parallel()
	in := planner.Input{
		Patch: patch(t, `target { jobs = ["*"] }`), Targets: []api.Target{target("a"), target("b")}, Graph: graphOf([]string{"a", "b"}), Now: now(),
		Library: library(t, `policy "all" {
  order    = "exposed_first"
  critical = target.job == "a"
  strategy "blue_green" {}
}`),
	}
	plan, err := planner.Plan(in)
	must.NoError(t, err)
	must.Eq(t, [][]string{{"b"}, {"a"}}, waveNames(plan))
	must.StrContains(t, plan.Order, "least critical first: 2 targets in 2 waves, the 1 critical last")
}

func TestPlan_CountsTheGraverOfScoreAndSeverity(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		assessment api.TargetAssessment
		want       float64
		why        string
	}{
		"a score":                      {api.TargetAssessment{Severity: api.SeverityHigh, Score: 7.1}, 0.71, "CVSS 7.1"},
		"a word":                       {api.TargetAssessment{Severity: api.SeverityCritical}, 1, "severity critical"},
		"a graver word than a score":   {api.TargetAssessment{Severity: api.SeverityCritical, Score: 5}, 1, "severity critical"},
		"a score that is graver still": {api.TargetAssessment{Severity: api.SeverityCritical, Score: 9.8}, 0.98, "CVSS 9.8"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a := c.assessment
			a.Status = api.AssessmentAffected
			plan, err := planner.Plan(planner.Input{
				Patch: patch(t, `target { jobs = ["*"] }`), Targets: []api.Target{target("web")}, Graph: graphOf([]string{"web"}), Library: library(t, selected),
				Now: now(), Installed: assessed(map[string]api.TargetAssessment{"web": a}),
			})
			must.NoError(t, err)
			got := plan.Waves[0].Targets[0].Exposure
			must.InDelta(t, c.want, got.Value, 1e-9)
			must.StrContains(t, got.Reason, c.why)
		})
	}
}

func TestRefused_SaysThatThereIsNothingToDo(t *testing.T) {
	t.Parallel()
	fixed := api.TargetAssessment{Status: api.AssessmentFixed, Reason: "openssl is 3.0.16"}
	plan, err := planner.Plan(planner.Input{
		Patch: patch(t, `target { jobs = ["web"] }`), Targets: []api.Target{target("web")}, Graph: graphOf([]string{"web"}),
		Library: library(t, selected), Now: now(), Installed: assessed(map[string]api.TargetAssessment{"web": fixed}),
	})
	must.NoError(t, err)
	refused := planner.Refused(plan)
	must.EqOp(t, api.CodeConflict, refused.Code)
	must.Eq(t, []string{"default/web/web: nothing to do: it is fixed already: openssl is 3.0.16"}, refused.Details)
}

// TestPlan_LeavesTheLeastExposure compares the exposure over all waves with the best of
// all orders, where nothing but the budget says what may go together.
func TestPlan_LeavesTheLeastExposure(t *testing.T) {
	t.Parallel()
	libraries := map[int]*policies.Library{}
	p := patch(t, `target { jobs = ["*"] }`)
	for limit := 1; limit <= 3; limit++ {
		files := []api.SourceFile{{Name: "only.hcl", Text: fmt.Sprintf("policy \"only\" {\n  order = \"exposed_first\"\n  strategy \"blue_green\" {}\n  budget { targets = %d }\n}", limit)}}
		lib, diags := policies.Load(files, schemas)
		must.Nil(t, policies.DiagnosticsError(diags, files))
		libraries[limit] = lib
	}
	rapid.Check(t, func(t *rapid.T) {
		limit := rapid.IntRange(1, 3).Draw(t, "limit")
		targets, graph := drawFleet(t)
		targets = targets[:min(len(targets), 6)]
		of := map[string]api.TargetAssessment{}
		for _, one := range targets {
			of[one.Job] = api.TargetAssessment{
				Status:    rapid.SampledFrom([]api.AssessmentStatus{"affected", "fixed", "unknown"}).Draw(t, "status"),
				Score:     float64(rapid.IntRange(0, 10).Draw(t, "score")),
				Exploited: rapid.Bool().Draw(t, "exploited"),
			}
		}
		plan, err := planner.Plan(planner.Input{Patch: p, Targets: targets, Graph: graph, Now: now(), Library: libraries[limit], Installed: assessed(of)})
		must.NoError(t, err)
		var values []float64
		sum := 0.0
		for i, w := range plan.Waves {
			must.LessEq(t, limit, len(w.Targets))
			for _, one := range w.Targets {
				values = append(values, one.Exposure.Value)
			}
			sum += plan.Exposure.Left[i]
		}
		must.InDelta(t, leastOf(values, limit), sum, 1e-9)
	})
}

// leastOf is the least exposure over all waves of limit targets that any order leaves.
func leastOf(values []float64, limit int) float64 {
	best := math.Inf(1)
	var try func(rest []float64, so float64)
	try = func(rest []float64, so float64) {
		if len(rest) == 0 {
			best = min(best, so)
			return
		}
		// Each subset of at most limit targets goes next.
		for set := 1; set < 1<<len(rest); set++ {
			var left []float64
			taken, still := 0, 0.0
			for i, v := range rest {
				if set&(1<<i) != 0 {
					taken++
					continue
				}
				left = append(left, v)
				still += v
			}
			if taken <= limit {
				try(left, so+still)
			}
		}
	}
	try(slices.Clone(values), 0)
	return best
}

// TestPlan_CountsAnOldInventoryAsUnknown holds that who is safe by an inventory that is too
// old for its policy counts as exposed, whether the patch goes there or not.
func TestPlan_CountsAnOldInventoryAsUnknown(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ selects, frozen string }{
		"included": {`affected = true`, ""},
		"excluded": {`affected = true
    unknown  = "exclude"`, ""},
		"refused": {`affected = true`, `freeze "forever" {
    from   = "2026-01-01"
    to     = "2036-01-01"
    reason = "out of service"
  }`},
	} {
		lib := library(t, fmt.Sprintf(`policy "selected" {
  select {
    %s
    max_age  = "24h"
  }
  strategy "blue_green" {}
  %s
}`, c.selects, c.frozen))
		in := planner.Input{Patch: patch(t, `target { jobs = ["*"] }`), Targets: []api.Target{target("web")}, Graph: graphOf([]string{"web"}), Library: lib, Now: now(),
			Installed: func(api.Target) *policies.Installed {
				return &policies.Installed{Inventories: []*api.Inventory{{TakenAt: now().Add(-25 * time.Hour)}},
					Assessment: &api.TargetAssessment{Status: api.AssessmentFixed, Reason: "openssl is 3.0.16"}}
			}}
		plan, err := planner.Plan(in)
		must.NoError(t, err)
		must.NotNil(t, plan.Exposure, must.Sprint(name))
		must.Greater(t, 0, plan.Exposure.Before, must.Sprint(name))
		switch name {
		case "excluded":
			must.EqOp(t, api.AssessmentUnknown, plan.NothingToDo[0].Status)
			continue
		case "refused":
			must.StrContains(t, plan.Refusals[0].Reason, "it could never start")
			continue
		}
		planned := plan.Waves[0].Targets[0]
		must.EqOp(t, api.AssessmentUnknown, planned.Assessment.Status)
		must.StrContains(t, planned.Assessment.Reason, "max_age, or has no date that counts; by the packages it names, it would be fixed (openssl is 3.0.16)")
		must.True(t, planned.Decision.Simulate.Required)
	}
}

// TestPlan_HasTheSameDigestAnHourLater holds it for plans whose reasons tell of inventories.
func TestPlan_HasTheSameDigestAnHourLater(t *testing.T) {
	t.Parallel()
	lib := library(t, `policy "selected" {
  select { affected = true }
  strategy "blue_green" {}
}`)
	plan := func(at time.Time) api.Plan {
		t.Helper()
		in := planner.Input{Patch: patch(t, `target { jobs = ["*"] }`), Targets: []api.Target{target("cart"), target("web")}, Graph: graphOf([]string{"cart", "web"}), Library: lib, Now: at,
			Installed: func(t api.Target) *policies.Installed {
				status := api.AssessmentAffected
				if t.Job == "cart" {
					status = api.AssessmentFixed
				}
				return &policies.Installed{Inventories: []*api.Inventory{{TakenAt: now().Add(-5 * time.Hour)}}, Assessment: &api.TargetAssessment{Status: status, Reason: "because"}}
			}}
		out, err := planner.Plan(in)
		must.NoError(t, err)
		return out
	}
	before, after := plan(now()), plan(now().Add(72*time.Hour))
	must.StrContains(t, before.NothingToDo[0].Reason, "(by inventories of 2026-10-07 or later)")
	must.EqOp(t, before.Digest, after.Digest)
}
