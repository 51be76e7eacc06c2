package rollout

import (
	"testing"
	"time"

	"github.com/shoenig/test/must"

	"github.com/oakumhq/oakum/api"
)

// undecidedAfter is a rollout whose simulation could not decide.
func undecidedAfter(t *testing.T, follows string, before ...Command) api.Rollout {
	t.Helper()
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	r := newRollout(map[string]string{"simulate": "yes", "inconclusive": follows}, now)
	events := []Event{Tick{}}
	for _, c := range before {
		events = append(events, c)
	}
	events = append(events, Finished{EffectResult{
		ID: "r1.1", OK: true, Outcome: "the load covers nothing", Simulation: "r1.1", Verdict: api.SimulationUndecided,
		Apply: []api.Apply{{Kind: api.ApplyImage, Image: "/images/baked.qcow2"}},
	}})
	for _, ev := range events {
		next, err := Step(r, ev, now)
		must.NoError(t, err)
		r, now = next, now.Add(time.Second)
	}
	return r
}

// TestStep_BakesAnewAfterAHold holds that what is tried again is the patch itself: an image
// that was baked before says nothing of packages, kernel or commands that prove the fix.
func TestStep_BakesAnewAfterAHold(t *testing.T) {
	before := newRollout(map[string]string{"simulate": "yes"}, time.Time{}).Apply
	r := undecidedAfter(t, api.InconclusiveHold)
	must.Eq(t, before, r.Apply)
	for _, ev := range []Event{Command{Action: "resume", By: api.Identity{Name: "ann"}}, Tick{}} {
		next, err := Step(r, ev, r.Since.Add(time.Minute))
		must.NoError(t, err)
		r = next
	}
	must.EqOp(t, api.EffectSimulate, r.Effect.Kind)
	must.Eq(t, before, r.Apply)
}

func TestStep_CallsOffWhatIsUndecided(t *testing.T) {
	for follows, status := range map[string]api.RolloutStatus{
		api.InconclusiveApprove: api.RolloutAwaitingApproval, api.InconclusiveHold: api.RolloutHolding, api.InconclusiveOneFirst: api.RolloutWaiting,
	} {
		r := undecidedAfter(t, follows)
		must.EqOp(t, status, r.Status)
		if follows != api.InconclusiveHold {
			must.EqOp(t, "/images/baked.qcow2", r.Apply[0].Image, must.Sprint("what was baked is what is patched with"))
		}
		r, err := Step(r, Command{Action: "abort", By: api.Identity{Name: "ann"}}, r.Since.Add(time.Minute))
		must.NoError(t, err)
		must.EqOp(t, api.RolloutCancelled, r.Status)
	}
}

func TestStep_KeepsAPauseWhenTheSimulationIsUndecided(t *testing.T) {
	r := undecidedAfter(t, api.InconclusiveApprove, Command{Action: "pause", By: api.Identity{Name: "ann"}})
	must.EqOp(t, api.RolloutPaused, r.Status)
	for _, ev := range []Event{Command{Action: "resume", By: api.Identity{Name: "ann"}}, Tick{}} {
		next, err := Step(r, ev, r.Undecided.At.Add(time.Minute))
		must.NoError(t, err)
		r = next
	}
	must.EqOp(t, api.RolloutAwaitingApproval, r.Status)
	must.EqOp(t, 1, r.Decision.Approval.Count)
	must.EqOp(t, "the simulation was inconclusive: the load covers nothing", r.Decision.Because[0].Reason)
}

// TestStep_TakesNoUnknownVerdictForPassed has a simulator that gives a verdict which this
// version does not know, or none.
func TestStep_TakesNoUnknownVerdictForPassed(t *testing.T) {
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	for _, verdict := range []api.SimulationVerdict{"", "probably"} {
		r := newRollout(map[string]string{"simulate": "yes"}, now)
		for _, ev := range []Event{Tick{}, Finished{EffectResult{ID: "r1.1", OK: true, Outcome: "well", Verdict: verdict}}} {
			next, err := Step(r, ev, now)
			must.NoError(t, err)
			r = next
		}
		must.NotNil(t, r.Undecided)
		must.EqOp(t, api.InconclusiveOneFirst, r.Undecided.Follows)
	}
}

func TestAdvised_LeavesOutTheOneThatGoesFirst(t *testing.T) {
	must.SliceEmpty(t, Advised(nil))
	must.SliceEmpty(t, Advised([]api.Stage{{Number: 1}}))
	must.Eq(t, []api.Stage{{Number: 2, Percent: 10}}, Advised([]api.Stage{{Number: 1}, {Number: 2, Percent: 10}}))
	must.Len(t, 1, Advised([]api.Stage{{Number: 1, Percent: 1}}))
}
