// Package docs_test holds the pages to what the program takes: every block of
// HCL in them is read by the parser that it is for.
package docs_test

import (
	"bufio"
	"bytes"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/shoenig/test/must"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/e2e/fleet"
	"github.com/oakumhq/oakum/internal/access/authtest"
	"github.com/oakumhq/oakum/plugins/host"
	"github.com/oakumhq/oakum/policies"
	"github.com/oakumhq/oakum/policies/policytest"
	"github.com/oakumhq/oakum/server/config"
)

// enough is what a fragment of an agent's configuration is laid over.
const enough = `
data_dir = "/var/lib/oakum"
server { bootstrap_expect = 1 }
consul {}
prometheus {}
vault {
  address        = "https://vault.example:8200"
  role_id_file   = "/etc/oakum.d/role_id"
  secret_id_file = "/etc/oakum.d/secret_id"
}
auth {
  rule "all" {
    when         = true
    capabilities = ["read"]
  }
}
`

// example is one fenced block of a page.
type example struct {
	place string // file:line
	text  string
}

func (e example) file(suffix string) api.SourceFile {
	name := strings.NewReplacer("/", "-", ":", "-", ".md", "").Replace(e.place)
	return api.SourceFile{Name: name + suffix, Text: e.text}
}

// begins reports whether the block's first word is one of those.
func (e example) begins(words ...string) bool {
	for line := range strings.Lines(e.text) {
		if fields := strings.Fields(line); len(fields) > 0 && !strings.HasPrefix(fields[0], "#") {
			return slices.Contains(words, fields[0])
		}
	}
	return false
}

func TestExamplesOfThePagesAreTaken(t *testing.T) {
	strategies, err := host.New(t.Context(), host.Options{})
	must.NoError(t, err)
	defer func() { must.NoError(t, strategies.Close()) }()
	schemas := strategies.Schema
	for page, examples := range pages(t) {
		t.Run(page, func(t *testing.T) {
			library := policies.Builtin()
			var tests, authTests []api.SourceFile
			var rules config.Rules
			for _, e := range examples {
				switch {
				case e.begins("policy", "dependency", "exception"):
					_, diags := policies.ParsePolicy(e.file(".hcl"), schemas)
					must.False(t, diags.HasErrors(), must.Sprintf("%s: %v", e.place, diags))
					library = append(library, e.file(".hcl"))
				case e.begins("test") && strings.Contains(e.text, "claims ="):
					authTests = append(authTests, e.file(".authtest.hcl"))
				case e.begins("test"):
					tests = append(tests, e.file(".policytest.hcl"))
				case e.begins("patch"):
					_, diags := policies.ParsePatch(e.file(".hcl"))
					must.False(t, diags.HasErrors(), must.Sprintf("%s: %v", e.place, diags))
				case e.begins("nodes"):
					file := filepath.Join(t.TempDir(), "fleet.hcl")
					must.NoError(t, os.WriteFile(file, []byte(e.text), 0o600))
					_, err := fleet.Describe(file)
					must.NoError(t, err, must.Sprint(e.place))
				default:
					if of := agentTakes(t, e).Auth.Rules; len(of) > 1 {
						rules = of
					}
				}
			}
			held, wrong := authtest.Run(authTests, rules)
			must.False(t, wrong.HasErrors(), must.Sprint(wrong))
			for _, r := range held {
				must.True(t, r.Passed, must.Sprintf("%s: %v", r.Range, r.Failures))
			}
			results, diags := policytest.Run(tests, library, schemas)
			must.False(t, diags.HasErrors(), must.Sprint(diags))
			must.Len(t, len(tests), results)
			for _, r := range results {
				must.True(t, r.Passed, must.Sprintf("%s: %v %s", r.Range, r.Failures, r.Refusal))
			}
		})
	}
}

// agentTakes reads a configuration that begins with the server's name as it
// stands, and lays any other fragment over one that is whole.
func agentTakes(t *testing.T, e example) *config.Config {
	t.Helper()
	base := enough
	if !strings.Contains(e.text, "tls {") {
		base += "tls { insecure = true }\n"
	}
	if e.begins("name") {
		base = ""
	}
	dir := t.TempDir()
	files := []string{filepath.Join(dir, "base.hcl"), filepath.Join(dir, "page.hcl")}
	for i, text := range []string{base, e.text} {
		must.NoError(t, os.WriteFile(files[i], []byte(text), 0o600))
	}
	cfg, err := config.Load(files, false, func(string) string { return "secret" })
	if err != nil {
		t.Fatalf("%s: %s", e.place, strings.Join(api.AsError(err).Details, "\n"))
	}
	return cfg
}

// pages finds the HCL of every page.
func pages(t *testing.T) map[string][]example {
	t.Helper()
	found := map[string][]example{}
	files := []string{"../README.md"}
	must.NoError(t, filepath.WalkDir(".", func(path string, _ fs.DirEntry, err error) error {
		if filepath.Ext(path) == ".md" {
			files = append(files, path)
		}
		return err
	}))
	for _, path := range files {
		text, err := os.ReadFile(path)
		must.NoError(t, err)
		if examples := fenced(path, text); len(examples) > 0 {
			found[path] = examples
		}
	}
	must.MapContainsKey(t, found, filepath.Join("reference", "policy.md"))
	return found
}

func fenced(path string, page []byte) []example {
	var out []example
	var open *example
	lines := bufio.NewScanner(bytes.NewReader(page))
	for n := 1; lines.Scan(); n++ {
		switch line := lines.Text(); {
		case open == nil && line == "```hcl":
			open = &example{place: fmt.Sprintf("%s:%d", path, n)}
		case open != nil && line == "```":
			out, open = append(out, *open), nil
		case open != nil:
			open.text += line + "\n"
		}
	}
	return out
}
