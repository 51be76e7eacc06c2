package service

import (
	"context"
	"sync"

	"github.com/oakumhq/oakum/api"
)

// Term is what the use cases need of the leader's components in one term of
// leadership.
type Term struct {
	Sandbox  Sandbox
	Consoles Consoles
	// Inherited are the simulations that were open before any component of this term
	// began: nothing that they owned then is in use in this term.
	Inherited []api.Simulation
	// Unread names the graph's sources of which this leader has recorded no answer
	// yet.
	Unread func() []string
	// LastMinute reads the baselines. Nil looks at nothing after the end of a rollout.
	LastMinute LastMinute
}

// Lead serves a term of leadership until ctx ends. During the term it carries out the
// simulations that people asked for, those of a former leader too; it removes what
// simulations have left behind and inventories that nothing runs any more; it notices patches that are not in force any more, targets that get worse after their rollouts, and whether those that were carried out have fixed their faults; and the graph's sources that only an earlier leader
// read are marked as unread. It returns the cause once all of that has ended.
func (s *Service) Lead(ctx context.Context, t Term) error {
	var work sync.WaitGroup
	defer work.Wait()
	s.setTerm(&t)
	defer s.setTerm(nil)
	work.Go(func() { newSweeper(s, t).run(ctx) })
	work.Go(func() { s.watchInventories(ctx) })
	work.Go(func() { s.watchDrift(ctx) })
	work.Go(func() { s.watchAftermaths(ctx, t.LastMinute) })
	work.Go(func() { s.watchProofs(ctx) })
	var mu sync.Mutex
	working := map[string]bool{}
	again, stop := s.opt.Ticker(sweepEvery) // for a simulation whose end the log did not take
	defer stop()
	for {
		changed := s.store.Watch(api.TopicSimulation)
		for _, sim := range s.store.OpenSimulations() {
			if sim.Status != api.SimulationRunning || sim.Rollout != "" {
				continue // the orchestrator works on a rollout's
			}
			mu.Lock()
			start := !working[sim.ID]
			working[sim.ID] = true
			mu.Unlock()
			if start {
				work.Go(func() {
					// Read anew: it may have ended since the list was made.
					if now, ok := s.store.Simulation(sim.ID); ok && now.Status == api.SimulationRunning {
						s.simulate(ctx, t.Sandbox, now)
					}
					mu.Lock()
					delete(working, sim.ID)
					mu.Unlock()
				})
			}
		}
		select {
		case <-changed:
		case <-again:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

func (s *Service) setTerm(t *Term) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.term = t
}

// current is the present term, or nil while this server does not lead.
func (s *Service) current() *Term {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.term
}
