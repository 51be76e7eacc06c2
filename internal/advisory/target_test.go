package advisory_test

import (
	"fmt"
	"testing"

	"github.com/shoenig/test/must"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/internal/advisory"
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
