package orchestrator

import (
	"testing"
	"testing/synctest"

	"github.com/shoenig/test/must"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/server/state"
	"github.com/oakumhq/oakum/server/state/levels"
)

// TestSimulation_LeavesWhatFollowsToThePolicy has simulations that can't decide.
func TestSimulation_LeavesWhatFollowsToThePolicy(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*api.Decision)
		level  int
		status api.RolloutStatus
		reason string
	}{
		"a critical target": {func(d *api.Decision) { d.Critical = true }, levels.Five, api.RolloutAwaitingApproval,
			"0 of 1 approvals from anybody who may approve; the simulation was inconclusive: the load covers nothing"},
		"any other target": {func(*api.Decision) {}, levels.Five, api.RolloutRunning,
			"stage 1: 1 of 4 instances to the patch, one first; the simulation was inconclusive: the load covers nothing"},
		// Former servers would forget that it could not decide.
		"a former server": {func(*api.Decision) {}, levels.Four, api.RolloutHolding,
			"the simulation could not be carried out: record what it said: command 4 needs cluster level 5"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := calmWorld(1, func(d *api.Decision) { d.Simulate.Required = true; c.change(d) })
				defer w.term.cancel()
				w.undecided = func() bool { return true }
				for level := levels.Two; level <= c.level; level++ {
					w.must(&state.LevelSet{Level: level})
				}
				w.until(t, "r0", func(r api.Rollout) bool {
					return r.Status == c.status && (r.Status != api.RolloutRunning || len(r.Stages) > 0)
				})
				must.StrHasPrefix(t, c.reason, w.rollout("r0").Reason)
				must.NoError(t, w.broken)
			})
		})
	}
}
