package service

import (
	"testing"

	"github.com/shoenig/test/must"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/server/state"
)

// TestNearRollouts_AreTheTargetsThatAnEdgeJoins asks before and after the rollout
// has a stage.
func TestNearRollouts_AreTheTargetsThatAnEdgeJoins(t *testing.T) {
	t.Parallel()
	f := shop(t)
	receipt, err := f.SubmitPatch(t.Context(), patch(`"cart"`), ada())
	must.NoError(t, err)
	must.MapEmpty(t, f.NearRollouts())
	r, _ := f.state.Rollout(receipt.Rollouts[0])
	r.Status, r.Former = api.RolloutRunning, &api.FormerJob{}
	r.Stages = []api.Stage{{Number: 1, Began: epoch()}}
	f.put(t, &state.RolloutTransition{Kind: "stage_advance", Expect: r.ModifyIndex, Rollout: r})
	must.Eq(t, map[api.TargetRef]bool{target("front").TargetRef: true, target("store").TargetRef: true}, f.NearRollouts())
	r, _ = f.state.Rollout(r.ID)
	r.Verdict = &api.Verdict{Kind: api.VerdictContinue, Neighbours: []api.NeighbourEffect{{Target: target("apart").TargetRef}}}
	f.put(t, &state.RolloutTransition{Kind: "judge", Expect: r.ModifyIndex, Rollout: r})
	must.True(t, f.NearRollouts()[target("apart").TargetRef], must.Sprint("the graph has lost the edge, and the baseline must not learn"))
	f.end(t, r.ID, api.RolloutComplete, "done")
	must.MapEmpty(t, f.NearRollouts())
}

func TestPatchedInstances_AreThoseThatDoNotRunTheFormerBuild(t *testing.T) {
	t.Parallel()
	f, id := submitted(t)
	must.MapEmpty(t, f.PatchedInstances())
	r, _ := f.state.Rollout(id)
	r.Status = api.RolloutRunning
	r.Instances = []api.Instance{{ID: "a", Build: api.BuildFormer}, {ID: "b", Build: api.BuildPatched}, {ID: "c", Build: api.BuildForeign}}
	f.put(t, &state.RolloutTransition{Kind: "observe", Expect: r.ModifyIndex, Rollout: r})
	must.Eq(t, map[string]bool{"b": true, "c": true}, f.PatchedInstances())
	f.end(t, id, api.RolloutComplete, "done")
	must.MapEmpty(t, f.PatchedInstances())
}
