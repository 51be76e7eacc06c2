package rollout

import (
	"testing"
	"time"

	"github.com/shoenig/test/must"
	"pgregory.net/rapid"

	"github.com/oakumhq/oakum/api"
)

// waiting is a rollout whose first stage waits for its two instances, and turns back when
// they are not healthy after a minute.
func waiting(now time.Time) api.Rollout {
	r := api.Rollout{
		ID: "r1", Status: api.RolloutRunning, Former: &api.FormerJob{Count: 2},
		Stages:  []api.Stage{{Number: 1, Percent: 100, Instances: 2, Asked: 2, Began: now, Deadline: now.Add(time.Minute)}},
		Effects: []api.Effect{{ID: "r1.1", Kind: api.EffectStage, Status: api.EffectDone, Stage: 1, Want: 2}},
	}
	r.Decision.Deadline = api.Duration(time.Minute)
	r.Decision.Rollback = api.RollbackSpec{OnHealth: true, OnDeadline: true}
	return r
}

func halfStarted() JobView {
	return JobView{Build: api.BuildPatched, Pace: PaceHeld, Count: 2, Instances: []api.Instance{
		{ID: "a", Name: "web[0]", Build: api.BuildPatched, Health: api.Healthy},
		{ID: "b", Name: "web[1]", Build: api.BuildPatched, Health: api.Pending, Because: "task main is pending"},
	}}
}

// TestStep_HoldsDeadlinesAgainstWhatWasCounted draws leaders whose clocks are hours apart
// and jump: a stage turns back when it has waited for longer than it may while somebody
// looked, not before and not later. Its holds don't count.
func TestStep_HoldsDeadlinesAgainstWhatWasCounted(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
		r, waited := waiting(now), time.Duration(0)
		for range 40 {
			passed := time.Duration(rapid.IntRange(0, 10).Draw(t, "passed")) * time.Second
			now = now.Add(passed)
			if rapid.IntRange(0, 4).Draw(t, "jump") == 0 {
				now = now.Add(time.Duration(rapid.IntRange(-7200, 7200).Draw(t, "by")) * time.Second)
			}
			if r.Status == api.RolloutRunning {
				waited += passed
			}
			view := halfStarted()
			o := Observation{Job: &view}
			if rapid.IntRange(0, 4).Draw(t, "away") == 0 {
				o.Away = []api.Hold{{Source: "consul", Reason: "it gives no answer"}}
			}
			running := r.Status == api.RolloutRunning
			next, err := Step(Count(r, passed), Tick{o}, now)
			must.NoError(t, err)
			must.Eq(t, running && waited > time.Minute, next.Status == api.RolloutRollingBack)
			if r = next; r.Status == api.RolloutRollingBack {
				return
			}
		}
	})
}

// TestStep_TakesNoNewLeaderForALateInstance: the deadline is over, and all instances are
// healthy, for as long as the new leader has looked.
func TestStep_TakesNoNewLeaderForALateInstance(t *testing.T) {
	began := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	for name, ready := range map[string]time.Time{"the batch is overdue": {}, "the stage was ready": began} {
		t.Run(name, func(t *testing.T) {
			now := began.Add(2 * time.Minute)
			r := waiting(began)
			r.Stages[0].Ready, r.Spans.Batch = ready, api.Duration(2*time.Minute)
			given := halfStarted()
			given.Instances[1].Health, given.MinHealthyTime = api.Healthy, 10*time.Second
			leader := Steady{}
			for look := range 3 {
				view := leader.Look(r, given, now)
				next, err := Step(r, Tick{Observation{Job: &view}}, now)
				must.NoError(t, err)
				must.EqOp(t, api.RolloutRunning, next.Status)
				must.True(t, next.Stages[0].Lapsed.IsZero())
				must.EqOp(t, look == 2, view.Tally().PatchedHealthy == 2)
				r, now = next, now.Add(5*time.Second)
			}
		})
	}
}

func TestRecount_WritesSeldom(t *testing.T) {
	r, written, writes := waiting(time.Time{}), api.Spans{}, 0
	for range 86400 {
		r = Count(r, time.Second)
		if Recount(written, r) {
			written, writes = r.Spans, writes+1
		}
		must.LessEq(t, max(recountAfter, written.Batch.D()/4), (r.Spans.Batch - written.Batch).D(), must.Sprint("a new leader has lost more"))
	}
	must.LessEq(t, 40, writes, must.Sprint("entries of the log in a day"))
	r.Holds = []api.Hold{{Source: "nomad"}}
	must.False(t, Recount(api.Spans{}, r))
}

// TestSeenGone_CountsLooks: no jump of a clock ends a rollout whose target was stopped for a
// moment.
func TestSeenGone_CountsLooks(t *testing.T) {
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	gone := Tick{Observation{Gone: &Gone{Loss: JobStopped}}}
	r, err := Step(waiting(now), gone, now)
	must.NoError(t, err)
	r, err = Step(Count(r, time.Second), gone, now.Add(time.Hour))
	must.NoError(t, err)
	must.EqOp(t, api.RolloutRunning, r.Status)
	back, err := Step(Count(r, time.Second), Tick{}, now.Add(time.Hour))
	must.NoError(t, err)
	must.EqOp(t, api.Duration(0), back.Spans.Gone)
	r, err = Step(Count(r, goneFor), gone, now)
	must.NoError(t, err)
	must.EqOp(t, api.RolloutCancelled, r.Status)
}
