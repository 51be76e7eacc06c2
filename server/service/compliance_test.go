package service

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/shoenig/test/must"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/server/state"
)

// TestCompliance_FollowsAPatchToTheEnd holds that a target is affected before the rollout,
// unknown while nobody has said what its new image holds, and fixed afterwards, with the
// time that it took.
func TestCompliance_FollowsAPatchToTheEnd(t *testing.T) {
	t.Parallel()
	file := bashPatch()
	file.Text = strings.Replace(file.Text, `"high"`, `"high"
  fixes    = ["CVE-2026-0001"]`, 1)
	f := newFixture(t, machine("web", "local/web.qcow2", digestOf("a")))
	put := func(digit, version string) {
		t.Helper()
		dated := strings.Replace(string(document("", version)), `"metadata": {`, `"metadata": {"timestamp": "2026-03-02T14:00:00Z", `, 1)
		_, err := f.PutInventory(t.Context(), api.InventoryGiven{Digest: digestOf(digit)}, []byte(dated), ada())
		must.NoError(t, err)
	}
	report := func() api.AdvisoryCompliance {
		t.Helper()
		all, err := f.Compliance(t.Context(), "")
		must.NoError(t, err)
		must.Len(t, 1, all.Advisories)
		must.Eq(t, []string{"CVE-2026-0001"}, all.Advisories[0].Faults)
		return all.Advisories[0]
	}
	all, err := f.Compliance(t.Context(), "")
	must.NoError(t, err)
	must.SliceEmpty(t, all.Advisories)
	_, err = f.Compliance(t.Context(), "CVE-2026-0001")
	must.True(t, api.IsCode(err, api.CodeNotFound), must.Sprint(err))

	put("a", "5.2")
	receipt, err := f.SubmitPatch(t.Context(), file, ada())
	must.NoError(t, err)
	a := report()
	must.Eq(t, api.ComplianceCounts{Affected: 1}, a.ComplianceCounts)
	must.EqOp(t, epoch(), a.Known)
	must.StrContains(t, a.Targets[0].Reason, "bash is 5.2")

	r, ok := f.state.Rollout(receipt.Rollouts[0])
	must.True(t, ok)
	r.Status, r.Reason, r.Former = api.RolloutRunning, "stage 1", &api.FormerJob{}
	f.put(t, &state.RolloutTransition{Kind: "start", Expect: r.ModifyIndex, Rollout: r})
	must.Eq(t, api.ComplianceCounts{Affected: 1}, report().ComplianceCounts)
	patched := f.fleet.targets
	f.fleet.targets = []api.Target{machine("web", "local/web.qcow2", digestOf("c"))}
	put("c", "5.3")
	a = report()
	must.Eq(t, api.ComplianceCounts{Unknown: 1}, a.ComplianceCounts, must.Sprint("the job is patched, and not all instances are"))
	must.StrContains(t, a.Targets[0].Reason, "rollout "+r.ID+" is under way")
	f.fleet.targets = patched

	f.complete(t, receipt.Rollouts[0], epoch().Add(3*time.Hour))
	a = report()
	must.EqOp(t, api.ComplianceAffected, a.Targets[0].Status)
	must.EqOp(t, receipt.Rollouts[0], a.Targets[0].Rollout, must.Sprint("it did not fix it"))

	f.fleet.targets = []api.Target{machine("web", "local/web.qcow2", digestOf("b"))}
	must.Eq(t, api.ComplianceCounts{Unknown: 1}, report().ComplianceCounts)
	put("b", "5.3")
	a = report()
	must.Eq(t, api.ComplianceCounts{Fixed: 1}, a.ComplianceCounts)
	must.EqOp(t, 3*time.Hour, a.Times.Median.D())
	must.EqOp(t, 3*time.Hour, a.Targets[0].TimeToFix.D())

	f.opt.MaxAge, f.opt.Now = 48*time.Hour, func() time.Time { return epoch().Add(49 * time.Hour) }
	a = report()
	must.Eq(t, api.ComplianceCounts{Unknown: 1}, a.ComplianceCounts)
	must.StrContains(t, a.Targets[0].Reason, "the inventory is stale: it was taken on 2026-03-02; by the packages it names, it would be fixed")
	_, err = f.PutInventory(t.Context(), api.InventoryGiven{Digest: digestOf("b")}, document("", "5.3"), ada())
	must.NoError(t, err)
	a = report()
	must.Eq(t, api.ComplianceCounts{Unknown: 1}, a.ComplianceCounts)
	must.StrContains(t, a.Targets[0].Reason, "does not say when it was taken", must.Sprint("an old one may be given at any time"))

	f.fleet.err = errors.New("no answer from Nomad")
	_, err = f.Compliance(t.Context(), "")
	must.ErrorContains(t, err, "no answer from Nomad")
}

// complete ends a rollout at a time, with the patch carried out.
func (f *fixture) complete(t *testing.T, id string, at time.Time) {
	t.Helper()
	r, ok := f.state.Rollout(id)
	must.True(t, ok)
	r.Status, r.Reason, r.Ended = api.RolloutComplete, "done", at
	f.put(t, &state.RolloutTransition{Kind: "end", Expect: r.ModifyIndex, Rollout: r})
}
