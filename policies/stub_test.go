package policies_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/shoenig/test/must"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/internal/workload"
	"github.com/oakumhq/oakum/policies"
)

func TestDecide_TakesEachStubFromTheMostSpecificPolicy(t *testing.T) {
	t.Parallel()
	recorded := `{"path":"/stock/1","body":"7"}` + "\n"
	file := api.SourceFile{Name: "a.hcl", Files: map[string]string{"stock.ndjson": recorded}, Text: `policy "all" {
  specificity = 1
  simulate {
    env = { PRICING_URL = "http://127.0.0.1:9000/${target.job}" }
    stub "pricing" {
      port = 9000
      answer { path = "/price/1" }
    }
    stub "stock" { recorded = file("stock.ndjson") }
  }
}
policy "web" {
  specificity = 2
  simulate {
    stub "pricing" {
      answer {
        method  = "POST"
        path    = "/price/*"
        status  = 201
        headers = { "content-type" = "application/json" }
        body    = "{\"cents\":100}"
        latency = "20ms"
      }
    }
  }
}`}
	must.Eq(t, []string{"stock.ndjson"}, policies.FilesWanted(file))
	lib, diags := policies.Load(append(policies.Builtin(), file), schemas)
	must.Nil(t, policies.DiagnosticsError(diags, []api.SourceFile{file}))
	decision, err := lib.Decide(facts())
	must.NoError(t, err)
	must.Eq(t, []api.Stub{
		{Name: "pricing", Answers: []api.StubAnswer{{
			Method: "POST", Path: "/price/*", Status: 201, Headers: map[string]string{"content-type": "application/json"}, Body: `{"cents":100}`, Latency: api.Duration(20 * time.Millisecond),
		}}},
		{Name: "stock", Recorded: workload.Digest([]byte(recorded))},
	}, decision.Simulate.Stubs)
	must.Eq(t, map[string]string{"PRICING_URL": "http://127.0.0.1:9000/" + facts().Target.Job}, decision.Simulate.Env)
	must.EqOp(t, "web", because(t, decision, "simulate.stub.pricing").Policy)
	must.EqOp(t, "0 answers and recorded ones", because(t, decision, "simulate.stub.stock").Reason)
}

func TestParse_ChecksTheNamesOfVariablesOfTheTarget(t *testing.T) {
	t.Parallel()
	for env, want := range map[string]string{
		`{ "A=B" = target.job, GOOD = "1" }`:                     `a.hcl:3,13: Wrong value; env: "A=B" is no name of an environment variable`,
		`{ GOOD = target.job, NOMAD_X = "1" }`:                   "a.hcl:3,32: Wrong value; env: NOMAD_X is set by Nomad",
		`(target.count > 1 ? { A = target.job } : { "" = "b" })`: `a.hcl:3,54: Wrong value; env: "" is no name`,
		`{ "A=B" = "fixed" }`:                                    `a.hcl:3,11: Wrong value; env = `,
		`{ GOOD = target.job, (target.job) = "1" }`:              "",
	} {
		_, diags := policies.Load([]api.SourceFile{{Name: "a.hcl", Text: "policy \"p\" {\n  simulate {\n    env = " + env + "\n  }\n}\n"}}, schemas)
		err := policies.DiagnosticsError(diags, nil)
		if want == "" {
			must.Nil(t, err, must.Sprint(env))
			continue
		}
		must.NotNil(t, err, must.Sprint(env))
		must.StrContains(t, fmt.Sprint(err, err.Details), want)
	}
}

func TestParse_SaysOnlyWhatIsWrongWithAStub(t *testing.T) {
	t.Parallel()
	for simulate, want := range map[string]string{
		"stub \"a\" {\nanswer { status = 7 }\n}": "Missing argument",
		`stub "a" {}`:                            "Empty stub",
		`revert = "on"`:                          `revert = "on": want "required" or "off".`,
	} {
		_, diags := policies.Load([]api.SourceFile{{Name: "a.hcl", Text: "policy \"p\" {\n  simulate {\n    " + simulate + "\n  }\n}\n"}}, schemas)
		err := policies.DiagnosticsError(diags, nil)
		must.NotNil(t, err, must.Sprint(simulate))
		text := fmt.Sprint(err, err.Details)
		must.StrContains(t, text, want)
		must.EqOp(t, want == "Empty stub", strings.Contains(text, "Empty stub"), must.Sprint(text))
	}
}
