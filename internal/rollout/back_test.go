package rollout

import (
	"slices"
	"testing"
	"time"

	"github.com/shoenig/test/must"

	"github.com/oakumhq/oakum/api"
)

// TestBack_WaitsForWhatTheRolloutMayHavePatched has nine instances back, and one whose
// job version Nomad's history does not hold.
func TestBack_WaitsForWhatTheRolloutMayHavePatched(t *testing.T) {
	began := time.Date(2026, 3, 2, 14, 0, 0, 0, time.UTC)
	before, after := began.Add(-time.Hour), began.Add(time.Minute)
	for name, c := range map[string]struct {
		last   api.Instance
		stages int
		failed bool
		want   api.EffectKind // of the next effect; empty for none
	}{
		"it runs, and is newer":                  {api.Instance{Build: api.BuildForeign, Health: api.Healthy, Started: after}, 1, false, ""},
		"it runs, and is older":                  {api.Instance{Build: api.BuildForeign, Health: api.Healthy, Started: before}, 1, false, ""},
		"it has failed, and is newer":            {api.Instance{Build: api.BuildForeign, Health: api.Unhealthy, Started: after}, 1, false, ""},
		"it has failed, and is newer: stranded":  {api.Instance{Build: api.BuildForeign, Health: api.Unhealthy, Started: after}, 1, true, api.EffectRollback},
		"it had failed before":                   {api.Instance{Build: api.BuildForeign, Health: api.Unhealthy, Started: before}, 1, false, api.EffectUnpace},
		"it had failed before, so no deployment": {api.Instance{Build: api.BuildForeign, Health: api.Unhealthy, Started: before}, 1, true, api.EffectUnpace},
		"no stage has begun":                     {api.Instance{Build: api.BuildForeign, Health: api.Healthy, Started: before}, 0, false, api.EffectUnpace},
		"a patched one that has failed":          {api.Instance{Build: api.BuildPatched, Health: api.Unhealthy, Started: before}, 1, false, ""},
	} {
		t.Run(name, func(t *testing.T) {
			r := api.Rollout{
				ID: "r", Status: api.RolloutRollingBack, Former: &api.FormerJob{Count: 10},
				Effects: []api.Effect{{Kind: api.EffectRollback, Status: api.EffectDone, Want: 10, Ended: after}},
			}
			r.Decision.Deadline = api.Duration(2 * time.Hour)
			if c.stages > 0 {
				r.Stages = []api.Stage{{Number: 1, Began: began}}
			}
			former := slices.Repeat([]api.Instance{{Build: api.BuildFormer, Health: api.Healthy, Started: before}}, 9)
			job := &JobView{Build: api.BuildFormer, Pace: PaceHeld, Count: 10, Settled: true, Failed: c.failed, Instances: append(former, c.last)}
			next, err := Step(Count(r, time.Hour), Tick{Observation{Job: job}}, after.Add(time.Hour))
			must.NoError(t, err)
			if c.want == "" {
				must.Nil(t, next.Effect)
				return
			}
			must.NotNil(t, next.Effect)
			must.EqOp(t, c.want, next.Effect.Kind)
		})
	}
}
