package planner_test

import (
	"testing"

	"github.com/shoenig/test/must"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/internal/planner"
)

// TestPlan_LeavesAloneWhatThePatchWouldNotChange: for one such target there is nothing to
// do, and the others are planned.
func TestPlan_LeavesAloneWhatThePatchWouldNotChange(t *testing.T) {
	t.Parallel()
	targets, graph := shop()
	store, cart := target("store").TargetRef, target("cart").TargetRef
	for name, c := range map[string]struct {
		unchanged map[api.TargetRef]int
		planned   int
		nothing   []api.NothingToDo
		refused   []api.Refusal
	}{
		"none": {planned: 6},
		"one": {
			unchanged: map[api.TargetRef]int{store: 0}, planned: 5,
			nothing: []api.NothingToDo{{Target: store, Unchanged: true, Reason: "it runs what the patch asks for already"}},
		},
		"one whose instances lag behind": {
			unchanged: map[api.TargetRef]int{store: 0, cart: 1}, planned: 4,
			nothing: []api.NothingToDo{{Target: store, Unchanged: true, Reason: "it runs what the patch asks for already"}},
			refused: []api.Refusal{{
				Target: cart, Code: api.CodeConflict,
				Reason: "its job asks for what the patch makes of it already, and 1 of 2 instances run another version; nomad replaces them at the job's own pace, or a rollback is due (nomad job revert)",
			}},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			plan, err := planner.Plan(planner.Input{
				Patch: patch(t, `target { jobs = ["*"] }`), Targets: targets, Graph: graph, Library: library(t), Now: now(), Unchanged: c.unchanged,
			})
			must.NoError(t, err)
			planned := 0
			for _, wave := range plan.Waves {
				planned += len(wave.Targets)
				for _, p := range wave.Targets {
					must.MapNotContainsKey(t, c.unchanged, p.Target.TargetRef)
				}
			}
			must.EqOp(t, c.planned, planned)
			must.Eq(t, c.nothing, plan.NothingToDo)
			must.Eq(t, c.refused, plan.Refusals)
			for _, n := range plan.NothingToDo {
				must.False(t, n.MayBeAffected())
			}
		})
	}
}
