package advisory_test

import (
	"fmt"
	"testing"

	"github.com/shoenig/test/must"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/internal/advisory"
	"github.com/oakumhq/oakum/internal/inventory"
)

// opensslFault is an advisory about openssl of pypi, which ends with a version; without
// one it is in every version.
func opensslFault(t *testing.T, id, fixed string) advisory.Advisory {
	t.Helper()
	end := ""
	if fixed != "" {
		end = fmt.Sprintf(`,{"fixed":%q}`, fixed)
	}
	a, err := advisory.ParseOSV(id, fmt.Appendf(nil, `{"id":%q,"affected":[{"package":{"ecosystem":"PyPI","name":"openssl"},
		"ranges":[{"type":"ECOSYSTEM","events":[{"introduced":"0"}%s]}]}]}`, id, end))
	must.NoError(t, err)
	return a
}

func TestAssessor_NamesTheLastFixOfAllFaults(t *testing.T) {
	t.Parallel()
	inv := installed(t, "pkg:pypi/openssl@3.0.14")
	for name, c := range map[string]struct {
		fixes []string
		want  string
	}{
		"one":             {[]string{"3.0.16"}, "3.0.16"},
		"the later first": {[]string{"3.0.20", "3.0.16"}, "3.0.20"},
		"the later last":  {[]string{"3.0.16", "3.0.20"}, "3.0.20"},
		"none first":      {[]string{"", "3.0.16"}, ""},
		"none last":       {[]string{"3.0.16", ""}, ""},
		"none in between": {[]string{"3.0.16", "", "3.0.20"}, ""},
		"a tie":           {[]string{"3.0.16", "3.0.16"}, "3.0.16"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var faults []advisory.Advisory
			for i, fixed := range c.fixes {
				faults = append(faults, opensslFault(t, fmt.Sprint("A-", i), fixed))
			}
			got := advisory.NewAssessor(faults, advisory.Options{}).Assess([]*api.Inventory{&inv}, "")
			must.EqOp(t, api.AssessmentAffected, got.Status)
			must.Eq(t, map[string]string{"openssl": c.want}, got.Fixed)
		})
	}
}

func TestAssessor_DoesNotTakeOneOfTwoPackagesForBoth(t *testing.T) {
	t.Parallel()
	inv := installed(t, "pkg:pypi/openssl@3.0.16")
	fault := []advisory.Advisory{opensslFault(t, "A-1", "3.0.16")}
	must.EqOp(t, api.AssessmentFixed, advisory.NewAssessor(fault, advisory.Options{}).Assess([]*api.Inventory{&inv}, "").Status)

	inv.Aside = []api.Aside{{Name: "OpenSSL", Reason: "it has no package URL"}}
	got := advisory.NewAssessor(fault, advisory.Options{}).Assess([]*api.Inventory{&inv}, "")
	must.EqOp(t, api.AssessmentUnknown, got.Status)
	must.StrContains(t, got.Reason, "nothing can be compared with: it has no package URL")
}

// TestAssessor_DoesNotTakeWhatNobodyReadForAbsent: Oakum reads packages of distributions
// alone from an image, and a document may name nothing.
func TestAssessor_DoesNotTakeWhatNobodyReadForAbsent(t *testing.T) {
	t.Parallel()
	image, err := inventory.FromDatabases("image", inventory.Databases{
		OSRelease: "ID=debian\nVERSION_ID=\"12\"\n", Dpkg: "Package: bash\nStatus: install ok installed\nArchitecture: amd64\nVersion: 5.2\n",
	})
	must.NoError(t, err)
	manifests := func(last string) api.Inventory {
		inv, err := inventory.FromImage("image", map[string]string{
			"languages": "manifests\npackage\tpkg:golang/github.com/Masterminds/goutils@v1.1.1\naside\texample.com/app\tit was built from a folder\n" + last + "\n",
		})
		must.NoError(t, err)
		return inv
	}
	programs, partly := manifests("whole\tgolang"), manifests("part\tgolang")
	goutils := func(below string) advisory.Advisory {
		return advisory.FromPatch(api.Patch{Name: "p", Affects: []api.Affected{{Ecosystem: "go", Package: "github.com/Masterminds/goutils", Below: below}}})
	}
	lodash := advisory.FromPatch(api.Patch{Name: "p", Affects: []api.Affected{{Ecosystem: "npm", Package: "lodash", Below: "4.17.21"}}})
	app := advisory.FromPatch(api.Patch{Name: "p", Affects: []api.Affected{{Ecosystem: "go", Package: "example.com/app", Below: "2.0.0"}}})
	scanned, empty := installed(t, "pkg:deb/debian/bash@5.2?distro=debian-12"), installed(t)
	deb := advisory.FromPatch(api.Patch{Name: "p", Affects: []api.Affected{{Ecosystem: "deb", Package: "openssl", Below: "3"}}})
	for name, c := range map[string]struct {
		fault  advisory.Advisory
		in     api.Inventory
		want   api.AssessmentStatus
		reason string
	}{
		"of Python, by an image":   {opensslFault(t, "A-1", "3.0.16"), image, api.AssessmentUnknown, "which may have openssl of pypi without a manifest that says so"},
		"of Python, by a document": {opensslFault(t, "A-1", "3.0.16"), scanned, api.AssessmentNotAffected, "none of its packages is installed"},
		"of Debian, by an image":   {deb, image, api.AssessmentNotAffected, "none of its packages is installed"},
		"of Debian, by programs":   {deb, programs, api.AssessmentUnknown, "no package database was found in the image"},
		"of Go, by an image":       {goutils("1.1.2"), programs, api.AssessmentAffected, "1.1.1"},
		"of Go, in part":           {goutils("1.1.2"), partly, api.AssessmentAffected, "1.1.1"},
		"of Go, a fixed version":   {goutils("1.1.1"), programs, api.AssessmentFixed, "1.1.1"},
		"of Go, fixed in part":     {goutils("1.1.1"), partly, api.AssessmentUnknown, "so that it may have github.com/Masterminds/goutils in other versions too"},
		"of npm, by programs":      {lodash, programs, api.AssessmentUnknown, "which may have lodash of npm without a manifest that says so"},
		"of Go, without a version": {app, programs, api.AssessmentUnknown, "built from a folder"},
		"of Go, by its packages":   {goutils("1.1.2"), image, api.AssessmentUnknown, "without a manifest that says so"},
		"by a document of nothing": {deb, empty, api.AssessmentUnknown, "the inventory names no packages at all"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := advisory.NewAssessor([]advisory.Advisory{c.fault}, advisory.Options{}).Assess([]*api.Inventory{&c.in}, "")
			must.EqOp(t, c.want, got.Status)
			must.StrContains(t, got.Reason, c.reason)
		})
	}
}

// TestAssessor_AsksForNoInventoryThatWouldNotHelp: an advisory that names no packages leaves
// a target unknown, whatever is known of what runs there.
func TestAssessor_AsksForNoInventoryThatWouldNotHelp(t *testing.T) {
	t.Parallel()
	silent := advisory.FromPatch(api.Patch{Name: "x", Fixes: []string{"CVE-2026-0001"}})
	for want, advisories := range map[string][]advisory.Advisory{
		"the advisory names no packages": {silent},
		"nobody knows its digest":        {silent, opensslFault(t, "A-1", "3.0.16")},
	} {
		got := advisory.NewAssessor(advisories, advisory.Options{}).Assess(nil, "nobody knows its digest")
		must.EqOp(t, api.AssessmentUnknown, got.Status)
		must.EqOp(t, want, got.Reason)
	}
}
