package state_test

import (
	"testing"

	"github.com/shoenig/test/must"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/server/state"
	"github.com/oakumhq/oakum/server/state/levels"
)

// A cluster of an older level keeps the budget of a rollback whose policy lets it go at
// once, and waits for instances that were not healthy before.
func TestEncode_LeavesRollbacksAtOnceOutBelowLevel6(t *testing.T) {
	t.Parallel()
	submit := extended()
	submit.Rollouts[0].Decision.Rollback = api.RollbackSpec{OnHealth: true, AtOnce: true}
	submit.Plan.Waves[0].Targets[0].Decision = submit.Rollouts[0].Decision
	for level := 1; level <= levels.Supported; level++ {
		m := at(t, level)
		must.NoError(t, m.commit(submit))
		told := level >= levels.Six
		r, _ := m.store.Rollout("p-0")
		plan, _ := m.store.Plan("p")
		must.EqOp(t, told, r.Decision.Rollback.AtOnce)
		must.EqOp(t, told, plan.Waves[0].Targets[0].Decision.Rollback.AtOnce)
		must.True(t, r.Decision.Rollback.OnHealth)
		must.EqOp(t, level >= levels.Five, r.Apply[0].Digest == "ab")

		t.Log("a transition that learns it says it from level 6 on")
		former := &api.FormerJob{Count: 3, Unhealthy: 1}
		r.Decision.Rollback.AtOnce, r.Former = true, former
		must.NoError(t, m.commit(&state.RolloutTransition{Kind: "effect_finish", Expect: r.ModifyIndex, Rollout: r}))
		r, _ = m.store.Rollout("p-0")
		must.EqOp(t, told, r.Decision.Rollback.AtOnce)
		must.EqOp(t, told, r.Former.Unhealthy == 1)
		must.EqOp(t, 3, r.Former.Count)
		must.EqOp(t, level >= levels.Five, r.Decision.Simulate.Pairs == 4)
		must.EqOp(t, 1, former.Unhealthy, must.Sprint("the transition itself is not changed"))
	}
	must.True(t, submit.Rollouts[0].Decision.Rollback.AtOnce, must.Sprint("the submission itself is not changed"))
}
