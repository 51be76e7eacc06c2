package rollout

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/oakumhq/oakum/api"
)

// The pace of a rollback whose effect must be tried again: the second try waits for
// againAfter, each further one for twice as long, up to againMost. What keeps it from
// its end, mostly a lack of room, lasts for minutes; a try costs log entries and an
// evaluation in Nomad.
const (
	againAfter = 10 * time.Second
	againMost  = 5 * time.Minute
)

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
}

// back sees a rollback through, by a registration of our own for each step, and for one
// at least. It ends with the restored update block, by an effect of its own, and
// when as many instances are healthy as before. Where somebody else has registered the former job at its own
// pace, Nomad replaces the rest by itself.
func (m *machine) back(o Observation) {
	holds := o.Away
	if o.Job != nil && o.Job.Build == api.BuildForeign {
		holds = append(holds, api.Hold{Source: sourceJob, Reason: foreignReason(*o.Job) + "; abort to leave it as it is"})
	}
	m.hold(holds)
	if o.Job == nil || len(holds) > 0 {
		return
	}
	left := others(m.Rollout, *o.Job)
	switch {
	case !registered(m.Rollout, *o.Job), left > 0 && (o.Job.Pace == PaceHeld || o.Job.Failed):
		m.stepBack(*o.Job)
	case left == 0 && (o.Job.Pace == PaceHeld || !unpaced(m.Rollout)):
		m.backBy(api.Effect{Kind: api.EffectUnpace, Expect: o.Job.ModifyIndex}, *o.Job)
	case left == 0:
		m.conclude(*o.Job)
	}
}

// unpaced reports whether the rollback has restored the job's own update block, which
// takes our mark off the job too.
func unpaced(r api.Rollout) bool {
	return slices.ContainsFunc(r.Effects, func(e api.Effect) bool {
		return e.Kind == api.EffectUnpace && e.Status == api.EffectDone
	})
}

// conclude ends a rollback when as many instances are healthy as before the rollout, or as
// the group wants by now. The job has its own update block by then, so that Nomad
// replaces at its own pace what has failed. Nothing else ends the wait but a person.
func (m *machine) conclude(v JobView) {
	missing := Unhealthy(v) - m.Former.Unhealthy
	if launches(m.Rollout) {
		m.enter(api.RolloutRolledBack, "%s; the next run of the %s job has the former definition", m.Reason, m.Former.Launch)
		return
	}
	if missing <= 0 {
		m.enter(api.RolloutRolledBack, "%s; every instance runs the former version", m.Reason)
		return
	}
	said := []string{fmt.Sprintf("every instance runs the former version; %d of %d not healthy, %d before the rollout", Unhealthy(v), v.Count, m.Former.Unhealthy)}
	for _, in := range v.Instances {
		if in.Health != api.Healthy && len(said) <= namedMost {
			said = append(said, in.Name+": "+in.Because)
		}
	}
	said = append(said, "abort to leave it as it is")
	m.hold([]api.Hold{{Source: sourceHealth, Reason: strings.Join(said, "; ")}})
}

// namedMost is how many instances a hold names: it is in the record, and a group may have
// thousands.
const namedMost = 10

// registered reports whether the job is the former one by a registration of the
// rollback. One that looks untouched proves nothing: a stage's registration may still be
// on its way.
func registered(r api.Rollout, v JobView) bool {
	return v.Build == api.BuildFormer && (v.Pace == PaceHeld || slices.ContainsFunc(r.Effects, func(e api.Effect) bool {
		return e.Kind == api.EffectRollback && e.Status == api.EffectDone
	}))
}

// backBy opens an effect of the rollback. One that was tried before waits for its
// time, and a hold says how often it was tried and why that was not enough. It is
// never given up.
func (m *machine) backBy(e api.Effect, v JobView) {
	times, last := tries(m.Rollout, e)
	due := last.Ended.Add(pause(times))
	// A try too early costs little, and one too late keeps the rollback: either clock may
	// say that it is time, and one that is behind the former leader's says so too.
	early := m.Spans.Effect.D() < pause(times) && m.now.Before(due) && !last.Ended.After(m.now)
	if times == 0 || !early {
		m.intend(e)
		return
	}
	what, why := "the rollback", last.Outcome
	switch {
	case e.Kind == api.EffectUnpace:
		what = "restoring the job's update block"
	case stranded(m.Rollout, v):
		why = fmt.Sprintf("%d instances do not run the former version, and the deployment that would replace them has failed", others(m.Rollout, v))
	case last.Status == api.EffectDone:
		why = "the patched version was registered again"
	}
	m.hold([]api.Hold{{Source: sourceNomad, Reason: fmt.Sprintf("%s was tried %s: %s; it is tried again at %s",
		what, often(times), why, due.UTC().Format("15:04:05 MST"))}})
}

// RollbackDue is when a rollback under way may go on by itself although its job stays as
// it is: it tries its last effect again, or gives up waiting for what that has returned.
// It is not after now while neither lies ahead.
func RollbackDue(r api.Rollout, now time.Time) time.Time {
	if len(r.Effects) == 0 || r.Status != api.RolloutRollingBack {
		return time.Time{}
	}
	times, last := tries(r, r.Effects[len(r.Effects)-1])
	if again := last.Ended.Add(pause(times)); len(r.Holds) > 0 && again.After(now) {
		return again
	}
	return last.Ended.Add(r.Decision.Deadline.D())
}

// tries counts how often what an effect asks for was tried to no avail, and returns the
// last effect of its kind; its ID is empty when there was none. A step of a rollback that
// asks for more than the one before is a new one.
func tries(r api.Rollout, next api.Effect) (times int, last api.Effect) {
	for _, e := range r.Effects {
		if e.Kind != next.Kind {
			continue
		}
		if e.Want > last.Want {
			times = 0
		}
		times, last = times+1, e
	}
	if next.Want > last.Want {
		times = 0
	}
	return times, last
}

// pause is how long an effect of a rollback that was tried some times waits.
func pause(times int) time.Duration {
	wait := againAfter
	for n := 1; n < times && wait < againMost; n++ {
		wait *= 2
	}
	return min(wait, againMost)
}

// stranded reports whether instances are left that Nomad will not replace: one of
// the former build died while they waited for room, for example, and that ended the
// deployment. Another registration begins a new one.
func stranded(r api.Rollout, v JobView) bool { return v.Failed && others(r, v) > 0 }

// others counts the instances that do not run the former build. A patched one counts
// as foreign once Nomad's history no longer holds its job version, which a few
// registrations are enough for.
func others(r api.Rollout, v JobView) int {
	n := 0
	for _, in := range v.Instances {
		if in.Build == api.BuildPatched || in.Build == api.BuildForeign && !leftOver(r, in) {
			n++
		}
	}
	return n
}

// leftOver reports whether a foreign instance was there before the rollout changed
// anything, and has failed. Nomad keeps such an allocation when its tries are used up,
// in the job version that it failed in, and no registration of the former build
// replaces it.
func leftOver(r api.Rollout, in api.Instance) bool {
	return len(r.Stages) == 0 || in.Health == api.Unhealthy && in.Started.Before(r.Stages[0].Began)
}

func often(times int) string {
	if times == 1 {
		return "once"
	}
	return fmt.Sprintf("%d times", times)
}
