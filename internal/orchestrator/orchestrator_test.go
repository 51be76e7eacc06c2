package orchestrator

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/shoenig/test/must"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/internal/fleet"
	"github.com/oakumhq/oakum/internal/rollout"
	"github.com/oakumhq/oakum/server/state"
)

// calmWorld is a world in which nothing goes wrong, with n jobs of four
// instances.
func calmWorld(n int, change func(*api.Decision)) *world {
	w := newWorld(0, true, true)
	w.faults, w.rate, w.stale, w.bad, w.meddling, w.haunt, w.checked = false, 0, 0, 0, 0, 0, true
	w.store = state.NewStore()
	w.fsm = state.NewFSM(w.store)
	w.night, w.skew = nil, 0
	w.parallel, w.minHealthy = 2, time.Second
	w.good = true
	w.newFleet(1)
	w.ladder = []api.Advice{stage(50, api.StageInPlace), stage(100, api.StageInPlace)}
	d := api.Decision{Deadline: api.Duration(time.Minute), Rollback: api.RollbackSpec{OnHealth: true, OnDeadline: true}}
	change(&d)
	cmd := &state.PatchSubmit{Patch: api.Patch{Name: "p", Digest: "d"}, Plan: api.Plan{ID: "plan", Patch: "p", Digest: "d"}}
	for i := range n {
		ref := w.addJob(fmt.Sprintf("job%d", i), 4, "")
		d.Target = ref
		cmd.Rollouts = append(cmd.Rollouts, api.Rollout{
			ID: fmt.Sprintf("r%d", i), Plan: "plan", Patch: "p", PatchDigest: "d", Target: ref, Wave: 1, Decision: d,
			Status: api.RolloutPending, Apply: thePatch(),
		})
	}
	w.fleet.Advance(w.now())
	w.fleet.Behave(func(fleet.Build) fleet.Behaviour {
		return fleet.Behaviour{Start: time.Second, Boot: time.Second}
	})
	entry, err := state.Encode(cmd, w.now(), "pipeline")
	if err == nil {
		err = w.apply(entry)
	}
	if err != nil {
		w.fail("submit: %v", err)
	}
	w.elect()
	return w
}

// until turns the world over until the rollout is as asked.
func (w *world) until(t *testing.T, id string, ok func(api.Rollout) bool) {
	t.Helper()
	for range 300 {
		if ok(w.rollout(id)) {
			return
		}
		time.Sleep(time.Second)
		w.step()
	}
	t.Fatalf("never: %+v", w.rollout(id))
}

// TestTurn_WritesNothingWhenNothingChanges: what comes back from the log equals
// what was put into it, in every state that a rollout can rest in.
func TestTurn_WritesNothingWhenNothingChanges(t *testing.T) {
	rests := map[string]struct {
		change  func(*api.Decision)
		arrange func(*testing.T, *world)
	}{
		"awaiting approval": {func(d *api.Decision) { d.Approval.Count = 1 }, func(t *testing.T, w *world) {
			w.until(t, "r0", func(r api.Rollout) bool { return r.Status == api.RolloutAwaitingApproval })
		}},
		"paused in a stage": {func(*api.Decision) {}, func(t *testing.T, w *world) {
			w.until(t, "r0", func(r api.Rollout) bool { return len(r.Stages) == 1 && !r.Stages[0].Judged.IsZero() })
			w.command("r0", "pause", "test")
		}},
		"held by a foreign job": {func(*api.Decision) {}, func(t *testing.T, w *world) {
			w.until(t, "r0", func(r api.Rollout) bool { return len(r.Stages) == 1 && r.Effect == nil })
			must.NoError(t, w.registers(w.refs[0], "theirs"))
			w.until(t, "r0", func(r api.Rollout) bool { return r.Status == api.RolloutHolding })
		}},
		"rolling back a foreign job": {func(*api.Decision) {}, func(t *testing.T, w *world) {
			w.until(t, "r0", func(r api.Rollout) bool { return len(r.Stages) == 1 && r.Effect == nil })
			must.NoError(t, w.registers(w.refs[0], "theirs"))
			w.command("r0", "rollback", "test")
			w.until(t, "r0", func(r api.Rollout) bool { return len(r.Holds) > 0 && r.Effect == nil })
		}},
		"nomad is away": {func(*api.Decision) {}, func(t *testing.T, w *world) {
			w.until(t, "r0", func(r api.Rollout) bool { return len(r.Stages) == 1 && r.Effect == nil })
			w.down["nomad"] = w.now().Add(time.Hour)
			w.until(t, "r0", func(r api.Rollout) bool { return r.Status == api.RolloutHolding })
		}},
		"an effect waits for nomad": {func(*api.Decision) {}, func(t *testing.T, w *world) {
			w.until(t, "r0", func(r api.Rollout) bool { return len(r.Stages) == 1 })
			w.down["nomad"] = w.now().Add(time.Hour)
			w.command("r0", "rollback", "test")
			w.until(t, "r0", func(r api.Rollout) bool { return len(r.Holds) > 0 })
		}},
	}
	for name, rest := range rests {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := calmWorld(1, rest.change)
				defer w.term.cancel()
				rest.arrange(t, w)
				for range 15 { // instances settle
					time.Sleep(time.Second)
					w.step()
				}
				index := w.store.Index()
				for range 60 {
					time.Sleep(time.Second)
					w.step()
				}
				must.Eq(t, index, w.store.Index(), must.Sprintf("%v", w.trace))
				must.NoError(t, w.broken)
			})
		})
	}
}

// TestRollback_IsGivenUpWhenTheJobIsForeign: a rollback of a job that is somebody else's now
// holds, and ends when a person says so, with the job as it is.
func TestRollback_IsGivenUpWhenTheJobIsForeign(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := calmWorld(1, func(*api.Decision) {})
		defer w.term.cancel()
		w.until(t, "r0", func(r api.Rollout) bool { return len(r.Stages) == 1 && r.Effect == nil })
		must.NoError(t, w.registers(w.refs[0], "theirs"))
		w.command("r0", "abort", "test")
		w.until(t, "r0", func(r api.Rollout) bool { return len(r.Holds) > 0 })
		must.Eq(t, "job", w.rollout("r0").Holds[0].Source)
		must.Eq(t, api.RolloutRollingBack, w.rollout("r0").Status)
		w.command("r0", "abort", "test")
		must.Eq(t, api.RolloutFailed, w.rollout("r0").Status)
		must.StrContains(t, w.rollout("r0").Reason, "changed by somebody else")
		must.Eq(t, "theirs", buildOf(&w.job(w.refs[0]).Groups[0]))
	})
}

// TestStage_TakesALateRegistration: what a stage asks for is there
// without it, for a former instance was moved and came back patched, while its own
// registration is still on its way.
func TestStage_TakesALateRegistration(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := calmWorld(1, func(*api.Decision) {})
		defer w.term.cancel()
		w.ladder = []api.Advice{stage(50, api.StageInPlace), stage(75, api.StageInPlace), stage(100, api.StageInPlace)}
		w.until(t, "r0", func(r api.Rollout) bool { return len(r.Stages) == 1 && r.Effect == nil })
		w.forced = map[boundary]fault{{api.EffectStage, atAct}: faultLate}
		w.until(t, "r0", func(api.Rollout) bool { return len(w.later) == 1 })
		w.later[0].at = w.now().Add(90 * time.Second)
		w.fleet.SchedulerDelay(0, 0)
		for _, a := range w.fleet.Instances(w.refs[0]) {
			if !isPatched(buildOf(a.Group)) {
				must.NoError(t, w.fleet.StopAlloc(a.ID))
				break
			}
		}
		w.advance()
		w.until(t, "r0", func(api.Rollout) bool { return len(w.later) == 0 })
		must.Eq(t, 1, w.performed["r0.3"], must.Sprintf("%v", w.trace))
		must.NoError(t, w.broken)
		w.until(t, "r0", func(r api.Rollout) bool { return r.Status.Ended() })
		must.NoError(t, w.broken)
	})
}

// TestRollback_IsRegisteredAgainWhenItsDeploymentFails: patched instances wait for
// room to be replaced, and a former one dies meanwhile, which ends the deployment
// that would replace them.
func TestRollback_IsRegisteredAgainWhenItsDeploymentFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := calmWorld(1, func(*api.Decision) {})
		defer w.term.cancel()
		w.until(t, "r0", func(r api.Rollout) bool { return len(r.Stages) == 1 && !r.Stages[0].Judged.IsZero() })
		must.Eq(t, 2, w.running(w.refs[0], patchOf(specFormer)))
		room := func(there bool) {
			for _, n := range w.fleet.Nodes() {
				must.NoError(t, w.fleet.SetEligibility(n.ID, there))
			}
		}
		room(false)
		w.command("r0", "rollback", "test")
		w.until(t, "r0", func(r api.Rollout) bool {
			return r.Effect == nil && r.Effects[len(r.Effects)-1].Kind == api.EffectRollback
		})
		for range 5 {
			time.Sleep(time.Second)
			w.step()
		}
		for _, a := range w.fleet.Instances(w.refs[0]) {
			if !isPatched(buildOf(a.Group)) {
				must.NoError(t, w.fleet.Crash(a.ID, "Exceeded allowed attempts"))
				break
			}
		}
		must.Eq(t, fleet.DeployFailed, w.fleet.Latest(w.job(w.refs[0]).JobID).Status)
		must.Eq(t, 2, w.running(w.refs[0], patchOf(specFormer)))
		room(true)
		w.until(t, "r0", func(r api.Rollout) bool { return r.Status == api.RolloutRolledBack })
		must.Eq(t, 4, w.running(w.refs[0], specFormer))
		must.NoError(t, w.broken)
	})
}

// TestRollback_PacesRepeatedFailures has no room for half an hour, while
// each deployment of the rollback fails.
func TestRollback_PacesRepeatedFailures(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := calmWorld(1, func(*api.Decision) {})
		defer w.term.cancel()
		w.until(t, "r0", func(r api.Rollout) bool { return len(r.Stages) == 1 && !r.Stages[0].Judged.IsZero() })
		room := func(there bool) {
			for _, n := range w.fleet.Nodes() {
				must.NoError(t, w.fleet.SetEligibility(n.ID, there))
			}
		}
		room(false)
		w.command("r0", "rollback", "test")
		began := w.now()
		tries := func() (n int) {
			for _, e := range w.rollout("r0").Effects {
				if e.Kind == api.EffectRollback {
					n++
				}
			}
			return n
		}
		var at []time.Duration // when it was tried, after its beginning
		for w.now().Sub(began) < 30*time.Minute {
			time.Sleep(time.Second)
			w.step()
			for len(at) < tries() {
				at = append(at, w.now().Sub(began).Round(time.Second))
			}
			if d := w.fleet.Latest(w.job(w.refs[0]).JobID); d.Active() && w.rollout("r0").Effect == nil {
				must.NoError(t, w.fleet.FailDeployment(d.ID))
			}
		}
		must.Between(t, 9, len(at), 12, must.Sprint(at))
		must.GreaterEq(t, 4*time.Minute, at[len(at)-1]-at[len(at)-2], must.Sprint(at))
		r := w.rollout("r0")
		must.Eq(t, api.RolloutRollingBack, r.Status)
		must.Eq(t, "nomad", r.Holds[0].Source)
		must.StrHasPrefix(t, fmt.Sprintf("the rollback was tried %d times: 2 instances do not run the former version", len(at)), r.Holds[0].Reason)
		w.command("r0", "abort", "test")
		must.Eq(t, api.RolloutRollingBack, w.rollout("r0").Status, must.Sprint("it is not given up"))
		room(true)
		w.until(t, "r0", func(r api.Rollout) bool { return r.Status == api.RolloutRolledBack })
		must.NoError(t, w.broken)
	})
}

// TestSimulation_IsRepeatedAfterAChangeOfLeader has a leader record how
// a simulation ended and be gone before the effect has an outcome.
func TestSimulation_IsRepeatedAfterAChangeOfLeader(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := calmWorld(1, func(d *api.Decision) { d.Simulate.Required = true })
		defer w.term.cancel()
		sim := api.Simulation{ID: "r0.1", Patch: "p", Target: w.refs[0], Rollout: "r0", Status: api.SimulationRunning, Started: w.now()}
		must.NoError(t, w.term.RecordSimulation(t.Context(), sim))
		sim.End(w.now(), api.Impact{}, api.Errorf(api.CodeNoLeader, "leadership lost"))
		must.NoError(t, w.term.RecordSimulation(t.Context(), sim))
		w.until(t, "r0", func(r api.Rollout) bool { return r.Simulation != "" })
		must.Eq(t, "r0.1-2", w.rollout("r0").Simulation)
		kept, _ := w.store.Simulation("r0.1")
		must.Eq(t, api.SimulationFailed, kept.Status)
	})
}

// TestSimulation_IsLeftToTheNextLeader has more leaders in a row lose a
// simulation than anybody would wait for.
func TestSimulation_IsLeftToTheNextLeader(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := calmWorld(1, func(d *api.Decision) { d.Simulate.Required = true })
		for range 20 {
			time.AfterFunc(1500*time.Millisecond, w.term.cancel) // of the three seconds that it takes
			w.step()
			time.Sleep(2 * time.Second)
			must.Eq(t, api.RolloutSimulating, w.rollout("r0").Status)
			kept, ok := w.store.Simulation("r0.1")
			must.True(t, ok)
			must.Eq(t, api.SimulationRunning, kept.Status)
			w.elect()
		}
		defer func() { w.term.cancel() }()
		w.until(t, "r0", func(r api.Rollout) bool { return r.Simulation != "" })
		must.Eq(t, "r0.1", w.rollout("r0").Simulation)
		must.Len(t, 1, w.store.Simulations())
	})
}

// fullLog takes no simulation that has ended.
type fullLog struct {
	*term
	err error
}

func (f *fullLog) RecordSimulation(ctx context.Context, sim api.Simulation) error {
	if sim.Status != api.SimulationRunning {
		return f.err
	}
	return f.term.RecordSimulation(ctx, sim)
}

// TestASimulationThatTheLogNeverTakesEndsItsEffect has the log refuse what twins have
// shown: for now, and for good.
func TestASimulationThatTheLogNeverTakesEndsItsEffect(t *testing.T) {
	for name, c := range map[string]struct {
		err  error
		ends bool
	}{
		"no leader": {api.Errorf(api.CodeNoLeader, "the cluster has no leader now"), false},
		"no answer": {api.Errorf(api.CodeTimeout, "what was asked may still happen"), false},
		"too large": {api.Errorf(api.CodeInvalid, "the change is too large"), true},
		"no JSON":   {errors.New("json: unsupported value: NaN"), true},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := calmWorld(1, func(d *api.Decision) { d.Simulate.Required = true })
				defer w.term.cancel()
				o := w.orch.Options
				o.Recorder = &fullLog{w.term, c.err}
				worker := New(o).Worker("r0")
				for range 4 {
					worker.Turn(w.term.ctx)
				}
				r := w.rollout("r0")
				if !c.ends {
					must.Eq(t, api.RolloutSimulating, r.Status)
					return
				}
				must.Eq(t, api.RolloutHolding, r.Status)
				must.StrContains(t, r.Reason, "the simulation could not be carried out: record the simulation: ")
			})
		})
	}
}

// flakyNomad shows one view while it answers.
type flakyNomad struct {
	downNomad
	view rollout.JobView
	away bool
}

func (f *flakyNomad) View(ctx context.Context, m rollout.Move) (*rollout.JobView, error) {
	if f.away {
		return f.downNomad.View(ctx, m)
	}
	return &f.view, nil
}

// TestDeadline_StandsStillWhileNomadIsAway has Nomad be away for longer than it may
// take to place an instance, right after it was asked to.
func TestDeadline_StandsStillWhileNomadIsAway(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := calmWorld(1, func(*api.Decision) {})
		defer w.term.cancel()
		w.until(t, "r0", func(r api.Rollout) bool { return r.Effect != nil && r.Effect.Kind == api.EffectStage })
		r := w.rollout("r0")
		nomad, o := &flakyNomad{view: rollout.JobView{ModifyIndex: r.Effect.Expect, Build: api.BuildFormer}}, w.orch.Options
		o.Reader = nomad
		a := execution{effect: r.Effect.ID}
		turn := func(after time.Duration) (rollout.EffectResult, bool) {
			time.Sleep(after)
			return New(o).drive(w.term.ctx, slog.New(slog.DiscardHandler), w.rollout("r0"), &a, func(context.Context, *rollout.JobView) error {
				nomad.view = rollout.JobView{ModifyIndex: r.Effect.Expect + 1, Build: api.BuildPatched, Pace: rollout.PaceHeld, Count: 4}
				nomad.view.Instances = make([]api.Instance, 4) // all are placed, and none runs the patch
				return nil
			})
		}
		_, done := turn(0)
		must.False(t, done)
		nomad.away = true
		_, done = turn(time.Second)
		must.False(t, done)
		nomad.away = false
		_, done = turn(2 * placeTimeout)
		must.False(t, done, must.Sprint("its minute begins when it is back"))
		_, done = turn(placeTimeout)
		must.False(t, done)
		res, done := turn(time.Second)
		must.True(t, done)
		must.False(t, res.OK)
		must.StrContains(t, res.Outcome, "0 of 4 instances run the patch")
	})
}

// slowLog makes a commit take time. The world behind it knows one goroutine.
type slowLog struct {
	*term

	mu sync.Mutex
}

func (s *slowLog) Transition(ctx context.Context, kind string, next api.Rollout, expect uint64) error {
	time.Sleep(100 * time.Millisecond)
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.term.Transition(ctx, kind, next, expect)
}

// TestRun_StartsNoMoreThanTheBudget runs the real workers, all of which see the
// gate open in the same moment.
func TestRun_StartsNoMoreThanTheBudget(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := calmWorld(3, func(d *api.Decision) { d.Budget.Targets = 1 })
		o := w.orch.Options
		o.Recorder, o.Logger, o.Interval = &slowLog{term: w.term}, slog.New(slog.DiscardHandler), time.Second
		o.Reader, o.Mover, o.Tagger = downNomad{}, downNomad{}, downNomad{} // the tags stay open
		done := make(chan error)
		go func() { done <- New(o).Run(w.term.ctx) }()
		time.Sleep(5 * time.Second)
		synctest.Wait()
		tags := 0
		for _, r := range w.store.Rollouts() {
			if r.Effect != nil && r.Effect.Kind == api.EffectTag {
				tags++
			}
		}
		must.Eq(t, 1, tags)
		w.term.cancel()
		must.ErrorIs(t, <-done, context.Canceled)
	})
}

// downNomad answers nothing.
type downNomad struct{}

func (downNomad) err() error { return api.Errorf(api.CodeUnavailable, "nomad: connection refused") }

func (d downNomad) View(context.Context, rollout.Move) (*rollout.JobView, error) { return nil, d.err() }
func (d downNomad) Gone(context.Context, api.TargetRef) (*rollout.Gone, error)   { return nil, d.err() }
func (d downNomad) Capture(context.Context, api.TargetRef) (*api.FormerJob, error) {
	return nil, d.err()
}
func (d downNomad) Target(context.Context, api.TargetRef) (api.Target, error) {
	return api.Target{}, d.err()
}
func (d downNomad) Stage(context.Context, rollout.Move, api.StageMode, int, uint64) error {
	return d.err()
}
func (d downNomad) Promote(context.Context, rollout.Move) error                   { return d.err() }
func (d downNomad) EndStage(context.Context, rollout.Move, uint64) error          { return d.err() }
func (d downNomad) Settle(context.Context, rollout.Move) error                    { return d.err() }
func (d downNomad) Rollback(context.Context, rollout.Move, int, uint64) error     { return d.err() }
func (d downNomad) Renew(context.Context, rollout.Move, uint64) error             { return d.err() }
func (d downNomad) Unpace(context.Context, rollout.Move, api.Build, uint64) error { return d.err() }
func (d downNomad) Tag(context.Context, rollout.Move) error                       { return d.err() }
func (d downNomad) Untag(context.Context, rollout.Move) error                     { return d.err() }

func TestRollout_WaitsForItsQuietHour(t *testing.T) {
	now := time.Date(2026, 3, 2, 14, 0, 0, 0, time.UTC)
	store := state.NewStore()
	o := New(Options{
		Store: store, Neighbourhood: alone{}, Now: func() time.Time { return now },
		Opens: func(_ api.Decision, at time.Time) (time.Time, string) { return at, "" },
	})
	r := api.Rollout{ID: "r", Quiet: &api.Quiet{At: now.Add(time.Hour), Reason: "waits for the quietest hour"}}
	must.Eq(t, rollout.Gate{Reason: "waits for the quietest hour"}, o.gate(r))
	now = now.Add(time.Hour)
	must.Eq(t, rollout.Gate{Open: true}, o.gate(r))
}
