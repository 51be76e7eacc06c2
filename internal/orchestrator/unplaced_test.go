package orchestrator

import (
	"testing"
	"testing/synctest"

	"github.com/shoenig/test/must"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/internal/fleet"
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
		must.StrContains(t, w.rollout("r0").Reason, "nomad has not placed")
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
