// Package rollout is the state machine of one target's patch. It is pure: Step
// takes a rollout, an event and the time, and returns the rollout that follows.
// It performs no effect on the world. An effect appears as the rollout's open
// Effect; the orchestrator performs it, asks Verify whether it is there, and
// answers with Finished.
//
// Guarantees. There is never more than one open effect. Nothing goes forward
// without a healthy stage and, where the policy asks for a judge, a verdict of
// promote. Whatever is in doubt holds. A rollback is possible in every status
// that has touched the job, and supersedes an open forward effect.
package rollout

import (
	"fmt"
	"slices"
	"time"

	"github.com/oakumhq/oakum/api"
)

// Event is one of Tick, Finished, Command, Found and Watched.
type Event interface{ event() }

// Tick brings an observation of the world.
type Tick struct{ Observation }

// Finished answers the open effect.
type Finished struct{ EffectResult }

// Command is what a person asks for.
type Command struct {
	Action string // approve, unapprove, pause, resume, promote, abort, rollback
	By     api.Identity
	Note   string
}

func (Tick) event()     {}
func (Finished) event() {}
func (Command) event()  {}
func (Found) event()    {}
func (Watched) event()  {}

// Step returns the rollout that follows r after ev at now. It does not change r.
// The error says why a Command is refused; other events never fail.
func Step(r api.Rollout, ev Event, now time.Time) (api.Rollout, error) {
	m := &machine{Rollout: clone(r), was: r, now: now}
	if r.Status.Ended() {
		err := m.after(ev)
		return m.Rollout, err
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

// AwaitsAdvice reports whether the strategy is to be asked what comes next: no
// stage is there, or the present one has its verdict.
func AwaitsAdvice(r api.Rollout) bool {
	last := lastStage(r)
	return active(r) && !launches(r) && (last == nil || !last.Judged.IsZero())
}

// Judging reports whether the judge is to compare the arms of the present stage.
func Judging(r api.Rollout) bool {
	last := lastStage(r)
	if !active(r) || !r.Decision.Judge.Enabled || last == nil {
		return false
	}
	return !last.Ready.IsZero() && last.Judged.IsZero() && last.Lapsed.IsZero() && !inconclusive(r)
}

// Proving reports whether a patched instance is to be asked whether the patch fixes what
// it says: the first stage is healthy and not judged yet.
func Proving(r api.Rollout, v JobView) bool {
	if !active(r) || len(r.Stages) != 1 || !r.Stages[0].Judged.IsZero() {
		return false
	}
	return v.Tally().PatchedHealthy > 0 && slices.ContainsFunc(r.Apply, func(a api.Apply) bool { return a.Verify != nil })
}

// active reports whether the forward path may go on: the rollout is running, or
// holds for something that may be over by now.
func active(r api.Rollout) bool {
	running := r.Status == api.RolloutRunning || (r.Status == api.RolloutHolding && r.Resume == api.RolloutRunning)
	return running && r.Effect == nil && r.Former != nil
}

// Floor is the newest modify index of the job that the rollout knows of. A view
// of the job with a lower one is older than a decision that was made already.
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

// lastStage is the present stage; nil before the first.
func lastStage(r api.Rollout) *api.Stage {
	if len(r.Stages) == 0 {
		return nil
	}
	return &r.Stages[len(r.Stages)-1]
}

// inconclusive reports whether the judge could not decide on the present stage.
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

// machine is a rollout that takes one step.
type machine struct {
	api.Rollout
	was    api.Rollout // before the step
	now    time.Time
	stands bool // nothing may go forward in this step
}

// tick reacts to an observation of the world.
func (m *machine) tick(o Observation) {
	if o.Job != nil && m.Former != nil && m.Effect == nil { // else the intent has them
		m.Instances = o.Job.Instances // for people, and for the size of the next stage
	}
	if m.gone(o.Gone) {
		return
	}
	if m.Effect != nil {
		// The orchestrator performs it, and says whether it must wait for a source.
		if !m.stalls(o) {
			m.hold(slices.Concat(o.Closed, o.Away))
		}
		return
	}
	if m.rescale(o) {
		return
	}
	switch m.Status {
	case api.RolloutPending, api.RolloutSimulating:
		m.start(o)
	case api.RolloutAwaitingApproval:
		m.reconsider(o)
	case api.RolloutWaiting:
		m.awaitTurn(o)
	case api.RolloutRunning, api.RolloutHolding, api.RolloutPaused:
		m.forward(o)
		m.settle(o)
	case api.RolloutRollingBack:
		m.back(o)
	case api.RolloutComplete, api.RolloutRolledBack, api.RolloutRejected, api.RolloutFailed, api.RolloutCancelled:
	}
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
	m.Effect, m.Spans.Effect = nil, 0
}
