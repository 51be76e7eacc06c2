package server

import (
	"context"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/internal/simulator"
	"github.com/oakumhq/oakum/server/state"
	"github.com/oakumhq/oakum/server/state/levels"
)

// ledger records in the replicated state what simulations own and how far they are.
type ledger struct{ server *Server }

var _ simulator.Ledger = ledger{}

// Own records objects that are about to be made. It waits while an older server is in
// the cluster: that one could not keep them, and nobody would find them after a crash.
func (l ledger) Own(ctx context.Context, simulation string, objects ...api.SandboxObject) error {
	for {
		changed := l.server.store.Watch()
		if l.server.store.Level() >= levels.Five {
			return recorder(l).apply(ctx, &state.SimulationNote{ID: simulation, Own: objects})
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return api.Errorf(api.CodeUnavailable, "the cluster is below level %d, and can't keep what a simulation owns: upgrade every server first (%v)",
				levels.Five, context.Cause(ctx))
		}
	}
}

// Disown records objects that are gone.
func (l ledger) Disown(ctx context.Context, simulation string, objects ...api.SandboxObject) error {
	return recorder(l).apply(ctx, &state.SimulationNote{ID: simulation, Disown: objects})
}

// Owned lists what a simulation owns.
func (l ledger) Owned(simulation string) []api.SandboxObject {
	sim, _ := l.server.store.Simulation(simulation)
	return sim.Owned
}

// progress records how far a simulation is. Nothing depends on it.
func (l ledger) progress(ctx context.Context, simulation string, p api.SimulationProgress) {
	if l.server.store.Level() < levels.Five {
		return
	}
	if err := recorder(l).apply(ctx, &state.SimulationNote{ID: simulation, Progress: &p}); err != nil {
		l.server.log.Debug("record the progress of a simulation", "simulation_id", simulation, "error", err)
	}
}
