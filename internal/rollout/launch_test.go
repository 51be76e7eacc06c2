package rollout

import (
	"testing"

	"github.com/shoenig/test/must"

	"github.com/oakumhq/oakum/api"
)

// A registration of the patched definition that was sent and not answered is on its way. It
// expects the index of its effect, and not of another one that somebody has made since: so a
// rollback can tell whether it may still come.
func TestVerify_KnowsWhatADefinitionOnItsWayExpects(t *testing.T) {
	former := func(index uint64) JobView {
		return JobView{Build: api.BuildFormer, Pace: PaceOwn, ModifyIndex: index}
	}
	for name, c := range map[string]struct {
		open   api.EffectKind
		expect uint64 // of the finish
		view   JobView
		want   Progress
	}{
		"it is to be sent":                            {api.EffectFinish, 100, former(100), Absent},
		"the former one was registered anew":          {api.EffectFinish, 100, former(105), Blocked},
		"it is there":                                 {api.EffectFinish, 100, JobView{Build: api.BuildPatched, Pace: PaceOwn, ModifyIndex: 107}, Complete},
		"back, and it may come":                       {api.EffectRollback, 100, former(100), Unneeded},
		"back, and it may come after somebody else's": {api.EffectRollback, 105, former(105), Unneeded},
		"back, and the index keeps it out":            {api.EffectRollback, 100, former(105), Complete},
	} {
		t.Run(name, func(t *testing.T) {
			r := api.Rollout{Former: &api.FormerJob{Launch: api.LaunchPeriodic, ModifyIndex: 100}}
			r.Effect = &api.Effect{Kind: c.open, Expect: c.expect}
			if c.open == api.EffectRollback {
				r.Effects = []api.Effect{{Kind: api.EffectFinish, Status: api.EffectFailed, Expect: c.expect}}
			}
			have, shown := Verify(r, c.view)
			must.EqOp(t, c.want, have, must.Sprint(shown))
		})
	}
}
