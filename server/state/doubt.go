package state

import (
	"slices"
	"time"

	"github.com/oakumhq/oakum/api"
)

// checkDoubt holds where everybody agrees that a doubt ends in one way only: of a
// rollout that still waits for consent, and while every source in the record is whole.
// A leader whose write takes long can't see what the log holds of the sources by then.
func (t *RolloutTransition) checkDoubt(c *change, old *api.Rollout) error {
	next := &t.Rollout.Decision
	switch {
	case old.Decision.InDoubt() == next.InDoubt() && (old.Decision.Doubt == nil) == (next.Doubt == nil):
		return nil
	case !old.Decision.InDoubt():
		return api.Errorf(api.CodeInvalid, "rollout %s: no doubt arises, returns or is forgotten after the plan", old.ID)
	case next.Doubt == nil:
		return api.Errorf(api.CodeInvalid, "rollout %s: a doubt lapses or stands, it does not vanish", old.ID)
	case old.Status != api.RolloutAwaitingApproval:
		return api.Errorf(api.CodeConflict, "rollout %s: its doubt can't lapse, it is %s and waits for no approval", old.ID, old.Status)
	}
	known := false
	for s := range c.t.sources.all(c.txn) {
		if s.State() != api.SourceWhole {
			return api.Errorf(api.CodeConflict, "rollout %s: its doubt can't lapse, the graph is not whole: %s", old.ID, s)
		}
		known = true
	}
	if !known {
		return api.Errorf(api.CodeConflict, "rollout %s: its doubt can't lapse, no source of the graph has answered", old.ID)
	}
	return nil
}

// tellsDoubt reports whether a submission has what servers below level 4 would not
// keep.
func (p *PatchSubmit) tellsDoubt() bool {
	planned := func(t api.PlannedTarget) bool { return t.Decision.Doubt != nil }
	return len(p.Plan.Sources) > 0 ||
		slices.ContainsFunc(p.Plan.Refusals, func(r api.Refusal) bool { return r.Code != "" }) ||
		slices.ContainsFunc(p.Plan.Waves, func(w api.Wave) bool { return slices.ContainsFunc(w.Targets, planned) }) ||
		slices.ContainsFunc(p.Rollouts, func(r api.Rollout) bool { return r.Decision.Doubt != nil })
}

// WithoutDoubt takes out of a submission what servers below level 4 would not keep.
// An approval that was asked for in doubt is then one that only a person ends. What
// the submission was made of is not changed.
func (p *PatchSubmit) WithoutDoubt() {
	p.Plan.Sources = nil
	p.Plan.Refusals = slices.Clone(p.Plan.Refusals)
	for i := range p.Plan.Refusals {
		p.Plan.Refusals[i].Code = ""
	}
	p.Plan.Waves = slices.Clone(p.Plan.Waves)
	for i := range p.Plan.Waves {
		w := &p.Plan.Waves[i]
		w.Targets = slices.Clone(w.Targets)
		for j := range w.Targets {
			w.Targets[j].Decision.Doubt = nil
		}
	}
	p.Rollouts = slices.Clone(p.Rollouts)
	for i := range p.Rollouts {
		p.Rollouts[i].Decision.Doubt = nil
	}
}

// tellsFailures reports whether a change says of a source how often it failed, which
// servers below level 4 would not keep.
func (g *GraphChange) tellsFailures() bool {
	return slices.ContainsFunc(g.Sources, func(s api.SourceStatus) bool {
		return s.Failures > 0 || !s.Failing.IsZero() || !s.Failed.IsZero()
	})
}

// WithoutFailures takes that out. What the change was made of is not changed.
func (g *GraphChange) WithoutFailures() {
	g.Sources = slices.Clone(g.Sources)
	for i := range g.Sources {
		g.Sources[i].Failures, g.Sources[i].Failing, g.Sources[i].Failed = 0, time.Time{}, time.Time{}
	}
}
