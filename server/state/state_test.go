package state_test

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/raft"
	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/server/state"
	"github.com/shoenig/test/must"
)

// machine applies commands one after the other, as a cluster would.
type machine struct {
	fsm   *state.FSM
	store *state.Store
	index uint64
}

func newMachine() *machine {
	store := state.NewStore()
	return &machine{fsm: state.NewFSM(store), store: store}
}

func epoch() time.Time { return time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC) }

func (m *machine) apply(cmd state.Command) error {
	m.index++
	entry, err := state.Encode(cmd, epoch().Add(time.Duration(m.index)*time.Second), "tester")
	if err != nil {
		return err
	}
	refused, _ := m.fsm.Apply(&raft.Log{Index: m.index, Data: entry}).(error)
	return refused
}

func (m *machine) must(t *testing.T, cmd state.Command) {
	t.Helper()
	must.NoError(t, m.apply(cmd))
}

func web() api.TargetRef { return api.TargetRef{Namespace: "prod", Job: "web", Group: "vm"} }

func db() api.TargetRef { return api.TargetRef{Namespace: "prod", Job: "db", Group: "vm"} }

// submission is a patch for targets, whose rollouts are named after the plan.
func submission(plan, digest string, targets ...api.TargetRef) *state.PatchSubmit {
	s := &state.PatchSubmit{
		Patch: api.Patch{Name: "ssl", Digest: digest, Apply: []api.Apply{{Kind: api.ApplyJob, Config: map[string]any{"a": map[string]any{"b": []any{1.5, "x"}}}}}},
		Plan:  api.Plan{ID: plan, Patch: "ssl", Waves: []api.Wave{{Number: 1}}},
	}
	for i, target := range targets {
		s.Rollouts = append(s.Rollouts, api.Rollout{
			ID: fmt.Sprintf("%s-%d", plan, i), Plan: plan, Patch: "ssl", PatchDigest: digest, Target: target, Status: api.RolloutPending,
			Decision: api.Decision{Rollback: api.RollbackSpec{Quarantine: true}},
		})
	}
	return s
}

// turn changes a rollout as the orchestrator would.
func (m *machine) turn(id, kind string, change func(*api.Rollout)) error {
	r, _ := m.store.Rollout(id)
	expect := r.ModifyIndex
	change(&r)
	return m.apply(&state.RolloutTransition{Kind: kind, Expect: expect, Rollout: r})
}

func become(status api.RolloutStatus, reason string) func(*api.Rollout) {
	return func(r *api.Rollout) { r.Status, r.Reason = status, reason }
}

func TestPatchSubmit_LetsNoPatchesMeet(t *testing.T) {
	t.Parallel()
	m := newMachine()
	m.must(t, submission("p1", "d1", web()))

	err := m.apply(submission("p2", "d1", db(), web()))
	must.True(t, api.IsCode(err, api.CodeConflict), must.Sprint(err))
	must.StrContains(t, err.Error(), `prod/web/vm is being patched by rollout p1-0 of patch "ssl" (pending)`)
	_, found := m.store.Plan("p2")
	must.False(t, found, must.Sprint("a refused submission leaves nothing behind"))
	must.Len(t, 1, m.store.Rollouts())

	err = m.apply(submission("p3", "other", db()))
	must.True(t, api.IsCode(err, api.CodeConflict), must.Sprint(err))
	must.StrContains(t, err.Error(), "rollout p1-0 of prod/web/vm still carries out other content of that name")

	m.must(t, submission("p4", "d1", db()))
	must.NoError(t, m.turn("p1-0", "end", become(api.RolloutComplete, "done")))
	must.NoError(t, m.turn("p4-0", "end", become(api.RolloutCancelled, "by hand")))
	must.SliceEmpty(t, m.store.OpenRollouts())
	m.must(t, submission("p5", "other", web(), db()))
	must.Len(t, 2, m.store.OpenRollouts())
	patch, _ := m.store.Patch("ssl")
	must.Eq(t, 1, patch.CreateIndex)
	must.Eq(t, m.index, patch.ModifyIndex)
	must.Eq(t, "tester", patch.SubmittedBy)
}

func TestPatchSubmit_IsChecked(t *testing.T) {
	t.Parallel()
	for name, spoil := range map[string]func(*state.PatchSubmit){
		"no name":            func(s *state.PatchSubmit) { s.Patch.Name = "" },
		"no plan":            func(s *state.PatchSubmit) { s.Plan.ID = "" },
		"no rollout id":      func(s *state.PatchSubmit) { s.Rollouts[0].ID = "" },
		"no group":           func(s *state.PatchSubmit) { s.Rollouts[0].Target.Group = "" },
		"same target twice":  func(s *state.PatchSubmit) { s.Rollouts[1].Target = s.Rollouts[0].Target },
		"another patch":      func(s *state.PatchSubmit) { s.Rollouts[1].Patch = "x" },
		"another digest":     func(s *state.PatchSubmit) { s.Rollouts[1].PatchDigest = "x" },
		"another plan":       func(s *state.PatchSubmit) { s.Rollouts[1].Plan = "x" },
		"ended":              func(s *state.PatchSubmit) { s.Rollouts[1].Status = api.RolloutComplete },
		"an effect is open":  func(s *state.PatchSubmit) { s.Rollouts[1].Effect = &api.Effect{ID: "e"} },
		"no status":          func(s *state.PatchSubmit) { s.Rollouts[1].Status = "" },
		"same rollout twice": func(s *state.PatchSubmit) { s.Rollouts[1].ID = s.Rollouts[0].ID },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			m := newMachine()
			before := m.store.Hash()
			s := submission("p", "d", web(), db())
			spoil(s)
			err := m.apply(s)
			must.True(t, api.IsCode(err, api.CodeInvalid) || api.IsCode(err, api.CodeConflict), must.Sprint(err))
			must.Eq(t, before, m.store.Hash())
		})
	}
}

func TestTransitions(t *testing.T) {
	t.Parallel()
	m := newMachine()
	m.must(t, submission("p", "d", web()))
	err := m.apply(&state.RolloutTransition{Kind: "hold", Rollout: api.Rollout{ID: "none"}})
	must.True(t, api.IsCode(err, api.CodeNotFound), must.Sprint(err))

	r, _ := m.store.Rollout("p-0")
	must.NoError(t, m.turn("p-0", "rollout_start", become(api.RolloutRunning, "the window is open")))
	err = m.apply(&state.RolloutTransition{Kind: "hold", Expect: r.ModifyIndex, Rollout: r})
	must.True(t, api.IsCode(err, api.CodeStaleIndex), must.Sprint(err))
	for name, spoil := range map[string]func(*api.Rollout){
		"target": func(r *api.Rollout) { r.Target = db() },
		"patch":  func(r *api.Rollout) { r.Patch = "x" },
		"digest": func(r *api.Rollout) { r.PatchDigest = "x" },
		"plan":   func(r *api.Rollout) { r.Plan = "x" },
		"status": func(r *api.Rollout) { r.Status = "" },
		"effect": func(r *api.Rollout) { r.Effect = &api.Effect{ID: "e", Status: api.EffectDone} },
	} {
		err = m.turn("p-0", "x", spoil)
		must.True(t, api.IsCode(err, api.CodeInvalid), must.Sprint(name, err))
	}

	t.Log("one effect at a time, closed only by its outcome")
	effect := func(id string) *api.Effect {
		return &api.Effect{ID: id, Kind: api.EffectStage, Stage: 1, Status: api.EffectIntended}
	}
	must.NoError(t, m.turn("p-0", state.KindEffectIntend, func(r *api.Rollout) { r.Effect = effect("e1") }))
	err = m.turn("p-0", state.KindEffectIntend, func(r *api.Rollout) { r.Effect = effect("e2") })
	must.True(t, api.IsCode(err, api.CodeConflict), must.Sprint(err))
	err = m.turn("p-0", "hold", func(r *api.Rollout) { r.Effect = nil })
	must.True(t, api.IsCode(err, api.CodeConflict), must.Sprint(err))
	err = m.turn("p-0", "end", become(api.RolloutComplete, ""))
	must.True(t, api.IsCode(err, api.CodeConflict), must.Sprint(err))
	finish := func(r *api.Rollout) {
		e := *r.Effect
		e.Status, e.Outcome = api.EffectDone, "1 instance"
		r.Effects, r.Effect = append(r.Effects, e), nil
	}
	must.NoError(t, m.turn("p-0", state.KindEffectFinish, func(r *api.Rollout) { finish(r); r.Effect = effect("e2") }))
	must.NoError(t, m.turn("p-0", state.KindEffectFinish, finish))

	must.NoError(t, m.turn("p-0", "end", become(api.RolloutRolledBack, "p99 is up")))
	r, _ = m.store.Rollout("p-0")
	must.Eq(t, epoch().Add(time.Duration(m.index)*time.Second), r.Ended)
	must.Eq(t, r.Ended, r.Since)
	err = m.turn("p-0", "resume", become(api.RolloutRunning, ""))
	must.True(t, api.IsCode(err, api.CodeConflict), must.Sprint(err))

	var types []string
	for _, e := range m.store.Events(0, 0) {
		types = append(types, e.Type)
	}
	must.Eq(t, []string{
		"patch_submitted", "rollout_pending", "rollout_start", "rollout_running",
		"effect_intended", "effect_done", "effect_intended", "effect_done", "end", "rollout_rolled_back", "quarantine_set",
	}, types)
}

func TestQuarantine(t *testing.T) {
	t.Parallel()
	m := newMachine()
	m.must(t, submission("p1", "d1", web()))
	must.NoError(t, m.turn("p1-0", "end", become(api.RolloutRejected, "error_rate is up")))
	must.Len(t, 1, m.store.Quarantines())

	err := m.apply(submission("p2", "d1", web()))
	must.True(t, api.IsCode(err, api.CodeConflict), must.Sprint(err))
	must.StrContains(t, err.Error(), "prod/web/vm is quarantined from this patch since 2026-03-01 12:00:02 UTC: error_rate is up")
	m.must(t, submission("p3", "d1", db()))
	must.NoError(t, m.turn("p3-0", "end", become(api.RolloutComplete, "")))

	m.must(t, &state.QuarantineLift{Patch: "ssl", Target: web()})
	err = m.apply(&state.QuarantineLift{Patch: "ssl", Target: web()})
	must.True(t, api.IsCode(err, api.CodeNotFound), must.Sprint(err))
	m.must(t, submission("p4", "d1", web()))
	must.NoError(t, m.turn("p4-0", "end", become(api.RolloutRolledBack, "again")))
	m.must(t, submission("p5", "fixed", web()))
}

func TestSimulations(t *testing.T) {
	t.Parallel()
	m := newMachine()
	s := api.Simulation{ID: "s1", Patch: "ssl", Target: web(), Status: api.SimulationRunning}
	m.must(t, &state.SimulationPut{Simulation: s})
	s.Status, s.Impact = api.SimulationRejected, &api.Impact{Negative: true}
	m.must(t, &state.SimulationPut{Simulation: s})
	err := m.apply(&state.SimulationPut{Simulation: s})
	must.True(t, api.IsCode(err, api.CodeConflict), must.Sprint(err))
	got, _ := m.store.Simulation("s1")
	must.Eq(t, 1, got.CreateIndex)
	must.Eq(t, 2, got.ModifyIndex)
}

func TestStore_ForgetsOldRollouts(t *testing.T) {
	t.Parallel()
	m := newMachine()
	m.must(t, submission("p-open", "d", db()))
	for i := range 51 {
		var targets []api.TargetRef
		for j := range 100 {
			targets = append(targets, api.TargetRef{Namespace: "n", Job: fmt.Sprint(j), Group: "g"})
		}
		plan := fmt.Sprintf("p%03d", i)
		m.must(t, submission(plan, "d", targets...))
		for j := range targets {
			must.NoError(t, m.turn(fmt.Sprintf("%s-%d", plan, j), "end", become(api.RolloutComplete, "")))
		}
	}
	m.must(t, submission("p-last", "d", web()))
	must.Len(t, 5_002, m.store.Rollouts())
	_, found := m.store.Plan("p000")
	must.False(t, found)
	_, found = m.store.Plan("p001")
	must.True(t, found)
	_, found = m.store.Plan("p-open")
	must.True(t, found)
	must.Len(t, 2, m.store.OpenRollouts())
}

func TestGraphAndProfiles(t *testing.T) {
	t.Parallel()
	m := newMachine()
	m.must(t, &state.GraphChange{GraphChange: api.GraphChange{
		Edges:    []api.Edge{{From: "web", To: "db", State: api.EdgeConfirmed, Evidence: []api.Evidence{{Source: "prometheus"}}}, {From: "api", To: "db"}},
		Services: []api.Service{{Name: "web"}, {Name: "db"}},
		Targets:  []api.Target{{TargetRef: web(), Count: 3}, {TargetRef: db(), Meta: map[string]string{"tier": "1"}}},
		Sources:  []api.SourceStatus{{Name: "prometheus", OK: true}, {Name: "consul-intentions", Error: "refused"}},
	}})
	g := m.store.Graph()
	must.Eq(t, []string{"api", "web"}, []string{g.Edges[0].From, g.Edges[1].From})
	must.Eq(t, []string{"db", "web"}, []string{g.Services[0].Name, g.Services[1].Name})
	must.Eq(t, db(), g.Targets[0].Target.TargetRef)
	must.Eq(t, "consul-intentions", g.Sources[0].Name)
	must.Eq(t, 1, g.Index)
	must.Eq(t, epoch().Add(time.Second), g.At)

	m.must(t, &state.GraphChange{GraphChange: api.GraphChange{
		RemoveEdges: [][2]string{{"api", "db"}}, RemoveServices: []string{"web"}, RemoveTargets: []api.TargetRef{web()},
		Sources: []api.SourceStatus{{Name: "prometheus", Error: "timeout"}},
	}})
	g = m.store.Graph()
	must.Len(t, 1, g.Edges)
	must.Len(t, 1, g.Services)
	must.Len(t, 1, g.Targets)
	err := m.apply(&state.GraphChange{GraphChange: api.GraphChange{Services: []api.Service{{}}}})
	must.True(t, api.IsCode(err, api.CodeInvalid), must.Sprint(err))
	var texts []string
	for _, e := range m.store.Events(0, 0) {
		texts = append(texts, e.Text)
	}
	must.Eq(t, []string{
		"the graph changed: 2 edges new, 2 services new, 2 targets new", "source prometheus answers",
		"source consul-intentions does not answer: refused",
		"the graph changed: 1 edges gone, 1 services gone, 1 targets gone", "source prometheus does not answer: timeout",
	}, texts)

	mean := 0.25
	m.must(t, &state.ProfilesPut{Profiles: []api.Profile{{Target: web(), KPIs: []api.Baseline{{KPI: api.KPICPU, Hours: []*float64{nil, &mean}}}}}})
	p, found := m.store.Profile(web())
	must.True(t, found)
	must.Eq(t, 0.25, *p.KPIs[0].Hours[1])
}

func TestWatch(t *testing.T) {
	t.Parallel()
	m := newMachine()
	open := func(c <-chan struct{}) bool {
		select {
		case <-c:
			return false
		default:
			return true
		}
	}
	policy, graph, all := m.store.Watch(api.TopicPolicy), m.store.Watch(api.TopicGraph), m.store.Watch()
	either := m.store.Watch(api.TopicGraph, api.TopicPolicy, api.TopicGraph)
	must.Eq(t, either, m.store.Watch(api.TopicPolicy, api.TopicGraph))
	m.must(t, &state.PolicyPut{Policy: api.Policy{Name: "a"}})
	must.False(t, open(policy))
	must.True(t, open(graph))
	must.False(t, open(all))
	must.False(t, open(either))
	must.Eq(t, 1, m.store.IndexOf(api.TopicPolicy))
	must.Eq(t, 0, m.store.IndexOf(api.TopicGraph))
	must.Eq(t, 1, m.store.IndexOf())

	policy = m.store.Watch(api.TopicPolicy)
	must.Error(t, m.apply(&state.PolicyDelete{Name: "none"}))
	must.True(t, open(policy))
	must.Eq(t, 1, m.store.Index())

	t.Log("a snapshot wakes everybody")
	var snapshot bytes.Buffer
	must.NoError(t, m.store.Snapshot(&snapshot))
	must.NoError(t, m.store.Restore(&snapshot))
	must.False(t, open(policy))
	must.False(t, open(graph))
}

func TestEvents_AreARing(t *testing.T) {
	t.Parallel()
	m := newMachine()
	for i := range 10_050 {
		m.must(t, &state.PolicyPut{Policy: api.Policy{Name: fmt.Sprint("p", i%10)}})
	}
	must.Len(t, 10_000, m.store.Events(0, 0))
	must.Eq(t, 51, m.store.Events(0, 1)[0].Index)
	must.Len(t, 7, m.store.Events(60, 7))
	must.Eq(t, 60, m.store.Events(60, 7)[0].Index)

	t.Log("the events of one index come together")
	m.must(t, submission("p", "d", web(), db()))
	must.Len(t, 3, m.store.Events(m.index, 1))
	must.SliceEmpty(t, m.store.Events(m.index+1, 1))
}

// TestStore_ReadsCopies changes everything that a read returns and looks whether
// the state noticed.
func TestStore_ReadsCopies(t *testing.T) {
	t.Parallel()
	m := newMachine()
	m.must(t, submission("p", "d", web()))
	m.must(t, &state.GraphChange{GraphChange: api.GraphChange{
		Edges: []api.Edge{{From: "a", To: "b", Evidence: []api.Evidence{{Source: "x"}}}}, Targets: []api.Target{{TargetRef: web(), Meta: map[string]string{"k": "v"}}},
	}})
	before := m.store.Hash()
	patch, _ := m.store.Patch("ssl")
	patch.Apply[0].Config["a"].(map[string]any)["b"].([]any)[0] = "changed"
	patch.Apply[0].Config["z"] = 1
	r, _ := m.store.Rollout("p-0")
	r.Stages = append(r.Stages, api.Stage{})
	r.Decision.Because = append(r.Decision.Because, api.Because{})
	g := m.store.Graph()
	g.Edges[0].Evidence[0].Source = "y"
	g.Targets[0].Target.Meta["k"] = "changed"
	m.store.Events(0, 0)[0].Payload[0] = 'x'
	must.Eq(t, before, m.store.Hash())
}

func TestRestore_ChangesNothingOnErrors(t *testing.T) {
	t.Parallel()
	m := newMachine()
	m.must(t, submission("p", "d", web()))
	var out bytes.Buffer
	must.NoError(t, m.store.Snapshot(&out))
	good := out.String()
	info, err := state.Inspect(strings.NewReader(good))
	must.NoError(t, err)
	must.Eq(t, m.store.Hash(), info.Hash)
	must.Eq(t, 1, info.Rows["rollouts"])
	for name, bad := range map[string]string{
		"empty":        "",
		"another file": `{"hello":1}`,
		"newer format": strings.Replace(good, `"format":1`, `"format":2`, 1),
		"cut off":      good[:len(good)-100],
		"no trailer":   good[:strings.LastIndex(strings.TrimSpace(good), "\n")],
		"changed":      strings.Replace(good, `"job":"web"`, `"job":"wob"`, 1),
	} {
		before := m.store.Hash()
		err := m.store.Restore(strings.NewReader(bad))
		must.True(t, api.IsCode(err, api.CodeInvalid), must.Sprint(name, err))
		must.Eq(t, before, m.store.Hash())
	}
}

func TestEncode_RefusesWhatDoesNotFit(t *testing.T) {
	t.Parallel()
	_, err := state.Encode(&state.PolicyPut{Policy: api.Policy{Name: strings.Repeat("x", 33<<20)}}, epoch(), "")
	must.True(t, api.IsCode(err, api.CodeInvalid), must.Sprint(err))
}
