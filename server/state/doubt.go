package state

import "github.com/oakumhq/oakum/api"

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
