package policytest_test

import (
	"encoding/json"
	"os"
	"testing"

	"github.com/shoenig/test/must"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/policies"
	"github.com/oakumhq/oakum/policies/policytest"
)

// schemas are those of the two shipped strategies.
func schemas(name string) (api.ConfigSchema, bool) {
	stages := api.ConfigAttribute{Name: "stages", Type: "list(number)"}
	switch name {
	case "phased":
		stages.Default = json.RawMessage("[10,50,100]")
	case "blue_green":
	default:
		return api.ConfigSchema{}, false
	}
	return api.ConfigSchema{Attributes: []api.ConfigAttribute{stages}}, true
}

func source(t testing.TB, path string) api.SourceFile {
	t.Helper()
	text, err := os.ReadFile(path)
	must.NoError(t, err)
	return api.SourceFile{Name: path, Text: string(text)}
}

func TestRun_DecidesOnEachExample(t *testing.T) {
	t.Parallel()
	tests := []api.SourceFile{source(t, "testdata/web.policytest.hcl")}
	files := append(policies.Builtin(), source(t, "testdata/web.hcl"))
	results, diags := policytest.Run(tests, files, schemas)
	must.Nil(t, policies.DiagnosticsError(diags, append(tests, files...)))
	must.Len(t, 6, results)
	for _, r := range results[:4] {
		must.True(t, r.Passed, must.Sprint(r.Name, r.Failures))
	}
	must.Eq(t, []string{
		"critical: expected true, decided false",
		"stages: expected [50, 100], decided []",
		`strategy: expected "phased", decided "blue_green"`,
		"opens: expected 2027-01-04T00:00:00Z, decided 2026-01-05T12:00:00Z",
		`waits: expected "freeze", decided ""`,
	}, results[4].Failures)
	must.Eq(t, []string{`refused: expected "anything", decided to go ahead`}, results[5].Failures)
	must.EqOp(t, "testdata/web.policytest.hcl:53,1", results[4].Range)
}

func TestRun_RefusesBadExamples(t *testing.T) {
	t.Parallel()
	tests := []api.SourceFile{{Name: "x.policytest.hcl", Text: `policy "x" {}
test "a" {
  target { job = "web" }
  expect { strateg = "x" }
}
test "b" {
  target {}
  targets {}
}
test "c" {
  target { job = "web" }
}
`}}
	_, diags := policytest.Run(tests, policies.Builtin(), schemas)
	must.EqError(t, policies.DiagnosticsError(diags, tests), `5 errors in x.policytest.hcl
  x.policytest.hcl:1,1: Unknown block; A policy test file holds test blocks; "policy" can't stand here. | policy "x" {}
  x.policytest.hcl:4,12: Unknown argument; expect has no argument "strateg". Did you mean "strategy"? It takes "approval_from", "approvals", "critical", "failures", "instances", "judged", "on_inconclusive", "opens", "order", "prefer", "refused", "revert", "simulate", "stages", "strategy", "targets" and "waits". | expect { strateg = "x" }
  x.policytest.hcl:7,3: Missing argument; target needs the argument "job", a string. | target {}
  x.policytest.hcl:8,3: Unknown block; A test has no block "targets". Did you mean "target"? It takes "cluster", "expect", "graph", "impact", "patch" and "target". | targets {}
  x.policytest.hcl:10,1: Missing block; A test needs a block "expect". | test "c" {`)
}
