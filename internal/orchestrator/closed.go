package orchestrator

import (
	"context"
	"log/slog"
	"slices"
	"time"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/internal/rollout"
)

// Sources of the holds for which nothing goes forward.
const (
	sourceBrake    = "brake"
	sourceFreeze   = "freeze"
	sourceWindow   = "window"
	sourceAudit    = "audit"    // no device records what would be done
	sourcePolicies = "policies" // nobody knows whether a window or a freeze holds it
)

// closed says why nothing may go forward in a rollout now, as the brake and the policies
// in force have it. The view may be nil.
func (o *Orchestrator) closed(r api.Rollout, v *rollout.JobView) []api.Hold {
	if r.Status == api.RolloutRollingBack {
		return nil
	}
	var out []api.Hold
	if o.Audited != nil {
		if err := o.Audited(); err != nil {
			out = append(out, api.Hold{Source: sourceAudit, Reason: api.AsError(err).Message})
		}
	}
	if b := o.Store.Brake(); b.On {
		out = append(out, api.Hold{Source: sourceBrake, Reason: b.String()})
	}
	switch {
	case r.Former == nil && twinsInProduction(r):
		if _, hold := o.frozen(r); hold != nil {
			hold.Reason = "the simulation waits: " + hold.Reason + "; its twins would run on nodes of production, and simulate.pool names none"
			out = append(out, *hold)
		}
	case r.Former != nil && (v == nil || r.Former.Launch != "" || announced(r) || moves(*v)):
		if hold := o.shut(r); hold != nil {
			out = append(out, *hold)
		}
	}
	return out
}

// announced reports whether the open effect is one that moves instances. A view that shows
// nothing left to move is in doubt then: it may be older than the effect.
func announced(r api.Rollout) bool {
	return r.Effect != nil && (r.Effect.Kind == api.EffectStage || r.Effect.Kind == api.EffectPromote)
}

// moves reports whether a step that is left may move an instance. One that is not there
// comes back, and one of an older build is as little patched as a former one.
func moves(v rollout.JobView) bool {
	t := v.Tally()
	return t.Former+t.Foreign > 0 || t.Patched < v.Count
}

// twinsInProduction reports whether a simulation that would use production's nodes is the
// next effect of a rollout, or its open one.
func twinsInProduction(r api.Rollout) bool {
	begins := r.Status == api.RolloutPending || r.Status == api.RolloutSimulating ||
		r.Effect != nil && r.Effect.Kind == api.EffectSimulate
	return begins && r.Decision.Simulate.Required && r.Simulation == "" && r.Decision.Simulate.Pool == ""
}

// calendar are the windows and freezes for a rollout, in an otherwise empty decision.
// The hold says why nobody knows them.
func (o *Orchestrator) calendar(r api.Rollout) (api.Decision, *api.Hold) {
	if o.Calendar == nil {
		return r.Decision, nil
	}
	d, err := o.Calendar(r)
	if err != nil {
		return d, &api.Hold{Source: sourcePolicies, Reason: "the policies in force do not say whether it may go on: " + api.AsError(err).Message}
	}
	return d, nil
}

// frozen is the hold of a freeze, nil while none is on, with the calendar that it is from.
func (o *Orchestrator) frozen(r api.Rollout) (api.Decision, *api.Hold) {
	d, hold := o.calendar(r)
	if hold != nil {
		return d, hold
	}
	if f, on := d.Frozen(o.Now().UTC()); on {
		return d, &api.Hold{Source: sourceFreeze, Reason: f.String()}
	}
	return d, nil
}

// shut is the hold of a freeze or a window for a rollout under way. A window counts when
// one of them asks to hold what is under way as it closes.
func (o *Orchestrator) shut(r api.Rollout) *api.Hold {
	d, hold := o.frozen(r)
	if hold != nil || !cut(d) {
		return hold
	}
	if reason := o.opens(d); reason != "" {
		return &api.Hold{Source: sourceWindow, Reason: reason}
	}
	return nil
}

// opens says why windows and freezes let nothing start now, and when they will; empty
// means that they do.
func (o *Orchestrator) opens(d api.Decision) string {
	opens, reason := o.Opens(d, o.Now().UTC())
	if reason != "" && !opens.IsZero() {
		reason += "; opens " + opens.Format(time.RFC3339)
	}
	return reason
}

// cut reports whether one of the windows asks to hold a rollout that is under
// way when it closes.
func cut(d api.Decision) bool {
	return slices.ContainsFunc(d.Windows, func(w api.Window) bool { return w.Cutoff == "hold" })
}

// withheld is the hold for which the open effect is not performed now; nil when it may
// be.
func (o *Orchestrator) withheld(r api.Rollout, v *rollout.JobView) *api.Hold {
	if !r.Effect.Kind.Forward() {
		return nil
	}
	if holds := o.closed(r, v); len(holds) > 0 {
		return &holds[0]
	}
	if v == nil {
		return nil
	}
	return rollout.Crowded(r, *v)
}

// stalled keeps the hold of an open effect that is withheld in the record, and takes it
// out once the effect may go on. It reports whether that was all to do in this turn:
// nobody can see in Nomad how far a simulation or a tag is, so neither begins anew while
// something is closed. The other effects are verified meanwhile.
func (o *Orchestrator) stalled(ctx context.Context, log *slog.Logger, r api.Rollout, a *execution) bool {
	if r.Effect.Kind != api.EffectSimulate && r.Effect.Kind != api.EffectTag {
		return false
	}
	hold := o.withheld(r, nil)
	held := slices.ContainsFunc(r.Holds, func(h api.Hold) bool {
		return slices.Contains([]string{sourceAudit, sourceBrake, sourceFreeze, sourceWindow, sourcePolicies}, h.Source)
	})
	if hold == nil && !held {
		return false
	}
	o.recordAway(ctx, log, r, a, hold)
	return true
}
