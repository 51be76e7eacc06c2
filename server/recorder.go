package server

import (
	"context"
	"time"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/server/state"
)

// recorder writes what the components found out to the replicated state, in this
// server's name. It is the Recorder of the mapper, the profiler and the
// orchestrator. What an older cluster would not keep of it, package state leaves
// out.
type recorder struct{ server *Server }

// Transition stores a rollout that has moved on.
func (r recorder) Transition(ctx context.Context, kind string, next api.Rollout, expect uint64) error {
	r.sign(&next)
	return r.apply(ctx, &state.RolloutTransition{Kind: kind, Expect: expect, Rollout: next})
}

// sign notes on a new intent which server announces it, in which term.
func (r recorder) sign(next *api.Rollout) {
	if next.Effect == nil || next.Effect.By != "" {
		return
	}
	signed := *next.Effect
	signed.By, signed.Term = r.server.cfg.Name, r.server.node.Term()
	next.Effect = &signed
}

// RecordSimulation stores a sandbox run.
func (r recorder) RecordSimulation(ctx context.Context, sim api.Simulation) error {
	return r.apply(ctx, &state.SimulationPut{Simulation: sim})
}

// RecordGraph stores what changed in the graph.
func (r recorder) RecordGraph(ctx context.Context, change api.GraphChange) error {
	return r.apply(ctx, &state.GraphChange{GraphChange: change})
}

// RecordProfiles stores baselines.
func (r recorder) RecordProfiles(ctx context.Context, profiles []api.Profile) error {
	return r.apply(ctx, &state.ProfilesPut{Profiles: profiles})
}

// ForgetProfiles drops baselines of targets that are gone. A cluster below level 3
// refuses that, and the baselines stay.
func (r recorder) ForgetProfiles(ctx context.Context, targets []api.TargetRef, unseen time.Duration) error {
	return r.apply(ctx, &state.ProfilesForget{Targets: targets, Unseen: api.Duration(unseen)})
}

func (r recorder) apply(ctx context.Context, cmd state.Command) error {
	_, err := r.server.entries.Apply(ctx, cmd, r.server.cfg.Name)
	return err
}
