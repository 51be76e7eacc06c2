package service

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/shoenig/test/must"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/server/state"
)

// sandbox is a model of the sandbox: try says how a simulation goes, and remove how a
// removal does; nil is at once and well.
type sandbox struct {
	try    func(ctx context.Context, id string, r api.Rollout, target api.Target) (api.Impact, error)
	remove func(o api.SandboxObject) error

	mu      sync.Mutex
	tried   []string // IDs
	removed []string // names, in their order
}

func (s *sandbox) Try(ctx context.Context, id string, r api.Rollout, target api.Target) (api.Impact, error) {
	s.mu.Lock()
	s.tried = append(s.tried, id)
	s.mu.Unlock()
	if s.try == nil {
		return api.Impact{}, nil
	}
	return s.try(ctx, id, r, target)
}

func (s *sandbox) Remove(_ context.Context, _ api.Simulation, o api.SandboxObject) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.removed = append(s.removed, o.Name)
	if s.remove == nil {
		return nil
	}
	return s.remove(o)
}

// hangs tries until its context ends.
func hangs(ctx context.Context, _ string, _ api.Rollout, _ api.Target) (api.Impact, error) {
	<-ctx.Done()
	return api.Impact{}, context.Cause(ctx)
}

func (f *fixture) simulation(t *testing.T, id string) api.Simulation {
	t.Helper()
	sim, ok := f.state.Simulation(id)
	must.True(t, ok)
	return sim
}

func TestSimulate_ReturnsWhileTheSandboxWorks(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		impact api.Impact
		err    error
		want   api.SimulationStatus
		reason string
	}{
		"a patch that does no harm": {impact: api.Impact{Reason: "the twins do not differ"}, want: api.SimulationPassed, reason: "the twins do not differ"},
		"a patch that does":         {impact: api.Impact{Negative: true, Reason: "error_rate 10x"}, want: api.SimulationRejected, reason: "error_rate 10x"},
		"too little to tell":        {impact: api.Impact{Verdict: api.SimulationUndecided, Reason: "no load"}, want: api.SimulationInconclusive, reason: "no load"},
		"a sandbox that fails":      {err: errors.New("no node has QEMU"), want: api.SimulationFailed, reason: "no node has QEMU"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				f := newFixture(t, target("web"))
				finish := make(chan struct{})
				var tried api.Rollout
				var at api.Target
				box := &sandbox{try: func(_ context.Context, _ string, r api.Rollout, target api.Target) (api.Impact, error) {
					tried, at = r, target
					<-finish
					return c.impact, c.err
				}}
				end := f.lead(t, box)
				sim, err := f.Simulate(t.Context(), patch(`"web"`), target("web").TargetRef, ada())
				must.NoError(t, err)
				must.EqOp(t, "asked for by ada", sim.Reason)
				synctest.Wait()
				running := f.simulation(t, sim.ID)
				must.EqOp(t, api.SimulationRunning, running.Status)
				must.EqOp(t, "ada", running.By)
				must.EqOp(t, api.SeverityHigh, running.Severity)
				close(finish)
				synctest.Wait()
				done := f.simulation(t, sim.ID)
				must.EqOp(t, c.want, done.Status)
				must.EqOp(t, c.reason, done.Reason)
				end()
				must.Eq(t, []string{sim.ID}, box.tried)
				must.EqOp(t, "server", tried.Apply[0].Task)
				must.EqOp(t, "blue_green", tried.Decision.Strategy.Name)
				must.EqOp(t, target("web").TargetRef, at.TargetRef)
			})
		})
	}
}

func TestSimulate_Refuses(t *testing.T) {
	t.Parallel()
	web := target("web").TargetRef
	for name, c := range map[string]struct {
		file api.SourceFile
		at   api.TargetRef
		code api.ErrorCode
		want string
	}{
		"on a server that does not lead": {file: patch(`"web"`), at: web, code: api.CodeNoLeader, want: "this server does not lead"},
		"a file that is wrong":           {file: api.SourceFile{Name: "p.hcl", Text: `patch "x" {`}, at: web, code: api.CodeInvalid, want: "p.hcl"},
		"an unknown target":              {file: patch(`"web"`), at: api.TargetRef{Namespace: "prod", Job: "mail", Group: "mail"}, code: api.CodeNotFound, want: "no target prod/mail/mail"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newFixture(t, target("web"))
			_, err := f.Simulate(t.Context(), c.file, c.at, ada())
			must.True(t, api.IsCode(err, c.code), must.Sprint(err))
			must.ErrorContains(t, err, c.want)
			must.SliceEmpty(t, f.state.Simulations())
		})
	}
}

// TestSimulate_KeepsNoScripts: thousands of simulations that have ended are kept, and a
// script may have megabytes.
func TestSimulate_KeepsNoScripts(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		machine := target("web")
		machine.Driver, machine.Tasks[0].Driver = "qemu", "qemu"
		f := newFixture(t, machine)
		file := patch(`"web"`)
		file.Text = strings.Replace(file.Text, `apply "job" {
    task = "server"
    env  = { VERSION = "2" }`, `apply "script" {
    task   = "server"
    script = "true"`, 1)
		var tried []string
		finish := make(chan struct{})
		end := f.lead(t, &sandbox{try: func(ctx context.Context, _ string, r api.Rollout, _ api.Target) (api.Impact, error) {
			tried = append(tried, r.Apply[0].Script)
			select {
			case <-finish:
			case <-ctx.Done():
			}
			return api.Impact{}, context.Cause(ctx)
		}})
		defer end()
		for range 2 {
			sim, err := f.Simulate(t.Context(), file, target("web").TargetRef, ada())
			must.NoError(t, err)
			synctest.Wait()
			must.EqOp(t, "true", f.simulation(t, sim.ID).Apply[0].Script, must.Sprint("the next leader goes on with it"))
			if len(tried) == 1 {
				_, err = f.CancelSimulation(t.Context(), sim.ID, ada())
				must.NoError(t, err)
			} else {
				close(finish)
			}
			synctest.Wait()
			done := f.simulation(t, sim.ID)
			must.NotEq(t, api.SimulationRunning, done.Status)
			must.EqOp(t, "", done.Apply[0].Script)
			must.EqOp(t, "server", done.Apply[0].Task)
		}
		must.Eq(t, []string{"true", "true"}, tried)
	})
}

func TestSimulate_BoundsWhatWaits(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t, target("web"))
		defer f.lead(t, &sandbox{try: hangs})()
		var last api.Simulation
		for range askedMost {
			var err error
			last, err = f.Simulate(t.Context(), patch(`"web"`), target("web").TargetRef, ada())
			must.NoError(t, err)
		}
		_, err := f.Simulate(t.Context(), patch(`"web"`), target("web").TargetRef, ada())
		must.True(t, api.IsCode(err, api.CodeUnavailable))
		must.ErrorContains(t, err, "64 simulations that people asked for have not ended")
		_, err = f.CancelSimulation(t.Context(), last.ID, ada())
		must.NoError(t, err)
		_, err = f.Simulate(t.Context(), patch(`"web"`), target("web").TargetRef, ada())
		must.NoError(t, err)
	})
}

// TestLead_GoesOnWithASimulationOfAFormerLeader loses the leader in each phase that
// its record can have.
func TestLead_GoesOnWithASimulationOfAFormerLeader(t *testing.T) {
	t.Parallel()
	object := func(kind, name string) api.SandboxObject { return api.SandboxObject{Kind: kind, Name: name} }
	control, treatment := object(api.ObjectJob, "control"), object(api.ObjectJob, "treatment")
	bake, image := object(api.ObjectJob, "bake"), object(api.ObjectImage, "image")
	for phase, owned := range map[string][]api.SandboxObject{
		"":                nil, // it was recorded, and nobody had begun
		api.PhaseQueued:   nil,
		api.PhaseBake:     {bake, image},
		api.PhaseBoot:     {image, control},
		api.PhaseWarmUp:   {image, control, treatment},
		api.PhaseLoad:     {image, control, treatment},
		api.PhaseVerify:   {image, treatment},
		api.PhaseRevert:   {image, treatment},
		api.PhaseRemove:   {image},
		"the discard job": {object(api.ObjectJob, "discard"), image},
	} {
		t.Run(phase, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				f := newFixture(t, target("web"))
				former := &sandbox{try: func(ctx context.Context, id string, r api.Rollout, at api.Target) (api.Impact, error) {
					f.put(t, &state.SimulationNote{ID: id, Own: owned, Progress: &api.SimulationProgress{Phase: phase}})
					return hangs(ctx, id, r, at)
				}}
				end := f.lead(t, former)
				sim, err := f.Simulate(t.Context(), patch(`"web"`), target("web").TargetRef, ada())
				must.NoError(t, err)
				synctest.Wait()
				end()
				must.EqOp(t, api.SimulationRunning, f.simulation(t, sim.ID).Status, must.Sprint("the next leader goes on"))
				must.Len(t, len(owned), f.simulation(t, sim.ID).Owned)

				next := &sandbox{try: func(ctx context.Context, _ string, r api.Rollout, _ api.Target) (api.Impact, error) {
					must.EqOp(t, "server", r.Apply[0].Task)
					must.EqOp(t, "blue_green", r.Decision.Strategy.Name)
					f.put(t, &state.SimulationNote{ID: sim.ID, Own: []api.SandboxObject{object(api.ObjectJob, "of this term")}})
					<-time.After(10 * sweepEvery)
					f.put(t, &state.SimulationNote{ID: sim.ID, Disown: []api.SandboxObject{object(api.ObjectJob, "of this term")}})
					return api.Impact{Reason: "nothing got worse"}, nil
				}}
				end = f.lead(t, next)
				time.Sleep(11 * sweepEvery)
				synctest.Wait()
				end()
				must.Eq(t, []string{sim.ID}, next.tried)
				done := f.simulation(t, sim.ID)
				must.EqOp(t, api.SimulationPassed, done.Status)
				must.SliceEmpty(t, done.Owned)
				for _, o := range owned {
					must.SliceContains(t, next.removed, o.Name)
				}
				must.SliceNotContains(t, next.removed, "of this term", must.Sprint("what is in use stays"))
			})
		})
	}
}

// TestLead_EndsASimulationThatItCantGoOnWith has records of an older server.
func TestLead_EndsASimulationThatItCantGoOnWith(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t, target("web"))
		f.put(t, &state.SimulationPut{Simulation: api.Simulation{ID: "old", Status: api.SimulationRunning, Target: target("web").TargetRef}})
		gone := api.TargetRef{Namespace: "prod", Job: "mail", Group: "mail"}
		f.put(t, &state.SimulationPut{Simulation: api.Simulation{ID: "gone", Status: api.SimulationRunning, Target: gone, Decision: &api.Decision{}}})
		f.lead(t, &sandbox{})()
		must.StrContains(t, f.simulation(t, "old").Reason, "does not say what it tries")
		must.EqOp(t, api.SimulationFailed, f.simulation(t, "old").Status)
		must.EqOp(t, "no target prod/mail/mail", f.simulation(t, "gone").Reason)
		must.EqOp(t, api.SimulationFailed, f.simulation(t, "gone").Status)
	})
}

// TestLead_TriesAgainWhatTheWorldRefuses has Nomad away at first, and then the log.
func TestLead_TriesAgainWhatTheWorldRefuses(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t, target("web"))
		f.put(t, &state.SimulationPut{Simulation: api.Simulation{ID: "s1", Status: api.SimulationRunning, Target: target("web").TargetRef, Decision: &api.Decision{}}})
		f.fleet.err = api.Errorf(api.CodeUnavailable, "nomad is away")
		box := &sandbox{}
		end := f.lead(t, box)
		must.SliceEmpty(t, box.tried)
		f.fleet.err, f.log.err = nil, api.Errorf(api.CodeUnavailable, "no quorum")
		time.Sleep(targetEvery)
		synctest.Wait()
		must.EqOp(t, api.SimulationRunning, f.simulation(t, "s1").Status)
		f.log.err = nil
		time.Sleep(sweepEvery)
		synctest.Wait()
		must.EqOp(t, api.SimulationPassed, f.simulation(t, "s1").Status)
		end()
	})
}

func TestCancelSimulation_EndsItAndWhatItMade(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t, target("web"))
		job := api.SandboxObject{Kind: api.ObjectJob, Name: "control"}
		var late error
		box := &sandbox{try: func(ctx context.Context, id string, _ api.Rollout, _ api.Target) (api.Impact, error) {
			f.put(t, &state.SimulationNote{ID: id, Own: []api.SandboxObject{job}})
			<-ctx.Done()
			_, late = f.log.put(&state.SimulationNote{ID: id, Own: []api.SandboxObject{{Kind: api.ObjectJob, Name: "late"}}}, "s1")
			return api.Impact{}, context.Cause(ctx)
		}}
		end := f.lead(t, box)
		sim, err := f.Simulate(t.Context(), patch(`"web"`), target("web").TargetRef, ada())
		must.NoError(t, err)
		synctest.Wait()
		done, err := f.CancelSimulation(t.Context(), sim.ID, api.Identity{Name: "bob"})
		must.NoError(t, err)
		must.EqOp(t, api.SimulationCancelled, done.Status)
		must.EqOp(t, "bob", done.CancelledBy)
		must.EqOp(t, "cancelled by bob", done.Reason)
		synctest.Wait()
		must.ErrorContains(t, late, "has ended: it is cancelled", must.Sprint("it makes nothing more"))
		time.Sleep((latePasses + 1) * sweepEvery)
		synctest.Wait()
		end()
		must.SliceContains(t, box.removed, "control")
		must.SliceEmpty(t, f.simulation(t, sim.ID).Owned)
		must.EqOp(t, api.SimulationCancelled, f.simulation(t, sim.ID).Status)
	})
}

func TestCancelSimulation_Refuses(t *testing.T) {
	t.Parallel()
	f := newFixture(t, target("web"))
	for _, sim := range []api.Simulation{{ID: "of-a-rollout", Rollout: "r1", Status: api.SimulationRunning}, {ID: "over", Status: api.SimulationPassed}} {
		f.put(t, &state.SimulationPut{Simulation: sim})
	}
	for id, want := range map[string]struct {
		code api.ErrorCode
		text string
	}{
		"none":         {api.CodeNotFound, "simulation/none: there is none of that name"},
		"over":         {api.CodeConflict, "simulation over has ended: it is passed"},
		"of-a-rollout": {api.CodeConflict, "is a step of rollout r1 and ends with it: oakum rollout abort r1"},
	} {
		_, err := f.CancelSimulation(t.Context(), id, ada())
		must.EqOp(t, want.code, api.AsError(err).Code)
		must.ErrorContains(t, err, want.text)
	}
}

// simulates puts a rollout of web that simulates, with some simulations of it.
func (f *fixture) simulates(t *testing.T, sims ...api.Simulation) api.Rollout {
	t.Helper()
	receipt, err := f.SubmitPatch(t.Context(), patch(`"web"`), ada())
	must.NoError(t, err)
	r, _ := f.state.Rollout(receipt.Rollouts[0])
	r.Effect = &api.Effect{ID: r.ID + ".1", Kind: api.EffectSimulate, Status: api.EffectIntended, Intended: epoch()}
	r.Status = api.RolloutSimulating
	f.put(t, &state.RolloutTransition{Kind: "effect_intend", Expect: r.ModifyIndex, Rollout: r})
	for _, sim := range sims {
		sim.ID, sim.Rollout = r.ID+sim.ID, r.ID
		f.put(t, &state.SimulationPut{Simulation: sim})
	}
	return r
}

// TestSweep_EndsARolloutsSimulationThatNoEffectIsAbout has a leader be lost in the
// middle of simulations.
func TestSweep_EndsARolloutsSimulationThatNoEffectIsAbout(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t, target("web"))
		running := func(id string) api.Simulation {
			return api.Simulation{ID: id, Status: api.SimulationRunning, Started: epoch()}
		}
		r := f.simulates(t, running(".1"), running(".1-2"), running(".10"))
		box := &sandbox{}
		end := f.lead(t, box)
		time.Sleep((latePasses - 1) * sweepEvery)
		must.EqOp(t, api.SimulationRunning, f.simulation(t, r.ID+".10").Status, must.Sprint("whoever runs it may still record its end"))
		time.Sleep(2 * sweepEvery)
		synctest.Wait()
		end()
		for id, want := range map[string]api.SimulationStatus{
			".1": api.SimulationRunning, ".1-2": api.SimulationRunning, ".10": api.SimulationFailed,
		} {
			must.EqOp(t, want, f.simulation(t, r.ID+id).Status, must.Sprint(id))
		}
		must.SliceEmpty(t, box.tried, must.Sprint("a rollout's are the orchestrator's"))
	})
}

func TestSweep_TellsWhatItCantRemove(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t)
		job, image := api.SandboxObject{Kind: api.ObjectJob, Name: "bake"}, api.SandboxObject{Kind: api.ObjectImage, Name: "/i.qcow2", Node: "n1"}
		f.put(t, &state.SimulationPut{Simulation: api.Simulation{ID: "s1", Status: api.SimulationFailed, Owned: []api.SandboxObject{image, job}}})
		var away error = api.Errorf(api.CodeUnavailable, "nomad does not answer")
		box := &sandbox{remove: func(api.SandboxObject) error { return away }}
		end := f.lead(t, box)
		time.Sleep(10 * sweepEvery)
		must.EqOp(t, "job bake: nomad does not answer", f.simulation(t, "s1").Unremoved)
		must.Greater(t, 9, len(box.removed))
		must.SliceNotContains(t, box.removed, image.Name, must.Sprint("a bake may still make it"))
		away = nil
		time.Sleep(2 * sweepEvery)
		synctest.Wait()
		end()
		must.SliceEmpty(t, f.simulation(t, "s1").Owned)
		must.SliceContains(t, box.removed, image.Name)
	})
}

// TestSweep_DecidesAboutImages has a simulation with an image, and rollouts of its
// submission in some state.
func TestSweep_DecidesAboutImages(t *testing.T) {
	t.Parallel()
	const image = "/images/web+a.qcow2"
	begun := func(status api.RolloutStatus) func(*api.Rollout) {
		return func(r *api.Rollout) {
			r.Status, r.Former = status, &api.FormerJob{Version: 1}
			r.Apply = []api.Apply{{Kind: api.ApplyImage, Task: "server", Image: image}}
		}
	}
	for name, c := range map[string]struct {
		status  api.SimulationStatus
		rollout func(*api.Rollout) // nil for a person's
		removed bool
		owned   bool
	}{
		"of a person":              {api.SimulationPassed, nil, true, false},
		"rejected":                 {api.SimulationRejected, begun(api.RolloutWaiting), true, false},
		"its rollout goes on":      {api.SimulationPassed, begun(api.RolloutRunning), false, true},
		"nobody could decide":      {api.SimulationInconclusive, begun(api.RolloutRunning), false, true},
		"production runs it":       {api.SimulationPassed, begun(api.RolloutComplete), false, false},
		"production may run it":    {api.SimulationPassed, begun(api.RolloutFailed), false, false},
		"it was taken back":        {api.SimulationPassed, begun(api.RolloutRolledBack), true, false},
		"it never came to a start": {api.SimulationPassed, func(r *api.Rollout) { r.Status = api.RolloutCancelled }, true, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				f := newFixture(t, target("web"))
				sim := api.Simulation{ID: ".1", Status: c.status, Owned: []api.SandboxObject{{Kind: api.ObjectImage, Name: image}}}
				if c.rollout == nil {
					f.put(t, &state.SimulationPut{Simulation: sim})
				} else {
					r := f.simulates(t, sim)
					sim.ID = r.ID + sim.ID
					r, _ = f.state.Rollout(r.ID)
					done := *r.Effect
					done.Status, r.Effect = api.EffectDone, nil
					r.Effects = append(r.Effects, done)
					c.rollout(&r)
					f.put(t, &state.RolloutTransition{Kind: "end", Expect: r.ModifyIndex, Rollout: r})
				}
				box := &sandbox{}
				f.lead(t, box)()
				must.EqOp(t, c.removed, slices.Contains(box.removed, image))
				must.EqOp(t, c.owned, len(f.simulation(t, sim.ID).Owned) > 0)
			})
		})
	}
}
