package server

import (
	"context"
	"slices"
	"time"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/server/state"
)

// recorder writes what the components found out to the replicated state.
type recorder struct{ server *Server }

// Transition stores a rollout that has moved on.
func (r recorder) Transition(ctx context.Context, kind string, next api.Rollout, expect uint64) error {
	r.sign(&next)
	if r.server.store.Level() < state.Level2 {
		next = withoutNeighbours(next)
	}
	return r.apply(ctx, &state.RolloutTransition{Kind: kind, Expect: expect, Rollout: next})
}

// sign notes on a new intent which server announces it, in which term. Servers
// below level 2 would not keep that.
func (r recorder) sign(next *api.Rollout) {
	if next.Effect == nil || next.Effect.By != "" || r.server.store.Level() < state.Level2 {
		return
	}
	signed := *next.Effect
	signed.By, signed.Term = r.server.cfg.Name, r.server.node.Term()
	next.Effect = &signed
}

// withoutNeighbours is a rollout whose verdicts lack what servers below level 2
// would not keep: what got worse at neighbours.
func withoutNeighbours(r api.Rollout) api.Rollout {
	bare := func(v *api.Verdict) *api.Verdict {
		if v == nil || len(v.Neighbours) == 0 {
			return v
		}
		without := *v
		without.Neighbours = nil
		return &without
	}
	r.Verdict = bare(r.Verdict)
	r.Stages = slices.Clone(r.Stages)
	for i := range r.Stages {
		r.Stages[i].Verdict = bare(r.Stages[i].Verdict)
	}
	return r
}

// RecordSimulation stores a sandbox run.
func (r recorder) RecordSimulation(ctx context.Context, sim api.Simulation) error {
	return r.apply(ctx, &state.SimulationPut{Simulation: sim})
}

// RecordGraph stores what changed in the graph, from level 2 on with its details and
// the sources that are forgotten, and from level 4 on with how often sources failed.
func (r recorder) RecordGraph(ctx context.Context, change api.GraphChange) error {
	level := r.server.store.Level()
	if level < state.Level2 {
		change.Delta, change.RemoveSources = nil, nil
	}
	cmd := &state.GraphChange{GraphChange: change}
	if level < state.Level4 {
		cmd.WithoutFailures()
	}
	return r.apply(ctx, cmd)
}

// RecordProfiles stores baselines, from level 3 on without the hours of the week that
// are stored already.
func (r recorder) RecordProfiles(ctx context.Context, profiles []api.Profile) error {
	return r.apply(ctx, &state.ProfilesPut{Profiles: sayHours(profiles, r.server.store.Level() >= state.Level3)})
}

// sayHours returns the profiles with what a cluster of a level takes: with the means
// of all hours each time, or with means and sketches only when they are new.
func sayHours(profiles []api.Profile, whenNew bool) []api.Profile {
	out := slices.Clone(profiles)
	for i := range out {
		p := &out[i]
		p.KPIs = slices.Clone(p.KPIs)
		if !whenNew {
			p.Seen = time.Time{}
		}
		for j := range p.KPIs {
			b := &p.KPIs[j]
			switch {
			case !whenNew:
				b.HourSketches = nil
			case len(b.HourSketches) == 0:
				b.Hours = nil
			}
		}
	}
	return out
}

// ForgetProfiles drops baselines of targets that are gone. Before the cluster can, they
// stay.
func (r recorder) ForgetProfiles(ctx context.Context, targets []api.TargetRef, unseen time.Duration) error {
	return r.apply(ctx, &state.ProfilesForget{Targets: targets, Unseen: api.Duration(unseen)})
}

func (r recorder) apply(ctx context.Context, cmd state.Command) error {
	_, err := r.server.node.Apply(ctx, cmd, r.server.cfg.Name)
	return err
}
