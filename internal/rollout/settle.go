package rollout

import (
	"fmt"
	"slices"

	"github.com/oakumhq/oakum/api"
)

// A stage in place is held by a deployment that does not end. While it goes on Nomad refuses
// to scale the job, and no drain counts on the patched instances, which nobody has called
// healthy. So it is ended once the stage is healthy and waits: for the judge, for a window,
// for people. The next registration begins another one.

// settlesMost is how many deployments of one stage are ended. Each time that the job is scaled
// begins another one, and each is in the record, which is written whole.
const settlesMost = 50

// settle opens the effect that ends the deployment of the present stage, where that is safe.
// It is tried once for each registration: no stage depends on it.
func (m *machine) settle(o Observation) {
	if o.Job == nil || m.Effect != nil || !m.rests() || !endable(m.Rollout, *o.Job) {
		return
	}
	v, last, tried := *o.Job, lastStage(m.Rollout), 0
	for _, e := range m.Effects {
		if e.Kind == api.EffectSettle && e.Expect == v.ModifyIndex {
			return
		}
		if e.Kind == api.EffectSettle && e.Stage == last.Number {
			tried++
		}
	}
	if t := v.Tally(); t.PatchedHealthy < max(last.Instances, t.Patched) || tried >= settlesMost {
		return
	}
	m.intend(api.Effect{Kind: api.EffectSettle, Stage: last.Number, Expect: v.ModifyIndex})
}

// rests reports whether the present stage is complete and waits for something. One that has
// its verdict goes on at once, unless something holds the rollout.
func (m *machine) rests() bool {
	last := lastStage(m.Rollout)
	switch {
	case last == nil || last.Mode != api.StageInPlace || last.Ready.IsZero() || !last.Lapsed.IsZero():
		return false
	case m.Status == api.RolloutRunning:
		return last.Judged.IsZero()
	}
	return m.Status == api.RolloutHolding || m.Status == api.RolloutPaused
}

// endable reports whether nothing moves by itself when the deployment of a stage ends, which
// must be one that the rollout began. A job that is scaled then replaces as many former
// instances as its update block lets it, which may be one at most, and no more of them in all
// than may be away at once: an autoscaler would patch the whole group otherwise. Nomad replaces
// nothing that fails in a deployment that has failed, so none is ended that other groups are
// in. A job with an instance on each node is not scaled, no drain waits for it, and Nomad would
// begin no other deployment for it after one that has failed.
func endable(r api.Rollout, v JobView) bool {
	if v.PerNode || v.Shared || v.Settled || v.Build != api.BuildPatched || !begun(r, v) || missing(v) > 0 {
		return false
	}
	t, last := v.Tally(), lastStage(r)
	share := max(last.Instances, api.CeilPercent(last.Percent, v.Count)) // a stage that has its verdict keeps the former one
	few := staying(v.Instances)-share <= max(1, mayBeAway(r, v))
	return v.Parallel > 0 && t.Former+t.Foreign == 0 || v.Parallel == 1 && few
}

// begun reports whether the update block of a job is that of a stage of the rollout. Whoever
// scales the job leaves it as it is.
func begun(r api.Rollout, v JobView) bool {
	return v.Pace == PaceHeld && slices.ContainsFunc(r.Effects, func(e api.Effect) bool {
		return e.Kind == api.EffectStage && e.Status == api.EffectDone && e.Expect == v.Expected
	})
}

// ended checks that the deployment of a registration is over.
func ended(r api.Rollout, v JobView) (Progress, string) {
	switch {
	case v.ModifyIndex != r.Effect.Expect:
		return Blocked, fmt.Sprintf("the job was changed by somebody else: its modify index is %d, not %d", v.ModifyIndex, r.Effect.Expect)
	case v.Settled:
		return Complete, fmt.Sprintf("the deployment of job version %d is over; the job can be scaled while stage %d waits", v.Version, r.Effect.Stage)
	}
	return Absent, fmt.Sprintf("the deployment of job version %d goes on", v.Version)
}
