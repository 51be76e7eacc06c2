package orchestrator

import (
	"context"
	"log/slog"
	"slices"

	"github.com/oakumhq/oakum/api"
)

// sourceBrake names the brake in holds.
const sourceBrake = "brake"

// closed says why nothing may go forward in a rollout now.
func (o *Orchestrator) closed(api.Rollout) []api.Hold {
	var out []api.Hold
	if b := o.Store.Brake(); b.On {
		out = append(out, api.Hold{Source: sourceBrake, Reason: b.String()})
	}
	return out
}

// braked is the hold of the brake for a kind of effect; nil when the effect may go.
func (o *Orchestrator) braked(kind api.EffectKind) *api.Hold {
	if b := o.Store.Brake(); b.On && kind.Forward() {
		return &api.Hold{Source: sourceBrake, Reason: b.String()}
	}
	return nil
}

// stalled keeps the brake's hold of an open effect in the record, and takes it out once
// the brake is off. It reports whether that was all to do in this turn: nobody can see in
// Nomad how far a simulation or a tag is, so neither begins anew while the brake is on.
// The other effects are verified meanwhile.
func (o *Orchestrator) stalled(ctx context.Context, log *slog.Logger, r api.Rollout) bool {
	if r.Effect.Kind != api.EffectSimulate && r.Effect.Kind != api.EffectTag {
		return false
	}
	hold := o.braked(r.Effect.Kind)
	held := slices.ContainsFunc(r.Holds, func(h api.Hold) bool { return h.Source == sourceBrake })
	if hold == nil && !held {
		return false
	}
	o.recordAway(ctx, log, r, hold)
	return true
}
