package advisory_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/shoenig/test/must"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/internal/advisory"
)

// FuzzParseOSV checks that no document makes the reader or an assessment panic, and that
// each assessment has a status and a reason, and names packages only when it is affected.
func FuzzParseOSV(f *testing.F) {
	paths, err := filepath.Glob("testdata/*.json")
	must.NoError(f, err)
	for _, path := range paths {
		document, err := os.ReadFile(path)
		must.NoError(f, err)
		f.Add(document)
	}
	f.Fuzz(func(t *testing.T, document []byte) {
		a, err := advisory.ParseOSV("x", document)
		if err != nil {
			must.True(t, api.IsCode(err, api.CodeInvalid))
			return
		}
		index := advisory.NewIndex(installed(t, "pkg:deb/debian/nginx@1.2.1-2?distro=debian-7", "pkg:golang/stdlib@1.21.10", "pkg:rpm/redhat/git-lfs@2.13.3-2.el8?distro=rhel-8.6", "x"))
		have := a.Assess(index, advisory.Options{})
		must.NotEq(t, "", have.Reason)
		must.EqOp(t, have.Status == api.AssessmentAffected, len(have.Packages) > 0)
		must.Eq(t, have, a.Assess(index, advisory.Options{}))
	})
}

// FuzzParseVEX checks that no document makes the reader or an assessment panic, and that
// whatever is taken out has a justification.
func FuzzParseVEX(f *testing.F) {
	f.Add([]byte(openVEX(says("X", "not_affected", `{"@id":"pkg:npm/a"}`, "2026-02-01T00:00:00Z"))))
	f.Add([]byte(openVEX(says("X", "fixed", `{"@id":"shop/web","subcomponents":[{"@id":"pkg:npm/a@1.0.0"}]}`, "2026-02-01T00:00:00Z"))))
	f.Add([]byte(`{"bomFormat":"CycloneDX","specVersion":"1.5","vulnerabilities":[{"id":"X","analysis":{"state":"not_affected","detail":"no"},"affects":[{"ref":"urn:cdx:a/1#pkg:npm/a"}]}]}`))
	a, err := advisory.ParseOSV("x", []byte(`{"id":"X","affected":[{"package":{"ecosystem":"npm","name":"a"},"versions":["1.0.0"]}]}`))
	must.NoError(f, err)
	f.Fuzz(func(t *testing.T, document []byte) {
		statements, err := advisory.ParseVEX("x", document)
		if err != nil {
			must.True(t, api.IsCode(err, api.CodeInvalid))
			return
		}
		have := a.Assess(advisory.NewIndex(installed(t, "pkg:npm/a@1.0.0")), advisory.Options{Statements: statements})
		must.EqOp(t, have.Status == api.AssessmentAffected, len(have.Exceptions) == 0)
		for _, e := range have.Exceptions {
			must.NotEq(t, "", e.Justification)
		}
	})
}
