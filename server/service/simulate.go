package service

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/internal/planner"
	"github.com/oakumhq/oakum/policies"
	"github.com/oakumhq/oakum/server/state"
	"github.com/oakumhq/oakum/server/state/levels"
)

// Simulate records a simulation that belongs to no rollout, for the leader to carry
// out, and returns. It has the decision that the policies make about the target now.
func (s *Service) Simulate(ctx context.Context, file api.SourceFile, target api.TargetRef, by api.Identity) (api.Simulation, error) {
	patch, err := parsePatch(file)
	if err != nil {
		return api.Simulation{}, err
	}
	patch.Submitter = by.Subject // policies may ask for it
	library, err := s.policies.Library()
	if err != nil {
		return api.Simulation{}, err
	}
	t, err := s.opt.Fleet.Target(ctx, target)
	if err != nil {
		return api.Simulation{}, err
	}
	g, _ := s.graph.Current()
	in := planner.Input{}
	if in.Installed, err = s.installed(ctx, patch, library, []api.Target{t}); err != nil {
		return api.Simulation{}, err
	}
	decision, err := library.Decide(policies.Facts{
		Target: t, Patch: patch, Criticality: planner.CriticalityOf(t, g.Criticality), Now: s.now(), Installed: in.InstalledIn(t),
	})
	if err != nil {
		return api.Simulation{}, err
	}
	if f, on := decision.Frozen(s.now()); on && decision.Simulate.Pool == "" {
		return api.Simulation{}, api.Errorf(api.CodeConflict,
			"%s: twins would run on nodes of production; name a node pool for them in the policy (simulate.pool)", f.String())
	}
	if s.current() == nil {
		return api.Simulation{}, notLeading()
	}
	if level := s.store.Level(); level < levels.Five {
		return api.Simulation{}, api.Errorf(api.CodeUnavailable,
			"the cluster is at level %d, and a simulation is recorded from level %d on: upgrade every server first", level, levels.Five)
	}
	if n := s.asked(); n >= askedMost {
		return api.Simulation{}, api.Errorf(api.CodeUnavailable,
			"%d simulations that people asked for have not ended, and no more are kept: wait, or cancel some (oakum simulation cancel)", n)
	}
	sim := api.Simulation{
		ID: s.opt.NewID(), Patch: patch.Name, Target: target, Status: api.SimulationRunning, Started: s.now(),
		Reason: "asked for by " + by.Name, By: by.Name, Severity: patch.Severity, Affects: patch.Affects, Apply: patch.Apply, Decision: &decision,
	}
	if err := s.recordSimulation(ctx, sim, by.Name); err != nil {
		return api.Simulation{}, err
	}
	return sim, nil
}

// askedMost bounds the simulations of people that have not ended. Every server keeps each
// of them in its memory with the scripts of its patch.
const askedMost = 64

// asked counts the simulations of people that have not ended.
func (s *Service) asked() int {
	n := 0
	for _, sim := range s.store.OpenSimulations() {
		if sim.Status == api.SimulationRunning && sim.Rollout == "" {
			n++
		}
	}
	return n
}

// ended returns a simulation without the scripts that only carrying it out needs:
// thousands that have ended are kept.
func ended(sim api.Simulation) api.Simulation {
	sim.Apply = slices.Clone(sim.Apply)
	for i := range sim.Apply {
		sim.Apply[i].Script = ""
	}
	return sim
}

func notLeading() error { return api.Errorf(api.CodeNoLeader, "this server does not lead") }

// CancelSimulation ends a simulation that a person asked for. What it has made is
// removed after its end was recorded: from then on the state lets it make nothing more.
func (s *Service) CancelSimulation(ctx context.Context, id string, by api.Identity) (api.Simulation, error) {
	sim, ok := s.store.Simulation(id)
	switch {
	case !ok:
		return api.Simulation{}, noSimulation(id)
	case sim.Status != api.SimulationRunning:
		return api.Simulation{}, api.Errorf(api.CodeConflict, "simulation %s has ended: it is %s", id, sim.Status)
	case sim.Rollout != "":
		return api.Simulation{}, api.Errorf(api.CodeConflict,
			"simulation %s is a step of rollout %s and ends with it: oakum rollout abort %s", id, sim.Rollout, sim.Rollout)
	}
	sim.Status, sim.CancelledBy, sim.Reason, sim.Ended = api.SimulationCancelled, by.Name, "cancelled by "+by.Name, s.now()
	if err := s.recordSimulation(ctx, ended(sim), by.Name); err != nil {
		return api.Simulation{}, err
	}
	sim, _ = s.store.Simulation(id)
	return sim, nil
}

func noSimulation(id string) error {
	return api.Errorf(api.CodeNotFound, "simulation/%s: there is none of that name", id)
}

// errEnded ends the work on a simulation whose record has an end.
var errEnded = errors.New("the simulation has ended")

// simulate carries one simulation of a person out, or goes on with it after another
// leader, and records how it ended. It leaves the record as it is when the term ends:
// the next leader goes on.
func (s *Service) simulate(term context.Context, sandbox Sandbox, sim api.Simulation) {
	ctx, stop := s.whileRunning(term, sim.ID)
	defer stop()
	if sim.Decision == nil {
		s.end(ctx, sim, api.Impact{}, api.Errorf(api.CodeNoLeader,
			"the server that ran it lost its leadership, and its record does not say what it tries"))
		return
	}
	target, err := s.awaitTarget(ctx, sim.Target)
	var impact api.Impact
	if err == nil {
		impact, err = sandbox.Try(ctx, sim.ID, api.Rollout{Patch: sim.Patch, Target: sim.Target, Apply: sim.Apply, Decision: *sim.Decision}, target)
	}
	if ctx.Err() == nil {
		s.end(ctx, sim, impact, err)
	}
}

// targetEvery is the pause between two questions for a target that can't be read.
const targetEvery = 5 * time.Second

// awaitTarget reads a target, and waits while Nomad does not answer. The error has code
// not_found when there is no such target any more.
func (s *Service) awaitTarget(ctx context.Context, ref api.TargetRef) (api.Target, error) {
	ticks, stop := s.opt.Ticker(targetEvery)
	defer stop()
	for {
		target, err := s.opt.Fleet.Target(ctx, ref)
		if err == nil || api.IsCode(err, api.CodeNotFound) || api.IsCode(err, api.CodeInvalid) {
			return target, err
		}
		s.log.Warn("read the target of a simulation", "target", ref.String(), "error", err)
		select {
		case <-ticks:
		case <-ctx.Done():
			return api.Target{}, context.Cause(ctx)
		}
	}
}

// whileRunning returns a context that ends when the record says that the simulation has
// ended. stop waits for the watcher.
func (s *Service) whileRunning(ctx context.Context, id string) (context.Context, func()) {
	ctx, cancel := context.WithCancelCause(ctx)
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			changed := s.store.Watch(api.TopicSimulation)
			if sim, ok := s.store.Simulation(id); !ok || sim.Status != api.SimulationRunning {
				cancel(errEnded)
				return
			}
			select {
			case <-changed:
			case <-ctx.Done():
				return
			}
		}
	}()
	return ctx, func() { cancel(nil); <-done }
}

// end records how a simulation ended.
func (s *Service) end(ctx context.Context, sim api.Simulation, impact api.Impact, err error) {
	sim.End(s.now(), impact, err)
	if err := s.recordSimulation(ctx, ended(sim), s.opt.Server); err != nil {
		s.log.Warn("record a simulation", "simulation_id", sim.ID, "error", err)
	}
}

func (s *Service) recordSimulation(ctx context.Context, sim api.Simulation, by string) error {
	_, err := s.opt.Log.Apply(ctx, &state.SimulationPut{Simulation: sim}, by)
	return err
}
