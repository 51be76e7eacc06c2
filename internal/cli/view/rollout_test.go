package view_test

import (
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/shoenig/test/must"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/internal/cli/view"
)

// testNow is the time of every view under test.
func testNow() time.Time { return time.Date(2026, 3, 2, 12, 0, 0, 0, time.UTC) }

func viewed(r api.Rollout) string {
	var out strings.Builder
	view.Rollout(&out, r, "", testNow())
	return out.String()
}

// flat is a text without its line breaks and columns.
func flat(text string) string { return strings.Join(strings.Fields(text), " ") }

func TestStatus_KeepsToTheWidth(t *testing.T) {
	why := strings.Repeat("a long reason of a source ", 10) + "ends"
	health := api.HealthReport{Ready: true, Sources: []api.SourceStatus{{Name: "prometheus", Failures: 2, Failing: testNow(), Error: why}}}
	var out strings.Builder
	view.Status(&out, "http://127.0.0.1:4740", health, api.AgentSelf{}, nil, testNow(), 80)
	must.StrContains(t, flat(out.String()), "2 failures in a row")
	must.StrContains(t, out.String(), "ends")
	for line := range strings.Lines(out.String()) {
		must.LessEq(t, 81, len(line), must.Sprint(line))
	}
}

func TestRollout_ShowsItsQuietHour(t *testing.T) {
	r := api.Rollout{ID: "1", Status: api.RolloutWaiting, Quiet: &api.Quiet{Reason: "waits for the quietest hour"}}
	must.StrContains(t, viewed(r), "waits for the quietest hour")
	r.Former = &api.FormerJob{}
	must.StrNotContains(t, viewed(r), "waits for the quietest hour")
}

func TestRollout_ShowsWhichRolloutIsBlamed(t *testing.T) {
	r := api.Rollout{ID: "1", Verdict: &api.Verdict{Kind: api.VerdictContinue, Blame: []api.Blame{
		{Rollout: "2", Target: api.TargetRef{Namespace: "prod", Job: "db", Group: "db"}, Share: 0.75},
	}}}
	text := viewed(r)
	must.StrContains(t, text, "What got worse is explained by, best first:")
	must.StrContains(t, text, "prod/db/db")
	must.StrContains(t, text, "75 % got worse")
}

func TestRollout_ShowsNeighboursThatGotWorse(t *testing.T) {
	front := api.TargetRef{Namespace: "prod", Job: "front", Group: "web"}
	r := api.Rollout{ID: "1", Verdict: &api.Verdict{Kind: api.VerdictContinue, Neighbours: []api.NeighbourEffect{
		{Target: front, KPI: "error_rate", Unit: "share", Value: 0.5, Before: 0.01},
		{Target: front, KPI: "cpu", Unit: "cores", Value: 2, Before: 1, Earlier: true, Seen: testNow().Add(-time.Minute)},
	}}}
	text := viewed(r)
	must.StrContains(t, text, "Worse than usual at neighbours:")
	must.RegexMatch(t, regexp.MustCompile(`prod/front/web +error_rate +1 % +50 %`), text)
	must.StrContains(t, text, "from before the first stage")
	must.StrNotContains(t, text, "last seen")
	r.Verdict.At = testNow() // a look at which nothing was known of it
	must.StrContains(t, flat(viewed(r)), "last seen 1m0s ago, from before the first stage")
}

func TestAmount_WritesRatesOfBytes(t *testing.T) {
	must.Eq(t, "3.5 MiB/s", view.Amount(3.5*(1<<20), "bytes/s"))
}

func TestRollout_ShowsItsDoubtAndHowItEnded(t *testing.T) {
	since := time.Date(2026, 3, 2, 11, 0, 0, 0, time.UTC)
	doubt := &api.Doubt{Sources: []api.DoubtedSource{
		{Name: "consul-intentions", State: api.SourcePartial}, {Name: "prometheus", State: api.SourceAway, Since: since, Failures: 4},
	}}
	r := api.Rollout{ID: "1", Status: api.RolloutAwaitingApproval, Decision: api.Decision{Doubt: doubt}}
	why := "consul-intentions was partial; prometheus was away since 2026-03-02T11:00:00Z, 4 tries failed"
	must.StrContains(t, flat(viewed(r)), why+"; lapses when the graph is whole")
	r.Status = api.RolloutRunning
	must.StrHasSuffix(t, why, flat(viewed(r)), must.Sprint("a person has consented"))
	doubt.Lapse = &api.Lapse{At: since.Add(time.Minute), Reason: "the graph is whole, the policies ask for no approval"}
	must.StrContains(t, flat(viewed(r)), why+"; lapsed at 2026-03-02 11:01:00")
	must.StrContains(t, flat(viewed(r)), "the graph is whole, the policies ask for no approval")
	must.StrNotContains(t, viewed(api.Rollout{ID: "2"}), "Doubt")
}

func TestPlan_ShowsWhatTheSchedulerSays(t *testing.T) {
	text := func(said ...api.DryRun) string {
		var out strings.Builder
		view.Plan(&out, api.PatchReceipt{DryRuns: said}, false, testNow())
		return out.String()
	}
	web := api.TargetRef{Namespace: "prod", Job: "web", Group: "web"}
	must.StrNotContains(t, text(), "Nomad")
	full := text(api.DryRun{Target: web, NoRoom: "memory exhausted on 3 of 4 nodes"})
	must.RegexMatch(t, regexp.MustCompile(`no room now for the first patched instance[^\n]*\n +Target +Reason\n +prod/web/web +memory exhausted on 3 of 4 nodes\n`), full)
	must.StrNotContains(t, full, "Nomad warns")
	warned := text(api.DryRun{Target: web, Warnings: []string{"one", "another"}})
	must.RegexMatch(t, regexp.MustCompile(`Nomad warns:\n +Target +Warning\n +prod/web/web +one\n +prod/web/web +another\n`), warned)
	must.StrNotContains(t, warned, "no room")
}

func TestPlan_SaysWhichTargetsHaveRunsAndNoInstances(t *testing.T) {
	text := func(launch api.Launch) string {
		target := api.Target{TargetRef: api.TargetRef{Namespace: "prod", Job: "report", Group: "main"}, Count: 2, Launch: launch}
		if launch != "" {
			target.Count = 0
		}
		planned := api.PlannedTarget{Target: target}
		planned.Decision.Strategy.Name = "phased"
		var out strings.Builder
		view.Plan(&out, api.PatchReceipt{Plan: api.Plan{Waves: []api.Wave{{Number: 1, Targets: []api.PlannedTarget{planned}}}}}, false, testNow())
		return out.String()
	}
	must.RegexMatch(t, regexp.MustCompile(`prod/report/main +2 +no .*phased`), text(""))
	must.StrNotContains(t, text(""), "runs and no instances")
	periodic := text(api.LaunchPeriodic)
	must.RegexMatch(t, regexp.MustCompile(`prod/report/main +none +no .*next run`), periodic)
	must.StrNotContains(t, periodic, "phased")
	must.RegexMatch(t, regexp.MustCompile(`none is judged\.\n +Target +Job\n +prod/report/main +periodic\n`), periodic)
}

func TestPlan_ShowsMissingAndFailingSources(t *testing.T) {
	began := time.Date(2026, 3, 2, 11, 59, 0, 0, time.UTC)
	failing := api.SourceStatus{Name: "consul-upstreams", OK: true, Failures: 1, Failing: began, Failed: began, Error: "timeout"}
	plan := func(p api.Plan) string {
		var out strings.Builder
		view.Plan(&out, api.PatchReceipt{Plan: p}, false, testNow())
		return out.String()
	}
	text := plan(api.Plan{Sources: []api.SourceStatus{failing}})
	must.StrContains(t, flat(text), "consul-upstreams is failing since 2026-03-02T11:59:00Z, 1 try failed: timeout; not away yet, so it makes no doubt")
	must.StrNotContains(t, text, "Missing")
	must.StrNotContains(t, text, "In doubt")

	target := api.PlannedTarget{Decision: api.Decision{Doubt: &api.Doubt{}}}
	text = plan(api.Plan{Weak: []string{"prometheus is away"}, Waves: []api.Wave{{Targets: []api.PlannedTarget{target, target, {}}}}})
	must.RegexMatch(t, regexp.MustCompile(`Missing +prometheus is away\n`), text)
	must.RegexMatch(t, regexp.MustCompile(`In doubt 2 critical targets to be approved because of what is missing, until the graph is whole `), flat(text))
}

func TestRollout_ShowsWhatFollowsAnUndecidedSimulation(t *testing.T) {
	r := api.Rollout{
		ID: "1", Status: api.RolloutRunning, Simulation: "1.1",
		Undecided: &api.Undecided{Reason: "the load covers nothing", Follows: api.InconclusiveOneFirst},
		Stages:    []api.Stage{{Number: 1, Mode: api.StageInPlace, Instances: 1}},
	}
	text := viewed(r)
	must.StrContains(t, text, "1.1, inconclusive: one instance first; the load covers nothing")
	must.RegexMatch(t, regexp.MustCompile(`1 +one first +1 +in place`), text)
	must.StrContains(t, view.Progress(r), "stage 1: one first, 0 of 1 patched")
	r.Undecided.Follows = api.InconclusiveApprove
	must.StrContains(t, viewed(r), "inconclusive: a person approves")
}

func TestPlan_SaysWhatWouldFollowAnUndecidedSimulation(t *testing.T) {
	for want, d := range map[string]api.Decision{
		"yes, undecided: one instance first": {Simulate: api.SimulateSpec{Required: true}},
		"yes, undecided: a person approves":  {Simulate: api.SimulateSpec{Required: true}, Critical: true},
		"yes, undecided: it holds":           {Simulate: api.SimulateSpec{Required: true, OnInconclusive: api.InconclusiveHold}},
		"no   ":                              {Critical: true},
	} {
		var out strings.Builder
		view.Plan(&out, api.PatchReceipt{Plan: api.Plan{Waves: []api.Wave{{Number: 1, Targets: []api.PlannedTarget{{Decision: d}}}}}}, false, testNow())
		must.StrContains(t, out.String(), want)
	}
}

func TestPlan_ShowsWhoseConsentIsWaitedFor(t *testing.T) {
	t.Parallel()
	plan := func(asks ...api.ApprovalSpec) string {
		wave := api.Wave{Number: 1}
		for _, ask := range asks {
			target := api.Target{TargetRef: api.TargetRef{Namespace: "prod", Job: "web", Group: "web"}}
			wave.Targets = append(wave.Targets, api.PlannedTarget{Target: target, Decision: api.Decision{Approval: ask}})
		}
		var out strings.Builder
		view.Plan(&out, api.PatchReceipt{Plan: api.Plan{Waves: []api.Wave{wave}}}, false, testNow())
		return out.String()
	}
	must.StrNotContains(t, plan(api.ApprovalSpec{}), "To be approved")
	must.StrContains(t, plan(api.ApprovalSpec{Count: 2, From: "release-managers"}, api.ApprovalSpec{}, api.ApprovalSpec{Count: 1}), `
To be approved:
  Target        Consents  From
  prod/web/web  2         release-managers
  prod/web/web  1         anybody who may approve
`)
}

func TestPlan_ShowsWhatGreenGetsUnjudged(t *testing.T) {
	t.Parallel()
	plan := func(targets ...api.PlannedTarget) string {
		var out strings.Builder
		view.Plan(&out, api.PatchReceipt{Plan: api.Plan{Waves: []api.Wave{{Number: 1, Targets: targets}}}}, false, testNow())
		return out.String()
	}
	planned := func(green ...api.GreenShare) api.PlannedTarget {
		return api.PlannedTarget{Target: api.Target{TargetRef: api.TargetRef{Namespace: "prod", Job: "cart", Group: "cart"}}, Green: green}
	}
	must.StrNotContains(t, plan(planned()), "Traffic")
	both := plan(planned(api.GreenShare{Service: "cart", Green: 4, Of: 8, Dependants: 2}, api.GreenShare{Service: "admin", Green: 4, Of: 8}), planned())
	must.StrContains(t, both, `
Traffic, which nothing switches between the patched set and the former one:
  Target          Before the first verdict
  prod/cart/cart  green gets 4 of 8 of the traffic of service cart unjudged, which reaches 2
                  dependants
  prod/cart/cart  green gets 4 of 8 of the traffic of service admin unjudged
`)
	many := make([]api.PlannedTarget, 25)
	for i := range many {
		many[i] = planned(api.GreenShare{Service: "cart", Green: 1, Of: 2})
	}
	must.EqOp(t, 20, strings.Count(plan(many...), "green gets"))
	must.StrContains(t, plan(many...), "\n  5 more")
}

func TestStillHeld_NamesTheBrakeAndTheCalendar(t *testing.T) {
	t.Parallel()
	var out strings.Builder
	view.StillHeld(&out, api.Brake{On: true, By: "alice", Since: testNow(), Reason: "incident"}, []api.Hold{
		{Source: "freeze", Reason: "freeze \"december\" until Monday"}, {Source: "prometheus", Reason: "refused"}, {Source: "brake", Reason: "the brake"},
	})
	must.EqOp(t, `It goes nowhere yet: the brake is on since 12:00:00 UTC by alice: incident. oakum brake off takes it off.
It goes nowhere yet: freeze "december" until Monday.
`, out.String())
}

func TestRollout_CountsTheHealthyOfWhatItGoesBackTo(t *testing.T) {
	t.Parallel()
	r := api.Rollout{Status: api.RolloutRolledBack, Instances: []api.Instance{
		{ID: "a", Build: api.BuildFormer, Health: api.Healthy}, {ID: "b", Build: api.BuildFormer, Health: api.Pending}, {ID: "c", Build: api.BuildFormer, Health: api.Healthy},
	}}
	must.StrContains(t, viewed(r), "  0 of 3 patched (#), 2 of 3 former healthy\n")
	r.Instances[0].Build = api.BuildPatched
	must.StrContains(t, viewed(r), "  1 of 3 patched (#), 1 of those healthy\n")
	r.Status = api.RolloutRollingBack
	must.StrContains(t, viewed(r), "  1 of 3 patched (#), 1 of those healthy, 1 of 2 former healthy\n")
}

func TestRollouts_SaysThatThereAreNone(t *testing.T) {
	t.Parallel()
	var out strings.Builder
	view.Rollouts(&out, nil, "No open rollouts.", 100, testNow())
	must.EqOp(t, "No open rollouts.\n", out.String())
}

func TestRollouts_CutsReasonsToTheWidth(t *testing.T) {
	t.Parallel()
	why := strings.Repeat("because ", 40)
	var out strings.Builder
	view.Rollouts(&out, []api.Rollout{{ID: "R1", Status: api.RolloutHolding, Reason: why}, {ID: "R2", Reason: "short"}}, "", 100, testNow())
	for line := range strings.Lines(out.String()) {
		must.LessEq(t, 100, len([]rune(strings.TrimSpace(line))))
	}
	must.StrContains(t, out.String(), "because…\n")
	whole := viewed(api.Rollout{ID: "R1", Reason: why})
	must.StrContains(t, flat(whole), strings.TrimSpace(why))
	for line := range strings.Lines(whole) {
		must.LessEq(t, 100, len([]rune(strings.TrimSuffix(line, "\n"))))
	}
}

func TestProgress_SaysAHoldOnce(t *testing.T) {
	t.Parallel()
	must.EqOp(t, "holding · waits for freeze: until Monday",
		view.Progress(api.Rollout{Status: api.RolloutHolding, Reason: "until Monday", Holds: []api.Hold{{Source: "freeze", Reason: "until Monday"}}}))
}

func TestCut_LeavesWhatFits(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{"": "", "äöüß": "äöüß", "äöüßx": "äöü…", "abc defg": "abc…"} {
		must.EqOp(t, want, view.Cut(text, 4))
	}
}

func TestRollout_SaysWhetherItsFaultIsGone(t *testing.T) {
	r := api.Rollout{ID: "1", Status: api.RolloutComplete, Ended: testNow()}
	must.StrNotContains(t, viewed(r), "Fault")
	r.Proof = &api.FixProof{Status: api.AssessmentNotAffected, At: testNow(), Reason: "none of its packages is installed"}
	must.StrContains(t, flat(viewed(r)), "Fault not affected, as of 2026-03-02 12:00:00 UTC: none of its packages is installed")
}
