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

// TestStep_GivesWhatReplacesAnInstanceItsTimeToStart: the node of a healthy instance is lost
// between two looks, so that none of them shows more than what Nomad has placed instead.
func TestStep_GivesWhatReplacesAnInstanceItsTimeToStart(t *testing.T) {
	pending := func(id string) api.Instance {
		return api.Instance{ID: id, Name: "web[1]", Build: api.BuildPatched, Health: api.Pending, Because: "task main is pending"}
	}
	well := func(id, name string) api.Instance {
		return api.Instance{ID: id, Name: name, Build: api.BuildPatched, Health: api.Healthy}
	}
	for name, c := range map[string]struct {
		first, later []api.Instance // what the looks show
		reason       string         // why it turns back in the end
		after        time.Duration  // since the first look that shows the later ones
	}{
		"one that replaces another":       {[]api.Instance{well("a", "web[0]"), well("b", "web[1]")}, []api.Instance{well("a", "web[0]"), pending("c")}, "1 of 2 patched instances are healthy, for 1m0s: web[1]: task main is pending", time.Minute},
		"one that was healthy":            {[]api.Instance{well("a", "web[0]"), well("b", "web[1]")}, []api.Instance{well("a", "web[0]"), pending("b")}, "1 of 2 patched instances are healthy, for 10s: web[1]: task main is pending", 10 * time.Second},
		"one of each, and no excuse left": {[]api.Instance{well("a", "web[0]"), well("b", "web[1]")}, []api.Instance{pending("a"), pending("c")}, "0 of 2 patched instances are healthy, for 10s: web[1]: task main is pending", 10 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
			r := api.Rollout{
				ID: "r1", Status: api.RolloutRunning, Former: &api.FormerJob{Count: 2}, Instances: c.first,
				Stages:  []api.Stage{{Number: 1, Percent: 100, Instances: 2, Asked: 2, Began: now, Ready: now, Judged: now}},
				Effects: []api.Effect{{ID: "r1.1", Kind: api.EffectStage, Status: api.EffectDone, Stage: 1, Want: 2}},
			}
			r.Decision.Deadline = api.Duration(time.Minute)
			r.Decision.Rollback = api.RollbackSpec{OnHealth: true, OnDeadline: true}
			steady := Steady{}
			look := func(list []api.Instance) {
				view := JobView{Build: api.BuildPatched, Pace: PaceHeld, Count: 2, JobPace: JobPace{MinHealthyTime: 10 * time.Second}, Instances: list}
				view = steady.Look(r, view, now)
				next, err := Step(r, Tick{Observation{Job: &view}}, now)
				must.NoError(t, err)
				r = next
			}
			look(c.first)
			waited := time.Duration(0)
			for look(c.later); r.Status == api.RolloutRunning; look(c.later) {
				must.Less(t, 2*time.Minute, waited)
				now, waited, r = now.Add(5*time.Second), waited+5*time.Second, Count(r, 5*time.Second)
			}
			must.EqOp(t, api.RolloutRollingBack, r.Status)
			must.EqOp(t, c.reason, r.Reason)
			must.EqOp(t, c.after, waited)
		})
	}
}
