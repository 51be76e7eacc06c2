package rollout

import (
	"fmt"
	"slices"
	"time"

	"github.com/oakumhq/oakum/api"
)

// forward is the path to the end: hold, turn back, or take the next step.
func (m *machine) forward(o Observation) {
	if m.Status == api.RolloutHolding && m.Resume != api.RolloutRunning {
		return // held before it started; a person resumes it
	}
	if o.Job != nil && (m.unsafe(*o.Job) || m.denied(o) || m.disproved(o)) {
		return
	}
	holds := slices.Concat(o.Away, m.deniedHolds(o))
	if o.Job != nil {
		holds = append(holds, m.spare(*o.Job)...)
	}
	if o.Job != nil {
		holds = append(holds, m.crowded(*o.Job)...)
		if why := meddled(m.Rollout, *o.Job); why != "" {
			holds = append(holds, api.Hold{Source: sourceJob, Reason: why})
		}
	}
	if inconclusive(m.Rollout) && m.Decision.Judge.OnInconclusive != "rollback" {
		holds = append(holds, api.Hold{Source: "judge", Reason: m.Verdict.Reason + "; promote, resume or roll back by hand"})
	}
	m.ready(o)
	if o.Job != nil {
		switch over := Overshot(m.Rollout, *o.Job); {
		case over == nil:
		case m.Decision.Judge.Enabled: // it is judged meanwhile
			o.Closed = append(slices.Clone(o.Closed), *over)
		default:
			holds = append(holds, *over)
		}
	}
	if len(holds) > 0 || o.Job == nil {
		m.hold(slices.Concat(o.Closed, holds))
		return
	}
	if len(o.Closed) > 0 {
		m.stand(o)
		return
	}
	m.hold(nil)
	if m.Status != api.RolloutRunning {
		return // paused
	}
	if launches(m.Rollout) {
		m.define(*o.Job)
		return
	}
	if m.stageDone(o) {
		m.follow(o)
	}
}

// disproved turns back when a patched instance says that the fix is not there. It reports
// whether it did.
func (m *machine) disproved(o Observation) bool {
	if o.Disproved == "" || o.Job.Build == api.BuildForeign {
		return false
	}
	m.turnBack("%s", o.Disproved)
	return true
}

// unsafe turns back when a patched instance has failed or its stage is overdue, by what the
// patch does. It reports whether it did. It acts in a pause and in a hold too: a failing instance
// does not get better while the rollout stands still.
func (m *machine) unsafe(v JobView) bool {
	last := lastStage(m.Rollout)
	if last == nil || v.Build == api.BuildForeign {
		return false
	}
	t, want := v.Tally(), m.wanted()
	if t.PatchedHealthy >= want {
		m.lapse(time.Time{})
	}
	switch {
	case !m.blames(v):
		return false
	case m.fails(v):
		return true
	case t.PatchedHealthy >= want, meddled(m.Rollout, v) != "", outdone(v, want):
		return false // or somebody else takes patched instances away
	case !last.Ready.IsZero():
		return m.lapses(v, patience(m.Rollout, v), m.Decision.Rollback.OnHealth)
	case spared(m.Rollout, v) != "" && m.Status != api.RolloutPaused:
		// The hold for that stops the deadline of the stage, but not for what fails by itself.
		return m.lapses(v, deadline(m.Rollout, v), m.Decision.Rollback.OnDeadline)
	case m.Status == api.RolloutRunning && m.overdue(v) && m.Decision.Rollback.OnDeadline:
		m.turnBack("%d of %d patched instances were healthy at the deadline%s", t.PatchedHealthy, want, why(v))
		return true
	}
	return false
}

// patience is for how long a stage that was ready may have too few healthy instances. Where
// none of those that fail has ever been healthy, they have replaced others, and have the time
// of a stage to start.
func patience(r api.Rollout, v JobView) time.Duration {
	own := ownFailures(v)
	if len(own) == 0 || slices.ContainsFunc(own, func(in api.Instance) bool { return !v.Fresh[in.ID] }) {
		return v.Grace()
	}
	return max(v.Grace(), deadline(r, v))
}

// fails turns back when a patched instance is lost or has failed by what it runs, however
// many there are. It reports whether it did.
func (m *machine) fails(v JobView) bool {
	unhealthy := v.Tally().Unhealthy
	lost := slices.IndexFunc(unhealthy, func(in api.Instance) bool { return v.Excused[in.ID] == "" })
	if lost < 0 || lastStage(m.Rollout) == nil || !m.Decision.Rollback.OnHealth || !m.blames(v) {
		return false
	}
	m.turnBack("instance %s is unhealthy: %s", unhealthy[lost].Name, unhealthy[lost].Because)
	return true
}

// lapses turns back when looks have found too few patched instances healthy for some time,
// where the policy wants that. It reports whether it did.
func (m *machine) lapses(v JobView, after time.Duration, wanted bool) bool {
	last, t, want := lastStage(m.Rollout), v.Tally(), m.wanted()
	if last.Lapsed.IsZero() {
		m.lapse(m.now)
	}
	back := t.PatchedHealthy+t.PatchedEarly >= want // for min_healthy_time, or it lapses for good
	if back || m.Spans.Lapsed.D() < after || !wanted {
		return false
	}
	m.turnBack("%d of %d patched instances are healthy, for %s%s", t.PatchedHealthy, want, after, why(v))
	return true
}

// lapse notes since when too few instances of the present stage are healthy; the zero time
// when that is not so.
func (m *machine) lapse(since time.Time) { lastStage(m.Rollout).Lapsed, m.Spans.Lapsed = since, 0 }

// overdue reports whether the present batch has waited for its instances for longer than it
// may.
func (m *machine) overdue(v JobView) bool { return m.Spans.Batch.D() > deadline(m.Rollout, v) }

// why quotes the first patched instance that is not healthy; empty when all are.
func why(v JobView) string {
	for _, in := range v.Instances {
		if in.Build == api.BuildPatched && in.Health != api.Healthy && v.Excused[in.ID] == "" {
			return ": " + in.Name + ": " + in.Because
		}
	}
	return ""
}

// wanted is how many patched instances the last stage effect asked for.
func (m *machine) wanted() int {
	for _, e := range slices.Backward(m.Effects) {
		if e.Kind == api.EffectStage && e.Status == api.EffectDone {
			return e.Want
		}
	}
	return 0
}

// ready notes that all instances of the present stage are healthy, in a hold too: a
// person may promote it then.
func (m *machine) ready(o Observation) {
	last := lastStage(m.Rollout)
	if last == nil || o.Job == nil || o.Job.Build != api.BuildPatched || !last.Ready.IsZero() || m.wanted() < last.Instances {
		return
	}
	if o.Job.Tally().PatchedHealthy >= last.Instances {
		last.Ready = m.now
	}
}

// stageDone brings the present stage to its verdict. It reports whether the strategy
// may be followed to the next one.
func (m *machine) stageDone(o Observation) bool {
	last := lastStage(m.Rollout)
	if last == nil || !last.Judged.IsZero() {
		return true
	}
	t := o.Job.Tally()
	switch want := m.wanted(); {
	case outdone(*o.Job, want) && m.Spans.Batch.D() >= againAfter && !m.stands:
		m.batch(o, last)
		return false
	case t.PatchedHealthy < want:
		m.proceed("stage %d: %d of %d patched instances healthy", last.Number, t.PatchedHealthy, want)
		return false
	case o.Unproved:
		m.proceed("stage %d: %d patched instances are healthy, and one is asked whether the fix is there", last.Number, t.PatchedHealthy)
		return false
	case want < last.Instances:
		if !m.stands {
			m.nextBatch(o, last) // the budget lets fewer go at once than the stage has
		}
		return false
	}
	return m.judge(o, last)
}

// judge applies the verdict on the present stage.
func (m *machine) judge(o Observation, last *api.Stage) bool {
	if !m.Decision.Judge.Enabled {
		last.Judged = m.now
		return true
	}
	if o.Verdict == nil && m.Verdict != nil {
		return false // the judge looks again after its interval
	}
	if o.Verdict == nil {
		m.proceed("stage %d: %d of %d patched and healthy, being judged%s", last.Number, last.Instances, m.Former.Count, overshotNote(m.Rollout, *o.Job))
		return false
	}
	v := *o.Verdict
	m.Verdict, m.Judge, last.Verdict = &v, o.Judge, &v
	switch v.Kind {
	case api.VerdictPromote:
		last.Judged = m.now
		m.proceed("stage %d judged good: %s", last.Number, v.Reason)
		return true
	case api.VerdictAbort:
		if m.Decision.Rollback.OnVerdict {
			m.turnBack("stage %d judged bad: %s", last.Number, v.Reason)
			return false
		}
		m.hold([]api.Hold{{Source: "judge", Reason: v.Reason}})
	case api.VerdictInconclusive:
		if m.Decision.Judge.OnInconclusive == "rollback" {
			m.turnBack("stage %d stayed undecided: %s", last.Number, v.Reason)
		}
	case api.VerdictContinue:
		m.proceed("stage %d: %s%s", last.Number, v.Reason, overshotNote(m.Rollout, *o.Job))
	}
	return false
}

// follow checks the strategy's advice and does what it says.
func (m *machine) follow(o Observation) {
	a := o.Advice
	if a == nil {
		return // the strategy is asked once the stage has its verdict
	}
	last := lastStage(m.Rollout)
	t := o.Job.Tally()
	switch {
	case a.Action == api.AdviceStage && a.Percent >= 1 && a.Percent <= 100 && (last == nil || a.Percent > last.Percent):
		m.begin(o, a)
	case a.Action == api.AdvicePromote && last != nil && last.Mode == api.StageBeside && last.Percent == 100 && !last.Promoted:
		m.enter(api.RolloutRunning, "taking the former instances away")
		m.intend(api.Effect{Kind: api.EffectPromote, Stage: last.Number, Expect: o.Job.ModifyIndex})
	case a.Action == api.AdviceFinish && last != nil && last.Percent == 100 && t.Former == 0:
		m.enter(api.RolloutRunning, "every instance is patched; restoring the job's own update block")
		m.intend(api.Effect{Kind: api.EffectFinish, Stage: last.Number, Expect: o.Job.ModifyIndex})
	case a.Action == api.AdviceRollback:
		m.turnBack("the strategy asks for it: %s", a.Reason)
	case a.Action == api.AdviceHold:
		m.hold([]api.Hold{{Source: "strategy", Reason: a.Reason}})
	default:
		m.hold([]api.Hold{{Source: "strategy", Reason: "it proposes " + describe(*a) + ", which is not possible now"}})
	}
}

// nextBatch moves the next instances of a stage, once the budget has room for them.
func (m *machine) nextBatch(o Observation, s *api.Stage) {
	reason := m.full(o, s.Mode)
	switch {
	case reason == "":
		m.batch(o, s)
	case m.overdue(*o.Job) && m.Decision.Rollback.OnDeadline:
		m.turnBack("%s at the deadline%s", reason, why(*o.Job))
	default:
		m.enter(api.RolloutRunning, "stage %d: %s", s.Number, reason)
	}
}

// begin opens the next stage.
func (m *machine) begin(o Observation, a *api.Advice) {
	mode := a.Mode
	if mode == "" {
		mode = api.StageInPlace
	}
	if mode == api.StageBeside && o.Job.PerNode {
		m.hold([]api.Hold{{Source: "strategy", Reason: "it proposes a stage beside the former instances, and no node has a place for a second instance of a system job"}})
		return
	}
	if reason := m.full(o, mode); reason != "" {
		m.hold([]api.Hold{{Source: sourceBudget, Reason: reason + why(*o.Job)}})
		return
	}
	s := api.Stage{
		Number: len(m.Stages) + 1, Percent: a.Percent, Mode: mode,
		Instances: api.CeilPercent(a.Percent, m.Former.Count),
		Began:     m.now,
	}
	if oneFirst(m.Rollout) && s.Instances > 1 {
		s.Percent, s.Instances = 0, 1
	}
	m.Stages = append(m.Stages, s)
	m.Verdict = nil // the judge's state stays: the next stage is compared with what this one showed
	m.batch(o, lastStage(m.Rollout))
}

func describe(a api.Advice) string {
	if a.Action == api.AdviceStage {
		return fmt.Sprintf("stage %d %%", max(0, a.Percent))
	}
	return string(a.Action)
}
