package service

import (
	"strings"
	"testing"
	"time"

	"github.com/shoenig/test/must"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/internal/planner"
	"github.com/oakumhq/oakum/server/state"
)

// TestPlanPatch_TellsOfRoomThatIsNotThere for targets that the plan goes to.
func TestPlanPatch_TellsOfRoomThatIsNotThere(t *testing.T) {
	t.Parallel()
	f := newFixture(t, target("web"), target("db"))
	full := func(job string) api.DryRun {
		return api.DryRun{Target: target(job).TargetRef, NoRoom: "memory exhausted on 3 of 4 nodes"}
	}
	f.dryRuns = []api.DryRun{full("left-out"), full("web")}
	receipt, err := f.PlanPatch(t.Context(), patch(`"web", "db"`), api.Identity{})
	must.NoError(t, err)
	must.Eq(t, []api.DryRun{full("web")}, receipt.DryRuns)
	must.SliceEmpty(t, receipt.Plan.Refusals, must.Sprint("it waits for room when its turn comes"))
}

func TestPlanPatch_ChangesNothing(t *testing.T) {
	t.Parallel()
	f := newFixture(t, target("web"), target("db"))
	var asked []planner.Input
	f.preflight = func(in *planner.Input) (int, error) { asked = append(asked, *in); return 1, nil }
	before := f.state.Hash()
	receipt, err := f.PlanPatch(t.Context(), patch(`"web", "db"`), api.Identity{})
	must.NoError(t, err)
	must.EqOp(t, "openssl", receipt.Patch.Name)
	must.EqOp(t, 1, receipt.Untried)
	must.Len(t, 1, asked)
	must.EqOp(t, "openssl", asked[0].Patch.Name)
	must.Len(t, 2, asked[0].Targets)
	must.SliceEmpty(t, receipt.Rollouts)
	must.SliceEmpty(t, receipt.Plan.Refusals)
	var planned []string
	for _, w := range receipt.Plan.Waves {
		for _, p := range w.Targets {
			planned = append(planned, p.Target.Job)
			must.EqOp(t, "blue_green", p.Decision.Strategy.Name)
		}
	}
	must.SliceContainsAll(t, []string{"web", "db"}, planned)
	must.EqOp(t, "prod/web/web: 2 patched, 2 not", receipt.Bake["prod/web/web"].Reason)
	must.EqOp(t, before, f.state.Hash())
}

func TestPlanPatch_OrdersByTheGraph(t *testing.T) {
	t.Parallel()
	f := newFixture(t, target("web"), target("db"))
	f.put(t, calls("web", "db"))
	receipt, err := f.PlanPatch(t.Context(), patch(`"web", "db"`), api.Identity{})
	must.NoError(t, err)
	must.Len(t, 2, receipt.Plan.Waves)
	must.EqOp(t, "db", receipt.Plan.Waves[0].Targets[0].Target.Job)
	must.EqOp(t, 1, receipt.Plan.Waves[0].Targets[0].Criticality.BlastRadius)
	last := receipt.Plan.Waves[1].Targets[0]
	must.EqOp(t, "web", last.Target.Job, must.Sprint("without web nobody reaches db: it is critical, and goes last"))
	must.True(t, last.Criticality.SinglePoint)
	must.EqOp(t, "phased", last.Decision.Strategy.Name)
}

func TestPlanPatch_SaysWhereTheFileIsWrong(t *testing.T) {
	t.Parallel()
	f := newFixture(t, target("web"))
	bad := patch(`"web"`)
	bad.Text = strings.Replace(bad.Text, "severity", "severety", 1)
	_, err := f.PlanPatch(t.Context(), bad, api.Identity{})
	must.True(t, api.IsCode(err, api.CodeInvalid), must.Sprint(err))
	must.StrContains(t, strings.Join(append(api.AsError(err).Details, err.Error()), "\n"), "p.hcl:2,3")
}

func TestPlanPatch_NamesWhatDoesNotAnswer(t *testing.T) {
	t.Parallel()
	f := newFixture(t, target("web"))
	f.fleet.err = api.Errorf(api.CodeUnavailable, "nomad does not answer")
	_, err := f.PlanPatch(t.Context(), patch(`"web"`), api.Identity{})
	must.True(t, api.IsCode(err, api.CodeUnavailable), must.Sprint(err))
	must.ErrorContains(t, err, "list targets: nomad does not answer")
}

func TestSubmitPatch_StoresPatchPlanAndRollouts(t *testing.T) {
	t.Parallel()
	f := newFixture(t, target("web"), target("db"))
	f.put(t, calls("web", "db"))
	receipt, err := f.SubmitPatch(t.Context(), patch(`"web", "db"`), ada())
	must.NoError(t, err)
	stored, ok := f.state.Patch("openssl")
	must.True(t, ok)
	must.EqOp(t, "ada", stored.SubmittedBy)
	must.EqOp(t, epoch(), stored.SubmittedAt)
	plan, ok := f.state.Plan(receipt.Plan.ID)
	must.True(t, ok)
	must.EqOp(t, receipt.Plan.Digest, plan.Digest)
	must.Len(t, 2, receipt.Rollouts)
	for i, id := range receipt.Rollouts {
		r, ok := f.state.Rollout(id)
		must.True(t, ok)
		must.EqOp(t, api.RolloutPending, r.Status)
		must.EqOp(t, plan.Waves[i].Targets[0].Target.TargetRef, r.Target)
		must.EqOp(t, plan.Waves[i].Number, r.Wave)
		must.EqOp(t, "ada", r.SubmittedBy)
		must.EqOp(t, plan.ID, r.Plan)
	}
	events := f.state.Events(0, 0)
	must.StrContains(t, events[len(events)-3].Text, `patch "openssl" was submitted by ada for 2 targets in 2 waves`)
}

// TestSubmitPatch_GoesOnWithTheRest: a patch that was half done is submitted again. What it
// has reached, what is under way and what was rolled back stays as it is.
func TestSubmitPatch_GoesOnWithTheRest(t *testing.T) {
	t.Parallel()
	f := newFixture(t, target("done"), target("back"), target("busy"))
	first, err := f.SubmitPatch(t.Context(), patch(`"done", "back", "busy"`), ada())
	must.NoError(t, err)
	for _, id := range first.Rollouts {
		r, _ := f.state.Rollout(id)
		switch r.Target.Job {
		case "done":
			f.end(t, id, api.RolloutComplete, "all run it")
		case "back":
			f.end(t, id, api.RolloutRolledBack, "it was slower")
		}
	}
	done := func() []api.DryRun { return []api.DryRun{{Target: target("done").TargetRef, Unchanged: true}} }
	f.dryRuns = done()
	again := patch(`"done", "back", "busy"`)
	_, err = f.SubmitPatch(t.Context(), again, ada())
	must.True(t, api.IsCode(err, api.CodeConflict), must.Sprint("nothing is left of it"))
	must.SliceContains(t, api.AsError(err).Details, "prod/done/done: nothing to do: it runs what the patch asks for already")

	must.NoError(t, f.LiftQuarantine(t.Context(), "openssl", target("back").TargetRef, ada()))
	f.dryRuns = done()
	receipt, err := f.SubmitPatch(t.Context(), again, ada())
	must.NoError(t, err)
	must.Len(t, 1, receipt.Rollouts)
	r, _ := f.state.Rollout(receipt.Rollouts[0])
	must.EqOp(t, "back", r.Target.Job)
	must.Len(t, 1, receipt.Plan.NothingToDo)
	must.Len(t, 1, receipt.Plan.Refusals, must.Sprint("the one under way"))
	must.SliceEmpty(t, receipt.DryRuns, must.Sprint("they are of planned targets"))
}

func TestSubmitPatch_Refuses(t *testing.T) {
	t.Parallel()
	submit := func(t *testing.T, f *fixture) string {
		receipt, err := f.SubmitPatch(t.Context(), patch(`"web"`), ada())
		must.NoError(t, err)
		return receipt.Rollouts[0]
	}
	for name, c := range map[string]struct {
		jobs  string
		given func(*testing.T, *fixture)
		code  api.ErrorCode
		want  string
	}{
		"an unknown target":              {jobs: `"mail"`, code: api.CodeNotFound, want: `prod/mail: there is no job "mail" in namespace "prod"`},
		"a pattern that matches nothing": {jobs: `"mail-*"`, code: api.CodeNotFound, want: "no target matches"},
		"a target that is being patched": {
			given: func(t *testing.T, f *fixture) { submit(t, f) },
			code:  api.CodeConflict, want: "prod/web/web: rollout id-2 of patch openssl is already under way on it (pending)",
		},
		"a quarantined target": {
			given: func(t *testing.T, f *fixture) { f.end(t, submit(t, f), api.RolloutRolledBack, "it was slower") },
			code:  api.CodeConflict, want: "prod/web/web: the patch is quarantined on it since 2026-03-02 14:00:00Z: it was slower; oakum patch lift-quarantine openssl prod/web/web lets it be tried again",
		},
		"a target without instances": {
			given: func(_ *testing.T, f *fixture) { f.fleet.targets[0].Count = 0 },
			code:  api.CodeConflict, want: "prod/web/web: it has no instances: its count is 0",
		},
		"a target that no patch can change": {
			given: func(_ *testing.T, f *fixture) { f.fleet.targets[0].Unfit = "its job is multiregion" },
			code:  api.CodeConflict, want: "prod/web/web: its job is multiregion",
		},
		"a job that runs nothing": {
			jobs: `"report"`,
			given: func(_ *testing.T, f *fixture) {
				f.fleet.idle = []api.Target{{TargetRef: api.TargetRef{Namespace: "prod", Job: "report"}, Unfit: "its job is stopped"}}
			},
			code: api.CodeConflict, want: "prod/report: its job is stopped",
		},
		"a target without the task": {
			given: func(_ *testing.T, f *fixture) { f.fleet.targets[0].Tasks[0].Name = "other" },
			code:  api.CodeConflict, want: `it has no task "server" that the patch could change; its tasks are other`,
		},
		"a job that the scheduler would not take": {
			given: func(_ *testing.T, f *fixture) {
				f.preflight = func(*planner.Input) (int, error) {
					return 0, &api.Error{Code: api.CodeInvalid, Message: `patch "openssl" cannot be applied`, Details: []string{"prod/web/web: no such image"}}
				}
			},
			code: api.CodeInvalid, want: "prod/web/web: no such image",
		},
		"a fault of our own in the dry runs": {
			given: func(_ *testing.T, f *fixture) {
				f.preflight = func(*planner.Input) (int, error) { panic("index out of range") } //nolint:forbidigo // the fault under test
			},
			code: api.CodeInternal, want: "try the patched jobs: the server met a fault of its own",
		},
		"policies that do not compile": {
			given: func(t *testing.T, f *fixture) {
				f.put(t, &state.PolicyPut{Policy: api.Policy{Name: "own", File: api.SourceFile{Name: "own.hcl", Text: `policy "own" {
  strategy "of-a-plugin-that-is-gone" {}
}`}}})
			},
			code: api.CodeInvalid, want: "own.hcl:2,12",
		},
		"anything while the log takes nothing": {
			given: func(_ *testing.T, f *fixture) { f.log.err = api.Errorf(api.CodeNoLeader, "s2 does not lead") },
			code:  api.CodeNoLeader, want: "s2 does not lead",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newFixture(t, target("web"))
			if c.given != nil {
				c.given(t, f)
			}
			before := f.state.Hash()
			jobs := c.jobs
			if jobs == "" {
				jobs = `"web"`
			}
			_, err := f.SubmitPatch(t.Context(), patch(jobs), ada())
			must.Error(t, err)
			known := api.AsError(err)
			must.EqOp(t, c.code, known.Code, must.Sprint(err, known.Details))
			must.StrContains(t, known.Message+"\n"+strings.Join(known.Details, "\n"), c.want)
			must.EqOp(t, before, f.state.Hash(), must.Sprint("a refused patch leaves nothing behind"))
		})
	}
}

// TestBelow_LeavesOutWhatFormerServersCannotPatch, by name.
func TestBelow_LeavesOutWhatFormerServersCannotPatch(t *testing.T) {
	t.Parallel()
	report, web, agent := target("report"), target("web"), target("agent")
	report.Launch, agent.Type = api.LaunchPeriodic, "system"
	older := (&Service{store: state.NewStore()}).below([]api.Target{report, web, agent})
	must.StrContains(t, older[0].Unfit, "its job is periodic, and the cluster is at level 1")
	must.EqOp(t, "", older[1].Unfit)
	must.StrContains(t, older[2].Unfit, "its job is of type system, and the cluster is at level 1")
	must.Eq(t, []api.Target{report, web, agent}, newFixture(t).below([]api.Target{report, web, agent}))
}

func TestSubmitPatch_GoesWhereItMay(t *testing.T) {
	t.Parallel()
	f := newFixture(t, target("web"), target("db"))
	_, err := f.SubmitPatch(t.Context(), patch(`"db"`), ada())
	must.NoError(t, err)
	receipt, err := f.SubmitPatch(t.Context(), patch(`"web", "mail"`), ada())
	must.True(t, api.IsCode(err, api.CodeConflict), must.Sprint("the same name with other content"))
	must.SliceEmpty(t, receipt.Rollouts)

	again := patch(`"web", "mail"`)
	again.Text = strings.Replace(again.Text, `"openssl"`, `"openssl-2"`, 1)
	receipt, err = f.SubmitPatch(t.Context(), again, ada())
	must.NoError(t, err)
	must.Len(t, 1, receipt.Rollouts)
	plan, _ := f.state.Plan(receipt.Plan.ID)
	must.Len(t, 1, plan.Refusals)
	must.EqOp(t, "mail", plan.Refusals[0].Target.Job)
	must.EqOp(t, api.CodeNotFound, plan.Refusals[0].Code)
}

func TestSubmitPatch_AsksAPersonInDoubt(t *testing.T) {
	t.Parallel()
	web := target("web")
	web.Meta = map[string]string{"tier": "1"} // critical by the shipped policies
	f := newFixture(t, web)
	receipt, err := f.SubmitPatch(t.Context(), patch(`"web"`), ada()) // nobody leads: no source was read in this term
	must.NoError(t, err)
	r, _ := f.state.Rollout(receipt.Rollouts[0])
	must.True(t, r.Decision.InDoubt())
	must.EqOp(t, 1, r.Decision.Approval.Count)
	must.Eq(t, []api.DoubtedSource{{Name: "nomad-placement", State: api.SourceUnread}}, r.Decision.Doubt.Sources)
}

func TestLiftQuarantine_LetsThePatchBeSubmittedAgain(t *testing.T) {
	t.Parallel()
	f := newFixture(t, target("web"))
	receipt, err := f.SubmitPatch(t.Context(), patch(`"web"`), ada())
	must.NoError(t, err)
	f.end(t, receipt.Rollouts[0], api.RolloutRejected, "it was slower")
	must.Len(t, 1, f.state.Quarantines())
	must.NoError(t, f.LiftQuarantine(t.Context(), "openssl", target("web").TargetRef, ada()))
	_, err = f.SubmitPatch(t.Context(), patch(`"web"`), ada())
	must.NoError(t, err)
	must.True(t, api.IsCode(f.LiftQuarantine(t.Context(), "openssl", target("web").TargetRef, ada()), api.CodeNotFound))
}

func TestBake_ForecastsFromWhenTheWaveMayStart(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	opens, starts := epoch().Add(time.Hour), epoch().Add(2*time.Hour)
	var at []time.Time
	f.opt.Forecast = func(_ api.Profile, _ api.JudgeSpec, _, _ int, when time.Time) api.BakeTime {
		at = append(at, when)
		return api.BakeTime{}
	}
	judged := api.PlannedTarget{Target: target("web")}
	judged.Decision.Judge.Enabled = true
	out := f.bake(api.Plan{Waves: []api.Wave{
		{Targets: []api.PlannedTarget{judged, {Target: target("db")}}},
		{Opens: opens, Targets: []api.PlannedTarget{judged}},
		{Opens: opens, Starts: starts, Targets: []api.PlannedTarget{judged}},
	}}, epoch())
	must.Eq(t, []time.Time{epoch(), opens, starts}, at)
	must.MapLen(t, 1, out, must.Sprint("a target without a judge has no forecast"))
}

func TestPlanPatch_RefusesAScriptWithoutAnAppliance(t *testing.T) {
	t.Parallel()
	file := patch(`"web"`)
	file.Text = strings.Replace(file.Text, "apply \"job\" {\n    task = \"server\"\n    env  = { VERSION = \"2\" }", "apply \"script\" {\n    task   = \"server\"\n    script = \"true\"", 1)
	f := newFixture(t, target("web"))
	_, err := f.PlanPatch(t.Context(), file, api.Identity{})
	must.ErrorContains(t, err, `patch "openssl" has a script: it runs in an appliance, and this server has none (simulator.appliance)`)
	f.opt.Bakes = true
	_, err = f.PlanPatch(t.Context(), file, api.Identity{})
	must.NoError(t, err)
}
