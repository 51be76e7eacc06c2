package service

import (
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/shoenig/test/must"

	"github.com/oakumhq/oakum/api"
)

// TestLead_ProvesThatAFaultIsGone: after a rollout, the inventories of what runs say whether its
// fault is gone. Nobody knows while there is none of what it has brought.
func TestLead_ProvesThatAFaultIsGone(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t, machine("web", "local/web.qcow2", digestOf("a")))
		give := func(digit, version string) {
			t.Helper()
			_, err := f.PutInventory(t.Context(), api.InventoryGiven{Digest: digestOf(digit), Replace: true}, document("", version), ada())
			must.NoError(t, err)
		}
		give("a", "5.2")
		receipt, err := f.SubmitPatch(t.Context(), bashPatch(), ada())
		must.NoError(t, err)
		id := receipt.Rollouts[0]
		end := f.lead(t, nil)
		defer func() { end() }()
		told := func() (kinds []string) {
			t.Helper()
			time.Sleep(2 * proofsEvery)
			synctest.Wait()
			for _, e := range f.state.Events(0, 0) {
				if e.Key == id && len(e.Type) > 6 && e.Type[:6] == "proof_" {
					kinds = append(kinds, e.Type)
				}
			}
			return kinds
		}
		must.SliceEmpty(t, told(), must.Sprint("it has not ended"))
		f.complete(t, id, epoch())
		f.fleet.err = errors.New("no answer from Nomad")
		must.SliceEmpty(t, told())
		f.fleet.err = nil
		must.Eq(t, []string{"proof_affected"}, told(), must.Sprint("the job still names the former image"))
		r, _ := f.state.Rollout(id)
		must.StrContains(t, r.Proof.Reason, "bash is 5.2")

		f.fleet.targets = []api.Target{machine("web", "local/web.qcow2", digestOf("b"))}
		give("c", "1") // of something else
		must.Eq(t, []string{"proof_affected", "proof_unknown"}, told())
		r, _ = f.state.Rollout(id)
		must.StrContains(t, r.Proof.Reason, "there is no inventory of "+digestOf("b"))
		must.Eq(t, []string{"proof_affected", "proof_unknown"}, told(), must.Sprint("told once"))

		give("b", "5.2")
		must.Eq(t, []string{"proof_affected", "proof_unknown", "proof_affected"}, told())
		run := func(v ...api.RunningVersion) {
			f.versions = func() (map[api.TargetRef][]api.RunningVersion, error) {
				return map[api.TargetRef][]api.RunningVersion{r.Target: v}, nil
			}
		}
		run(api.RunningVersion{JobVersion: 7, Instances: 1, Unknown: "Nomad keeps that version no more"})
		give("b", "5.3")
		must.Eq(t, []string{"proof_affected", "proof_unknown", "proof_affected", "proof_unknown"}, told())
		r, _ = f.state.Rollout(id)
		must.StrContains(t, r.Proof.Reason, "1 instance runs job version 7: Nomad keeps that version no more")
		f.versions = func() (map[api.TargetRef][]api.RunningVersion, error) { return nil, errors.New("no answer from Nomad") }
		give("c", "2")
		told()
		r, _ = f.state.Rollout(id)
		must.StrContains(t, r.Proof.Reason, "nobody says which instances run what: no answer from Nomad")
		f.versions = nil
		end()
		end = f.lead(t, nil) // a new leader goes on
		want := []string{"proof_affected", "proof_unknown", "proof_affected", "proof_unknown", "proof_unknown", "proof_fixed"}
		must.Eq(t, want, told())
		r, _ = f.state.Rollout(id)
		must.EqOp(t, api.AssessmentFixed, r.Proof.Status)
		must.EqOp(t, api.RolloutComplete, r.Status)
		give("b", "5.2")
		must.Eq(t, want, told(), must.Sprint("what is gone stays gone"))
	})
}

// TestProveFixes_LeavesAloneWhatProvesNothing: a patch that names no packages, and one whose
// content is another by now, say nothing of what a former rollout has done.
func TestProveFixes_LeavesAloneWhatProvesNothing(t *testing.T) {
	t.Parallel()
	f := newFixture(t, machine("vms", "local/vms.qcow2", digestOf("a")), target("web"))
	plain := patch(`"web"`)
	receipt, err := f.SubmitPatch(t.Context(), plain, ada())
	must.NoError(t, err)
	f.complete(t, receipt.Rollouts[0], epoch())
	must.True(t, f.proveFixes(t.Context()))
	r, _ := f.state.Rollout(receipt.Rollouts[0])
	must.Nil(t, r.Proof)

	named := bashPatch()
	named.Text = strings.Replace(named.Text, `"*"`, `"vms"`, 1)
	receipt, err = f.SubmitPatch(t.Context(), named, ada())
	must.NoError(t, err)
	f.complete(t, receipt.Rollouts[0], epoch())
	other := named
	other.Text = strings.Replace(other.Text, "5.3", "5.4", 1)
	_, err = f.SubmitPatch(t.Context(), other, ada())
	must.NoError(t, err)
	must.True(t, f.proveFixes(t.Context()))
	r, _ = f.state.Rollout(receipt.Rollouts[0])
	must.Nil(t, r.Proof)
}
