package nomad_test

import (
	"encoding/json"
	"errors"
	"testing"

	"github.com/shoenig/test/must"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/internal/rollout"
)

// Every registration of a system job stops the instances whose nodes take nothing new. What
// ends a rollout waits for such a node, and what ends a rollback does not.
func TestUnpace_OfASystemJobLosesNoInstance(t *testing.T) {
	t.Parallel()
	n := kinds(object{"Type": "system"}, object{"Type": "system"})
	text, err := json.Marshal(n.answers["/v1/job/j"])
	must.NoError(t, err)
	n.answers["/v1/job/j/plan"] = object{"Annotations": object{"DesiredTGUpdates": object{"g": object{"InPlaceUpdate": 3, "Stop": 1}}}}
	client := n.client(t)
	m := rollout.Move{
		Target: api.TargetRef{Namespace: "default", Job: "j", Group: "g"}, Rollout: "r1", Former: &api.FormerJob{Job: text},
		Apply: []api.Apply{{Kind: api.ApplyJob, Task: "server", Env: map[string]string{"VERSION": "2"}}},
	}
	for name, err := range map[string]error{
		"finish": client.Unpace(t.Context(), m, api.BuildPatched, 7),
		"renew":  client.Renew(t.Context(), m, 7),
	} {
		full, ok := errors.AsType[*rollout.NoRoom](err)
		must.True(t, ok, must.Sprint(name, err))
		must.StrContains(t, full.Why, "stop 1 instances whose nodes take nothing new")
	}
	must.EqOp(t, 0, n.called("/v1/jobs"))
	planned := n.called("/v1/job/j/plan")
	_ = client.Unpace(t.Context(), m, api.BuildFormer, 7) // what the fake answers to it is no matter
	must.EqOp(t, 1, n.called("/v1/jobs"))
	must.EqOp(t, planned, n.called("/v1/job/j/plan"))
}
