package service

import (
	"errors"
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

// TestPlanPatch_TakesATargetWhenAnyInstanceIsHit: what the job asks for is fixed, and what
// some of its instances run is not.
func TestPlanPatch_TakesATargetWhenAnyInstanceIsHit(t *testing.T) {
	t.Parallel()
	web := machine("web", "local/web.qcow2", digestOf("b"))
	web.Count, web.JobVersion = 5, 8
	own := api.RunningVersion{JobVersion: 8, Instances: 2}
	former := func(digit string) api.RunningVersion {
		return api.RunningVersion{JobVersion: 7, Instances: 3, Tasks: machine("web", "local/web.qcow2", digestOf(digit)).Tasks}
	}
	for name, c := range map[string]struct {
		versions []api.RunningVersion
		err      error
		status   api.AssessmentStatus // empty where there is nothing to do
		hit      int
		reason   string
	}{
		"some are hit":     {[]api.RunningVersion{former("a"), own}, nil, api.AssessmentAffected, 3, "it is affected: 3 of 5 instances: bash is 5.2"},
		"all are fixed":    {[]api.RunningVersion{former("b"), own}, nil, "", 0, "it is fixed already: bash is 5.3"},
		"none differs":     {nil, nil, "", 0, "it is fixed already: bash is 5.3"},
		"some are unknown": {[]api.RunningVersion{former("c"), own}, nil, api.AssessmentUnknown, 0, "3 instances run job version 7: there is no inventory"},
		"nobody answers":   {nil, errors.New("no answer from Nomad"), api.AssessmentUnknown, 0, "nobody says which instances run what: no answer from Nomad"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newFixture(t, web)
			f.versions = func() (map[api.TargetRef][]api.RunningVersion, error) {
				return map[api.TargetRef][]api.RunningVersion{web.TargetRef: c.versions}, c.err
			}
			for digest, version := range map[string]string{digestOf("a"): "5.2", digestOf("b"): "5.3"} {
				_, err := f.PutInventory(t.Context(), api.InventoryGiven{Digest: digest}, document("", version), ada())
				must.NoError(t, err)
			}
			f.put(t, &state.PolicyPut{Policy: api.Policy{Name: "s", Blocks: []string{"s"}, File: api.SourceFile{Name: "s.hcl", Text: `policy "s" {
  specificity = 5
  select { affected = true }
}`}}})
			receipt, err := f.PlanPatch(t.Context(), bashPatch(), api.Identity{})
			must.NoError(t, err)
			if c.status == "" {
				must.SliceEmpty(t, receipt.Plan.Waves)
				must.StrContains(t, receipt.Plan.NothingToDo[0].Reason, c.reason)
				return
			}
			planned := receipt.Plan.Waves[0].Targets[0]
			must.EqOp(t, c.status, planned.Assessment.Status)
			must.StrContains(t, planned.Decision.Selection.Reason, c.reason)
			must.EqOp(t, c.hit, planned.Assessment.Hit)
			must.EqOp(t, 5, planned.Assessment.Instances)
			if c.hit == 0 {
				return
			}
			must.Len(t, 2, planned.Assessment.Versions)
			must.EqOp(t, 7, planned.Assessment.Versions[0].JobVersion)
			must.Eq(t, []string{digestOf("a")}, planned.Assessment.Versions[0].Digests)
			must.EqOp(t, api.AssessmentAffected, planned.Assessment.Versions[0].Status)
			must.EqOp(t, api.AssessmentFixed, planned.Assessment.Versions[1].Status)
		})
	}
}
