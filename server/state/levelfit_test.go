package state_test

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/server/state"
	"github.com/oakumhq/oakum/server/state/levels"
	"github.com/shoenig/test/must"
)

// at returns a machine at a level, as a cluster is while its servers are being
// upgraded.
func at(t *testing.T, level int) *machine {
	t.Helper()
	m := newMachine()
	for next := 2; next <= level; next++ {
		m.must(t, &state.LevelSet{Level: next})
	}
	return m
}

func TestEncode_LeavesDoubtsOutBelowLevel4(t *testing.T) {
	t.Parallel()
	away := api.SourceStatus{Name: "prometheus", Error: "refused", Failures: 3, Failing: epoch(), Failed: epoch()}
	submit := doubtful()
	submit.Plan.Sources = []api.SourceStatus{away}
	submit.Plan.Refusals = []api.Refusal{{Target: db(), Code: api.CodeConflict, Reason: "busy"}}
	submit.Plan.Waves[0].Targets = []api.PlannedTarget{{Decision: submit.Rollouts[0].Decision}}
	for level, told := range map[int]bool{levels.Three: false, levels.Four: true} {
		m := at(t, level)
		must.NoError(t, m.commit(submit))
		plan, _ := m.store.Plan("p")
		r, _ := m.store.Rollout("p-0")
		must.EqOp(t, told, r.Decision.Doubt != nil)
		must.EqOp(t, told, plan.Waves[0].Targets[0].Decision.Doubt != nil)
		must.EqOp(t, told, len(plan.Sources) > 0)
		must.EqOp(t, told, plan.Refusals[0].Code != "")
		must.EqOp(t, 1, r.Decision.Approval.Count, must.Sprint("a person is asked all the same"))
		must.NotNil(t, submit.Rollouts[0].Decision.Doubt, must.Sprint("the submission itself is not changed"))
		must.NotNil(t, submit.Plan.Waves[0].Targets[0].Decision.Doubt)
		must.EqOp(t, api.CodeConflict, submit.Plan.Refusals[0].Code)
	}
}

func TestEncode_LeavesFailuresOutBelowLevel4(t *testing.T) {
	t.Parallel()
	lost := sources(api.SourceStatus{Name: "prometheus", Error: "refused", Failures: 3, Failing: epoch(), Failed: epoch()})
	for level, want := range map[int]string{
		levels.Three: "source prometheus does not answer: refused", // as older servers write it
		levels.Four:  "source prometheus is away since 2026-03-01T12:00:00Z, 3 tries failed: refused",
	} {
		m := at(t, level)
		must.NoError(t, m.commit(lost))
		events := m.store.Events(0, 0)
		must.EqOp(t, want, events[len(events)-1].Text)
		must.EqOp(t, 3, lost.Sources[0].Failures, must.Sprint("the change itself is not changed"))
	}
}

func TestEncode_LeavesWhatChangedOutBelowLevel2(t *testing.T) {
	t.Parallel()
	for level, gone := range map[int]bool{1: false, levels.Two: true} {
		m := at(t, level)
		must.NoError(t, m.commit(sources(api.SourceStatus{Name: "old", OK: true})))
		must.NoError(t, m.commit(&state.GraphChange{GraphChange: api.GraphChange{
			RemoveSources: []string{"old"}, Delta: &api.GraphDelta{},
			Services: []api.Service{{Name: "web"}},
		}}))
		must.EqOp(t, gone, len(m.store.Sources()) == 0)
	}
}

func TestEncode_LeavesSignaturesAndNeighboursOutBelowLevel2(t *testing.T) {
	t.Parallel()
	for level, told := range map[int]bool{1: false, levels.Two: true} {
		m := at(t, level)
		must.NoError(t, m.commit(submission("p", "d", web())))
		r, _ := m.store.Rollout("p-0")
		verdict := &api.Verdict{Kind: api.VerdictContinue, Neighbours: []api.NeighbourEffect{{KPI: api.KPICPU}}}
		r.Status, r.Verdict = api.RolloutRunning, verdict
		r.Stages = []api.Stage{{Number: 1, Verdict: verdict}, {Number: 2}}
		r.Effect = &api.Effect{ID: "p-0.1", Status: api.EffectIntended, By: "a", Term: 7}
		must.NoError(t, m.commit(&state.RolloutTransition{Kind: "stage", Expect: r.ModifyIndex, Rollout: r}))
		have, _ := m.store.Rollout("p-0")
		must.EqOp(t, told, len(have.Verdict.Neighbours) > 0)
		must.EqOp(t, told, len(have.Stages[0].Verdict.Neighbours) > 0)
		must.EqOp(t, told, have.Effect.By == "a" && have.Effect.Term == 7)
		must.Eq(t, api.VerdictContinue, have.Stages[0].Verdict.Kind)
		must.Len(t, 1, verdict.Neighbours, must.Sprint("the rollout itself is not changed"))
		must.EqOp(t, "a", r.Effect.By)
	}
}

func TestEncode_LeavesWhenNeighboursWereSeenOutBelowLevel5(t *testing.T) {
	t.Parallel()
	for level, told := range map[int]bool{levels.Four: false, levels.Five: true} {
		m := at(t, level)
		must.NoError(t, m.commit(submission("p", "d", web())))
		r, _ := m.store.Rollout("p-0")
		verdict := &api.Verdict{Kind: api.VerdictContinue, Neighbours: []api.NeighbourEffect{{KPI: api.KPICPU, Value: 2, Seen: epoch(), Exposure: 12}}}
		r.Status, r.Verdict = api.RolloutRunning, verdict
		r.Stages = []api.Stage{{Number: 1, Verdict: verdict}}
		must.NoError(t, m.commit(&state.RolloutTransition{Kind: "stage", Expect: r.ModifyIndex, Rollout: r}))
		have, _ := m.store.Rollout("p-0")
		for _, v := range []*api.Verdict{have.Verdict, have.Stages[0].Verdict} {
			must.Eq(t, 2, v.Neighbours[0].Value)
			must.EqOp(t, told, v.Neighbours[0].Exposure == 12 && v.Neighbours[0].Seen.Equal(epoch()))
		}
		must.Eq(t, 12, verdict.Neighbours[0].Exposure, must.Sprint("the rollout itself is not changed"))
	}
}

func TestEncode_SaysTheHoursThatALevelKeeps(t *testing.T) {
	t.Parallel()
	first, second := []*float64{new(1.0)}, []*float64{new(2.0)}
	profile := func(b api.Baseline) *state.ProfilesPut {
		b.KPI, b.Kind = api.KPICPU, api.KPIGauge
		return &state.ProfilesPut{Profiles: []api.Profile{{Target: web(), Seen: time.Unix(1, 0).UTC(), KPIs: []api.Baseline{b}}}}
	}
	stored := func(m *machine) api.Profile {
		p, ok := m.store.Profile(web())
		must.True(t, ok)
		return p
	}
	t.Log("below level 3 a record has the means every time, and nothing else")
	m := at(t, levels.Two)
	sketched := profile(api.Baseline{Hours: first, HourSketches: []byte("x")})
	must.NoError(t, m.commit(sketched))
	must.SliceEmpty(t, stored(m).KPIs[0].HourSketches)
	must.True(t, stored(m).Seen.IsZero())
	must.NoError(t, m.commit(profile(api.Baseline{Hours: second})))
	must.Eq(t, second, stored(m).KPIs[0].Hours)
	must.Eq(t, []byte("x"), sketched.Profiles[0].KPIs[0].HourSketches, must.Sprint("the profiler's own profile is not changed"))

	t.Log("from level 3 on it has both when they are new, and the state keeps them")
	m = at(t, levels.Three)
	must.NoError(t, m.commit(sketched))
	must.NoError(t, m.commit(profile(api.Baseline{Hours: second})))
	must.False(t, stored(m).Seen.IsZero())
	must.Eq(t, first, stored(m).KPIs[0].Hours)
	must.Eq(t, []byte("x"), stored(m).KPIs[0].HourSketches)
}

func TestEncode_RefusesWhatNoFittingMakesOlder(t *testing.T) {
	t.Parallel()
	m := at(t, levels.Three)
	must.NoError(t, m.commit(submission("p", "d", web())))
	err := m.turn("p-0", "status", func(r *api.Rollout) { r.Decision.Doubt = &api.Doubt{} })
	must.True(t, api.IsCode(err, api.CodeConflict), must.Sprint(err))
	must.StrContains(t, err.Error(), "needs cluster level 4, the cluster is at 3")
	err = at(t, levels.Two).commit(&state.ProfilesForget{Targets: []api.TargetRef{web()}, Unseen: 1})
	must.StrContains(t, err.Error(), "needs cluster level 3, the cluster is at 2")

	t.Log("at level 4 a transition may say of a doubt only that it lapses")
	m.must(t, &state.LevelSet{Level: levels.Four})
	err = m.turn("p-0", "status", func(r *api.Rollout) { r.Decision.Doubt = &api.Doubt{} })
	must.StrContains(t, err.Error(), "no doubt arises")
}

// extended is a submission of which former servers know less.
func extended() *state.PatchSubmit {
	s := submission("p", "d", web())
	s.Rollouts[0].Decision.Simulate = api.SimulateSpec{Required: true, Pairs: 4, OnInconclusive: api.InconclusiveApprove, Pool: "sandbox", Recorded: "ff"}
	s.Rollouts[0].Apply = []api.Apply{{Kind: api.ApplyImage, Task: "vm", Image: "/i.qcow2", Digest: "ab"}}
	s.Patch.Apply = s.Rollouts[0].Apply
	s.Plan.Waves[0].Targets = []api.PlannedTarget{{Decision: s.Rollouts[0].Decision}}
	return s
}

func TestEncode_LeavesPairsAndDigestsOutBelowLevel5(t *testing.T) {
	t.Parallel()
	submit := extended()
	for level, told := range map[int]bool{1: false, levels.Four: false, levels.Five: true} {
		m := at(t, level)
		must.NoError(t, m.commit(submit))
		check := func(have api.SimulateSpec) {
			want := api.SimulateSpec{Required: true}
			if told {
				want = submit.Rollouts[0].Decision.Simulate
			}
			must.Eq(t, want, have)
		}
		r, _ := m.store.Rollout("p-0")
		plan, _ := m.store.Plan("p")
		patch, _ := m.store.Patch("ssl")
		check(r.Decision.Simulate)
		check(plan.Waves[0].Targets[0].Decision.Simulate)
		must.EqOp(t, told, r.Apply[0].Digest == "ab")
		must.EqOp(t, told, patch.Apply[0].Digest == "ab")

		t.Log("a transition that learns a digest says it from level 5 on")
		r.Decision.Simulate.Pairs, r.Apply[0].Digest = 2, "cd"
		must.NoError(t, m.commit(&state.RolloutTransition{Kind: "effect_finish", Expect: r.ModifyIndex, Rollout: r}))
		r, _ = m.store.Rollout("p-0")
		must.EqOp(t, told, r.Apply[0].Digest == "cd")
		must.EqOp(t, told, r.Decision.Simulate.Pairs == 2)
	}
	must.EqOp(t, 4, submit.Rollouts[0].Decision.Simulate.Pairs, must.Sprint("the submission itself is not changed"))
	must.EqOp(t, "ab", submit.Patch.Apply[0].Digest)
	must.EqOp(t, 4, submit.Plan.Waves[0].Targets[0].Decision.Simulate.Pairs)
}

func TestEncode_RefusesWhatIsUnsafeToLoseBelowLevel5(t *testing.T) {
	t.Parallel()
	script := func(change func(*api.Apply)) func(*state.PatchSubmit) {
		return func(s *state.PatchSubmit) {
			change(&s.Rollouts[0].Apply[0])
			s.Patch.Apply = s.Rollouts[0].Apply
		}
	}
	for name, change := range map[string]func(*state.PatchSubmit){
		"a payload": script(func(a *api.Apply) { a.Payloads = []api.Payload{{Name: "deb"}} }),
		"a proof":   script(func(a *api.Apply) { a.Verify = &api.Verify{Command: "true"} }),
		"a reboot":  script(func(a *api.Apply) { a.Reboot = true }),
		"what a simulation could not decide": func(s *state.PatchSubmit) {
			s.Rollouts[0].Undecided = &api.Undecided{Follows: api.InconclusiveOneFirst}
		},
		"a hold": func(s *state.PatchSubmit) { s.Rollouts[0].Decision.Simulate.OnInconclusive = api.InconclusiveHold },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := extended()
			change(s)
			m := at(t, levels.Four)
			err := m.commit(s)
			must.True(t, api.IsCode(err, api.CodeConflict), must.Sprint(err))
			must.StrContains(t, err.Error(), "needs cluster level 5, the cluster is at 4: upgrade every server first")
			must.SliceEmpty(t, m.store.Rollouts())
			m.must(t, &state.LevelSet{Level: levels.Five})
			must.NoError(t, m.commit(s))
		})
	}
}

// TestEncode_RefusesTheSourceOfAnImageBelowLevel7: a former server would look for the image
// on the clients.
func TestEncode_RefusesTheSourceOfAnImageBelowLevel7(t *testing.T) {
	t.Parallel()
	s := extended()
	s.Rollouts[0].Apply[0].Source = "https://images.example/i.qcow2"
	s.Patch.Apply = s.Rollouts[0].Apply
	for level := 1; level < levels.Seven; level++ {
		err := at(t, level).commit(s)
		must.True(t, api.IsCode(err, api.CodeConflict), must.Sprint(err))
		must.StrContains(t, err.Error(), "needs cluster level 7")
	}
	m := at(t, levels.Seven)
	must.NoError(t, m.commit(s))
	r, _ := m.store.Rollout("p-0")
	must.Eq(t, s.Rollouts[0].Apply, r.Apply)
}

func TestEncode_KeepsOfASimulationWhatFormerServersKnow(t *testing.T) {
	t.Parallel()
	for status, kept := range map[api.SimulationStatus]api.SimulationStatus{
		api.SimulationRunning: api.SimulationRunning, api.SimulationPassed: api.SimulationPassed, api.SimulationRejected: api.SimulationRejected,
		api.SimulationFailed: api.SimulationFailed, api.SimulationInconclusive: api.SimulationFailed, api.SimulationCancelled: api.SimulationFailed,
	} {
		sim := api.Simulation{
			ID: "s1", Patch: "ssl", Target: web(), Status: status, Reason: "the load covers nothing", Started: epoch(),
			By: "ada", Severity: "high", Apply: []api.Apply{{Task: "vm"}}, Decision: &api.Decision{Strategy: api.StrategySpec{Config: json.RawMessage("{}")}}, CancelledBy: "bob",
			Impact: &api.Impact{Verdict: api.SimulationUndecided, Pairs: 4, Requests: 7, Twins: []api.Twin{{Role: "control", Pair: 2, Console: "boot"}}},
		}
		m := at(t, levels.Four)
		must.NoError(t, m.commit(&state.SimulationPut{Simulation: sim}))
		have, _ := m.store.Simulation("s1")
		must.EqOp(t, kept, have.Status)
		must.StrHasSuffix(t, sim.Reason, have.Reason)
		must.EqOp(t, kept != status, have.Reason == string(status)+": "+sim.Reason)
		must.Eq(t, &api.Impact{Requests: 7, Twins: []api.Twin{{Role: "control"}}}, have.Impact)
		must.Nil(t, have.Decision)
		must.SliceEmpty(t, have.Apply)
		must.EqOp(t, "", have.By+have.CancelledBy+string(have.Severity))
		must.EqOp(t, 2, sim.Impact.Twins[0].Pair, must.Sprint("the simulation itself is not changed"))

		m = at(t, levels.Five)
		must.NoError(t, m.commit(&state.SimulationPut{Simulation: sim}))
		whole, _ := m.store.Simulation("s1")
		sim.CreateIndex, sim.ModifyIndex = whole.CreateIndex, whole.ModifyIndex
		must.Eq(t, sim, whole)
	}
	err := at(t, levels.Four).commit(&state.SimulationNote{ID: "s1"})
	must.StrContains(t, err.Error(), "needs cluster level 5, the cluster is at 4")
}

func TestEncode_LeavesDocumentsOfPatchesOutBelowLevel7(t *testing.T) {
	t.Parallel()
	s := extended()
	s.Patch.Advisory, s.Patch.VEX = &api.PatchDocument{Name: "osv.json", Digest: "ab"}, &api.PatchDocument{Name: "vex.json", Digest: "cd"}
	s.Plan.NothingToDo, s.Plan.Exposure = []api.NothingToDo{{Reason: "fixed"}}, &api.Exposure{Before: 1}
	s.Rollouts[0].Decision.Order, s.Rollouts[0].Decision.Selection = api.OrderExposedFirst, &api.Selection{Chosen: true}
	m := at(t, levels.Six)
	must.NoError(t, m.commit(s))
	kept, _ := m.store.Patch("ssl")
	must.Nil(t, kept.Advisory)
	must.Nil(t, kept.VEX)
	plan, _ := m.store.Plan(s.Plan.ID)
	must.Nil(t, plan.Exposure)
	must.SliceEmpty(t, plan.NothingToDo)
	r, _ := m.store.Rollout(s.Rollouts[0].ID)
	must.EqOp(t, "", r.Decision.Order)
	must.Nil(t, r.Decision.Selection)
	must.NotNil(t, s.Patch.Advisory, must.Sprint("the submission itself is not changed"))

	m = at(t, levels.Seven)
	must.NoError(t, m.commit(s))
	kept, _ = m.store.Patch("ssl")
	must.Eq(t, s.Patch.Advisory, kept.Advisory)
	must.Eq(t, s.Patch.VEX, kept.VEX)
	plan, _ = m.store.Plan(s.Plan.ID)
	must.Eq(t, s.Plan.Exposure, plan.Exposure)
	r, _ = m.store.Rollout(s.Rollouts[0].ID)
	must.Eq(t, s.Rollouts[0].Decision.Selection, r.Decision.Selection)
}

func TestEncode_RefusesRangesOfAffectedPackagesBelowLevel6(t *testing.T) {
	t.Parallel()
	for name, a := range map[string]api.Affected{
		"where it begins": {Ecosystem: "deb", Package: "b", From: "1", Below: "2"},
		"a release":       {Ecosystem: "deb", Package: "a", Below: "2", Release: "Debian:12"},
		"a source":        {Ecosystem: "deb", Source: "a", Below: "2"},
		"a list":          {Ecosystem: "deb", Package: "a", Versions: []string{"1"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := extended()
			s.Patch.Affects = []api.Affected{{Ecosystem: "deb", Package: "a", Below: "2"}, a}
			m := at(t, levels.Five)
			err := m.commit(s)
			must.True(t, api.IsCode(err, api.CodeConflict), must.Sprint(err))
			must.StrContains(t, err.Error(), "needs cluster level 6, the cluster is at 5: upgrade every server first")
			m.must(t, &state.LevelSet{Level: levels.Six})
			must.NoError(t, m.commit(s))
			kept, _ := m.store.Patch("ssl")
			must.Eq(t, s.Patch.Affects, kept.Affects)
		})
	}
}
