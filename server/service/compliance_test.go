package service

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/shoenig/test/must"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/internal/advisory"
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

// directory are advisories that a server has read from files.
type directory struct {
	catalogue advisory.Catalogue
	named     map[string][]advisory.Published
}

func (d *directory) Catalogue() advisory.Catalogue { return d.catalogue }

func (d *directory) Named(name string) []advisory.Published { return d.named[name] }

// TestCompliance_SpeaksOfTheDirectory: advisories that no patch has brought, what is known of
// exploits, and the files that can't be read. What nobody has is known to whoever asks for it.
func TestCompliance_SpeaksOfTheDirectory(t *testing.T) {
	t.Parallel()
	f := newFixture(t, machine("web", "local/web.qcow2", digestOf("a")))
	_, err := f.PutInventory(t.Context(), api.InventoryGiven{Digest: digestOf("a")}, document("", "5.2"), ada())
	must.NoError(t, err)
	names, err := f.InstalledNames()
	must.NoError(t, err)
	published := func(id, pkg, fixed string) advisory.Published {
		a, err := advisory.ParseOSV(id+".json", fmt.Appendf(nil, `{"id": %q, "upstream": ["CVE-2026-0001"], "affected": [
		  {"package": {"ecosystem": "Debian:12", "name": %q}, "ranges": [{"type": "ECOSYSTEM", "events": [{"introduced": "0"}, {"fixed": %q}]}]}]}`, id, pkg, fixed))
		must.NoError(t, err)
		return advisory.Published{Advisory: a, Digest: id, Known: epoch()}
	}
	bash, zsh := published("DSA-1", "bash", "5.3"), published("DSA-2", "zsh", "6")
	must.True(t, names.Concerned(bash.Subjects()))
	must.False(t, names.Concerned(zsh.Subjects()))
	_, err = f.Compliance(t.Context(), "DSA-1")
	must.ErrorContains(t, err, "no patch that the cluster keeps names it, and this server has no directory of advisories")

	d := &directory{catalogue: advisory.Catalogue{
		Advisories: []advisory.Published{bash}, Problems: []string{"x.json: it is no OSV document"},
		Exploited: map[string]api.Exploited{"CVE-2026-0001": {Name: "CVE-2026-0001", Added: "2026-02-01"}},
	}, named: map[string][]advisory.Published{"DSA-1": {bash}, "DSA-2": {zsh}}}
	f.opt.Advisories = d
	all, err := f.Compliance(t.Context(), "")
	must.NoError(t, err)
	must.Len(t, 1, all.Advisories)
	must.EqOp(t, api.ComplianceAffected, all.Advisories[0].Targets[0].Status)
	must.EqOp(t, "2026-02-01", all.Vulnerabilities[0].Exploited.Added)
	must.Eq(t, d.catalogue.Problems, all.Problems)
	for name, want := range map[string]api.ComplianceCounts{"DSA-1": {Affected: 1}, "DSA-2": {Unknown: 1}} /* the inventory names no source packages */ {
		one, err := f.Compliance(t.Context(), name)
		must.NoError(t, err)
		must.Len(t, 1, one.Advisories)
		must.Eq(t, want, one.Advisories[0].ComplianceCounts)
	}
	_, err = f.Compliance(t.Context(), "DSA-3")
	must.ErrorContains(t, err, "and no document in this server's directory of advisories")
	must.Eq(t, d.catalogue.Problems, api.AsError(err).Details)

	t.Log("a plan takes a fault that is exploited for graver")
	receipt, err := f.PlanPatch(t.Context(), withFix(bashPatch(), "CVE-2026-0001"), ada())
	must.NoError(t, err)
	must.True(t, receipt.Plan.Waves[0].Targets[0].Assessment.Exploited)
}

// withFix lets a patch say that it fixes a fault.
func withFix(file api.SourceFile, fault string) api.SourceFile {
	file.Text = strings.Replace(file.Text, `severity = "high"`, fmt.Sprintf("severity = \"high\"\n  fixes = [%q]", fault), 1)
	return file
}

// TestCompliance_PutsUpWithAFaultUntilTheEndOfItsException: from then on the target is affected
// again.
func TestCompliance_PutsUpWithAFaultUntilTheEndOfItsException(t *testing.T) {
	t.Parallel()
	f := newFixture(t, machine("web", "local/web.qcow2", digestOf("a")))
	_, err := f.PutInventory(t.Context(), api.InventoryGiven{Digest: digestOf("a")}, document("", "5.2"), ada())
	must.NoError(t, err)
	_, err = f.SubmitPatch(t.Context(), withFix(bashPatch(), "CVE-2026-0001"), ada())
	must.NoError(t, err)
	f.put(t, &state.PolicyPut{Policy: api.Policy{Name: "exceptions", File: api.SourceFile{Name: "exceptions.hcl", Text: `exception "web" {
  faults  = ["CVE-2026-0001"]
  targets = ["prod/web/*"]
  reason  = "nobody calls it"
  until   = "2026-03-03"
}`}}})
	report, err := f.Compliance(t.Context(), "")
	must.NoError(t, err)
	row := report.Advisories[0].Targets[0]
	must.EqOp(t, api.ComplianceExcepted, row.Status)
	must.StrContains(t, row.Reason, "bash is 5.2", must.Sprint("it says what would be"))
	must.Eq(t, []api.Exception{{Document: "exception web at exceptions.hcl:1,1", Justification: "nobody calls it"}}, row.Exceptions)
	must.EqOp(t, time.Date(2026, 3, 3, 0, 0, 0, 0, time.UTC), row.Until)

	f.opt.Now = func() time.Time { return row.Until }
	report, err = f.Compliance(t.Context(), "")
	must.NoError(t, err)
	must.EqOp(t, api.ComplianceAffected, report.Advisories[0].Targets[0].Status)
}

// TestCompliance_CountsTheInstancesThatAreHit: the job asks for what is fixed, and some
// instances run another version.
func TestCompliance_CountsTheInstancesThatAreHit(t *testing.T) {
	t.Parallel()
	own := api.RunningVersion{JobVersion: 2, Instances: 3}
	former := func(n int, digit string) api.RunningVersion {
		return api.RunningVersion{JobVersion: 1, Instances: n, Tasks: machine("web", "local/web.qcow2", digestOf(digit)).Tasks}
	}
	for name, c := range map[string]struct {
		status   api.RolloutStatus
		versions []api.RunningVersion
		err      error
		want     api.ComplianceCounts
		hit, of  int
		reason   string
	}{
		"some are hit":          {api.RolloutFailed, []api.RunningVersion{former(2, "b"), own}, nil, api.ComplianceCounts{Affected: 1}, 2, 5, "2 of 5 instances: bash is 5.2"},
		"all are hit by now":    {api.RolloutCancelled, []api.RunningVersion{former(5, "b")}, nil, api.ComplianceCounts{Affected: 1}, 5, 5, "5 of 5 instances: bash is 5.2"},
		"others are fixed":      {api.RolloutFailed, []api.RunningVersion{former(2, "a"), own}, nil, api.ComplianceCounts{Fixed: 1}, 0, 5, "bash is 5.3"},
		"one is not known":      {api.RolloutFailed, []api.RunningVersion{former(1, "c"), own}, nil, api.ComplianceCounts{Unknown: 1}, 0, 4, "1 instance runs job version 1: there is no inventory of " + digestOf("c")},
		"a version is gone":     {api.RolloutFailed, []api.RunningVersion{{JobVersion: 1, Instances: 2, Unknown: "Nomad keeps that version no more"}, own}, nil, api.ComplianceCounts{Unknown: 1}, 0, 5, "2 instances run job version 1: Nomad keeps"},
		"nobody answers":        {api.RolloutFailed, nil, errors.New("no answer from Nomad"), api.ComplianceCounts{Unknown: 1}, 0, 4, "nobody says which instances run what: no answer from Nomad"},
		"none differs":          {api.RolloutComplete, nil, nil, api.ComplianceCounts{Fixed: 1}, 0, 4, "bash is 5.3"},
		"hit, after it is over": {api.RolloutComplete, []api.RunningVersion{former(1, "b"), own}, nil, api.ComplianceCounts{Affected: 1}, 1, 4, "1 of 4 instances: bash is 5.2"},
		"under way":             {api.RolloutRunning, nil, nil, api.ComplianceCounts{Unknown: 1}, 0, 4, "is under way"},
		"under way, and hit":    {api.RolloutRunning, []api.RunningVersion{former(1, "b"), own}, nil, api.ComplianceCounts{Affected: 1}, 1, 4, "1 of 4 instances"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			web := machine("web", "local/web.qcow2", digestOf("a"))
			web.Count, web.JobVersion = 4, 2
			f := newFixture(t, web)
			f.versions = func() (map[api.TargetRef][]api.RunningVersion, error) {
				return map[api.TargetRef][]api.RunningVersion{web.TargetRef: c.versions}, c.err
			}
			receipt, err := f.SubmitPatch(t.Context(), bashPatch(), ada())
			must.NoError(t, err)
			for digit, version := range map[string]string{"a": "5.3", "b": "5.2"} {
				_, err = f.PutInventory(t.Context(), api.InventoryGiven{Digest: digestOf(digit)}, document("", version), ada())
				must.NoError(t, err)
			}
			r, _ := f.state.Rollout(receipt.Rollouts[0])
			r.Status, r.Reason, r.Former = c.status, "over", &api.FormerJob{Version: 1}
			f.put(t, &state.RolloutTransition{Kind: "end", Expect: r.ModifyIndex, Rollout: r})
			report, err := f.Compliance(t.Context(), "")
			must.NoError(t, err)
			must.Eq(t, c.want, report.Advisories[0].ComplianceCounts)
			one := report.Advisories[0].Targets[0]
			must.StrContains(t, one.Reason, c.reason)
			must.EqOp(t, c.hit, one.Hit)
			must.EqOp(t, c.of, one.Instances)
		})
	}
}

// TestCompliance_HoldsToTheAgesOfPolicies beside the agent's, of which the shorter counts.
func TestCompliance_HoldsToTheAgesOfPolicies(t *testing.T) {
	t.Parallel()
	f := newFixture(t, machine("web", "local/web.qcow2", digestOf("a")))
	dated := strings.Replace(string(document("", "5.3")), `"metadata": {`, `"metadata": {"timestamp": "2026-03-01T14:00:00Z", `, 1)
	_, err := f.PutInventory(t.Context(), api.InventoryGiven{Digest: digestOf("a")}, []byte(dated), ada())
	must.NoError(t, err)
	_, err = f.SubmitPatch(t.Context(), bashPatch(), ada())
	must.NoError(t, err)
	for _, c := range []struct {
		agent        time.Duration
		applies, age string
		want         api.ComplianceCounts
	}{
		{0, `target.namespace == "prod"`, `"48h"`, api.ComplianceCounts{Fixed: 1}},
		{0, `target.namespace == "prod"`, `"23h"`, api.ComplianceCounts{Unknown: 1}},
		{48 * time.Hour, `target.namespace == "prod"`, `"23h"`, api.ComplianceCounts{Unknown: 1}},
		{23 * time.Hour, `target.namespace == "prod"`, `"48h"`, api.ComplianceCounts{Unknown: 1}},
		{0, `target.namespace == "test"`, `"23h"`, api.ComplianceCounts{Fixed: 1}},
		{0, `patch.severity == "low"`, `"23h"`, api.ComplianceCounts{Unknown: 1}},
		{0, `target.namespace == "prod"`, `patch.severity == "low" ? "23h" : "48h"`, api.ComplianceCounts{Unknown: 1}},
	} {
		f.opt.MaxAge = c.agent
		f.put(t, &state.PolicyPut{Policy: api.Policy{Name: "s", Blocks: []string{"s"}, File: api.SourceFile{Name: "s.hcl", Text: fmt.Sprintf(`policy "s" {
  applies = %s
  select {
    affected = true
    max_age  = %s
  }
}`, c.applies, c.age)}}})
		report, err := f.Compliance(t.Context(), "")
		must.NoError(t, err)
		must.Eq(t, c.want, report.Advisories[0].ComplianceCounts, must.Sprint(c, report.Advisories[0].Targets))
	}
}
