package orchestrator

import (
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/shoenig/test/must"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/internal/fleet"
)

// TestSettle_ScalingWorksWhileAStageWaits scales a job whose stage waits for a person, in
// both directions, and under the brake too (hashicorp/nomad-autoscaler#273). Nothing but what
// Nomad itself makes of the new count moves, and the rollout ends with all instances.
func TestSettle_ScalingWorksWhileAStageWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := calmWorld(1, func(d *api.Decision) {
			d.Budget.Instances = 1
			d.Judge = api.JudgeSpec{Enabled: true, Interval: api.Duration(time.Hour), OnInconclusive: "hold"}
		})
		defer w.term.cancel()
		w.ladder = []api.Advice{stage(25, api.StageInPlace), stage(100, api.StageInPlace)}
		ref := w.refs[0]
		w.until(t, "r0", func(r api.Rollout) bool { return len(r.Stages) == 1 && !r.Stages[0].Ready.IsZero() && r.Effect == nil })
		w.command("r0", "pause", "test")
		settled := func(r api.Rollout) bool {
			d := w.fleet.Latest(fleet.JobID{Namespace: ref.Namespace, ID: ref.Job})
			return r.Effect == nil && r.Status == api.RolloutPaused && !d.Active()
		}
		w.until(t, "r0", settled)
		must.Eq(t, 1, w.running(ref, patchOf(specFormer)))

		for _, c := range []struct{ to, patched int }{{6, 3}, {5, 3}} { // from 6 to 5 Nomad replaces a former one
			_, err := w.fleet.Scale(ref, c.to)
			must.NoError(t, err)
			w.until(t, "r0", func(r api.Rollout) bool { return settled(r) && r.Former.Count == c.to })
			must.Len(t, c.to, w.fleet.Instances(ref))
			must.LessEq(t, c.patched, w.running(ref, patchOf(specFormer)))
		}
		w.command("r0", "resume", "test")
		for w.rollout("r0").Status != api.RolloutComplete && w.broken == nil {
			w.until(t, "r0", func(r api.Rollout) bool {
				s := r.Stages[len(r.Stages)-1]
				return r.Status == api.RolloutComplete || !s.Ready.IsZero() && s.Judged.IsZero() && r.Effect == nil
			})
			w.command("r0", "promote", "test")
		}
		r := w.rollout("r0")
		must.Eq(t, 5, w.running(ref, patchOf(specFormer)))
		must.True(t, slices.ContainsFunc(r.Effects, func(e api.Effect) bool { return e.Kind == api.EffectSettle && e.Status == api.EffectDone }))
		must.NoError(t, w.broken)
	})
}
