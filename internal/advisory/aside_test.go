package advisory_test

import (
	"testing"
	"time"

	"github.com/shoenig/test/must"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/internal/advisory"
)

// TestCompare_KnowsWhatIsKeptAsideByTheNamesOfItsEcosystem: a fixed package says nothing of
// another one of its name that nothing can be compared with.
func TestCompare_KnowsWhatIsKeptAsideByTheNamesOfItsEcosystem(t *testing.T) {
	t.Parallel()
	a := advisory.FromPatch(api.Patch{Name: "x", Affects: []api.Affected{{Ecosystem: "pypi", Package: "zope-interface", Below: "5.0"}}})
	inv := api.Inventory{Source: "web", Format: "dpkg, pypi", Packages: []api.Package{{Ecosystem: "pypi", Name: "zope-interface", Version: "6.0", PURL: "pkg:pypi/zope-interface@6.0"}}}
	status := func() api.AssessmentStatus {
		found := advisory.Compare([]api.Inventory{inv}, []advisory.Advisory{a}, advisory.Options{Now: time.Unix(1e9, 0)})
		must.Len(t, 1, found.Assessments)
		return found.Assessments[0].Status
	}
	must.EqOp(t, api.AssessmentFixed, status())
	inv.Aside = []api.Aside{{Name: "Zope.Interface", Reason: "the distribution has installed it too"}}
	must.EqOp(t, api.AssessmentUnknown, status())
}
