//go:build e2e

package e2e

import (
	"testing"
	"time"

	"github.com/shoenig/test/must"

	"github.com/oakumhq/oakum/api"
)

// TestScaling_WhileAStageWaits scales a job on the real Nomad while its stage waits for a
// verdict, as an autoscaler does (hashicorp/nomad-autoscaler#273), and promotes it then.
func TestScaling_WhileAStageWaits(t *testing.T) {
	o := newOakum(t, 1, "", heldPolicy)
	o.does(o.pipeline, "policy", "apply", o.file("scaled.hcl", `policy "scaled" {
  applies = target.meta.kind == "held" && target.job == "scaled"
  strategy "phased" {
    stages = [25, 100]
  }
  budget {
    instances  = 1
    neighbours = "any"
  }
}
`))
	o.jobOf("held", "scaled", 4, true)
	id := o.submit(o.patchFile("scaled-2", "scaled", `VERSION = "v2"`))
	scale := func(count, stage int) {
		t.Helper()
		eventually(t, "nomad takes another count", time.Minute, func() bool {
			_, _, err := o.vendor.Jobs().Scale("scaled", "g", &count, "load", false, nil, nil)
			return err == nil
		})
		o.until(id, func(r api.Rollout) bool {
			return r.Former != nil && r.Former.Count == count && len(r.Stages) == stage && r.Effect == nil
		})
		eventually(t, "so many instances run", time.Minute, func() bool { return o.count("scaled", "v1")+o.count("scaled", "v2") == count })
	}
	waits := func(stage int) {
		t.Helper()
		o.until(id, func(r api.Rollout) bool {
			return len(r.Stages) == stage && !r.Stages[stage-1].Ready.IsZero() && r.Stages[stage-1].Judged.IsZero() && r.Effect == nil
		})
	}
	waits(1)
	must.EqOp(t, 1, o.count("scaled", "v2"))
	scale(6, 1)
	must.EqOp(t, 3, o.count("scaled", "v1"))
	scale(5, 1)
	must.GreaterEq(t, 2, o.count("scaled", "v1"))
	waits(1)
	o.does(o.alice, "rollout", "promote", id)
	waits(2)
	scale(6, 2)
	waits(2)
	o.does(o.alice, "rollout", "promote", id)
	r := o.ended(id, api.RolloutComplete)
	must.EqOp(t, 6, o.count("scaled", "v2"))
	ended := 0
	for _, e := range r.Effects {
		if e.Kind == api.EffectSettle && e.Status == api.EffectDone {
			ended++
		}
	}
	must.GreaterEq(t, 2, ended)
}
