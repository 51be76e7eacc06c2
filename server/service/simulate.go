package service

import (
	"context"
	"strings"
	"sync"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/internal/planner"
	"github.com/oakumhq/oakum/policies"
	"github.com/oakumhq/oakum/server/state"
)

// Term is what the use cases need of the leader's components in one term of
// leadership.
type Term struct {
	Sandbox  Sandbox
	Consoles Consoles
	// Unread names the graph's sources of which this leader has recorded no answer
	// yet.
	Unread func() []string
}

// term is the present term and the simulations that people start in it.
type term struct {
	Term
	runs chan run
	over chan struct{} // closed when no run is taken any more
}

// run is a simulation that waits for the sandbox.
type run struct {
	simulation api.Simulation
	rollout    api.Rollout // what the sandbox is to try; it is in no plan
	target     api.Target
}

// Lead serves a term of leadership until ctx ends. During the term, people may ask
// for simulations, and the graph's sources that only an earlier leader read are
// marked as unread. It returns the cause once the simulations have ended too.
func (s *Service) Lead(ctx context.Context, t Term) error {
	s.endAbandoned(ctx)
	now := &term{Term: t, runs: make(chan run), over: make(chan struct{})}
	s.mu.Lock()
	s.term = now
	s.mu.Unlock()
	var work sync.WaitGroup
	defer work.Wait()
	defer func() {
		s.mu.Lock()
		s.term = nil
		s.mu.Unlock()
		close(now.over)
	}()
	for {
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case r := <-now.runs:
			work.Go(func() { s.run(ctx, t.Sandbox, r) })
		}
	}
}

// endAbandoned records the end of simulations that an earlier term left running. A
// simulation that belongs to no rollout ended with its term. That of a rollout goes on
// in this term while its effect is open.
func (s *Service) endAbandoned(ctx context.Context) {
	for _, sim := range s.store.Simulations() {
		if sim.Status == api.SimulationRunning && !s.goesOn(sim) && ctx.Err() == nil {
			s.end(ctx, sim, api.Impact{}, api.Errorf(api.CodeNoLeader, "the server that ran it lost its leadership"))
		}
	}
}

// goesOn reports whether the open effect of a rollout is this simulation. Its ID is
// that of the effect, or has a number behind it.
func (s *Service) goesOn(sim api.Simulation) bool {
	r, ok := s.store.Rollout(sim.Rollout)
	return ok && r.Effect != nil && r.Effect.Kind == api.EffectSimulate &&
		(sim.ID == r.Effect.ID || strings.HasPrefix(sim.ID, r.Effect.ID+"-"))
}

// current is the present term, or nil while this server does not lead.
func (s *Service) current() *term {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.term
}

// Simulate starts a simulation that belongs to no rollout, and returns while it
// runs. It has the decision that the policies make about the target now.
func (s *Service) Simulate(ctx context.Context, file api.SourceFile, target api.TargetRef, by api.Identity) (api.Simulation, error) {
	patch, err := parsePatch(file)
	if err != nil {
		return api.Simulation{}, err
	}
	library, err := s.policies.Library()
	if err != nil {
		return api.Simulation{}, err
	}
	t, err := s.opt.Fleet.Target(ctx, target)
	if err != nil {
		return api.Simulation{}, err
	}
	g, _ := s.graph.Current()
	decision, err := library.Decide(policies.Facts{
		Target: t, Patch: patch, Criticality: planner.CriticalityOf(t, g.Criticality), Now: s.now(),
	})
	if err != nil {
		return api.Simulation{}, err
	}
	term := s.current()
	if term == nil {
		return api.Simulation{}, notLeading()
	}
	sim := api.Simulation{
		ID: s.opt.NewID(), Patch: patch.Name, Target: target, Status: api.SimulationRunning, Started: s.now(),
		Reason: "asked for by " + by.Name,
	}
	if err := s.recordSimulation(ctx, sim); err != nil {
		return api.Simulation{}, err
	}
	r := run{sim, api.Rollout{Patch: patch.Name, Target: target, Apply: patch.Apply, Decision: decision}, t}
	select {
	case term.runs <- r:
		return sim, nil
	case <-term.over:
		s.end(ctx, sim, api.Impact{}, notLeading())
		return api.Simulation{}, notLeading()
	}
}

func notLeading() error { return api.Errorf(api.CodeNoLeader, "this server does not lead") }

// run has the sandbox try the patch, and records how that ended.
func (s *Service) run(ctx context.Context, sandbox Sandbox, r run) {
	impact, err := sandbox.Try(ctx, r.simulation.ID, r.rollout, r.target)
	s.end(ctx, r.simulation, impact, err)
}

// end records how a simulation ended, though the term may have ended meanwhile.
func (s *Service) end(ctx context.Context, sim api.Simulation, impact api.Impact, err error) {
	sim.End(s.now(), impact, err)
	if err := s.recordSimulation(context.WithoutCancel(ctx), sim); err != nil {
		s.log.Warn("record a simulation", "simulation_id", sim.ID, "error", err)
	}
}

func (s *Service) recordSimulation(ctx context.Context, sim api.Simulation) error {
	_, err := s.opt.Log.Apply(ctx, &state.SimulationPut{Simulation: sim}, s.opt.Server)
	return err
}
