package library_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/shoenig/test/must"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/plugins/builtin/bluegreen"
	"github.com/oakumhq/oakum/plugins/builtin/phased"
	"github.com/oakumhq/oakum/policies"
	"github.com/oakumhq/oakum/policies/library"
	"github.com/oakumhq/oakum/policies/policytest"
)

// schemas are those of the built-in strategies that the library uses.
func schemas(name string) (api.ConfigSchema, bool) {
	switch name {
	case phased.Name:
		return phased.Strategy{}.Describe().Schema, true
	case bluegreen.Name:
		return bluegreen.Strategy{}.Describe().Schema, true
	}
	return api.ConfigSchema{}, false
}

func passes(t *testing.T, tests api.SourceFile, files []api.SourceFile) {
	t.Helper()
	results, diags := policytest.Run([]api.SourceFile{tests}, files, schemas)
	must.Nil(t, policies.DiagnosticsError(diags, append(files, tests)))
	must.GreaterEq(t, 2, len(results))
	for _, r := range results {
		must.True(t, r.Passed, must.Sprint(r.Range, r.Name, r.Failures, r.Refusal))
	}
}

// TestEntries_DecideAsTheirExamplesSay runs each file as a user has it who copies it and
// nothing else: beside the reference alone.
func TestEntries_DecideAsTheirExamplesSay(t *testing.T) {
	t.Parallel()
	for _, e := range library.Entries() {
		t.Run(e.Name, func(t *testing.T) {
			t.Parallel()
			files := policies.Builtin()
			if e.Name != library.Reference {
				files = append(files, api.SourceFile{Name: e.Name + ".hcl", Text: e.Text})
			}
			passes(t, api.SourceFile{Name: e.Name + ".policytest.hcl", Text: e.Tests}, files)
			must.StrContains(t, e.Text, `policy "`+e.Name+`" {`)
			must.NotEq(t, "", e.About())
			must.Less(t, 90, len(e.About()), must.Sprint("one line of a table"))
			for name, text := range map[string]string{e.Name + ".hcl": e.Text, e.Name + ".policytest.hcl": e.Tests} {
				formatted, diags := policies.Format(api.SourceFile{Name: name, Text: text})
				must.Nil(t, policies.DiagnosticsError(diags, nil))
				must.EqOp(t, formatted, text)
			}
		})
	}
}

// TestEntries_AreAllFiles finds a file that was put here and that nobody can list.
func TestEntries_AreAllFiles(t *testing.T) {
	t.Parallel()
	paths, err := filepath.Glob("*.hcl")
	must.NoError(t, err)
	listed := map[string]bool{}
	for _, e := range library.Entries() {
		listed[e.Name] = true
	}
	for _, path := range paths {
		name := strings.TrimSuffix(strings.TrimSuffix(path, ".hcl"), ".policytest")
		must.True(t, listed[name], must.Sprint(path))
	}
	must.Len(t, 2*len(listed), paths)
}

func TestEntries_WorkTogether(t *testing.T) {
	t.Parallel()
	const path = "testdata/together.policytest.hcl"
	text, err := os.ReadFile(path)
	must.NoError(t, err)
	var files []api.SourceFile
	for _, e := range library.Entries() {
		files = append(files, api.SourceFile{Name: e.Name + ".hcl", Text: e.Text})
	}
	passes(t, api.SourceFile{Name: path, Text: string(text)}, files)
}
