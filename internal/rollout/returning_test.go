package rollout

import (
	"fmt"
	"testing"
	"time"

	"github.com/shoenig/test/must"

	"github.com/oakumhq/oakum/api"
)

// returns is a job of ten patched instances that is on its way back, and of which every
// returned instance fails for good: Nomad starts none of them again, and each ends its
// deployment.
type returns struct {
	r    api.Rollout
	view JobView
	now  time.Time
}

func newReturns(budget int, deadline time.Duration) *returns {
	now := time.Date(2026, 3, 2, 14, 0, 0, 0, time.UTC)
	w := &returns{now: now, view: JobView{ModifyIndex: 100, Version: 7, Build: api.BuildPatched, Pace: PaceHeld, Count: 10}}
	for i := range 10 {
		w.view.Instances = append(w.view.Instances, api.Instance{
			Name: fmt.Sprintf("web.web[%d]", i), Build: api.BuildPatched, Health: api.Healthy, JobVersion: 7, Started: now.Add(-time.Hour),
		})
	}
	w.r = api.Rollout{
		ID: "r", Status: api.RolloutRollingBack, Former: &api.FormerJob{Count: 10},
		Stages: []api.Stage{{Number: 1, Percent: 100, Instances: 10, Began: now.Add(-2 * time.Hour)}},
	}
	w.r.Decision.Budget.Instances, w.r.Decision.Deadline = budget, api.Duration(deadline)
	return w
}

// turn lets ten seconds pass, and carries the open effect out.
func (w *returns) turn(t *testing.T, as api.Health) {
	t.Helper()
	w.now, w.r = w.now.Add(10*time.Second), Count(w.r, 10*time.Second)
	var ev Event = Tick{Observation{Job: &w.view}}
	if e := w.r.Effect; e != nil {
		must.EqOp(t, api.EffectRollback, e.Kind)
		size := BackSize(w.r, w.view)
		w.view.ModifyIndex, w.view.Version = w.view.ModifyIndex+1, w.view.Version+1
		w.view.Build, w.view.Failed = api.BuildFormer, true
		for i := range w.view.Instances {
			if in := &w.view.Instances[i]; in.Build == api.BuildPatched && size > 0 {
				*in = api.Instance{Name: in.Name, Build: api.BuildFormer, Health: as, JobVersion: w.view.Version, Started: w.now, Because: "no such image"}
				size--
			}
		}
		is, shown := Verify(w.r, w.view)
		must.EqOp(t, Complete, is, must.Sprint(shown))
		ev = Finished{EffectResult{ID: e.ID, OK: true, Outcome: shown, Index: w.view.ModifyIndex}}
	}
	next, err := Step(w.r, ev, w.now)
	must.NoError(t, err)
	w.r = next
}

// A former build that does not start any more must not end as an outage, however long the
// rollback goes on.
func TestStepBack_TakesNoMoreThanItMayWhereNothingReturnedGetsHealthy(t *testing.T) {
	for name, c := range map[string]struct {
		budget   int
		deadline time.Duration
		as       api.Health
	}{
		"it fails":                           {1, time.Minute, api.Unhealthy},
		"it fails, with a larger budget":     {3, time.Minute, api.Unhealthy},
		"it fails before a late deadline":    {2, time.Hour, api.Unhealthy},
		"it starts, and never gets healthy":  {2, time.Minute, api.Pending},
		"the same, and has half an hour for": {2, 30 * time.Minute, api.Pending},
	} {
		t.Run(name, func(t *testing.T) {
			w := newReturns(c.budget, c.deadline)
			for range 12 * 60 * 6 { // half a day
				w.turn(t, c.as)
			}
			away := len(w.view.Instances) - w.view.Tally().PatchedHealthy
			must.Between(t, c.budget, away, c.budget+2)
		})
	}
}
