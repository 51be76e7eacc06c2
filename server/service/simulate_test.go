package service

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"

	"github.com/shoenig/test/must"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/server/state"
)

// sandbox is a function that tries patches.
type sandbox func(ctx context.Context, id string, r api.Rollout, target api.Target) (api.Impact, error)

func (s sandbox) Try(ctx context.Context, id string, r api.Rollout, target api.Target) (api.Impact, error) {
	return s(ctx, id, r, target)
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
		"a sandbox that fails":      {err: errors.New("no node has QEMU"), want: api.SimulationFailed, reason: "no node has QEMU"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				f := newFixture(t, target("web"))
				finish := make(chan struct{})
				var tried run
				end := f.lead(t, sandbox(func(_ context.Context, id string, r api.Rollout, at api.Target) (api.Impact, error) {
					tried = run{simulation: api.Simulation{ID: id}, rollout: r, target: at}
					<-finish
					return c.impact, c.err
				}))
				sim, err := f.Simulate(t.Context(), patch(`"web"`), target("web").TargetRef, ada())
				must.NoError(t, err)
				must.EqOp(t, "asked for by ada", sim.Reason)
				running, ok := f.state.Simulation(sim.ID)
				must.True(t, ok)
				must.EqOp(t, api.SimulationRunning, running.Status)
				close(finish)
				synctest.Wait()
				done, _ := f.state.Simulation(sim.ID)
				must.EqOp(t, c.want, done.Status)
				must.EqOp(t, c.reason, done.Reason)
				end()
				must.EqOp(t, sim.ID, tried.simulation.ID)
				must.EqOp(t, "server", tried.rollout.Apply[0].Task)
				must.EqOp(t, "blue_green", tried.rollout.Decision.Strategy.Name)
				must.EqOp(t, target("web").TargetRef, tried.target.TargetRef)
			})
		})
	}
}

func TestSimulate_Refuses(t *testing.T) {
	t.Parallel()
	web := target("web").TargetRef
	for name, c := range map[string]struct {
		file  api.SourceFile
		at    api.TargetRef
		given func(*fixture)
		code  api.ErrorCode
		want  string
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

// TestLead_EndsTheSimulationsOfItsTerm ends a term while the sandbox works, and one
// just when a simulation is handed over.
func TestLead_EndsTheSimulationsOfItsTerm(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t, target("web"))
		end := f.lead(t, sandbox(func(ctx context.Context, _ string, _ api.Rollout, _ api.Target) (api.Impact, error) {
			<-ctx.Done()
			return api.Impact{}, ctx.Err()
		}))
		sim, err := f.Simulate(t.Context(), patch(`"web"`), target("web").TargetRef, ada())
		must.NoError(t, err)
		end()
		done, _ := f.state.Simulation(sim.ID)
		must.EqOp(t, api.SimulationFailed, done.Status, must.Sprint("it is recorded before the term is over"))

		end = f.lead(t, nil)
		f.log.meet = func(cmd state.Command) {
			if put, ok := cmd.(*state.SimulationPut); ok && put.Simulation.Status == api.SimulationRunning {
				end()
			}
		}
		_, err = f.Simulate(t.Context(), patch(`"web"`), target("web").TargetRef, ada())
		must.True(t, api.IsCode(err, api.CodeNoLeader), must.Sprint(err))
		for _, s := range f.state.Simulations() {
			must.EqOp(t, api.SimulationFailed, s.Status, must.Sprint("nothing runs on"))
		}
	})
}

// TestLead_EndsWhatAnEarlierTermLeftRunning has a leader be lost in the middle of four
// simulations.
func TestLead_EndsWhatAnEarlierTermLeftRunning(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t, target("web"))
		receipt, err := f.SubmitPatch(t.Context(), patch(`"web"`), ada())
		must.NoError(t, err)
		r, _ := f.state.Rollout(receipt.Rollouts[0])
		r.Effect = &api.Effect{ID: r.ID + ".1", Kind: api.EffectSimulate, Status: api.EffectIntended, Intended: epoch()}
		r.Status = api.RolloutSimulating
		f.put(t, &state.RolloutTransition{Kind: "effect_intend", Expect: r.ModifyIndex, Rollout: r})
		runs := map[string]string{"asked-for": "", r.ID + ".1": r.ID, r.ID + ".1-2": r.ID, r.ID + ".10": r.ID}
		for id, of := range runs {
			f.put(t, &state.SimulationPut{Simulation: api.Simulation{ID: id, Rollout: of, Status: api.SimulationRunning, Started: epoch()}})
		}
		f.lead(t, nil)()
		want := map[string]api.SimulationStatus{
			"asked-for": api.SimulationFailed, r.ID + ".10": api.SimulationFailed,
			r.ID + ".1": api.SimulationRunning, r.ID + ".1-2": api.SimulationRunning,
		}
		for _, sim := range f.state.Simulations() {
			must.EqOp(t, want[sim.ID], sim.Status, must.Sprint(sim.ID))
		}
		must.Len(t, len(want), f.state.Simulations())
	})
}
