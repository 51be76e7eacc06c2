package rollout_test

import (
	"testing"

	"github.com/shoenig/test/must"

	"github.com/oakumhq/oakum/internal/rollout"
)

func TestRevertible(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		view rollout.JobView
		want bool
	}{
		"no group reverts":                  {rollout.JobView{Count: 2, Failed: true}, false},
		"nomad calls the version stable":    {rollout.JobView{Count: 2, Reverts: true, Stable: true}, false},
		"its deployment has failed":         {rollout.JobView{Count: 2, Reverts: true, Failed: true}, true},
		"its deployment has not begun":      {rollout.JobView{Count: 2, Reverts: true, Settled: true}, true},
		"nothing runs, so nothing deploys":  {rollout.JobView{Reverts: true, Settled: true}, false},
		"nothing runs but what has failed":  {rollout.JobView{Reverts: true, Settled: true, Failed: true}, true},
		"a version that failed once before": {rollout.JobView{Count: 2, Reverts: true, Stable: true, Failed: true}, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			must.EqOp(t, c.want, rollout.Revertible(c.view))
		})
	}
}
