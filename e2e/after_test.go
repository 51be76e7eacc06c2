//go:build e2e

package e2e

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/shoenig/test/must"

	"github.com/oakumhq/oakum/api"
)

// TestRollback_AfterTheEnd takes a complete rollout back, within the budget, and returns the
// job to exactly what it was. Before that somebody takes the patch off another job by hand,
// and Oakum tells it.
func TestRollback_AfterTheEnd(t *testing.T) {
	o := newOakum(t, 1, "", heldPolicy)
	o.does(o.pipeline, "policy", "apply", o.file("after.hcl", `policy "after" {
  applies = target.meta.kind == "held" && (target.job == "drifts" || target.job == "returns")
  strategy "phased" {
    stages = [100]
  }
  budget {
    instances  = 2
    neighbours = "any"
  }
}
`))
	former := map[string]string{}
	patched := func(job string) string {
		o.jobOf("held", job, 4, true)
		former[job] = o.spec(job)
		id := o.submit(o.patchFile(job+"-2", job, `VERSION = "v2"`))
		o.until(id, func(r api.Rollout) bool { return len(r.Stages) == 1 && !r.Stages[0].Ready.IsZero() })
		o.does(o.alice, "rollout", "promote", id)
		r := o.ended(id, api.RolloutComplete)
		must.True(t, r.Restorable.After(time.Now().Add(23*time.Hour)), must.Sprint(r.Restorable))
		must.EqOp(t, 4, o.count(job, "v2"))
		must.EqOp(t, 0, o.Oakum(t.Context(), o.pipeline, "patch", "status", job+"-2").Code)
		return id
	}

	drifts := patched("drifts")
	o.register("drifts", "v1")
	eventually(t, "nomad runs the version that was registered", time.Minute, func() bool { return o.count("drifts", "v1") == 4 })
	res := o.Oakum(t.Context(), o.pipeline, "patch", "status", "drifts-2")
	must.EqOp(t, 2, res.Code)
	must.StrContains(t, strings.Join(strings.Fields(res.Stdout), " "), "does not ask for it any more")
	eventually(t, "the drift is told", 3*time.Minute, func() bool {
		r, ok := o.rollout(drifts)
		return ok && r.Drift != nil
	})

	id := patched("returns")
	o.does(o.alice, "rollout", "rollback", id)
	least := 4
	eventually(t, "the rollback ends", 2*time.Minute, func() bool {
		stubs, _, err := o.vendor.Jobs().Allocations("returns", false, nil)
		must.NoError(t, err)
		n := 0
		for _, s := range stubs {
			if s.DesiredStatus == "run" && s.ClientStatus == "running" {
				n++
			}
		}
		least = min(least, n)
		r, ok := o.rollout(id)
		return ok && r.Status.Ended()
	})
	r := o.ended(id, api.RolloutRolledBack)
	must.GreaterEq(t, 2, least)
	must.EqOp(t, 4, o.count("returns", "v1"))
	must.EqOp(t, former["returns"], o.spec("returns"))
	steps := 0
	for _, e := range r.Effects {
		if e.Kind == api.EffectRollback {
			steps++
		}
	}
	t.Logf("%d steps, at least %d of 4 instances ran", steps, least)
	must.GreaterEq(t, 2, steps)
	must.True(t, slices.ContainsFunc(r.Effects, func(e api.Effect) bool { return e.Kind == api.EffectUnpace && e.Status == api.EffectDone }))
	must.EqOp(t, 2, o.Oakum(t.Context(), o.pipeline, "patch", "status", "returns-2").Code)
}
