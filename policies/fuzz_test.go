package policies_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/shoenig/test/must"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/internal/calendar"
	"github.com/oakumhq/oakum/policies"
	"github.com/oakumhq/oakum/policies/policytest"
)

// seeds adds every policy and patch file that the tests have.
func seeds(f *testing.F) {
	f.Helper()
	f.Add(policies.Builtin()[0].Text)
	f.Add(goodPatch)
	for _, pattern := range []string{"testdata/bad/*.hcl", "policytest/testdata/*.hcl"} {
		paths, err := filepath.Glob(pattern)
		must.NoError(f, err)
		for _, path := range paths {
			text, err := os.ReadFile(path)
			must.NoError(f, err)
			f.Add(string(text))
		}
	}
}

// FuzzPolicy checks that no text makes the parser or a decision panic, that
// diagnostics point into the file, and that a decision is the same twice.
func FuzzPolicy(f *testing.F) {
	seeds(f)
	f.Fuzz(func(t *testing.T, text string) {
		file := api.SourceFile{Name: "f.hcl", Text: text}
		_, diags := policies.ParsePolicy(file, schemas)
		inFile(t, file, diags)
		failure := policies.DiagnosticsError(diags, []api.SourceFile{file})
		must.EqOp(t, diags.HasErrors(), failure != nil)
		if diags.HasErrors() {
			return
		}
		lib, diags := policies.Load([]api.SourceFile{file}, schemas)
		if diags.HasErrors() {
			t.Fatalf("the file is right, and can't be loaded: %v", diags)
		}
		first, err := lib.Decide(facts())
		again, errAgain := lib.Decide(facts())
		must.EqOp(t, err == nil, errAgain == nil)
		must.Eq(t, first, again)
		calendar.Opens(first, facts().Now)
	})
}

// FuzzPatch checks that no text makes the parser panic, that diagnostics point
// into the file, and that a patch that was read can choose its targets.
func FuzzPatch(f *testing.F) {
	seeds(f)
	f.Fuzz(func(t *testing.T, text string) {
		file := api.SourceFile{Name: "f.hcl", Text: text}
		for _, path := range policies.FilesWanted(file) {
			must.True(t, filepath.IsLocal(path), must.Sprint(path))
		}
		patch, diags := policies.ParsePatch(file)
		inFile(t, file, diags)
		if diags.HasErrors() {
			return
		}
		must.EqOp(t, 64, len(patch.Digest))
		_, err := policies.NewSelector(patch)
		must.NoError(t, err)
	})
}

// FuzzPolicyTest checks the same of policy test files.
func FuzzPolicyTest(f *testing.F) {
	seeds(f)
	f.Fuzz(func(t *testing.T, text string) {
		file := api.SourceFile{Name: "f.policytest.hcl", Text: text}
		_, diags := policytest.Run([]api.SourceFile{file}, policies.Builtin(), schemas)
		inFile(t, file, diags)
	})
}
