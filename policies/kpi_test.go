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

// TestQuery_IsRefusedAtItsPlace is the text of a query that can't give what its KPI
// needs.
func TestQuery_IsRefusedAtItsPlace(t *testing.T) {
	for _, c := range []struct{ name, arguments, says string }{
		{"queue", `query = "max by (alloc_id) (queue_items"`, "p.hcl:6,46: Wrong value; query: 1:31: unclosed left parenthesis."},
		{"queue", "query = <<-EOT\n        max(\n          queue_items)\n      EOT", "p.hcl:7,9: Wrong value; query: 1:1: this drops every label"},
		{"queue", `query = "queue_items[5m]"`, "p.hcl:6,16: Wrong value; query: 1:1: this is a range vector"},
		{"failures", "query = \"failed_total\"\nkind = \"count\"\ntotal = \"rate(all_total[1m])\"", "p.hcl:8,10: Wrong value; total: 1:1: rate gives no counter"},
		{"checkout_p99", "query = \"sum by (alloc_id) (c_bucket)\"\nkind = \"latency\"", `p.hcl:6,16: Wrong value; query: 1:1: this drops the label "le"`},
		{"checkout_p99", "query = \"sum by (le) (c_bucket)\"\nkind = \"latency\"", `p.hcl:6,16: Wrong value; query: 1:1: this drops every label`},
	} {
		file := kpiPolicy(c.name, c.arguments)
		_, diags := policies.ParsePolicy(file, schemas)
		err := policies.DiagnosticsError(diags, []api.SourceFile{file})
		must.ErrorContains(t, err, c.says)
	}
}

// TestQuery_OfFactsIsRefusedWhenTheyAreKnown has a query that depends on the target.
func TestQuery_OfFactsIsRefusedWhenTheyAreKnown(t *testing.T) {
	file := kpiPolicy("queue", `query = "max by (alloc_id) (${target.job}"`)
	_, err := load(t, file.Text).Decide(facts())
	must.ErrorContains(t, err, "a.hcl:6,15: query: 1:23: unclosed left parenthesis")
}
