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

// settle opens the effect that ends the deployment of the present stage, where that is safe.
// It is tried once for each registration: no stage depends on it.
func (m *machine) settle(o Observation) {
	if o.Job == nil || m.Effect != nil || !m.rests() || !endable(*o.Job) {
		return
	}
	v, last := *o.Job, lastStage(m.Rollout)
	tried := func(e api.Effect) bool { return e.Kind == api.EffectSettle && e.Expect == v.ModifyIndex }
	if t := v.Tally(); t.PatchedHealthy < max(last.Instances, t.Patched) || slices.ContainsFunc(m.Effects, tried) {
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

// endable reports whether nothing moves by itself when the deployment of a stage ends. A job
// that is scaled then replaces as many former instances as its update block lets it, which
// may be one at most. Other groups keep their deployment until they are healthy. A job with
// an instance on each node is not scaled, no drain waits for it, and Nomad would begin no
// other deployment for it after one that has failed.
func endable(v JobView) bool {
	t := v.Tally()
	few := v.Parallel == 1 || v.Parallel > 0 && t.Former+t.Foreign == 0
	return few && !v.PerNode && v.Build == api.BuildPatched && v.Pace == PaceHeld && !v.Settled && v.Others == "" && missing(v) == 0
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
