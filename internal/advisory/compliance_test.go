package advisory_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/shoenig/test/must"
	"pgregory.net/rapid"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/internal/advisory"
)

func day(n int) time.Time { return time.Date(2026, 3, n, 12, 0, 0, 0, time.UTC) }

func ref(n int) api.TargetRef {
	return api.TargetRef{Namespace: "prod", Job: fmt.Sprintf("j%d", n), Group: "vm"}
}

// debs is an inventory of packages of Debian, by name with a version that is a number.
func debs(versions map[string]int) *api.Inventory {
	inv := &api.Inventory{Source: "sbom"}
	for _, name := range []string{"a", "b"} {
		if v := versions[name]; v > 0 {
			inv.Packages = append(inv.Packages, api.Package{Ecosystem: "deb", Name: name, Version: fmt.Sprint(v), PURL: fmt.Sprintf("pkg:deb/debian/%s@%d", name, v)})
		}
	}
	return inv
}

// fixing is a patch for a fault of a package, in versions below a number.
func fixing(name, pkg string, below int, fixes ...string) api.Patch {
	return api.Patch{Name: name, Digest: name + "-1", Fixes: fixes, SubmittedAt: day(2), Affects: []api.Affected{{Ecosystem: "deb", Package: pkg, Below: fmt.Sprint(below)}}}
}

// spared adds a statement to a patch that a package is not affected by a fault.
func spared(p api.Patch, pkg, fault string) api.Patch {
	p.VEX = &api.PatchDocument{Name: "vex.json", Digest: "v"}
	p.File.Files = map[string]string{"vex.json": fmt.Sprintf(`{"@context": "https://openvex.dev/ns/v0.2.0", "author": "security", "timestamp": "2026-03-01T00:00:00Z",
		"statements": [{"vulnerability": {"name": %q}, "products": [{"@id": "pkg:deb/debian/%s"}], "status": "not_affected", "justification": "vulnerable_code_not_present"}]}`, fault, pkg)}
	return p
}

func TestComply_CountsFromTheFirstSubmissionToTheRolloutThatFixed(t *testing.T) {
	t.Parallel()
	p := fixing("openssl", "a", 5, "CVE-2026-0001")
	fixed, old := debs(map[string]int{"a": 5}), debs(map[string]int{"a": 4})
	none := debs(map[string]int{"b": 1})
	done := func(id string, target, created, completed int, before api.AssessmentStatus) advisory.Carried {
		return advisory.Carried{ID: id, Patch: p.Name, Digest: p.Digest, Target: ref(target), Created: day(created), Completed: day(completed), Before: before}
	}
	other := done("r8", 5, 1, 20, api.AssessmentAffected)
	other.Digest = "openssl-0"
	report := advisory.Comply(advisory.ComplianceInput{
		Now: day(30), Patches: []api.Patch{p, {Name: "tuning"}},
		Targets: []advisory.InstalledTarget{
			{Target: ref(0), Inventories: []*api.Inventory{fixed}},
			{Target: ref(1), Inventories: []*api.Inventory{fixed}},
			{Target: ref(2), Inventories: []*api.Inventory{old}},
			{Target: ref(3), Missing: "there is no inventory of web:1"},
			{Target: ref(4), Inventories: []*api.Inventory{none}},
			{Target: ref(5), Inventories: []*api.Inventory{fixed}},
			{Target: ref(6), Inventories: []*api.Inventory{none}},
		},
		Carried: []advisory.Carried{
			done("r1", 0, 1, 3, api.AssessmentAffected), // the patch was submitted before, on the first
			done("r2", 0, 9, 10, api.AssessmentFixed),   // once more, when nothing was to do
			done("r3", 1, 2, 7, api.AssessmentUnknown),  // who was not known to be safe
			done("r4", 2, 2, 4, api.AssessmentAffected), // which did not fix it
			done("r5", 3, 2, 5, api.AssessmentUnknown),  // of which nobody knows
			done("r6", 4, 2, 6, api.AssessmentAffected), // whose package the patch removed
			other, // other content of that name
			done("r9", 6, 2, 9, api.AssessmentUnknown), // who never had the package, as far as anybody knows
		},
	})
	must.Len(t, 1, report.Advisories)
	a := report.Advisories[0]
	must.Eq(t, api.ComplianceCounts{Affected: 1, Unknown: 1, Fixed: 4, NotAffected: 1}, a.ComplianceCounts)
	must.EqOp(t, day(1), a.Known)
	const d = 24 * time.Hour
	must.Eq(t, &api.FixTimes{Targets: 3, Median: api.Duration(5 * d), P90: api.Duration(6 * d)}, a.Times)
	rows := map[string]string{}
	for _, row := range a.Targets {
		rows[row.Target.Job] = fmt.Sprintf("%s by %q", row.Status, row.Rollout)
		if row.TimeToFix != nil {
			rows[row.Target.Job] += " in " + row.TimeToFix.String()
		}
	}
	must.Eq(t, map[string]string{
		"j0": `fixed by "r1" in 48h0m0s`, "j1": `fixed by "r3" in 144h0m0s`, "j2": `affected by "r4"`, "j3": `unknown by "r5"`,
		"j4": `fixed by "r6" in 120h0m0s`, "j5": `fixed by ""`,
	}, rows)
	must.EqOp(t, "j2", a.Targets[0].Target.Job, must.Sprint("the gravest first"))
	must.Eq(t, []string{"a"}, a.Targets[0].Packages)
}

func TestComply_TellsOfOneDocumentOnce(t *testing.T) {
	t.Parallel()
	document := `{"id": "DSA-1", "aliases": ["CVE-2026-0001", "CVE-2026-0002"], "affected": [{"package": {"ecosystem": "PyPI", "name": "x"}, "versions": ["1"]}]}`
	with := func(name, digest string) api.Patch {
		return api.Patch{Name: name, Digest: name, SubmittedAt: day(len(name)), Advisory: &api.PatchDocument{Name: "dsa.json", Digest: digest},
			File: api.SourceFile{Files: map[string]string{"dsa.json": document}}}
	}
	broken := with("broken", "c")
	broken.File.Files = map[string]string{"dsa.json": "{"}
	in := advisory.ComplianceInput{Now: day(30), Patches: []api.Patch{with("web", "a"), with("cart", "a"), with("other", "b"), broken}, Targets: []advisory.InstalledTarget{{Target: ref(0)}}}
	report := advisory.Comply(in)
	must.Len(t, 2, report.Advisories)
	must.Eq(t, []string{"cart", "web"}, report.Advisories[0].Patches)
	must.EqOp(t, day(3), report.Advisories[0].Known)
	must.Eq(t, []string{"other"}, report.Advisories[1].Patches)
	must.Len(t, 2, report.Vulnerabilities)
	must.Eq(t, []string{"DSA-1"}, report.Vulnerabilities[1].Advisories)
	must.Eq(t, api.ComplianceCounts{Unknown: 1}, report.Vulnerabilities[1].ComplianceCounts)
	must.Len(t, 1, report.Unread)
	must.StrContains(t, report.Unread[0], "patch broken: read advisory dsa.json")

	in.Name = "CVE-2026-0002"
	report = advisory.Comply(in)
	must.Len(t, 2, report.Advisories)
	must.Len(t, 1, report.Vulnerabilities)
	in.Name = "CVE-2026-0003"
	must.SliceEmpty(t, advisory.Comply(in).Advisories)
}

// TestComply_SaysFixedOfNoWithdrawnAdvisory holds it where a rollout went to a target that
// was affected, and changed nothing there: no fault was there to be fixed.
func TestComply_SaysFixedOfNoWithdrawnAdvisory(t *testing.T) {
	t.Parallel()
	for withdrawn, want := range map[string]api.ComplianceCounts{
		"": {Affected: 1}, `"withdrawn": "2026-03-20T00:00:00Z", `: {NotAffected: 1},
	} {
		p := api.Patch{Name: "x", Digest: "x", SubmittedAt: day(1), Advisory: &api.PatchDocument{Name: "dsa.json", Digest: "a"}, File: api.SourceFile{Files: map[string]string{
			"dsa.json": `{"id": "DSA-1", ` + withdrawn + `"affected": [{"package": {"ecosystem": "PyPI", "name": "x"}, "versions": ["1"]}]}`}}}
		report := advisory.Comply(advisory.ComplianceInput{
			Now: day(30), Patches: []api.Patch{p},
			Targets: []advisory.InstalledTarget{{Target: ref(0), Inventories: []*api.Inventory{{Packages: []api.Package{{Ecosystem: "pypi", Name: "x", Version: "1", PURL: "pkg:pypi/x@1"}}}}}},
			Carried: []advisory.Carried{{ID: "r1", Patch: "x", Digest: "x", Target: ref(0), Created: day(1), Completed: day(2), Before: api.AssessmentAffected}},
		})
		must.Eq(t, want, report.Advisories[0].ComplianceCounts)
		must.Nil(t, report.Advisories[0].Times)
	}
}

// expected is what a report must say of one patch and target, worked out from numbers
// alone.
type expected struct {
	status api.ComplianceStatus
	took   time.Duration // negative for no time
}

// expect compares numbers where Comply compares versions, ranges and statements.
func expect(p api.Patch, pkg string, below int, sparedFault bool, have map[string]int, missing bool, since time.Time, carried []advisory.Carried) expected {
	out := expected{api.ComplianceNotAffected, -1}
	v := have[pkg]
	switch spare := sparedFault && len(p.Fixes) == 1; {
	case v > 0 && v < below && !spare:
		out.status = api.ComplianceAffected
	case missing || len(have) == 0:
		out.status = api.ComplianceUnknown
	case v > 0 && v < below:
		out.status = api.ComplianceExcepted
	case v > 0:
		out.status = api.ComplianceFixed
	}
	var by *advisory.Carried
	for _, r := range carried {
		done := !r.Completed.IsZero() && r.Patch == p.Name && r.Digest == p.Digest
		if done && (r.Before == "" || r.Before == api.AssessmentAffected || r.Before == api.AssessmentUnknown) && (by == nil || r.Completed.After(by.Completed)) {
			by = &r
		}
	}
	if by != nil && out.status == api.ComplianceNotAffected && by.Before == api.AssessmentAffected {
		out.status = api.ComplianceFixed
	}
	if by != nil && out.status == api.ComplianceFixed {
		out.took = by.Completed.Sub(since)
	}
	return out
}

// TestComply_AgreesWithAnOracle draws fleets, patches and rollouts, and holds every row,
// count, time and vulnerability to what plain numbers say.
func TestComply_AgreesWithAnOracle(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		faults := []string{"CVE-2026-0001", "CVE-2026-0002"}
		in := advisory.ComplianceInput{Now: day(30)}
		pkgs, belows, spares := []string{}, []int{}, []bool{}
		for i := range rapid.IntRange(0, 4).Draw(t, "patches") {
			pkg, below := rapid.SampledFrom([]string{"a", "b"}).Draw(t, "package"), rapid.IntRange(2, 12).Draw(t, "below")
			p := fixing(fmt.Sprintf("p%d", i), pkg, below, faults[:rapid.IntRange(1, 2).Draw(t, "faults")]...)
			p.SubmittedAt = day(rapid.IntRange(1, 9).Draw(t, "submitted"))
			spare := rapid.Bool().Draw(t, "spared")
			if spare {
				p = spared(p, pkg, faults[0])
			}
			in.Patches, pkgs, belows, spares = append(in.Patches, p), append(pkgs, pkg), append(belows, below), append(spares, spare)
		}
		haves, missing, byTarget := []map[string]int{}, []bool{}, map[int][]advisory.Carried{}
		for i := range rapid.IntRange(0, 6).Draw(t, "targets") {
			have := map[string]int{}
			for _, name := range []string{"a", "b"} {
				if v := rapid.IntRange(0, 12).Draw(t, name); v > 0 {
					have[name] = v
				}
			}
			one := advisory.InstalledTarget{Target: ref(i), Inventories: []*api.Inventory{debs(have)}}
			lacks := rapid.Bool().Draw(t, "missing")
			if lacks {
				one.Missing = "another task has no inventory"
			}
			in.Targets, haves, missing = append(in.Targets, one), append(haves, have), append(missing, lacks)
			for range rapid.IntRange(0, 3).Draw(t, "rollouts") {
				n := rapid.IntRange(0, 4).Draw(t, "patch")
				r := advisory.Carried{ID: fmt.Sprintf("r%02d", len(in.Carried)), Patch: fmt.Sprintf("p%d", n), Digest: fmt.Sprintf("p%d-%d", n, rapid.IntRange(0, 1).Draw(t, "content")),
					Target: ref(i), Created: day(rapid.IntRange(1, 9).Draw(t, "created")),
					Before: rapid.SampledFrom([]api.AssessmentStatus{"", api.AssessmentAffected, api.AssessmentUnknown, api.AssessmentFixed, api.AssessmentNotAffected}).Draw(t, "before")}
				if rapid.Bool().Draw(t, "completed") {
					r.Completed = day(10).Add(time.Duration(len(in.Carried)) * time.Hour)
				}
				in.Carried, byTarget[i] = append(in.Carried, r), append(byTarget[i], r)
			}
		}
		checkReport(t, in, func(i, j int) expected {
			return expect(in.Patches[i], pkgs[i], belows[i], spares[i], haves[j], missing[j], firstOf(in, in.Patches[i]), byTarget[j])
		})
	})
}

func firstOf(in advisory.ComplianceInput, p api.Patch) time.Time {
	at := p.SubmittedAt
	for _, r := range in.Carried {
		if r.Patch == p.Name && r.Digest == p.Digest && r.Created.Before(at) {
			at = r.Created
		}
	}
	return at
}

// checkReport holds a report to what is expected of patch i and target j.
func checkReport(t *rapid.T, in advisory.ComplianceInput, want func(i, j int) expected) {
	report := advisory.Comply(in)
	must.Len(t, len(in.Patches), report.Advisories)
	order := []api.ComplianceStatus{api.ComplianceNotAffected, api.ComplianceFixed, api.ComplianceExcepted, api.ComplianceUnknown, api.ComplianceAffected}
	gravest := map[string][]int{}
	for i, p := range in.Patches {
		at := slices.IndexFunc(report.Advisories, func(a api.AdvisoryCompliance) bool { return a.ID == p.Name })
		got := report.Advisories[at]
		must.EqOp(t, firstOf(in, p), got.Known)
		tally := map[api.ComplianceStatus]int{}
		var times []time.Duration
		for j, target := range in.Targets {
			w := want(i, j)
			tally[w.status]++
			for _, fault := range p.Fixes {
				if gravest[fault] == nil {
					gravest[fault] = make([]int, len(in.Targets))
				}
				gravest[fault][j] = max(gravest[fault][j], slices.Index(order, w.status))
			}
			row := slices.IndexFunc(got.Targets, func(r api.TargetCompliance) bool { return r.Target == target.Target })
			must.EqOp(t, w.status == api.ComplianceNotAffected, row < 0)
			if row < 0 {
				continue
			}
			must.EqOp(t, w.status, got.Targets[row].Status, must.Sprintf("patch %s, target %s: %s", p.Name, target.Target, got.Targets[row].Reason))
			must.NotEq(t, "", got.Targets[row].Reason)
			must.EqOp(t, w.took >= 0, got.Targets[row].TimeToFix != nil)
			if w.took >= 0 {
				must.EqOp(t, w.took, got.Targets[row].TimeToFix.D())
				times = append(times, w.took)
			}
		}
		must.Eq(t, countsOf(tally), got.ComplianceCounts)
		if len(times) == 0 {
			must.Nil(t, got.Times)
			continue
		}
		must.EqOp(t, len(times), got.Times.Targets)
		must.EqOp(t, quantile(times, 0.5), got.Times.Median.D())
		must.EqOp(t, quantile(times, 0.9), got.Times.P90.D())
	}
	for _, v := range report.Vulnerabilities {
		tally := map[api.ComplianceStatus]int{}
		for _, g := range gravest[v.Name] {
			tally[order[g]]++
		}
		must.Eq(t, countsOf(tally), v.ComplianceCounts, must.Sprint(v.Name))
	}
}

func countsOf(tally map[api.ComplianceStatus]int) api.ComplianceCounts {
	return api.ComplianceCounts{Affected: tally[api.ComplianceAffected], Unknown: tally[api.ComplianceUnknown], Excepted: tally[api.ComplianceExcepted],
		Fixed: tally[api.ComplianceFixed], NotAffected: tally[api.ComplianceNotAffected]}
}

// quantile is the smallest of the times that a share of all of them do not exceed.
func quantile(times []time.Duration, share float64) time.Duration {
	least := time.Duration(1<<63 - 1)
	for _, candidate := range times {
		within := 0
		for _, other := range times {
			if other <= candidate {
				within++
			}
		}
		if float64(within) >= share*float64(len(times)) {
			least = min(least, candidate)
		}
	}
	return least
}

// TestComply_AddsWhatIsPublished: advisories of a directory count beside those of patches, with
// what is known of exploits. One that a patch has brought is told once, and a patch that says
// that it fixes one carries it out.
func TestComply_AddsWhatIsPublished(t *testing.T) {
	t.Parallel()
	published := func(id, pkg, fixed string, upstream string) advisory.Published {
		a, err := advisory.ParseOSV(id+".json", fmt.Appendf(nil, `{"id": %q, "upstream": [%q], "affected": [
		  {"package": {"ecosystem": "Debian:12", "name": %q}, "ranges": [{"type": "ECOSYSTEM", "events": [{"introduced": "0"}, {"fixed": %q}]}]}]}`, id, upstream, pkg, fixed))
		must.NoError(t, err)
		return advisory.Published{Advisory: a, Digest: "d-" + id, Known: day(1)}
	}
	document := `{"id": "DSA-1", "upstream": ["CVE-2026-0001"], "affected": [{"package": {"ecosystem": "Debian:12", "name": "a"}, "ranges": [{"type": "ECOSYSTEM", "events": [{"introduced": "0"}, {"fixed": "5"}]}]}]}`
	brought := api.Patch{Name: "brings", Digest: "b", SubmittedAt: day(9), Advisory: &api.PatchDocument{Name: "dsa.json", Digest: "d-DSA-1"},
		File: api.SourceFile{Files: map[string]string{"dsa.json": document}}}
	fixes := spared(api.Patch{Name: "fixes", Digest: "f", SubmittedAt: day(9), Fixes: []string{"CVE-2026-0002"}, Affects: []api.Affected{{Ecosystem: "deb", Package: "zzz", Below: "1"}}}, "a", "CVE-2026-0003")
	inv := debs(map[string]int{"a": 4, "b": 4})
	for i := range inv.Packages {
		inv.Packages[i].Release, inv.Packages[i].Source = "Debian:12", inv.Packages[i].Name
	}
	in := advisory.ComplianceInput{
		Now: day(30), Patches: []api.Patch{brought, fixes}, Targets: []advisory.InstalledTarget{{Target: ref(0), Inventories: []*api.Inventory{inv}}},
		Carried: []advisory.Carried{{ID: "r1", Patch: "fixes", Digest: "f", Target: ref(0), Created: day(9), Completed: day(11), Before: api.AssessmentAffected}},
		Catalogue: advisory.Catalogue{
			Advisories: []advisory.Published{
				published("DSA-1", "a", "5", "CVE-2026-0001"), published("DSA-2", "b", "4", "CVE-2026-0002"), published("DSA-3", "b", "9", "CVE-2026-0003"),
				published("DSA-4", "other", "9", "CVE-2026-0004"),
			},
			Exploited: map[string]api.Exploited{"CVE-2026-0002": {Name: "CVE-2026-0002", Added: "2026-02-01"}},
			Probable:  map[string]api.EPSS{"CVE-2026-0001": {Name: "CVE-2026-0001", Probability: 0.25}},
			Problems:  []string{"x.json: it is no OSV document"},
		},
	}
	report := advisory.Comply(in)
	must.Eq(t, in.Catalogue.Problems, report.Problems)
	type line struct {
		id      string
		patches string
		counts  api.ComplianceCounts
	}
	var have []line
	for _, a := range report.Advisories {
		have = append(have, line{a.ID, fmt.Sprint(a.Patches), a.ComplianceCounts})
	}
	must.Eq(t, []line{
		{"DSA-2", "[fixes]", api.ComplianceCounts{Fixed: 1}}, // exploited, so it comes first
		{"fixes", "[fixes]", api.ComplianceCounts{Fixed: 1}}, // its package is gone
		{"DSA-1", "[brings]", api.ComplianceCounts{Affected: 1}},
		{"DSA-3", "[]", api.ComplianceCounts{Affected: 1}},
	}, have)
	must.EqOp(t, 240*time.Hour, report.Advisories[0].Targets[0].TimeToFix.D(), must.Sprint("from the day it was published"))
	must.EqOp(t, day(1), report.Advisories[2].Known)
	must.EqOp(t, 0.25, report.Advisories[2].EPSS.Probability)
	must.EqOp(t, "2026-02-01", report.Vulnerabilities[0].Exploited.Added)
	must.EqOp(t, 0.25, report.Vulnerabilities[slices.IndexFunc(report.Vulnerabilities, func(v api.Vulnerability) bool { return v.Name == "CVE-2026-0001" })].EPSS.Probability)

	in.Name = "CVE-2026-0004"
	report = advisory.Comply(in)
	must.Len(t, 1, report.Advisories, must.Sprint("nobody has it, and somebody asks for it"))
	must.Eq(t, api.ComplianceCounts{NotAffected: 1}, report.Advisories[0].ComplianceCounts)
}

// TestComply_PutsUpWithWhatPeoplePutUpWith: a waiver is for the advisory that it names, or for one
// about faults of which it names each. It makes nothing of what is safe.
func TestComply_PutsUpWithWhatPeoplePutUpWith(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		waived []string
		want   api.ComplianceStatus
		until  time.Time
	}{
		"nobody":          {nil, api.ComplianceAffected, time.Time{}},
		"another":         {[]string{"CVE-2026-0009"}, api.ComplianceAffected, time.Time{}},
		"one of two":      {[]string{"CVE-2026-0001"}, api.ComplianceAffected, time.Time{}},
		"both":            {[]string{"CVE-2026-0001", "CVE-2026-0002"}, api.ComplianceExcepted, day(20)},
		"the advisory":    {[]string{"openssl"}, api.ComplianceExcepted, day(20)},
		"it, and another": {[]string{"CVE-2026-0009", "openssl"}, api.ComplianceExcepted, day(20)},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			waivers := []advisory.Waiver{{Faults: c.waived, Document: "exception x", Reason: "nobody calls it", Until: day(20)}}
			report := advisory.Comply(advisory.ComplianceInput{
				Now: day(3), Patches: []api.Patch{fixing("openssl", "a", 5, "CVE-2026-0001", "CVE-2026-0002")},
				Targets: []advisory.InstalledTarget{
					{Target: ref(0), Inventories: []*api.Inventory{debs(map[string]int{"a": 4})}, Waivers: waivers},
					{Target: ref(1), Inventories: []*api.Inventory{debs(map[string]int{"a": 5})}, Waivers: waivers},
					{Target: ref(2), Missing: "nobody knows", Waivers: waivers},
				},
			})
			a := report.Advisories[0]
			rows := map[api.TargetRef]api.TargetCompliance{}
			for _, row := range a.Targets {
				rows[row.Target] = row
			}
			must.EqOp(t, c.want, rows[ref(0)].Status)
			must.EqOp(t, api.ComplianceFixed, rows[ref(1)].Status)
			must.EqOp(t, c.until, rows[ref(0)].Until)
			must.True(t, rows[ref(1)].Until.IsZero())
			if c.want == api.ComplianceExcepted {
				must.EqOp(t, "nobody calls it", rows[ref(0)].Exceptions[0].Justification)
				must.EqOp(t, api.ComplianceExcepted, rows[ref(2)].Status)
				must.EqOp(t, 2, report.Vulnerabilities[0].Excepted)
			}
		})
	}
}

// TestComply_HoldsEachTargetToItsOwnAge: two targets that run the same may be held to other
// ages by their policies.
func TestComply_HoldsEachTargetToItsOwnAge(t *testing.T) {
	t.Parallel()
	inv := debs(map[string]int{"a": 9})
	inv.TakenAt = day(10)
	in := advisory.ComplianceInput{Now: day(13), Patches: []api.Patch{{Name: "p", Affects: []api.Affected{{Ecosystem: "deb", Package: "a", Below: "5"}}}}}
	for i, most := range []time.Duration{0, 100 * time.Hour, 48 * time.Hour} {
		in.Targets = append(in.Targets, advisory.InstalledTarget{Target: ref(i), Inventories: []*api.Inventory{inv}, MaxAge: most})
	}
	report := advisory.Comply(in)
	must.Eq(t, api.ComplianceCounts{Fixed: 2, Unknown: 1}, report.Advisories[0].ComplianceCounts)
	must.Eq(t, ref(2), report.Advisories[0].Targets[0].Target)
	must.StrContains(t, report.Advisories[0].Targets[0].Reason, "stale")
}

func TestComply_SaysThatOtherAdvisoriesMayBeAboutWhatNobodyKnows(t *testing.T) {
	t.Parallel()
	known, missing := advisory.InstalledTarget{Target: ref(0), Inventories: []*api.Inventory{debs(map[string]int{"a": 1})}}, advisory.InstalledTarget{Target: ref(1), Missing: "there is no inventory"}
	for name, c := range map[string]struct {
		targets []advisory.InstalledTarget
		others  int
		asked   string
		want    string
	}{
		"all is known":   {[]advisory.InstalledTarget{known}, 7, "", ""},
		"no others":      {[]advisory.InstalledTarget{known, missing}, 0, "", ""},
		"some are not":   {[]advisory.InstalledTarget{known, missing}, 7, "", "7 further advisories"},
		"one is asked":   {[]advisory.InstalledTarget{missing}, 7, "CVE-2026-0001", ""},
		"nothing at all": {nil, 7, "", ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			in := advisory.ComplianceInput{Now: day(30), Targets: c.targets, Name: c.asked, Catalogue: advisory.Catalogue{Others: c.others, Problems: []string{"x"}}}
			report := advisory.Comply(in)
			must.StrContains(t, strings.Join(report.Problems, "; "), c.want)
			must.EqOp(t, c.want != "", len(report.Problems) == 2)
			must.Len(t, 1, in.Catalogue.Problems)
		})
	}
}
