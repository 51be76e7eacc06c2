package rollout

import (
	"testing"
	"time"

	"github.com/shoenig/test/must"

	"github.com/oakumhq/oakum/api"
)

// TestStep_TurnsBackWhatStartsAndFailsInTurn: an instance that runs at every other look does
// not make the time anew that the one beside it, whose node is lost, has.
func TestStep_TurnsBackWhatStartsAndFailsInTurn(t *testing.T) {
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	r := api.Rollout{
		ID: "r1", Status: api.RolloutRunning, Former: &api.FormerJob{Count: 2},
		Stages:  []api.Stage{{Number: 1, Percent: 100, Instances: 2, Asked: 2, Began: now, Deadline: now.Add(time.Minute)}},
		Effects: []api.Effect{{ID: "r1.1", Kind: api.EffectStage, Status: api.EffectDone, Stage: 1, Want: 2}},
	}
	r.Decision.Deadline = api.Duration(time.Minute)
	r.Decision.Rollback = api.RollbackSpec{OnHealth: true, OnDeadline: true}
	for look := 0; r.Status != api.RolloutRollingBack; look++ {
		must.Less(t, 20, look)
		view := &JobView{Build: api.BuildPatched, Pace: PaceHeld, Count: 2, Excused: map[string]string{"b": "its node is lost"}, Instances: []api.Instance{
			{ID: "a", Name: "web[0]", Build: api.BuildPatched, Health: api.Pending, Because: "task main is pending"},
			{ID: "b", Name: "web[1]", Build: api.BuildPatched, Health: api.Unhealthy},
		}}
		if look%2 == 1 {
			view.Early = map[string]bool{"a": true}
		}
		now = now.Add(10 * time.Second)
		next, err := Step(Count(r, 10*time.Second), Tick{Observation{Job: view}}, now)
		must.NoError(t, err)
		r = next
	}
	must.EqOp(t, "0 of 2 patched instances are healthy, for 1m0s: web[0]: task main is pending", r.Reason)
}
