package state

import (
	"encoding/json"
	"fmt"
	"slices"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/server/state/levels"
)

// Kinds of transition that this package treats in a special way. The
// orchestrator may name others.
const (
	KindEffectIntend = "effect_intend" // an effect is about to be performed
	KindEffectFinish = "effect_finish" // its outcome is known
	KindJudge        = "judge"         // the judge's state is kept; no event, there is one every few seconds
	KindObserve      = "observe"       // what was seen of the instances is kept; no event either
	KindLapse        = "doubt_lapsed"  // an approval that was asked for in doubt is not needed any more
	KindAftermath    = "aftermath"     // what the KPIs of a complete rollout's target show since
	KindDrift        = "drift"         // the job of a complete rollout was found to run something else, or the patch again
)

// RolloutTransition takes a rollout from one state to the next. Kind says why
// and becomes the type of an event. Expect is the ModifyIndex of the rollout
// that the decision was made from.
type RolloutTransition struct {
	Kind    string      `json:"kind"`
	Expect  uint64      `json:"expect"`
	Rollout api.Rollout `json:"rollout"`
}

// Type is the command's number.
func (*RolloutTransition) Type() Type { return TypeRolloutTransition }

func (t *RolloutTransition) apply(c *change) error {
	next := &t.Rollout
	old := c.t.rollouts.get(c.txn, next.ID)
	if old == nil {
		return api.Errorf(api.CodeNotFound, "rollout %q does not exist", next.ID)
	}
	if err := t.check(c, old); err != nil {
		return err
	}
	if old.Status.Ended() && next.Status.Ended() { // its end stands, whatever was found since
		drift, aftermath := next.Drift, next.Aftermath
		*next = *old
		next.Drift, next.Aftermath = drift, aftermath
	}
	if err := t.checkTargets(c, old); err != nil {
		return err
	}
	if err := t.checkDoubt(c, old); err != nil {
		return err
	}
	if err := t.checkBrake(c, old); err != nil {
		return err
	}
	next.Created, next.CreateIndex, next.ModifyIndex = old.Created, old.CreateIndex, c.index
	if next.Status != old.Status && (next.Since.IsZero() || next.Since.Equal(old.Since)) {
		next.Since = c.at
	}
	if next.Status.Ended() && next.Ended.IsZero() {
		next.Ended = c.at
	}
	if next.Status.Ended() && c.old.Level >= levels.Two {
		slim(next)
	}
	c.t.rollouts.put(c.txn, next)
	t.record(c, old)
	if quarantines(next) {
		putQuarantine(c, next)
	}
	return nil
}

// maxPastInstances is how many instances an ended rollout keeps for people to
// look at: those of a small target. Ten thousand ended rollouts of large ones
// would fill the memory.
const maxPastInstances = 20

// slim takes from an ended rollout what only carrying it out needs. Its
// decision, stages, verdicts and effects stay. What the former rollout shares
// is not changed.
func slim(r *api.Rollout) {
	r.Judge = nil
	if r.Status != api.RolloutComplete || r.Restorable.IsZero() {
		forgetFormer(r)
	}
	if len(r.Instances) > maxPastInstances {
		r.Instances = slices.Clone(r.Instances[:maxPastInstances])
	}
}

// forgetFormer takes the former job from a rollout that is not taken back any more.
func forgetFormer(r *api.Rollout) {
	if r.Former == nil {
		return
	}
	former := *r.Former
	former.Job = json.RawMessage("null")
	r.Former = &former
}

// checkTargets holds budget.targets where everybody agrees: a leader whose
// write timed out can't see what the log already holds.
func (t *RolloutTransition) checkTargets(c *change, old *api.Rollout) error {
	limit := old.Decision.Budget.Targets
	if c.old.Level < levels.Two || limit <= 0 || old.UnderWay() || !t.Rollout.UnderWay() || t.Rollout.Status == api.RolloutRollingBack {
		return nil
	}
	running := 0
	for r := range c.t.rollouts.allBy(c.txn, indexOpen) {
		if r.UnderWay() {
			running++
		}
	}
	if running >= limit {
		return api.Errorf(api.CodeConflict, "rollout %s can't start: %d rollouts are under way and budget.targets is %d", old.ID, running, limit)
	}
	return nil
}

// check refuses a transition that was decided from another state than the
// present one, or that breaks what holds for every rollout.
func (t *RolloutTransition) check(c *change, old *api.Rollout) error {
	if err := t.checkNow(c, old); err != nil {
		return err
	}
	next := &t.Rollout
	switch {
	case next.Status == "":
		return api.Errorf(api.CodeInvalid, "rollout %s: want a status, have none", old.ID)
	case next.Patch != old.Patch || next.PatchDigest != old.PatchDigest || next.Plan != old.Plan || next.Target != old.Target:
		return api.Errorf(api.CodeInvalid, "rollout %s: its patch, plan and target never change", old.ID)
	}
	return t.checkEffect(old)
}

// checkNow refuses a transition that comes too late.
func (t *RolloutTransition) checkNow(c *change, old *api.Rollout) error {
	switch {
	case t.Kind == "":
		return api.Errorf(api.CodeInvalid, "rollout %s: want the kind of transition, have none", old.ID)
	case old.Status.Ended() && old.Restorable.After(c.at) && t.Expect == old.ModifyIndex:
		return t.checkAfter(c, old)
	case old.Status.Ended():
		return api.Errorf(api.CodeConflict, "rollout %s has ended: it is %s since %s", old.ID, old.Status, old.Since.Format("2006-01-02 15:04:05 MST"))
	case t.Expect != old.ModifyIndex:
		return api.Errorf(api.CodeStaleIndex, "rollout %s changed at index %d, this transition was made for index %d", old.ID, old.ModifyIndex, t.Expect)
	}
	return nil
}

// checkAfter refuses whatever a complete rollout can't become: it is told what became of its
// job, or goes back, unless another rollout has the target or moves the job.
func (t *RolloutTransition) checkAfter(c *change, old *api.Rollout) error {
	switch next := &t.Rollout; next.Status {
	case old.Status: // what was found, or a change that is not on top of the rollout yet
		return nil
	case api.RolloutRollingBack:
	default:
		return api.Errorf(api.CodeConflict, "rollout %s has ended: it is %s, and can go back, and not become %s", old.ID, old.Status, next.Status)
	}
	for r := range c.t.rollouts.allBy(c.txn, indexOpen) {
		// A registration is of the whole job, so that of another group would be undone.
		moves := r.UnderWay() && r.Target.Namespace == old.Target.Namespace && r.Target.Job == old.Target.Job
		if moves || r.Target == old.Target {
			return api.Errorf(api.CodeConflict, "rollout %s can't go back: rollout %s of patch %q has %s (%s)", old.ID, r.ID, r.Patch, r.Target, r.Status)
		}
	}
	return nil
}

// checkEffect holds that there is at most one open effect, and that an intent
// is closed only by recording what became of it.
func (t *RolloutTransition) checkEffect(old *api.Rollout) error {
	next := &t.Rollout
	if next.Effect != nil {
		if next.Effect.ID == "" || next.Effect.Status != api.EffectIntended {
			return api.Errorf(api.CodeInvalid, "rollout %s: the open effect must have an ID and be intended, it is %q %q", old.ID, next.Effect.ID, next.Effect.Status)
		}
		if next.Status.Ended() {
			return api.Errorf(api.CodeConflict, "rollout %s: it can't become %s while effect %s is open", old.ID, next.Status, next.Effect.ID)
		}
	}
	if old.Effect == nil || (next.Effect != nil && next.Effect.ID == old.Effect.ID) {
		return nil
	}
	if finished(next, old.Effect.ID) != nil {
		return nil
	}
	if next.Effect != nil {
		return api.Errorf(api.CodeConflict, "rollout %s: effect %s is still open, so %s can't begin", old.ID, old.Effect.ID, next.Effect.ID)
	}
	return api.Errorf(api.CodeConflict, "rollout %s: effect %s is still open and its outcome is not in the record", old.ID, old.Effect.ID)
}

// finished returns the rollout's closed effect of the ID, or nil.
func finished(r *api.Rollout, id string) *api.Effect {
	for i := len(r.Effects) - 1; i >= 0; i-- {
		if r.Effects[i].ID == id && r.Effects[i].Status != api.EffectIntended {
			return &r.Effects[i]
		}
	}
	return nil
}

// record writes an event for each effect that ended or began, for the kind of
// transition, and for a change of status.
func (t *RolloutTransition) record(c *change, old *api.Rollout) {
	next := &t.Rollout
	c.touch(api.TopicRollout)
	if old.Effect != nil {
		if e := finished(next, old.Effect.ID); e != nil {
			text := fmt.Sprintf("%s: %s: %s", next.Target, effectText(e), e.Status)
			if e.Outcome != "" {
				text += ", " + e.Outcome
			}
			c.event(api.TopicEffect, "effect_"+string(e.Status), next.ID, text, e)
		}
	}
	switch t.Kind {
	case KindJudge, KindObserve, KindEffectIntend, KindEffectFinish:
	case KindDrift:
		text := fmt.Sprintf("%s runs patch %q again", next.Target, next.Patch)
		if next.Drift != nil {
			text = fmt.Sprintf("%s does not run patch %q any more: %s", next.Target, next.Patch, next.Drift.Reason)
		}
		c.event(api.TopicRollout, t.Kind, next.ID, text, noteOf(next, old.Status))
	case KindAftermath:
		if verb, text := aftermathText(next, old); verb != "" {
			c.event(api.TopicRollout, t.Kind+"_"+verb, next.ID, text, noteOf(next, old.Status))
		}
	default:
		c.event(api.TopicRollout, t.Kind, next.ID, rolloutText(next), noteOf(next, old.Status))
	}
	if e := next.Effect; e != nil && (old.Effect == nil || old.Effect.ID != e.ID) {
		c.event(api.TopicEffect, "effect_intended", next.ID, fmt.Sprintf("%s: %s: intended", next.Target, effectText(e)), e)
	}
	if next.Status != old.Status {
		c.event(api.TopicRollout, "rollout_"+string(next.Status), next.ID, rolloutText(next), noteOf(next, old.Status))
	}
}

// aftermathText says that the target of a complete rollout got worse, for another reason than
// was told, or that it is well again. It is empty for a first look that finds it well.
func aftermathText(next, old *api.Rollout) (verb, text string) {
	a := next.Aftermath
	switch {
	case a == nil || next.Status != old.Status: // the rollback says more
		return "", ""
	case !a.Since.IsZero() && a.Else != "":
		return "worse", fmt.Sprintf("%s got worse after patch %q: %s; it is not taken back by itself: %s", next.Target, next.Patch, a.Reason, a.Else)
	case !a.Since.IsZero():
		return "worse", fmt.Sprintf("%s got worse after patch %q: %s", next.Target, next.Patch, a.Reason)
	case old.Aftermath != nil && !old.Aftermath.Since.IsZero():
		return "well", fmt.Sprintf("%s is well again with patch %q", next.Target, next.Patch)
	}
	return "", ""
}

// effectText names an effect in words.
func effectText(e *api.Effect) string {
	if e.Stage > 0 {
		return fmt.Sprintf("%s (stage %d)", e.Kind, e.Stage)
	}
	return string(e.Kind)
}

func rolloutText(r *api.Rollout) string {
	text := fmt.Sprintf("%s is %s with patch %q", r.Target, r.Status, r.Patch)
	if r.Reason != "" {
		text += ": " + r.Reason
	}
	return text
}

// rolloutNote is the payload of a rollout's event.
type rolloutNote struct {
	Patch  string            `json:"patch"`
	Target api.TargetRef     `json:"target"`
	From   api.RolloutStatus `json:"from,omitempty"`
	Status api.RolloutStatus `json:"status"`
	Stage  int               `json:"stage,omitempty"`
}

func noteOf(r *api.Rollout, from api.RolloutStatus) rolloutNote {
	note := rolloutNote{Patch: r.Patch, Target: r.Target, From: from, Status: r.Status}
	if len(r.Stages) > 0 {
		note.Stage = r.Stages[len(r.Stages)-1].Number
	}
	return note
}

// quarantines reports whether the end of the rollout keeps the patch from its
// target.
func quarantines(r *api.Rollout) bool {
	return r.Decision.Rollback.Quarantine && (r.Status == api.RolloutRolledBack || r.Status == api.RolloutRejected)
}

func putQuarantine(c *change, r *api.Rollout) {
	q := &api.Quarantine{
		Patch: r.Patch, Digest: r.PatchDigest, Target: r.Target, Reason: r.Reason, Rollout: r.ID, Since: c.at,
		CreateIndex: c.index, ModifyIndex: c.index,
	}
	c.t.quarantines.put(c.txn, q)
	c.event(api.TopicQuarantine, "quarantine_set", q.Patch, fmt.Sprintf("%s is quarantined from patch %q: %s", q.Target, q.Patch, q.Reason), q)
}

// QuarantineLift lets a patch be offered to a target again.
type QuarantineLift struct {
	Patch  string        `json:"patch"`
	Target api.TargetRef `json:"target"`
}

// Type is the command's number.
func (*QuarantineLift) Type() Type { return TypeQuarantineLift }

func (*QuarantineLift) level() int { return 1 }

func (q *QuarantineLift) apply(c *change) error {
	if !c.t.quarantines.remove(c.txn, quarantineKey(q.Patch, q.Target)) {
		return api.Errorf(api.CodeNotFound, "%s is not quarantined from patch %q", q.Target, q.Patch)
	}
	c.event(api.TopicQuarantine, "quarantine_lifted", q.Patch,
		sentence("the quarantine of %s was lifted", fmt.Sprintf("%s from patch %q", q.Target, q.Patch), c.by), q)
	return nil
}
