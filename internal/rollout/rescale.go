package rollout

import (
	"fmt"
	"slices"
	"time"

	"github.com/oakumhq/oakum/api"
)

// An autoscaler, or a person, may change the count of the target's group at any time that
// Nomad lets them. That is no change of what the job runs: the rollout goes on with as
// many instances as the group wants by then, in both directions.

// rescale takes the group's present count over. It reports whether the rollout has to wait:
// instances are there that the group does not want any more, or it wants none at all.
func (m *machine) rescale(o Observation) bool {
	v := o.Job
	if v == nil || m.Former == nil || v.Build == api.BuildForeign {
		return false
	}
	was, down := m.Former.Count, v.Count < m.Former.Count
	forward := m.Status != api.RolloutRollingBack
	none := forward && v.Count == 0 && !launches(m.Rollout) // since before the rollout, it may be
	if v.Count == was && !none {
		return false
	}
	wait := ""
	switch left := surplus(*v); {
	case none:
		wait = "the group was scaled to no instance at all; the rollout goes on when it wants one"
	case forward && down && left > 0:
		wait = fmt.Sprintf("the group was scaled from %d to %d instances, and %d have yet to stop", was, v.Count, left)
	}
	if wait != "" { // the number of instances says nothing now, and what one of them does is no less true
		if !m.fails(*v) && !m.denied(o) && !m.disproved(o) {
			m.hold(slices.Concat(o.Closed, o.Away, m.deniedHolds(o), []api.Hold{{Source: sourceJob, Reason: wait}}))
		}
		return true
	}
	former := *m.Former
	former.Count, former.ModifyIndex = v.Count, v.ModifyIndex
	m.Former = &former
	if forward {
		m.resize(*v, down)
	}
	return false
}

// surplus is how many instances, canaries aside, are there beyond the count of the group.
func surplus(v JobView) int {
	n := -v.Count
	for _, in := range v.Instances {
		if !in.Canary {
			n++
		}
	}
	return max(0, n)
}

// resize gives the present stage its share of the new count while it is not judged. Where
// the group has become smaller, no effect of before has reached more than the patched
// instances that are left. Canaries stay as many as they are: their promotion brings the
// group to its count.
func (m *machine) resize(v JobView, down bool) {
	patched := v.Tally().Patched
	for i, e := range m.Effects {
		if down && e.Kind == api.EffectStage {
			m.Effects[i].Want = min(e.Want, patched)
		}
	}
	last := lastStage(m.Rollout)
	if last == nil {
		return
	}
	if down {
		last.Asked = min(last.Asked, patched)
	}
	if !last.Judged.IsZero() || last.Mode != api.StageInPlace {
		return
	}
	if last.Percent > 0 { // else it is one instance
		last.Instances = api.CeilPercent(last.Percent, m.Former.Count)
	}
	if m.wanted() < last.Instances { // it has its time again
		m.lapse(time.Time{})
		last.Ready, m.Spans.Batch = time.Time{}, 0
		last.Deadline = m.now.Add(deadline(m.Rollout, v))
	}
}
