package state_test

import (
	"testing"
	"time"

	"github.com/shoenig/test/must"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/server/state"
	"github.com/oakumhq/oakum/server/state/levels"
)

// A cluster of an older level knows people by their names only, and lets nobody do
// without somebody else's consent.
func TestEncode_LeavesSubjectsOutBelowLevel7(t *testing.T) {
	t.Parallel()
	submit := submission("p", "d", web())
	submit.Patch.SubmittedBy, submit.Patch.Submitter = "ada", "id-1"
	submit.Rollouts[0].SubmittedBy, submit.Rollouts[0].Submitter = "ada", "id-1"
	submit.Rollouts[0].Decision.Approval = api.ApprovalSpec{Count: 1, Self: true, Expires: api.Duration(time.Hour)}
	for level := 1; level <= levels.Supported; level++ {
		m := at(t, level)
		must.NoError(t, m.commit(submit))
		told := level >= levels.Seven
		r, _ := m.store.Rollout("p-0")
		patch, _ := m.store.Patch(submit.Patch.Name)
		must.EqOp(t, told, r.Submitter == "id-1")
		must.EqOp(t, told, patch.Submitter == "id-1")
		must.EqOp(t, told, r.Decision.Approval.Self)
		must.EqOp(t, told, r.Decision.Approval.Expires != 0)
		must.EqOp(t, "ada", r.SubmittedBy)
		must.EqOp(t, 1, r.Decision.Approval.Count)

		t.Log("a transition that learns them says them from level 7 on")
		approvals := []api.Approval{{By: "bob", Subject: "id-2", At: epoch(), Of: "d"}}
		r.Approvals, r.Submitter, r.Decision.Approval.Self = approvals, "id-1", true
		r.Decision.Approval.Expires = api.Duration(time.Hour)
		must.NoError(t, m.commit(&state.RolloutTransition{Kind: "approve", Expect: r.ModifyIndex, Rollout: r}))
		r, _ = m.store.Rollout("p-0")
		must.EqOp(t, told, r.Approvals[0].Subject == "id-2")
		must.EqOp(t, told, r.Submitter == "id-1")
		must.EqOp(t, told, r.Decision.Approval.Self)
		must.EqOp(t, told, r.Decision.Approval.Expires != 0)
		must.EqOp(t, told, r.Approvals[0].Of == "d")
		must.EqOp(t, "bob", r.Approvals[0].By)
		must.EqOp(t, "id-2", approvals[0].Subject, must.Sprint("the transition itself is not changed"))
	}
	must.EqOp(t, "id-1", submit.Rollouts[0].Submitter, must.Sprint("the submission itself is not changed"))
}
