package policies_test

import (
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
