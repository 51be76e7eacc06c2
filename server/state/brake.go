package state

import (
	"github.com/oakumhq/oakum/api"

	"github.com/oakumhq/oakum/server/state/levels"
)

// BrakeSet puts the brake on, or takes it off. Who asks for it and when stand in the
// entry's envelope.
type BrakeSet struct {
	On     bool   `json:"on"`
	Reason string `json:"reason,omitempty"` // why it is put on
}

// Type is the command's number.
func (*BrakeSet) Type() Type { return TypeBrakeSet }

func (*BrakeSet) level() int { return levels.Six }

// apply changes nothing when the brake is as it is asked for already. A brake that is on
// keeps the reason that it was put on for, so that whoever takes it off knows whom to
// ask.
func (b *BrakeSet) apply(c *change) error {
	next := api.Brake{On: b.On, By: c.by, Since: c.at, ModifyIndex: c.index}
	if b.On {
		next.Reason = b.Reason
	}
	if err := next.Check(); err != nil {
		return err
	}
	was := c.brakeNow()
	switch {
	case was.On && b.On && was.By == next.By && was.Reason == next.Reason, !was.On && !b.On:
		return nil
	case was.On && b.On:
		return api.Errorf(api.CodeConflict, "put the brake on: %s", was)
	}
	c.brake = &next
	kind := "brake_off"
	if next.On {
		kind = "brake_on"
	}
	c.event(api.TopicBrake, kind, "brake", next.String(), next)
	return nil
}

// brakeNow is the brake before the command.
func (c *change) brakeNow() api.Brake {
	if c.old.Brake == nil {
		return api.Brake{}
	}
	return *c.old.Brake
}

// checkBrake holds the brake where everybody agrees: a leader whose write takes long
// can't see what the log holds of the brake by then.
func (t *RolloutTransition) checkBrake(c *change, old *api.Rollout) error {
	brake, next := c.brakeNow(), t.Rollout.Effect
	if !brake.On || next == nil || !next.Kind.Forward() || old.Effect != nil && old.Effect.ID == next.ID {
		return nil
	}
	return api.Errorf(api.CodeConflict, "rollout %s: %s can't begin, %s", old.ID, effectText(next), brake)
}

// Brake is the cluster's brake.
func (s *Store) Brake() api.Brake {
	if kept := s.meta().Brake; kept != nil {
		return *kept
	}
	return api.Brake{}
}
