package policies_test

import (
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/shoenig/test/must"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/policies"
)

var update = flag.Bool("update", false, "write the golden files")

// schemas are those of the two shipped strategies and of a plugin with one
// argument of each type.
func schemas(name string) (api.ConfigSchema, bool) {
	switch name {
	case "phased", "selective":
		return api.ConfigSchema{Attributes: []api.ConfigAttribute{
			{Name: "stages", Type: "list(number)", Default: json.RawMessage("[10,50,100]")},
		}}, true
	case "blue_green":
		return api.ConfigSchema{Attributes: []api.ConfigAttribute{{Name: "stages", Type: "list(number)"}}}, true
	case "custom":
		return api.ConfigSchema{Attributes: []api.ConfigAttribute{
			{Name: "first", Type: "number", Required: true},
			{Name: "fast", Type: "bool"},
			{Name: "label", Type: "string", Default: json.RawMessage(`"x"`)},
			{Name: "zones", Type: "list(string)"},
		}}, true
	}
	return api.ConfigSchema{}, false
}

// failer is a test, or one case of a property.
type failer interface {
	Helper()
	Fatal(args ...any)
}

func load(t failer, texts ...string) *policies.Library {
	t.Helper()
	files := policies.Builtin()
	for i, text := range texts {
		files = append(files, api.SourceFile{Name: string(rune('a'+i)) + ".hcl", Text: text})
	}
	lib, diags := policies.Load(files, schemas)
	if err := policies.DiagnosticsError(diags, files); err != nil {
		t.Fatal(err)
	}
	return lib
}

func facts() policies.Facts {
	return policies.Facts{
		Target: api.Target{
			TargetRef: api.TargetRef{Namespace: "prod", Job: "web", Group: "web"},
			Count:     10, Driver: "docker", Services: []string{"web"}, Meta: map[string]string{"os": "debian-12"},
			Tasks: []api.Task{{Name: "server", Driver: "docker", Image: "web:1"}},
		},
		Patch:       api.Patch{Name: "p", Severity: api.SeverityHigh, Apply: []api.Apply{{Kind: api.ApplyJob}}},
		Criticality: api.Criticality{Service: "web"},
		Now:         time.Date(2026, 10, 7, 12, 0, 0, 0, time.UTC), // a Wednesday
	}
}

func because(t testing.TB, d api.Decision, field string) api.Because {
	t.Helper()
	for _, b := range d.Because {
		if b.Field == field {
			return b
		}
	}
	t.Fatalf("nothing is recorded for %s in %+v", field, d.Because)
	return api.Because{}
}

// golden compares a text with testdata/name.
func golden(t testing.TB, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		must.NoError(t, os.WriteFile(path, []byte(got), 0o600))
	}
	want, err := os.ReadFile(path)
	must.NoError(t, err)
	must.EqOp(t, string(want), got)
}
