package service

import (
	"testing"

	"github.com/shoenig/test/must"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/server/state"
)

// bashPatch is for bash below 5.3.
func bashPatch() api.SourceFile {
	return api.SourceFile{Name: "bash.hcl", Text: `patch "bash" {
  severity = "high"
  affects "deb" {
    package = "bash"
    below   = "5.3"
  }
  target {
    namespace = "prod"
    jobs      = ["*"]
  }
  apply "job" {
    task = "vm"
    env  = { VERSION = "2" }
  }
}`}
}

func TestPlanPatch_GoesToWhomItsInventoriesSayIsAffected(t *testing.T) {
	t.Parallel()
	f := newFixture(t, machine("fixed", "local/b.qcow2", digestOf("b")), machine("hit", "local/a.qcow2", digestOf("a")), machine("unknown", "local/c.qcow2", digestOf("c")))
	for digest, version := range map[string]string{digestOf("a"): "5.2", digestOf("b"): "5.3"} {
		_, err := f.PutInventory(t.Context(), api.InventoryGiven{Digest: digest}, document("", version), ada())
		must.NoError(t, err)
	}
	for unknown, want := range map[string]struct {
		planned   []string
		simulate  bool
		approvals int
	}{
		"include": {[]string{"hit", "unknown"}, true, 0},
		"hold":    {[]string{"hit", "unknown"}, false, 1},
		"exclude": {[]string{"hit"}, false, 0},
	} {
		f.put(t, &state.PolicyPut{Policy: api.Policy{Name: "s", Blocks: []string{"s"}, File: api.SourceFile{Name: "s.hcl", Text: `policy "s" {
  specificity = 5
  order       = "exposed_first"
  simulate { required = false }
  select {
    affected = true
    unknown  = "` + unknown + `"
  }
}`}}})
		receipt, err := f.PlanPatch(t.Context(), bashPatch(), api.Identity{})
		must.NoError(t, err)
		var planned []string
		for _, w := range receipt.Plan.Waves {
			for _, p := range w.Targets {
				planned = append(planned, p.Target.Job)
				if p.Target.Job == "hit" {
					must.EqOp(t, api.AssessmentAffected, p.Assessment.Status)
					must.Eq(t, map[string]string{"bash": "5.3"}, p.Assessment.Fixed)
					must.False(t, p.Decision.Simulate.Required)
					continue
				}
				must.EqOp(t, api.AssessmentUnknown, p.Assessment.Status)
				must.StrContains(t, p.Assessment.Reason, "there is no inventory of "+digestOf("c"))
				must.EqOp(t, want.simulate, p.Decision.Simulate.Required, must.Sprint(unknown))
				must.EqOp(t, want.approvals, p.Decision.Approval.Count, must.Sprint(unknown))
			}
		}
		must.Eq(t, want.planned, planned)
		must.EqOp(t, api.AssessmentFixed, receipt.Plan.NothingToDo[0].Status)
		must.EqOp(t, "fixed", receipt.Plan.NothingToDo[0].Target.Job)
		must.StrContains(t, receipt.Plan.NothingToDo[0].Reason, "bash is 5.3; the fault ends with 5.3")
	}

	t.Log("a rollout goes on by the assessment of its plan")
	receipt, err := f.SubmitPatch(t.Context(), bashPatch(), ada())
	must.NoError(t, err)
	r, ok := f.state.Rollout(receipt.Rollouts[0])
	must.True(t, ok)
	must.True(t, r.Decision.Selection.Chosen)
	_, err = f.PutInventory(t.Context(), api.InventoryGiven{Digest: digestOf("a"), Replace: true}, document("", "5.3"), ada())
	must.NoError(t, err)
	again, err := f.Redecide(r, api.Impact{Verdict: api.SimulationPass})
	must.NoError(t, err)
	must.Eq(t, r.Decision.Selection, again.Selection)
}
