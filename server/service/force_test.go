package service

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/shoenig/test/must"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/server/state"
)

// carryOut ends a rollout as one that may be taken back for a day.
func (f *fixture) carryOut(t *testing.T, id string) {
	t.Helper()
	r, ok := f.state.Rollout(id)
	must.True(t, ok)
	r.Status, r.Reason, r.Restorable = api.RolloutComplete, "all run it", epoch().Add(24*time.Hour)
	r.Former = &api.FormerJob{Version: 3, ModifyIndex: 40, Job: []byte(`{"ID":"web"}`)}
	for _, o := range f.state.Rollouts() { // of the same job, each finds what the one before has registered
		if o.Former != nil {
			r.Former.ModifyIndex = max(r.Former.ModifyIndex, o.Former.ModifyIndex+5)
		}
	}
	f.put(t, &state.RolloutTransition{Kind: "end", Expect: r.ModifyIndex, Rollout: r})
}

func TestPatchStatus_AsksWhatRunsNow(t *testing.T) {
	t.Parallel()
	f := newFixture(t, target("whole"), target("lags"), target("back"), target("gone"), target("mute"), target("waits"), target("hidden"))
	receipt, err := f.SubmitPatch(t.Context(), patch(`"whole", "lags", "back", "gone", "mute", "waits", "hidden"`), ada())
	must.NoError(t, err)
	for _, id := range receipt.Rollouts {
		if r, _ := f.state.Rollout(id); r.Target.Job != "waits" {
			f.carryOut(t, id)
		}
	}
	f.applied = func(ref api.TargetRef) (api.DryRun, error) {
		switch ref.Job {
		case "whole":
			return api.DryRun{Unchanged: true}, nil
		case "lags":
			return api.DryRun{Unchanged: true, Behind: 1}, nil
		case "gone":
			return api.DryRun{}, api.Errorf(api.CodeNotFound, "there is no job gone")
		case "mute":
			return api.DryRun{}, api.Errorf(api.CodeUnavailable, "nomad does not answer")
		}
		return api.DryRun{}, nil
	}
	status, err := f.PatchStatus(t.Context(), "openssl", func(ref api.TargetRef) bool { return ref.Job != "hidden" })
	must.NoError(t, err)
	type line struct {
		job    string
		force  api.PatchForce
		reason string
	}
	var got []line
	for _, p := range status.Targets {
		got = append(got, line{p.Target.Job, p.Force, p.Reason})
	}
	must.Eq(t, []line{
		{"back", api.ForceNone, "job version 0 (modify index 0) does not ask for it any more: somebody has registered it since, or its auto_revert went back to an older version"},
		{"gone", api.ForceGone, "there is no job gone"},
		{"lags", api.ForcePartly, "the job asks for it, and 1 instance runs another version"},
		{"mute", api.ForceUnknown, "nomad does not answer"},
		{"waits", api.ForceNone, "job version 0 (modify index 0) does not ask for it"},
		{"whole", api.ForceWhole, "every instance runs it"},
	}, got)
	_, err = f.PatchStatus(t.Context(), "none", func(api.TargetRef) bool { return true })
	must.True(t, api.IsCode(err, api.CodeNotFound))
}

// TestWatchDrift_TellsWhatBecameOfAPatch: the record says once that a patch is not in force
// any more, and once that it is again. Silence changes nothing, and neither does a rollout
// that has changed the target since.
func TestWatchDrift_TellsWhatBecameOfAPatch(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t, target("web"))
		receipt, err := f.SubmitPatch(t.Context(), patch(`"web"`), ada())
		must.NoError(t, err)
		id := receipt.Rollouts[0]
		f.carryOut(t, id)
		found, asked := api.DryRun{Unchanged: true}, error(nil)
		index, inForce := uint64(0), map[string]uint64{}
		look := func() (api.Rollout, int) {
			index++ // the job is another one
			f.fleet.targets[0].JobModifyIndex = index
			asks := 0
			f.applied = func(api.TargetRef) (api.DryRun, error) { asks++; return found, asked }
			for range 3 {
				inForce = f.lookForDrifts(t.Context(), inForce)
			}
			if found.Unchanged && asked == nil && asks > 1 {
				t.Errorf("nomad was asked %d times about a job that stays as it is", asks)
			}
			told := 0
			for _, e := range f.state.Events(0, 0) {
				if e.Type == state.KindDrift {
					told++
				}
			}
			r, _ := f.state.Rollout(id)
			return r, told
		}
		r, told := look()
		must.Nil(t, r.Drift)
		must.EqOp(t, 0, told)

		found = api.DryRun{}
		r, told = look()
		must.NotNil(t, r.Drift)
		must.StrContains(t, r.Drift.Reason, "does not ask for it any more")
		must.EqOp(t, api.RolloutComplete, r.Status)
		must.EqOp(t, 1, told)

		asked = api.Errorf(api.CodeUnavailable, "nomad does not answer")
		r, told = look()
		must.NotNil(t, r.Drift)
		must.EqOp(t, 1, told)

		found, asked = api.DryRun{Unchanged: true}, nil
		r, told = look()
		must.Nil(t, r.Drift)
		must.EqOp(t, 2, told)

		again, err := f.SubmitPatch(t.Context(), patch(`"web"`), ada())
		must.NoError(t, err)
		f.carryOut(t, again.Rollouts[0])
		found = api.DryRun{}
		r, told = look()
		must.Nil(t, r.Drift, must.Sprint("another rollout has changed the target since"))
		must.EqOp(t, 3, told, must.Sprint("of the later one"))
	})
}

// TestRollout_IsTakenBackAfterItsEnd: not while a later one has its target.
func TestRollout_IsTakenBackAfterItsEnd(t *testing.T) {
	t.Parallel()
	f := newFixture(t, target("web"))
	first, err := f.SubmitPatch(t.Context(), patch(`"web"`), ada())
	must.NoError(t, err)
	f.carryOut(t, first.Rollouts[0])
	again, err := f.SubmitPatch(t.Context(), patch(`"web"`), ada())
	must.NoError(t, err)
	_, err = f.Rollout(t.Context(), first.Rollouts[0], "rollback", ada(), "")
	must.ErrorContains(t, err, "can't go back: rollout "+again.Rollouts[0]+` of patch "openssl" has prod/web/web (pending)`)
	f.carryOut(t, again.Rollouts[0])
	_, err = f.Rollout(t.Context(), first.Rollouts[0], "rollback", ada(), "")
	must.ErrorContains(t, err, "has changed prod/web/web since (complete); take that back first")
	r, err := f.Rollout(t.Context(), again.Rollouts[0], "rollback", ada(), "slow since noon")
	must.NoError(t, err)
	must.EqOp(t, api.RolloutRollingBack, r.Status)
	must.EqOp(t, "rollback asked for by ada: slow since noon", r.Reason)
	must.True(t, r.Ended.IsZero())
	must.Len(t, 1, f.state.OpenRollouts())
}

// TestRollout_IsTakenBackBesideOthersOfItsJob: one that has changed another group of the job
// since is in the way. One that has failed is not, for nothing takes that back.
func TestRollout_IsTakenBackBesideOthersOfItsJob(t *testing.T) {
	t.Parallel()
	proxy := target("web")
	proxy.Group = "proxy"
	for status, fails := range map[api.RolloutStatus]string{
		api.RolloutComplete:   "has changed prod/web/proxy since (complete); take that back first",
		api.RolloutFailed:     "",
		api.RolloutRolledBack: "",
	} {
		t.Run(string(status), func(t *testing.T) {
			t.Parallel()
			f := newFixture(t, target("web"), proxy)
			both, err := f.SubmitPatch(t.Context(), patch(`"web"`), ada())
			must.NoError(t, err)
			must.Len(t, 2, both.Rollouts)
			first, then := both.Rollouts[0], both.Rollouts[1]
			if r, _ := f.state.Rollout(first); r.Target.Group != "web" {
				first, then = then, first
			}
			f.carryOut(t, first)
			f.carryOut(t, then)
			if r, _ := f.state.Rollout(then); status != api.RolloutComplete {
				back := r
				back.Status, back.Reason, back.Restorable, back.Ended = api.RolloutRollingBack, "slow", time.Time{}, time.Time{}
				f.put(t, &state.RolloutTransition{Kind: "back", Expect: r.ModifyIndex, Rollout: back})
				r, _ = f.state.Rollout(then)
				end := r
				end.Status = status
				f.put(t, &state.RolloutTransition{Kind: "end", Expect: r.ModifyIndex, Rollout: end})
			}
			r, err := f.Rollout(t.Context(), first, "rollback", ada(), "")
			if fails != "" {
				must.ErrorContains(t, err, fails)
				r, err = f.Rollout(t.Context(), then, "rollback", ada(), "") // which went first does not go by what was made first
				must.NoError(t, err)
				must.EqOp(t, api.RolloutRollingBack, r.Status)
				return
			}
			must.NoError(t, err)
			must.EqOp(t, api.RolloutRollingBack, r.Status)
		})
	}
}
