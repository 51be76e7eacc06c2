// Package rollout is the state machine of one target's patch. It is pure: Step
// takes a rollout, what happened and the time, and returns the rollout that
// follows. An effect on the world is never performed here; it appears as the
// rollout's open Effect, which the orchestrator carries out and answers with
// Finished.
//
// Guarantees. There is never more than one open effect. Nothing goes forward
// without a healthy stage and, where the policy asks for a judge, a verdict of
// promote. Whatever is in doubt holds. Turning back is possible in every
// status that has touched the job, and supersedes an open forward effect.
package rollout

import (
	"fmt"
	"slices"
	"time"

	"github.com/oakumhq/oakum/api"
)

// lapseGrace is how long a stage that was ready may have too few healthy
// instances before it turns back. It spans a few missed health checks, which
// Nomad runs once a second at the fastest.
const lapseGrace = 10 * time.Second

// sourceJob is the source of a hold that a change of the job by somebody else
// causes.
const sourceJob = "job"

// Event is what Step reacts to: Tick, Finished or Command.
type Event interface{ event() }

// Tick is a look at the world.
type Tick struct{ Observation }

// Finished answers the open effect.
type Finished struct{ EffectResult }

// Command is a person's word.
type Command struct {
	Action string // approve, pause, resume, promote, abort, rollback
	By     api.Identity
	Note   string
}

func (Tick) event()     {}
func (Finished) event() {}
func (Command) event()  {}

// Step returns the rollout that follows r after ev at now. r is not changed.
// The error says why a Command is refused; other events never fail.
func Step(r api.Rollout, ev Event, now time.Time) (api.Rollout, error) {
	m := &machine{Rollout: clone(r), was: r, now: now}
	if r.Status.Ended() {
		if c, ok := ev.(Command); ok {
			return r, refuse(c, r, "it has ended")
		}
		return r, nil
	}
	switch ev := ev.(type) {
	case Tick:
		m.tick(ev.Observation)
	case Finished:
		m.finished(ev.EffectResult)
	case Command:
		if err := m.command(ev); err != nil {
			return r, err
		}
	}
	return m.Rollout, nil
}

// Settled reports whether the strategy is to be asked what comes next.
func Settled(r api.Rollout) bool {
	last := lastStage(r)
	return active(r) && (last == nil || !last.Judged.IsZero())
}

// Judging reports whether the judge is to look at the present stage.
func Judging(r api.Rollout) bool {
	last := lastStage(r)
	if !active(r) || !r.Decision.Judge.Enabled || last == nil {
		return false
	}
	return !last.Ready.IsZero() && last.Judged.IsZero() && last.Lapsed.IsZero() && !inconclusive(r)
}

// active reports whether the forward path may go on: running, or holding for
// something that may be over by now.
func active(r api.Rollout) bool {
	running := r.Status == api.RolloutRunning || (r.Status == api.RolloutHolding && r.Resume == api.RolloutRunning)
	return running && r.Effect == nil && r.Former != nil
}

// Floor is the newest modify index of the job that the rollout knows of. A
// view of the job with a lower one is older than what was decided already.
func Floor(r api.Rollout) uint64 {
	var floor uint64
	if r.Former != nil {
		floor = r.Former.ModifyIndex
	}
	if r.Effect != nil {
		floor = max(floor, r.Effect.Expect)
	}
	for _, e := range r.Effects {
		floor = max(floor, e.Expect, e.Index)
	}
	return floor
}

// lastStage is the present stage, or nil before the first.
func lastStage(r api.Rollout) *api.Stage {
	if len(r.Stages) == 0 {
		return nil
	}
	return &r.Stages[len(r.Stages)-1]
}

func inconclusive(r api.Rollout) bool {
	return r.Verdict != nil && r.Verdict.Kind == api.VerdictInconclusive && r.Judge != nil && r.Judge.Stage == len(r.Stages)
}

// clone copies what Step may change in place.
func clone(r api.Rollout) api.Rollout {
	r.Stages = slices.Clone(r.Stages)
	r.Holds = slices.Clone(r.Holds)
	r.Approvals = slices.Clone(r.Approvals)
	r.Effects = slices.Clone(r.Effects)
	if r.Effect != nil {
		e := *r.Effect
		r.Effect = &e
	}
	return r
}

// machine is a rollout being stepped.
type machine struct {
	api.Rollout
	was api.Rollout // before the step
	now time.Time
}

// enter changes the status; Since is kept when only the reason changes.
func (m *machine) enter(s api.RolloutStatus, format string, args ...any) {
	m.Reason = fmt.Sprintf(format, args...)
	if m.Status == s {
		return
	}
	m.Status, m.Since = s, m.now
	if s == m.was.Status {
		m.Since = m.was.Since // a hold that ends and begins again within one step has lasted
	}
	if s.Ended() {
		m.Ended = m.now
		m.Holds, m.Resume = nil, ""
	}
}

// intend opens an effect. The caller has made sure that none is open.
func (m *machine) intend(e api.Effect) {
	e.ID = fmt.Sprintf("%s.%d", m.ID, len(m.Effects)+1)
	e.Status, e.Intended = api.EffectIntended, m.now
	m.Effect = &e
}

// close moves the open effect to the record.
func (m *machine) close(status api.EffectStatus, outcome string) {
	e := *m.Effect
	e.Status, e.Outcome, e.Ended = status, outcome, m.now
	m.Effects = append(m.Effects, e)
	m.Effect = nil
}

// turnBack starts the rollback. An open forward effect is superseded: its
// compare-and-set can no longer succeed once the rollback has registered.
func (m *machine) turnBack(format string, args ...any) {
	reason := fmt.Sprintf(format, args...)
	if m.Effect != nil {
		m.close(api.EffectFailed, "superseded by a rollback")
	}
	m.Holds, m.Resume = nil, ""
	if m.Former == nil {
		m.enter(api.RolloutCancelled, "%s; no instance had been touched", reason)
		return
	}
	m.enter(api.RolloutRollingBack, "%s", reason)
	m.intend(api.Effect{Kind: api.EffectRollback, Stage: len(m.Stages)})
}

// hold makes the rollout wait for what is away, and go on by itself when it is
// back. With no holds it ends a hold.
func (m *machine) hold(holds []api.Hold) {
	m.Holds = m.stamp(holds)
	switch {
	case m.Status == api.RolloutPaused || m.Status == api.RolloutRollingBack:
		return // a pause stays a pause; a rollback is never turned into a hold
	case len(holds) > 0:
		if m.Status != api.RolloutHolding {
			m.Resume = m.Status
		}
		m.enter(api.RolloutHolding, "%s", holds[0].Reason)
	case m.Status == api.RolloutHolding:
		m.unhold("what it held for is over")
	}
}

// stamp says of each hold since when it lasts.
func (m *machine) stamp(holds []api.Hold) []api.Hold {
	for i, h := range holds {
		for _, old := range m.was.Holds {
			if old.Source == h.Source && !old.Since.IsZero() {
				holds[i].Since = old.Since
			}
		}
		if holds[i].Since.IsZero() {
			holds[i].Since = m.now
		}
	}
	return holds
}

// unhold goes on where a hold or a pause began; a stage's deadline does not
// run while nobody could act.
func (m *machine) unhold(reason string) {
	if last := lastStage(m.Rollout); last != nil && last.Ready.IsZero() {
		last.Deadline = last.Deadline.Add(max(0, m.now.Sub(m.Since))) // a former leader's clock may be ahead
	}
	status := m.Resume
	if status == "" {
		status = api.RolloutRunning
	}
	m.Resume, m.Holds = "", nil
	m.enter(status, "%s", reason)
}

func refuse(c Command, r api.Rollout, why string) error {
	return api.Errorf(api.CodeConflict, "%s rollout %s: %s (status %s)", c.Action, r.ID, why, r.Status)
}
