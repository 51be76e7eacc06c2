package rollout

import (
	"testing"
	"time"

	"github.com/shoenig/test/must"

	"github.com/oakumhq/oakum/api"
)

// line is a graph in which front calls cart, cart calls store, and mail stands alone. Each
// list names the targets before one and after it.
type line struct{}

func (line) Adjacent(a, b api.TargetRef) bool {
	return a.Job+b.Job == "frontcart" || a.Job+b.Job == "cartfront" || a.Job+b.Job == "cartstore" || a.Job+b.Job == "storecart"
}

func (line) Chained(a, b api.TargetRef) bool { return a.Job != "mail" && b.Job != "mail" }

func TestTurn(t *testing.T) {
	one := func(job string, wave int, s api.RolloutStatus, index uint64) api.Rollout {
		return api.Rollout{
			ID: job, Plan: "p", PatchDigest: "d", Wave: wave, Status: s, ModifyIndex: index,
			Target: api.TargetRef{Namespace: "default", Job: job, Group: "g"},
		}
	}
	of := func(r api.Rollout, policy string) api.Rollout {
		r.Decision.Because = []api.Because{{Field: api.FieldPolicy, Policy: policy}}
		return r
	}
	stuck := one("cart", 2, api.RolloutWaiting, 9)
	stuck.Holds = []api.Hold{{Source: api.HoldDependency, Reason: "front failed"}}
	limited := one("cart", 2, api.RolloutWaiting, 9)
	limited.Holds = []api.Hold{{Source: api.HoldFailures, Reason: "too many failed"}}
	mended := one("front", 1, api.RolloutComplete, 12)
	mended.ID, mended.Plan = "front2", "p2"
	tests := []struct {
		name   string
		r      api.Rollout
		budget api.BudgetSpec
		spite  uint64
		pause  time.Duration // of which half a minute has been counted
		others []api.Rollout
		want   string // empty: it may start
		hold   string
	}{
		{name: "an earlier wave", r: one("mail", 2, api.RolloutWaiting, 0), others: []api.Rollout{one("front", 1, api.RolloutRunning, 5)}, want: "wave 1 is not done: default/front/g is running"},
		{
			name: "a failure in its chain", r: one("store", 3, api.RolloutWaiting, 0), others: []api.Rollout{one("front", 1, api.RolloutRolledBack, 5)},
			want: "a chain of dependencies joins it to default/front/g, where the patch is rolled_back (rollout front)", hold: api.HoldDependency,
		},
		{name: "a pause that is not over", r: one("mail", 2, api.RolloutWaiting, 0), pause: time.Minute, others: []api.Rollout{one("front", 1, api.RolloutComplete, 5)}, want: "a pause of 1m0s follows wave 1", hold: api.HoldPause},
		{name: "a pause that is over", r: one("mail", 2, api.RolloutWaiting, 0), pause: 30 * time.Second, others: []api.Rollout{one("front", 1, api.RolloutComplete, 5)}},
		{name: "a pause begins at the end of the wave", r: one("mail", 2, api.RolloutWaiting, 0), pause: time.Minute, others: []api.Rollout{one("front", 1, api.RolloutRunning, 5)}, want: "wave 1 is not done: default/front/g is running"},
		{name: "no pause precedes the first wave", r: one("mail", 1, api.RolloutWaiting, 0), pause: time.Minute},
		{
			name: "one that is taken back after its end", r: one("mail", 1, api.RolloutWaiting, 0), budget: api.BudgetSpec{Targets: 1},
			others: []api.Rollout{func() api.Rollout {
				r := one("front", 1, api.RolloutRollingBack, 5)
				r.Former = &api.FormerJob{}
				return r
			}()},
			want: "1 rollouts are under way and budget.targets is 1",
		},
		{name: "a failure elsewhere", r: one("mail", 2, api.RolloutWaiting, 0), others: []api.Rollout{one("front", 1, api.RolloutRolledBack, 5)}},
		{name: "a failure of another plan", r: one("store", 2, api.RolloutWaiting, 0), others: []api.Rollout{func() api.Rollout {
			r := one("front", 1, api.RolloutFailed, 5)
			r.Plan = "p2"
			return r
		}()}},
		{name: "one that was cancelled says nothing", r: one("store", 2, api.RolloutWaiting, 0), others: []api.Rollout{one("front", 1, api.RolloutCancelled, 5)}},
		{name: "a person goes on", r: one("store", 2, api.RolloutWaiting, 0), spite: 5, others: []api.Rollout{one("front", 1, api.RolloutRejected, 5)}},
		{
			name: "in spite of what was, not of what follows", r: one("store", 2, api.RolloutWaiting, 0), spite: 5,
			others: []api.Rollout{one("cart", 1, api.RolloutRejected, 4), one("front", 1, api.RolloutFailed, 6)},
			want:   "a chain of dependencies joins it to default/front/g, where the patch is failed (rollout front)", hold: api.HoldDependency,
		},
		{name: "mended since", r: one("store", 2, api.RolloutWaiting, 0), others: []api.Rollout{one("front", 1, api.RolloutRolledBack, 5), mended}},
		{name: "no wave waits for a blocked rollout", r: one("mail", 3, api.RolloutWaiting, 0), others: []api.Rollout{one("front", 1, api.RolloutRolledBack, 5), stuck}},
		{
			name: "what is chained to a blocked rollout waits for it", r: one("store", 3, api.RolloutWaiting, 0), others: []api.Rollout{one("mail", 1, api.RolloutRolledBack, 5), limited},
			want: "a chain of dependencies joins it to default/cart/g of wave 2, which may not begin (rollout cart): too many failed", hold: api.HoldDependency,
		},
		{name: "of the same wave it does not", r: one("store", 2, api.RolloutWaiting, 0), others: []api.Rollout{one("mail", 1, api.RolloutRolledBack, 5), limited}},
		{name: "a person goes on before a blocked rollout", r: one("store", 3, api.RolloutWaiting, 0), spite: 9, others: []api.Rollout{one("mail", 1, api.RolloutRolledBack, 5), limited}},
		{
			name: "the limit of the plan", r: one("mail", 2, api.RolloutWaiting, 0), budget: api.BudgetSpec{Failures: 2}, spite: 99,
			others: []api.Rollout{one("front", 1, api.RolloutRolledBack, 5), one("cart", 1, api.RolloutFailed, 6)},
			want:   "2 targets of this patch failed and budget.failures is 2; abort it, or lift the budget", hold: api.HoldFailures,
		},
		{
			name: "below the limit of the plan", r: one("mail", 2, api.RolloutWaiting, 0), budget: api.BudgetSpec{Failures: 2},
			others: []api.Rollout{one("front", 1, api.RolloutRolledBack, 5), mended, one("cart", 1, api.RolloutFailed, 6)},
		},
		{
			name: "the limit of its policy", r: one("mail", 2, api.RolloutWaiting, 0), budget: api.BudgetSpec{Failures: 3, PolicyFailures: []api.PolicyFailures{{Policy: "web", Most: 1}}},
			others: []api.Rollout{of(one("front", 1, api.RolloutRolledBack, 5), "web"), of(one("cart", 1, api.RolloutFailed, 6), "data")},
			want:   `1 targets of policy "web" failed (default/front/g) and its budget.policy_failures is 1; abort it, or lift the budget`, hold: api.HoldFailures,
		},
		{
			name: "another policy's failures", r: one("mail", 2, api.RolloutWaiting, 0), budget: api.BudgetSpec{PolicyFailures: []api.PolicyFailures{{Policy: "web", Most: 1}}},
			others: []api.Rollout{of(one("cart", 1, api.RolloutFailed, 6), "data")},
		},
	}
	for _, tc := range tests {
		t.Run(tc.name, func(t *testing.T) {
			tc.r.Decision.Budget, tc.r.Despite = tc.budget, tc.spite
			tc.r.Decision.Pause, tc.r.Spans.Pause = api.Duration(tc.pause), api.Duration(30*time.Second)
			gate := Turn(tc.r, append(tc.others, tc.r), line{})
			must.EqOp(t, tc.want, gate.Reason)
			must.EqOp(t, tc.want == "", gate.Open)
			must.EqOp(t, tc.hold != "", len(gate.Holds) > 0)
			if tc.hold != "" {
				must.EqOp(t, tc.hold, gate.Holds[0].Source)
			}
		})
	}
}

func TestStep_APersonGoesOnInSpiteOfAFailure(t *testing.T) {
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	by := api.Identity{Name: "ada"}
	r := api.Rollout{ID: "r", Status: api.RolloutPending, ModifyIndex: 7}
	wait := func(r api.Rollout, sources ...string) api.Rollout {
		g := Gate{Reason: "no"}
		for _, s := range sources {
			g.Holds = append(g.Holds, api.Hold{Source: s, Reason: "it failed"})
		}
		next, err := Step(r, Tick{Observation{Gate: g}}, now)
		must.NoError(t, err)
		return next
	}
	r = wait(r)
	r = wait(r, api.HoldDependency)
	must.EqOp(t, api.RolloutWaiting, r.Status)
	must.True(t, r.Blocked())
	must.EqOp(t, now, r.Holds[0].Since)

	next, err := Step(r, Command{Action: "resume", By: by, Note: "looked at it"}, now)
	must.NoError(t, err)
	must.EqOp(t, 7, next.Despite)
	must.EqOp(t, api.RolloutWaiting, next.Status)
	must.False(t, next.Blocked())
	must.EqOp(t, "ada goes on in spite of what failed: looked at it", next.Reason)

	_, err = Step(wait(r, api.HoldFailures), Command{Action: "resume", By: by}, now)
	must.True(t, api.IsCode(err, api.CodeConflict), must.Sprint("the limit is the policy's"))
}

func TestCount_APauseIsWhatLeadersCounted(t *testing.T) {
	r := api.Rollout{ID: "r", Wave: 2, Status: api.RolloutWaiting, Holds: []api.Hold{{Source: api.HoldPause}}}
	counted := Count(r, 40*time.Second)
	must.EqOp(t, 40*time.Second, counted.Spans.Pause.D())
	must.False(t, Recount(r.Spans, counted))
	counted = Count(counted, 40*time.Second)
	must.True(t, Recount(r.Spans, counted), must.Sprint("the next leader goes on from there"))
	counted.Holds = []api.Hold{{Source: "brake"}}
	must.EqOp(t, counted.Spans, Count(counted, time.Minute).Spans, must.Sprint("what passes under the brake is no pause"))
}
