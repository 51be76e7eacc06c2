package policies_test

import (
	"testing"

	"github.com/shoenig/test/must"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/policies"
)

func kpiPolicy(name, arguments string) api.SourceFile {
	return api.SourceFile{Name: "p.hcl", Text: `policy "p" {
  judge {
    kpi "` + name + `" {
      abort_above   = 1.1
      promote_below = 2
      ` + arguments + `
    }
  }
  applies = target.namespace == "prod" && target.job == "web"
}`}
}

func TestQuery_IsAnyKindOfKPI(t *testing.T) {
	for name, want := range map[string]api.KPISpec{
		"queue":        {Query: "queue"},
		"failures":     {Query: "failed", Kind: api.KPICount, Total: "all"},
		"checkout_p99": {Query: "buckets", Kind: api.KPILatency, IgnoreBelow: 0.001},
	} {
		t.Run(name, func(t *testing.T) {
			arguments := "query = \"" + want.Query + "\"\n"
			if want.Kind != "" {
				arguments += "kind = \"" + string(want.Kind) + "\"\n"
			}
			if want.Total != "" {
				arguments += "total = \"" + want.Total + "\"\n"
			}
			if want.IgnoreBelow > 0 {
				arguments += "ignore_below = \"1ms\"\n"
			}
			decision, err := load(t, kpiPolicy(name, arguments).Text).Decide(facts())
			must.NoError(t, err)
			want.KPI, want.AbortAbove, want.PromoteBelow = name, 1.1, 2
			must.SliceContains(t, decision.Judge.KPIs, want)
		})
	}
}

func TestQuery_IsRefusedWhenItWouldNotBeJudged(t *testing.T) {
	for _, c := range []struct{ name, arguments, says string }{
		{"cpu", `query = "x"`, "p.hcl:3,5: Wrong value; cpu is a KPI that Oakum knows by itself"},
		{"latency_p90", `query = "x"`, "p.hcl:3,5: Wrong value; latency_p90 is a KPI that Oakum knows by itself"},
		{"failures", "query = \"x\"\nkind = \"count\"", "p.hcl:3,5: Wrong value; a count needs total"},
		{"queue", "query = \"x\"\ntotal = \"y\"", "p.hcl:3,5: Wrong value; only a count is out of a total"},
		{"queue", `kind = "gauge"`, "p.hcl:3,5: Wrong value; kind and total describe a query"},
		{"checkout", "query = \"x\"\nkind = \"latency\"", "p.hcl:3,5: Wrong value; the name of a latency ends in its quantile, such as checkout_p99"},
		{"queue", "query = \"x\"\nkind = \"timer\"", "p.hcl:7,8: Wrong value"},
	} {
		file := kpiPolicy(c.name, c.arguments)
		_, diags := policies.ParsePolicy(file, schemas)
		err := policies.DiagnosticsError(diags, []api.SourceFile{file})
		must.ErrorContains(t, err, c.says)
	}
}
