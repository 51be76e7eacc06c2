package policies_test

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/shoenig/test/must"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/policies"
)

func TestDecide_HasDefaults(t *testing.T) {
	t.Parallel()
	cases := []struct {
		name     string
		change   func(*policies.Facts)
		critical bool
		why      string
		strategy string
		config   string
		simulate bool
	}{
		{name: "ordinary", change: func(*policies.Facts) {}, strategy: "blue_green", config: `{}`,
			why: `graph.blast_radius = 0, not >= 2 and graph.single_point = false and target.meta.tier = null, not == "1"`},
		{name: "one dependant", change: func(f *policies.Facts) { f.Criticality.BlastRadius = 1 }, strategy: "blue_green", config: `{}`,
			why: `graph.blast_radius = 1, not >= 2 and graph.single_point = false and target.meta.tier = null, not == "1"`},
		{name: "blast radius", change: func(f *policies.Facts) { f.Criticality.BlastRadius = 4 }, critical: true,
			strategy: "phased", config: `{"stages":[10,50,100]}`, why: "graph.blast_radius = 4 >= 2"},
		{name: "single point", change: func(f *policies.Facts) { f.Criticality.SinglePoint = true }, critical: true,
			strategy: "phased", config: `{"stages":[10,50,100]}`, why: "graph.single_point = true"},
		{name: "tier", change: func(f *policies.Facts) { f.Target.Meta["tier"] = "1" }, critical: true,
			strategy: "phased", config: `{"stages":[10,50,100]}`, why: `target.meta.tier = "1" == "1"`},
		{name: "virtual machine", change: func(f *policies.Facts) { f.Target.Driver = "qemu" }, simulate: true, strategy: "blue_green", config: `{}`,
			why: `graph.blast_radius = 0, not >= 2 and graph.single_point = false and target.meta.tier = null, not == "1"`},
	}
	lib := load(t)
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			f := facts()
			c.change(&f)
			d, err := lib.Decide(f)
			must.NoError(t, err)
			must.EqOp(t, c.critical, d.Critical)
			must.EqOp(t, c.why, because(t, d, "critical").Reason)
			must.EqOp(t, "default", because(t, d, "critical").Policy)
			must.EqOp(t, "default.hcl:7,14", because(t, d, "critical").Range)
			must.EqOp(t, c.strategy, d.Strategy.Name)
			must.EqOp(t, c.config, string(d.Strategy.Config))
			must.EqOp(t, c.simulate, d.Simulate.Required)
			want := api.RollbackSpec{OnVerdict: true, OnHealth: true, OnDeadline: true, OnDenied: true, Quarantine: true, Window: api.Duration(24 * time.Hour)}
			must.EqOp(t, want, d.Rollback)
			must.True(t, d.Judge.Enabled)
		})
	}
}

// TestDecide_DecidesTheDocumentedExample reads the policy that the documentation shows.
func TestDecide_DecidesTheDocumentedExample(t *testing.T) {
	t.Parallel()
	lib := load(t, `policy "web-tier" {
  applies  = target.namespace == "prod"
  critical = graph.blast_radius >= 5 || graph.single_point || target.meta.tier == "1"
  simulate {
    required = patch.severity != "low"
    minutes  = 5
    workload = "replay"
  }
  strategy "phased" {
    when   = target.critical
    stages = [20, 100]
  }
  strategy "blue_green" { when = true }
  judge {
    false_alarm = 0.02
    kpi "latency_p99" {
      abort_above   = "1.1x"
      promote_below = "1.3x"
      ignore_below  = "1ms"
    }
    kpi "memory" {
      abort_above   = 1.2
      promote_below = 1.5
      ignore_below  = "16MiB"
      weight        = 0.25
    }
    on_inconclusive = "rollback"
  }
  budget {
    instances  = "10%"
    targets    = 3
    neighbours = "exclusive"
  }
  window "nights" {
    start    = "0 22 * * 1-5"
    length   = "6h"
    timezone = "Europe/Berlin"
    cutoff   = "hold"
  }
  freeze "year-end" {
    from   = "2026-12-18"
    to     = "2027-01-04"
    reason = "trading freeze"
  }
  prefer = "lowest_load"
  approval {
    when  = patch.severity != "critical"
    from  = "release-managers"
    count = 2
  }
  rollback {
    on         = ["verdict"]
    quarantine = false
    at_once    = true
    automatic  = true
    window     = "48h"
  }
  deadline = "7m"
}
dependency "legacy" {
  from = "web"
  to   = "mainframe"
}
`)
	f := facts()
	f.Target.Meta["tier"] = "1"
	d, err := lib.Decide(f)
	must.NoError(t, err)
	d.Because = nil
	day := func(year int, month time.Month, day int) time.Time {
		return time.Date(year, month, day, 0, 0, 0, 0, time.UTC)
	}
	want := api.Decision{
		Target: f.Target.TargetRef, Critical: true,
		Simulate: api.SimulateSpec{Required: true, Duration: api.Duration(5 * time.Minute), Workload: "replay"},
		Strategy: api.StrategySpec{Name: "phased", Config: json.RawMessage(`{"stages":[20,100]}`)},
		Judge: api.JudgeSpec{Enabled: true, FalseAlarm: 0.02, Miss: 0.05, Interval: api.Duration(5 * time.Second),
			MinDuration: api.Duration(time.Minute), MaxDuration: api.Duration(30 * time.Minute), OnInconclusive: "rollback", KPIs: []api.KPISpec{
				{KPI: "latency_p99", AbortAbove: 1.1, PromoteBelow: 1.3, IgnoreBelow: 0.001},
				{KPI: "memory", AbortAbove: 1.2, PromoteBelow: 1.5, IgnoreBelow: 16 << 20, Weight: 0.25},
			}},
		Budget:    api.BudgetSpec{InstancesPercent: 10, Targets: 3, Failures: 1, Neighbours: "exclusive"},
		Windows:   []api.Window{{Name: "web-tier/nights", Start: "0 22 * * 1-5", Length: api.Duration(6 * time.Hour), Timezone: "Europe/Berlin", Cutoff: "hold"}},
		Freezes:   []api.Freeze{{Name: "web-tier/year-end", From: day(2026, 12, 18), To: day(2027, 1, 4), Reason: "trading freeze"}},
		Approval:  api.ApprovalSpec{From: "release-managers", Count: 2},
		Rollback:  api.RollbackSpec{OnVerdict: true, AtOnce: true, Window: api.Duration(48 * time.Hour), Automatic: true},
		Deadline:  api.Duration(7 * time.Minute),
		PreferLow: true,
	}
	must.Eq(t, "", cmp.Diff(want, d))
	must.Eq(t, []policies.Dependency{{Name: "legacy", From: "web", To: "mainframe", Range: "a.hcl:60,1"}}, lib.Dependencies())
	must.Eq(t, []string{"web-tier", "default"}, lib.Policies())
}

func TestDecide_WantsSomebodyElseUnlessAllDoWithout(t *testing.T) {
	t.Parallel()
	policy := func(name, approval string) string {
		return "policy \"" + name + "\" {\n approval {\n" + approval + "\n}\n}\n"
	}
	for text, self := range map[string]bool{
		policy("a", ""):            false,
		policy("a", "self = true"): true,
		policy("a", "self = true") + policy("b", "count = 2"):    false,
		policy("a", "count = 2") + policy("b", "self = true"):    false,
		policy("a", "self = true") + policy("b", "self = true"):  true,
		policy("a", "self = true") + policy("b", "when = false"): true,
	} {
		d, err := load(t, text).Decide(facts())
		must.NoError(t, err, must.Sprint(text))
		must.EqOp(t, self, d.Approval.Self, must.Sprint(text))
	}
}

func TestDecide_TakesTheMostRestrictive(t *testing.T) {
	t.Parallel()
	lib := load(t, `policy "wide" {
  budget {
    instances = "5%"
    targets   = 9
    failures  = 3
  }
  approval { count = 2 }
  strategy "custom" { first = 1 }
  freeze "wide" {
    from   = "2026-10-01T00:00:00Z"
    to     = "2026-10-08T00:00:00Z"
    reason = "audit"
  }
}`, `policy "narrow" {
  applies = target.namespace == "prod" && target.job == "web"
  budget {
    instances = "20%"
    targets   = 2
  }
  approval { from = "ops" }
  strategy "custom" {
    when  = target.count > 100
    first = 2
  }
  strategy "custom" {
    when  = target.count > 5
    first = target.count * 2
    zones = ["a"]
  }
}`)
	d, err := lib.Decide(facts())
	must.NoError(t, err)
	must.Eq(t, api.BudgetSpec{InstancesPercent: 5, Targets: 2, Failures: 1, Neighbours: "exclusive"}, d.Budget)
	must.EqOp(t, api.ApprovalSpec{From: "ops", Count: 2}, d.Approval)
	must.EqOp(t, `{"first":20,"label":"x","zones":["a"]}`, string(d.Strategy.Config))
	must.EqOp(t, "narrow", because(t, d, "strategy").Policy)
	must.EqOp(t, `custom {"first":20,"label":"x","zones":["a"]}, because target.count = 10 > 5`, because(t, d, "strategy").Reason)
	must.EqOp(t, "wide", because(t, d, "budget.instances_percent").Policy)
	freeze, frozen := d.Frozen(facts().Now)
	must.True(t, frozen)
	must.EqOp(t, "audit", freeze.Reason)
}

func TestDecide_Refuses(t *testing.T) {
	t.Parallel()
	cases := []struct{ name, text, want string }{
		{"null comparison", `policy "a" { applies = target.meta.weight > 3 }`,
			`decide prod/web/web: a.hcl:1,24: Operation failed; Error during operation: argument must not be null.`},
		{"impact before simulation", "policy \"a\" {\n  simulate { required = impact.negative }\n}",
			`decide prod/web/web: a.hcl:2,25: required is null, and must be a bool`},
		{"missing element", `policy "a" { applies = target.tasks[7].driver == "x" }`,
			`decide prod/web/web: a.hcl:1,36: Invalid index; The given key does not identify an element in this collection value.`},
		{"value out of range", "policy \"a\" {\n  budget { targets = target.count - 10 }\n}",
			`decide prod/web/web: a.hcl:2,22: targets = 0: want a whole number from 1 to 1000000`},
		{"groups disagree", "policy \"a\" {\n  approval { from = \"x\" }\n}\npolicy \"b\" {\n  approval { from = \"y\" }\n}",
			`decide prod/web/web: policy "a" asks for the consent of group "x", and policy "b" for that of "y": make them agree`},
		{"margins cross", "policy \"a\" {\n  judge {\n    kpi \"cpu\" {\n      abort_above = target.count\n      promote_below = 2\n    }\n  }\n}",
			`decide prod/web/web: a.hcl:3,5: promote_below (2x) must be above abort_above (10x): the gap between them is what the judge decides in`},
		{"soaks for longer than it may", "policy \"a\" {\n  judge { min_duration = \"2h\" }\n}", // argoproj/argo-rollouts#1225
			`decide prod/web/web: judge.max_duration (30m0s, default.hcl:28,23) is shorter than judge.min_duration (2h0m0s, a.hcl:2,26): a stage is judged for no longer than max_duration`},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			_, err := load(t, c.text).Decide(facts())
			must.EqError(t, err, c.want)
			must.True(t, api.IsCode(err, api.CodeInvalid))
		})
	}
}

func TestDecide_AsksNoTimesOfAJudgeThatDoesNotJudge(t *testing.T) {
	t.Parallel()
	d, err := load(t, "policy \"a\" {\n  judge {\n    enabled = false\n    max_duration = \"30s\"\n  }\n}").Decide(facts())
	must.NoError(t, err)
	must.False(t, d.Judge.Enabled)
}

func TestDecide_RefusesWithoutAStrategy(t *testing.T) {
	t.Parallel()
	lib, diags := policies.Load([]api.SourceFile{{Name: "a.hcl", Text: `policy "a" { prefer = "none" }`}}, schemas)
	must.False(t, diags.HasErrors())
	_, err := lib.Decide(facts())
	must.EqError(t, err, "decide prod/web/web: no policy gives it a strategy; 1 policies apply")
}

func TestDecide_PrefersTheMoreSpecificPolicy(t *testing.T) {
	t.Parallel()
	lib := load(t, `
policy "either" { applies = (target.job == "web" && target.count > 1) || target.driver == "x" }
policy "both" { applies = target.job == "web" && (target.count > 1) && !(target.driver == "qemu") }
policy "none" { applies = true }
policy "forced" { specificity = 40 }
policy "also" { applies = contains(target.services, "web") }
`)
	must.Eq(t, []string{"forced", "both", "also", "either", "default", "none"}, lib.Policies())
}

func TestDecide_NamesWeaknessesOfTheGraph(t *testing.T) {
	t.Parallel()
	f := facts()
	f.Criticality = api.Criticality{}
	f.Cluster.Missing = []string{"prometheus"}
	d, err := load(t).Decide(f)
	must.NoError(t, err)
	must.Eq(t, []string{"source prometheus does not answer",
		"the graph knows no service of this target, so nothing is known of its dependants"}, d.Weaknesses)
}

func TestDecide_KnowsTheImpactAndTheTime(t *testing.T) {
	t.Parallel()
	lib := load(t, `policy "a" {
  strategy "phased" { when = impact.simulated && impact.ratio.cpu > 1.2 && now.weekday == "wednesday" && now.hour == 12 }
}`)
	f := facts()
	d, err := lib.Decide(f)
	must.NoError(t, err)
	must.EqOp(t, "blue_green", d.Strategy.Name)
	f.Impact = &api.Impact{KPIs: []api.KPIEffect{{KPI: "cpu", Ratio: 1.3}}}
	d, err = lib.Decide(f)
	must.NoError(t, err)
	must.EqOp(t, "phased", d.Strategy.Name)
}

// TestImpact_WorstRatioIsOfWhatIsJudged: what is only told may be large and mean
// nothing, and a policy that names it may look at it.
func TestImpact_WorstRatioIsOfWhatIsJudged(t *testing.T) {
	t.Parallel()
	lib := load(t, `policy "a" {
  strategy "phased" { when = impact.worst_ratio < 2 && impact.ratio.io_bytes > 5 }
}`)
	f := facts()
	f.Impact = &api.Impact{KPIs: []api.KPIEffect{{KPI: "cpu", Ratio: 1.3}, {KPI: "io_bytes", Ratio: 10, Unjudged: true}}}
	d, err := lib.Decide(f)
	must.NoError(t, err)
	must.EqOp(t, "phased", d.Strategy.Name)
	f.Impact.KPIs[1].Unjudged = false
	d, err = lib.Decide(f)
	must.NoError(t, err)
	must.EqOp(t, "blue_green", d.Strategy.Name)
}

func TestDefaultMargins_AreTheLibrarys(t *testing.T) {
	margins, err := policies.DefaultMargins(schemas)
	must.NoError(t, err)
	d, err := load(t).Decide(facts())
	must.NoError(t, err)
	must.SliceNotEmpty(t, margins)
	must.Eq(t, d.Judge.KPIs, margins)
}

func TestDecide_EachPolicyLimitsItsOwnFailures(t *testing.T) {
	t.Parallel()
	library := load(t, `
policy "web" {
  applies = target.job == "web-shop"
  strategy "phased" { stages = [100] }
  budget { policy_failures = 1 }
}
policy "all" {
  budget {
    failures        = 3
    policy_failures = 2
  }
}
policy "data" {
  applies = target.job == "db"
  budget { policy_failures = 1 }
}
`)
	f := facts()
	f.Target.Job = "web-shop"
	d, err := library.Decide(f)
	must.NoError(t, err)
	must.EqOp(t, 1, d.Budget.Failures, must.Sprint("of the policy that ships"))
	must.Eq(t, []api.PolicyFailures{{Policy: "web", Most: 1}, {Policy: "all", Most: 2}}, d.Budget.PolicyFailures)
	must.True(t, d.Applied("web"))
	must.True(t, d.Applied("all"))
	must.False(t, d.Applied("data"))
}

func TestDecide_TheLongestPauseHolds(t *testing.T) {
	t.Parallel()
	library := load(t, `
policy "a" {
  pause = "10m"
}
policy "b" {
  applies = target.driver != "none"
  pause   = "2m"
}`)
	d, err := library.Decide(facts())
	must.NoError(t, err)
	must.EqOp(t, 10*time.Minute, d.Pause.D(), must.Sprint("though b is more specific"))
	d, err = load(t).Decide(facts())
	must.NoError(t, err)
	must.EqOp(t, 0, d.Pause)
}
