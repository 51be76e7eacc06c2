//go:build e2e

package e2e

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/shoenig/test/must"

	"github.com/oakumhq/oakum/api"
)

// TestRollback_KeepsTheBudget patches ten instances in place and takes them back, as in
// hashicorp/nomad#14200, where a revert stops all of them together. At each look Nomad
// is asked how many run.
func TestRollback_KeepsTheBudget(t *testing.T) {
	o := newOakum(t, 1, "", heldPolicy)
	for name, c := range map[string]struct {
		policy string
		least  int // instances that run at each look
		steps  int
	}{
		"two":  {"at_once = false", 8, 5},
		"once": {"at_once = true", 0, 1},
	} {
		t.Run(name, func(t *testing.T) {
			o := o.in(t)
			o.jobOf("held", name, 10, true)
			former := o.spec(name)
			o.does(o.pipeline, "policy", "apply", o.file(name+".hcl", fmt.Sprintf(`policy %q {
  applies = target.job == %q
  strategy "phased" {
    stages = [100]
  }
  budget {
    instances = 2
  }
  rollback {
    %s
  }
}
`, name, name, c.policy)))
			id := o.submit(o.patchFile(name+"-2", name, `VERSION = "v2"`))
			o.until(id, func(r api.Rollout) bool { return len(r.Stages) == 1 && !r.Stages[0].Ready.IsZero() })
			must.EqOp(t, 10, o.count(name, "v2"))

			o.does(o.alice, "rollout", "rollback", id)
			looks := 0
			eventually(t, "the rollback ends", 2*time.Minute, func() bool {
				stubs, _, err := o.vendor.Jobs().Allocations(name, false, nil)
				must.NoError(t, err)
				n := 0
				for _, s := range stubs {
					if s.DesiredStatus == "run" && s.ClientStatus == "running" {
						n++
					}
				}
				must.GreaterEq(t, c.least, n)
				looks++
				r, ok := o.rollout(id)
				return ok && r.Status.Ended()
			})
			r := o.ended(id, api.RolloutRolledBack)
			steps, began := 0, r.Ended
			for _, e := range slices.Backward(r.Effects) {
				if e.Kind == api.EffectRollback {
					steps, began = steps+1, e.Intended
				}
			}
			t.Logf("%d steps, %d looks, %s", steps, looks, r.Ended.Sub(began).Round(time.Millisecond))
			must.GreaterEq(t, c.steps, steps)
			must.True(t, c.steps > 1 || steps == 1)
			must.EqOp(t, 10, o.count(name, "v1"))
			must.EqOp(t, former, o.spec(name))
		})
	}
}
