package promql_test

import (
	"strings"
	"testing"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/shoenig/test/must"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/internal/promql"
)

func TestCheck_TakesWhatGivesAnAnswer(t *testing.T) {
	t.Parallel()
	for text, kind := range map[string]api.KPIKind{
		`max by (alloc_id) (queue_items)`: api.KPIGauge,
		`queue_items`:                     api.KPIGauge,
		`queue_items{$instances}`:         api.KPIGauge,
		`sum by ($label) (irate(io_total{device!="sda",$instances}[1m]))`:                     api.KPIGauge,
		`avg without (cpu) (rate(cpu_seconds_total[5m])) / on (alloc_id) group_left () cores`: api.KPIGauge,
		`sum by (alloc_id) (a) / sum by (alloc_id) (b)`:                                       api.KPIGauge,
		`sum by (alloc_id) (a) or sum by (alloc_id) (b)`:                                      api.KPIGauge,
		`label_replace(sum by (instance) (a), "alloc_id", "$1", "instance", "(.*)")`:          api.KPIGauge,
		`histogram_quantile(0.9, sum by (alloc_id, le) (rate(x_bucket[1m])))`:                 api.KPIGauge,
		`topk(3, queue_items)`:                                                 api.KPIGauge,
		`count_values by (job) ("alloc_id", build)`:                            api.KPIGauge,
		`max_over_time(queue_items[5m])`:                                       api.KPIGauge,
		`a * on (alloc_id) group_right () sum by (alloc_id) (b)`:               api.KPIGauge,
		`sum by (alloc_id) (failed_total{code=~"5..",$instances})`:             api.KPICount,
		`max by (alloc_id) (failed_total) + max by (alloc_id) (refused_total)`: api.KPICount,
		`failed_total`: api.KPICount,
		`sum by (alloc_id, le) (checkout_seconds_bucket)`:                                          api.KPILatency,
		`sum without (path) (checkout_seconds_bucket)`:                                             api.KPILatency,
		`sum by (alloc_id) (checkout_seconds)`:                                                     api.KPILatency, // native
		`sum by (alloc_id, le) (a_bucket) or sum by (alloc_id, le) (b_bucket)`:                     api.KPILatency,
		`label_replace(sum by (instance, le) (a_bucket), "alloc_id", "$1", "instance", "(.+):.*")`: api.KPILatency,
	} {
		must.NoError(t, promql.Check(text, promql.KPI(kind, "alloc_id")), must.Sprint(text))
		must.NoError(t, promql.Check(text, promql.KPI(kind, "")), must.Sprint(text))
	}
}

func TestCheck_RefusesWhatGivesNone(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		kind api.KPIKind
		text string
		says string
	}{
		{api.KPIGauge, `max by (alloc_id) (queue_items`, "1:31: unclosed left parenthesis"},
		{api.KPIGauge, "max by (alloc_id) (\n  queue items)", "2:9: unexpected"},
		{api.KPIGauge, `max by (alloc_id) (nope(queue_items))`, `1:20: unknown function with name "nope"`},
		{api.KPIGauge, `queue_items[5m]`, "1:1: this is a range vector"},
		{api.KPIGauge, `rate(queue_items)`, "1:6: expected type range vector"},
		{api.KPIGauge, `1`, "this is a scalar, which has no labels"},
		{api.KPIGauge, `"text"`, "this is a string, which has no labels"},
		{api.KPIGauge, `sum(queue_items)`, `1:1: this drops the label "alloc_id"; write sum by (alloc_id) (...)`},
		{api.KPIGauge, `1 + sum by (job) (queue_items)`, `1:5: this drops the label "alloc_id"; write sum by (job, alloc_id) (...)`},
		{api.KPIGauge, `avg without (alloc_id) (queue_items)`, `drops the label "alloc_id"`},
		{api.KPIGauge, `max by (alloc_id) (a) or sum(b)`, `1:26: this drops the label`},
		{api.KPIGauge, `a / on (job) b`, `drops the label "alloc_id"`},
		{api.KPIGauge, `a / ignoring (alloc_id) b`, `drops the label "alloc_id"`},
		{api.KPIGauge, `absent(queue_items)`, `drops the label "alloc_id"`},
		{api.KPIGauge, `vector(1)`, `drops the label "alloc_id"`},
		{api.KPICount, `sum by (alloc_id) (rate(checkout_failed_total[1m]))`, "1:20: rate gives no counter; want the counter as it is"},
		{api.KPICount, `increase(failed_total{$instances}[1m]) > 0`, "1:1: increase gives no counter"},
		{api.KPICount, `{$instances} + rate(a[1m])`, "1:16: rate gives no counter"},
		{api.KPILatency, `sum by (alloc_id) (histogram_count(checkout_seconds))`, "1:20: histogram_count gives no buckets"},
		{api.KPICount, `count by (alloc_id) (failed_total)`, "count gives no counter"},
		{api.KPICount, `failed_total > bool 3`, "a comparison with bool gives 0 or 1"},
		{api.KPILatency, `sum by (alloc_id) (checkout_seconds_bucket)`, `1:1: this drops the label "le", the bounds of the latency's histogram; write sum by (alloc_id, le) (...)`},
		{api.KPILatency, `sum by (alloc_id) (checkout_seconds_sum)`, `this drops the label "le"`},
		{api.KPILatency, `sum by (le) (checkout_seconds_bucket)`, `this drops the label "alloc_id"; write sum by (le, alloc_id) (...)`},
		{api.KPILatency, `sum by (alloc_id, le) (rate(checkout_seconds_bucket[1m]))`, "1:24: rate gives no counter; want the histogram's buckets"},
		{api.KPILatency, `histogram_quantile(0.9, sum by (alloc_id, le) (checkout_seconds_bucket))`, "histogram_quantile gives one quantile"},
	} {
		must.ErrorContains(t, promql.Check(c.text, promql.KPI(c.kind, "alloc_id")), c.says, must.Sprint(c.text))
	}
}

// TestCheck_KnowsNoLabel is a policy without a server: some label has to be left.
func TestCheck_KnowsNoLabel(t *testing.T) {
	t.Parallel()
	nobody := promql.KPI(api.KPILatency, "")
	must.NoError(t, promql.Check(`sum by (nomad_alloc_id, le) (a_bucket)`, nobody))
	must.ErrorContains(t, promql.Check(`sum by (le) (a_bucket)`, nobody), "1:1: this drops every label, also the one that names the instance; write sum by (le, alloc_id) (...)")
	must.ErrorContains(t, promql.Check(`max(a)`, promql.KPI(api.KPIGauge, "")), "write max by (alloc_id) (...)")
	must.ErrorContains(t, promql.Check(`sum by ($label) ($label`, nobody), "1:24: unclosed left parenthesis")
	must.NoError(t, promql.Check(`sum by ($label, le) (a_bucket)`, promql.KPI(api.KPILatency, "nomad_alloc_id")))
}

func TestMetrics(t *testing.T) {
	t.Parallel()
	names, err := promql.Metrics(`sum by ($label) (b{$instances}) / a + rate(b[1m]) + {x="y"}`)
	must.NoError(t, err)
	must.Eq(t, []string{"a", "b"}, names)
	_, err = promql.Metrics(`a +`)
	must.ErrorContains(t, err, "1:4: unexpected end of input")
}

// TestPlace finds the character X of each value in the file.
func TestPlace(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		file         string
		line, column int
		not          bool
	}{
		"quoted":         {file: `q = "abX"`, line: 1, column: 8},
		"escaped":        {file: `q = "a=~\"5..\" äX"`, line: 1, column: 18},
		"unicode":        {file: `q = "\u00e4X"`, line: 1, column: 12},
		"dollar":         {file: `q = "$${a}X"`, line: 1, column: 11},
		"line break":     {file: `q = "a\nX"`, line: 1, column: 9},
		"heredoc":        {file: "q = <<EOT\nsum(\n  X\n)\nEOT\n", line: 3, column: 3},
		"indented":       {file: "q = <<-EOT\n    sum(\n\n      X\n    )\n  EOT\n", line: 4, column: 7},
		"in parentheses": {file: `q = ("X")`, not: true},
		"computed":       {file: `q = "a${1 + 1}X"`, not: true},
		"called":         {file: `q = upper("x")`, not: true},
	} {
		t.Run(name, func(t *testing.T) {
			parsed, diags := hclsyntax.ParseConfig([]byte(c.file), "f.hcl", hcl.InitialPos)
			must.False(t, diags.HasErrors(), must.Sprint(diags))
			attributes, _ := parsed.Body.JustAttributes()
			expr := attributes["q"].Expr
			offset := 0
			if v, diags := expr.Value(nil); !diags.HasErrors() {
				for offset = 0; v.AsString()[offset] != 'X'; offset++ {
				}
			}
			at, ok := promql.Place([]byte(c.file), expr.Range(), offset)
			must.Eq(t, !c.not, ok)
			must.Eq(t, [2]int{c.line, c.column}, [2]int{at.Start.Line, at.Start.Column})
		})
	}
}

// TestPlace_AtTheEnd is where a parenthesis is missing.
func TestPlace_AtTheEnd(t *testing.T) {
	t.Parallel()
	file := `q = "sum("`
	parsed, _ := hclsyntax.ParseConfig([]byte(file), "f.hcl", hcl.InitialPos)
	attributes, _ := parsed.Body.JustAttributes()
	at, ok := promql.Place([]byte(file), attributes["q"].Expr.Range(), 4)
	must.True(t, ok)
	must.Eq(t, 10, at.Start.Column)
}

func FuzzCheck(f *testing.F) {
	f.Add(`sum by ($label) (rate(a{$instances}[$window]))`)
	f.Add(`a or on () vector(0)`)
	f.Fuzz(func(t *testing.T, text string) {
		for _, kind := range []api.KPIKind{api.KPIGauge, api.KPICount, api.KPILatency} {
			err := promql.Check(text, promql.KPI(kind, "alloc_id"))
			if fault, ok := err.(*promql.Fault); err != nil && (!ok || fault.Offset < 0 || fault.Offset > len(text)) { //nolint:errorlint // it is documented
				t.Fatalf("%q: %v", text, err)
			}
		}
	})
}

// TestCheck_RefusesWhatIsTooLongToRead has parentheses within parentheses.
func TestCheck_RefusesWhatIsTooLongToRead(t *testing.T) {
	t.Parallel()
	nested := func(depth int) string {
		return strings.Repeat("(", depth) + "sum(x)" + strings.Repeat(")", depth)
	}
	err := promql.Check(nested(100_000), promql.KPI(api.KPIGauge, "alloc_id"))
	must.ErrorContains(t, err, "1:1: the query has 200006 bytes; want 4096 at most")
	must.ErrorContains(t, promql.Check(nested(2_000), promql.KPI(api.KPIGauge, "alloc_id")), `this drops the label "alloc_id"`)
}
