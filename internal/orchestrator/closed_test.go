package orchestrator

import (
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/shoenig/test/must"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/internal/rollout"
)

// inBatches is a decision that moves one instance at a time.
func inBatches(d *api.Decision) { d.Budget.Instances = 1 }

func batches(r api.Rollout) int {
	n := 0
	for _, e := range r.Effects {
		if e.Kind == api.EffectStage && e.Status == api.EffectDone {
			n++
		}
	}
	return n
}

// TestTurn_StopsBetweenTwoBatchesForAFreezeThatIsAppliedMeanwhile: the plan knew of no
// freeze, and the stage is under way.
func TestTurn_StopsBetweenTwoBatchesForAFreezeThatIsAppliedMeanwhile(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := calmWorld(1, inBatches)
		w.until(t, "r0", func(r api.Rollout) bool { return batches(r) == 1 })
		w.brakes.freeze = api.Freeze{Name: "prod/now", From: w.now(), To: w.now().Add(time.Hour), Reason: "trading freeze"}
		w.until(t, "r0", func(r api.Rollout) bool { return r.Status == api.RolloutHolding })
		r := w.rollout("r0")
		must.Len(t, 1, r.Holds)
		must.Nil(t, r.Effect, must.Sprint("nothing is announced"))
		must.EqOp(t, "freeze", r.Holds[0].Source)
		must.EqOp(t, w.brakes.freeze.String(), r.Reason)
		at := batches(r)
		for w.now().Before(w.brakes.freeze.To.Add(-time.Second)) {
			time.Sleep(time.Second)
			w.step()
		}
		must.EqOp(t, at, batches(w.rollout("r0")), must.Sprint("nothing moves in the freeze"))
		must.EqOp(t, 1, len(w.rollout("r0").Stages))
		w.until(t, "r0", func(r api.Rollout) bool { return r.Status == api.RolloutComplete })
		must.NoError(t, w.broken)
		w.term.cancel()
	})
}

func TestTurn_HoldsWhileNobodyCanReadThePolicies(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := calmWorld(1, inBatches)
		w.brakes.unread = true
		w.until(t, "r0", func(r api.Rollout) bool { return r.Status == api.RolloutWaiting })
		for range 20 {
			time.Sleep(time.Second)
			w.step()
		}
		must.EqOp(t, "the policies in force do not say whether it may go on: freeze.hcl:1,1: unclosed block", w.rollout("r0").Reason)
		w.brakes.unread = false
		w.until(t, "r0", func(r api.Rollout) bool { return batches(r) == 1 })
		w.brakes.unread = true
		w.until(t, "r0", func(r api.Rollout) bool { return r.Status == api.RolloutHolding })
		must.EqOp(t, "policies", w.rollout("r0").Holds[0].Source)
		must.Nil(t, w.rollout("r0").Effect)

		t.Log("a person takes it back all the same")
		w.command("r0", "abort", "in the test")
		w.until(t, "r0", func(r api.Rollout) bool { return r.Status == api.RolloutRolledBack })
		must.NoError(t, w.broken)
		w.term.cancel()
	})
}

// TestTurn_StopsWhenAWindowClosesInTheStage: the window asks to hold what is under way.
func TestTurn_StopsWhenAWindowClosesInTheStage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := calmWorld(1, func(d *api.Decision) {
			inBatches(d)
			d.Windows = []api.Window{{Name: "nights", Cutoff: "hold"}}
		})
		over := false // the night
		w.orch.Opens = func(_ api.Decision, now time.Time) (time.Time, string) {
			if over {
				return now.Add(time.Hour), "the night is over"
			}
			return now, ""
		}
		w.until(t, "r0", func(r api.Rollout) bool { return batches(r) == 1 })
		over = true
		w.until(t, "r0", func(r api.Rollout) bool { return r.Status == api.RolloutHolding })
		r := w.rollout("r0")
		must.EqOp(t, "window", r.Holds[0].Source)
		must.Nil(t, r.Effect)
		must.StrContains(t, r.Reason, "the night is over; opens ")
		over = false
		w.until(t, "r0", func(r api.Rollout) bool { return r.Status == api.RolloutComplete })
		must.NoError(t, w.broken)
		w.term.cancel()
	})
}

func TestTurn_ShowsTheBrakeWhileItWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := calmWorld(1, func(d *api.Decision) { d.Simulate.Required = true })
		w.upgradeAll(t)
		w.brake(true, "in the test")
		for range 20 {
			time.Sleep(time.Second)
			w.step()
		}
		r := w.rollout("r0")
		must.EqOp(t, api.RolloutPending, r.Status)
		must.EqOp(t, w.store.Brake().String(), r.Reason)
		index := w.store.Index()
		for range 20 {
			time.Sleep(time.Second)
			w.step()
		}
		must.EqOp(t, index, w.store.Index(), must.Sprint("a rollout that waits writes nothing"))
		w.brake(false, "in the test")
		w.until(t, "r0", func(r api.Rollout) bool { return len(r.Effects) > 0 && r.Effects[0].Kind == api.EffectSimulate })
		must.NoError(t, w.broken)
		w.term.cancel()
	})
}

// TestClosed_HoldsInAFreezeWhateverIsLeftToMove: that no former instance is seen does not
// mean that nothing is left to move.
func TestClosed_HoldsInAFreezeWhateverIsLeftToMove(t *testing.T) {
	some := func(build api.Build, n int) []api.Instance {
		return slices.Repeat([]api.Instance{{Build: build, Health: api.Healthy}}, n)
	}
	synctest.Test(t, func(t *testing.T) {
		w := calmWorld(1, inBatches)
		defer w.term.cancel()
		w.until(t, "r0", func(r api.Rollout) bool { return batches(r) == 1 })
		w.brakes.freeze = api.Freeze{Name: "prod/now", From: w.now(), To: w.now().Add(time.Hour), Reason: "trading freeze"}
		for name, c := range map[string]struct {
			instances []api.Instance
			holds     bool
		}{
			"a former one":                     {append(some(api.BuildPatched, 3), some(api.BuildFormer, 1)...), true},
			"one of an older build":            {append(some(api.BuildPatched, 3), some(api.BuildForeign, 1)...), true},
			"one is not there, and comes back": {some(api.BuildPatched, 3), true},
			"none is there":                    {nil, true},
			"every one is patched":             {some(api.BuildPatched, 4), false},
			"those beside the former ones":     {append(some(api.BuildPatched, 4), some(api.BuildFormer, 4)...), true},
		} {
			holds := w.orch.closed(w.rollout("r0"), &rollout.JobView{Count: 4, Instances: c.instances})
			must.Eq(t, c.holds, len(holds) == 1, must.Sprint(name, holds))
		}
		every := &rollout.JobView{Count: 4, Instances: some(api.BuildPatched, 4)}
		for kind, holds := range map[api.EffectKind]bool{api.EffectStage: true, api.EffectPromote: true, api.EffectFinish: false} {
			r := w.rollout("r0")
			r.Effect = &api.Effect{ID: "r0.9", Kind: kind}
			must.Eq(t, holds, w.orch.withheld(r, every) != nil, must.Sprintf("a view without a former instance, which may be an old one, and %s is announced", kind))
		}
	})
}

func TestTurn_HoldsWhatGoesForwardWhileNothingIsAudited(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := calmWorld(1, inBatches)
		w.until(t, "r0", func(r api.Rollout) bool { return batches(r) == 1 })
		w.brakes.unrecorded = api.Errorf(api.CodeUnavailable, "audit: no device took the entry")
		w.until(t, "r0", func(r api.Rollout) bool { return r.Status == api.RolloutHolding })
		must.EqOp(t, "audit", w.rollout("r0").Holds[0].Source)
		at := batches(w.rollout("r0"))
		for range 60 {
			time.Sleep(time.Second)
			w.step()
		}
		must.EqOp(t, at, batches(w.rollout("r0")), must.Sprint("nothing moves"))
		w.brakes.unrecorded = nil
		w.until(t, "r0", func(r api.Rollout) bool { return r.Status == api.RolloutComplete })
		must.NoError(t, w.broken)
		w.term.cancel()
	})
}

func TestTurn_RollsBackWhileNothingIsAudited(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := calmWorld(1, inBatches)
		w.until(t, "r0", func(r api.Rollout) bool { return batches(r) == 1 })
		w.brakes.unrecorded = api.Errorf(api.CodeUnavailable, "audit: no device took the entry")
		w.command("r0", "abort", "in the test")
		w.until(t, "r0", func(r api.Rollout) bool { return r.Status == api.RolloutRolledBack })
		must.NoError(t, w.broken)
		w.term.cancel()
	})
}
