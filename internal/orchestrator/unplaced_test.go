package orchestrator

import (
	"context"
	"testing"
	"testing/synctest"

	"github.com/shoenig/test/must"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/internal/fleet"
	"github.com/oakumhq/oakum/internal/rollout"
)

// TestStage_TurnsBackWhileItWaitsForRoom: no node has room for the instances of a stage, and
// one of the stage before crashes meanwhile.
func TestStage_TurnsBackWhileItWaitsForRoom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := calmWorld(1, func(*api.Decision) {})
		defer w.term.cancel()
		w.until(t, "r0", func(r api.Rollout) bool { return len(r.Stages) == 1 && r.Effect == nil })
		for _, n := range w.fleet.Nodes() {
			must.NoError(t, w.fleet.DrainNode(n.ID, nil, false))
		}
		w.until(t, "r0", func(r api.Rollout) bool { return r.Effect != nil && len(r.Holds) > 0 })
		must.StrContains(t, w.rollout("r0").Reason, "no room for "+w.refs[0].String())
		for _, a := range w.fleet.Instances(w.refs[0]) {
			if a.Client == fleet.ClientRunning && isPatched(buildOf(a.Group)) {
				must.NoError(t, w.fleet.Crash(a.ID, "Exceeded allowed attempts"))
				break
			}
		}
		w.until(t, "r0", func(r api.Rollout) bool { return r.Status == api.RolloutRollingBack })
		must.StrContains(t, w.rollout("r0").Reason, "is unhealthy: allocation is failed: Exceeded allowed attempts")
	})
}

// TestStage_WaitsForRoom has no node take new instances before a stage is registered: nothing
// changes but the hold, which ends by itself.
func TestStage_WaitsForRoom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := calmWorld(1, func(*api.Decision) {})
		defer w.term.cancel()
		w.until(t, "r0", func(r api.Rollout) bool { return len(r.Stages) == 1 && r.Effect == nil })
		eligible := func(yes bool) {
			for _, n := range w.fleet.Nodes() {
				must.NoError(t, w.fleet.SetEligibility(n.ID, yes))
			}
		}
		eligible(false)
		w.until(t, "r0", func(r api.Rollout) bool { return r.Status == api.RolloutHolding })
		held := w.rollout("r0")
		must.EqOp(t, "room", held.Holds[0].Source)
		versions, err := w.fleet.Versions(fleet.JobID{Namespace: w.refs[0].Namespace, ID: w.refs[0].Job})
		must.NoError(t, err)
		w.until(t, "r0", func(r api.Rollout) bool { return w.now().Sub(held.Holds[0].Since) > 2*r.Decision.Deadline.D() })
		after := w.rollout("r0")
		must.EqOp(t, api.RolloutHolding, after.Status, must.Sprint(after.Reason))
		same, err := w.fleet.Versions(fleet.JobID{Namespace: w.refs[0].Namespace, ID: w.refs[0].Job})
		must.NoError(t, err)
		must.EqOp(t, versions[0].Version, same[0].Version, must.Sprint("nothing is registered that would find no place"))
		eligible(true)
		w.until(t, "r0", func(r api.Rollout) bool { return r.Status.Ended() })
		must.EqOp(t, api.RolloutComplete, w.rollout("r0").Status, must.Sprint(w.rollout("r0").Reason))
	})
}

// overtaken refuses the next registration of a stage, as Nomad does when the job was changed.
type overtaken struct {
	Mover
	stages int // that were asked for
}

func (m *overtaken) Stage(ctx context.Context, mv rollout.Move, mode api.StageMode, delta int, expect uint64) error {
	if m.stages++; m.stages == 1 {
		return api.Errorf(api.CodeConflict, "the job has another modify index")
	}
	return m.Mover.Stage(ctx, mv, mode, delta, expect)
}

// TestStage_HasItsTimeAfterItWaitedForRoom: the time in which Nomad must do what a stage asks
// for began with a registration that was refused, and ends with the wait.
func TestStage_HasItsTimeAfterItWaitedForRoom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := calmWorld(1, func(*api.Decision) {})
		defer w.term.cancel()
		w.until(t, "r0", func(r api.Rollout) bool { return len(r.Stages) == 1 && r.Effect == nil })
		mover := &overtaken{Mover: w.orch.Mover}
		w.orch.Mover = mover
		eligible := func(yes bool) {
			for _, n := range w.fleet.Nodes() {
				must.NoError(t, w.fleet.SetEligibility(n.ID, yes))
			}
		}
		eligible(false)
		w.until(t, "r0", func(r api.Rollout) bool { return len(r.Holds) > 0 && r.Holds[0].Source == "room" })
		must.Greater(t, 1, mover.stages)
		held := w.rollout("r0").Holds[0].Since
		w.until(t, "r0", func(api.Rollout) bool { return w.now().Sub(held) > 2*placeTimeout })
		eligible(true)
		w.until(t, "r0", func(r api.Rollout) bool { return r.Status.Ended() })
		must.EqOp(t, api.RolloutComplete, w.rollout("r0").Status, must.Sprint(w.rollout("r0").Reason))
	})
}
