package rollout

import (
	"fmt"
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
	m.intend(api.Effect{Kind: api.EffectRollback, Stage: len(m.Stages)})
}

// back sees a rollback through. Its last step is always the restored update block,
// by an effect of its own that takes our mark off the job too.
func (m *machine) back(o Observation) {
	holds := o.Away
	if o.Job != nil && o.Job.Build == api.BuildForeign {
		holds = append(holds, api.Hold{Source: sourceJob, Reason: foreignReason(*o.Job) + "; abort to leave it as it is"})
	}
	m.hold(holds)
	if o.Job == nil || len(holds) > 0 {
		return
	}
	switch {
	case o.Job.Build != api.BuildFormer, stranded(m.Rollout, *o.Job):
		m.backBy(api.Effect{Kind: api.EffectRollback, Stage: len(m.Stages)}, *o.Job)
	case others(m.Rollout, *o.Job) == 0:
		m.backBy(api.Effect{Kind: api.EffectUnpace, Expect: o.Job.ModifyIndex}, *o.Job)
	}
}

// backBy opens an effect of the rollback. One that was tried before waits for its
// time, and a hold says how often it was tried and why that was not enough. It is
// never given up.
func (m *machine) backBy(e api.Effect, v JobView) {
	times, last := tries(m.Rollout, e.Kind)
	due := last.Ended.Add(pause(times))
	early := m.now.Before(due) && !last.Ended.After(m.now) // else a former leader's clock was ahead
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

// RollbackDue is when a rollback under way may try its last effect again. It is
// zero while it has tried none.
func RollbackDue(r api.Rollout) time.Time {
	if len(r.Effects) == 0 || r.Status != api.RolloutRollingBack {
		return time.Time{}
	}
	times, last := tries(r, r.Effects[len(r.Effects)-1].Kind)
	return last.Ended.Add(pause(times))
}

// tries counts the effects of a kind that have ended, and returns the last.
func tries(r api.Rollout, kind api.EffectKind) (times int, last api.Effect) {
	for _, e := range r.Effects {
		if e.Kind == kind {
			times, last = times+1, e
		}
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
