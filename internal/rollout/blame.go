package rollout

import (
	"fmt"
	"strings"
	"time"

	"github.com/oakumhq/oakum/api"
)

// Whose doing it is that an instance is not healthy. A patch is blamed for what its
// instances do where others do not. A node that is lost, a lack of room, an image that can't
// be pulled: Nomad goes on trying by itself, and a rollback would need the same.

// ownFailures are the patched instances that are neither healthy nor excused, but for those
// that are pending for their min_healthy_time alone.
func ownFailures(v JobView) []api.Instance {
	var out []api.Instance
	for _, in := range v.Instances {
		if in.Build == api.BuildPatched && in.Health != api.Healthy && v.Excused[in.ID] == "" && !v.Early[in.ID] {
			out = append(out, in)
		}
	}
	return out
}

// allFail says how the former instances fail as well, where more of them do than before the
// rollout, and no smaller a share than of the patched ones: what all of them need is down.
// One former instance may fail for a reason of its own, and explains one patched one at
// most. It is empty when that is not so.
func allFail(r api.Rollout, v JobView) string {
	former, down := 0, 0
	var first api.Instance
	for _, in := range v.Instances {
		if in.Build != api.BuildFormer {
			continue
		}
		former++
		if in.Health != api.Healthy && !v.Early[in.ID] && v.Excused[in.ID] == "" {
			if down == 0 {
				first = in
			}
			down++
		}
	}
	t, own := v.Tally(), len(ownFailures(v))
	if fresh := down - r.Former.Unhealthy; own == 0 || fresh < min(own, 2) || fresh*t.Patched < own*former {
		return ""
	}
	return fmt.Sprintf("%d of %d former instances are not healthy, as %d of %d patched ones are not: %s: %s", down, former, own, t.Patched, first.Name, first.Because)
}

// missing is how many of the instances that the group wants Nomad has not placed.
func missing(v JobView) int {
	n := v.Count
	for _, in := range v.Instances {
		if !in.Canary || in.Build == api.BuildFormer {
			n--
		}
	}
	return max(0, n)
}

// spared says why patched instances are not healthy without the patch being to blame; empty
// when no such reason is there.
func spared(r api.Rollout, v JobView) string {
	var said []string
	for _, in := range v.Instances {
		if in.Build == api.BuildPatched && in.Health != api.Healthy && v.Excused[in.ID] != "" && len(said) < namedMost {
			said = append(said, in.Name+": "+v.Excused[in.ID])
		}
	}
	if n := missing(v); n > 0 {
		said = append(said, unplaced(n, v))
	}
	if why := allFail(r, v); why != "" {
		said = append(said, why)
	}
	return strings.Join(said, "; ")
}

// unplaced says that Nomad has not placed n instances, and why.
func unplaced(n int, v JobView) string {
	text := fmt.Sprintf("nomad has not placed %d of %d instances", n, v.Count)
	if v.Unplaced != "" {
		text += ": " + v.Unplaced
	}
	return text
}

// Unplaced says why an open stage effect is to wait although its time is over: Nomad goes
// on trying to place what is missing, or has no room for what would replace a former
// instance, which it then leaves. It is empty when there is nothing to wait for, or when
// Nomad has given up.
func Unplaced(r api.Rollout, v JobView) string {
	switch n := missing(v); {
	case r.Effect.Kind != api.EffectStage || v.Failed:
		return ""
	case n > 0:
		return unplaced(n, v)
	case v.Unplaced != "":
		return fmt.Sprintf("nomad has not placed what stage %d asks for: %s", r.Effect.Stage, v.Unplaced)
	}
	return ""
}

// spare is a hold for what is not the patch's doing. While nothing else keeps the stage from
// being healthy, it is not ready: it has its time again, half of it at least, once Nomad has
// replaced what is missing.
func (m *machine) spare(v JobView) []api.Hold {
	last := lastStage(m.Rollout)
	if last == nil || v.Build != api.BuildPatched || v.Tally().PatchedHealthy >= m.wanted() {
		return nil
	}
	why := spared(m.Rollout, v)
	if why == "" {
		return nil
	}
	if !m.blames(v) && v.Tally().PatchedEarly == 0 { // else one that starts and fails in turn would never be late
		last.Ready = time.Time{}
		m.lapse(time.Time{})
		if whole := deadline(m.Rollout, v); m.Spans.Batch.D() > whole/2 {
			last.Deadline, m.Spans.Batch = m.now.Add(whole), 0 // not at each look, since each change is an entry of the log
		}
	}
	return []api.Hold{{Source: sourceInstances, Reason: why}}
}

// blames reports whether patched instances fail by what they run, where others do not. It
// does so too when nothing else explains why they are too few.
func (m *machine) blames(v JobView) bool {
	if allFail(m.Rollout, v) != "" {
		return false
	}
	return len(ownFailures(v)) > 0 || v.Tally().PatchedEarly == 0 && spared(m.Rollout, v) == ""
}
