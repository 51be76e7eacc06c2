package lang_test

import (
	"testing"

	"github.com/shoenig/test/must"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/policies/lang"
)

func TestDifferences(t *testing.T) {
	t.Parallel()
	const base = `policy "web" {
  applies = target.job == "web" && target.count > 2
  budget { instances = "10%" }
  simulate {
    env = { A = "1", B = "2" }
  }
  strategy "phased" { stages = [10, 100] }
  strategy "blue_green" {}
}
`
	for name, tc := range map[string]struct {
		to   string
		want []lang.Difference
	}{
		"the same": {base, []lang.Difference{}},
		"layout, comments and order of arguments": {`# A comment.
policy "web" {
  simulate {
    env = {
      A = "1" # one
      B = "2"
    }
  }
  budget {
    instances = "10%"
  }
  strategy "phased" {
    stages = [
      10,
      100,
    ]
  }
  strategy "blue_green" {}
  applies = target.job=="web" && target.count>2
}
`, []lang.Difference{}},
		"a value, an argument and a block": {`policy "web" {
  applies  = target.job == "web" && target.count > 2
  deadline = "5m"
  budget { instances = "5%" }
  freeze "x" {}
  strategy "phased" { stages = [10, 100] }
  strategy "blue_green" {}
}
`, []lang.Difference{
			{Where: `policy "web" budget instances`, From: `"10%"`, To: `"5%"`},
			{Where: `policy "web" deadline`, To: `"5m"`},
			{Where: `policy "web" freeze "x"`, To: "{}"},
			{Where: `policy "web" simulate env`, From: `{ A = "1", B = "2" }`},
		}},
		"which strategy is asked for first": {`policy "web" {
  applies = target.job == "web" && target.count > 2
  budget { instances = "10%" }
  simulate { env = { A = "1", B = "2" } }
  strategy "blue_green" {}
  strategy "phased" { stages = [10, 100] }
}
`, []lang.Difference{
			{Where: `policy "web" strategy "blue_green"`, From: "strategy 2 of the policy", To: "strategy 1 of the policy"},
			{Where: `policy "web" strategy "phased"`, From: "strategy 1 of the policy", To: "strategy 2 of the policy"},
		}},
		"a sign is no separator": {`policy "web" {
  applies = target.job == "web" && target.count > 2
  budget { instances = "10%" }
  simulate { env = { A = "1", B = "2" } }
  strategy "phased" { stages = [10 -100] }
  strategy "blue_green" {}
}
`, []lang.Difference{{Where: `policy "web" strategy "phased" stages`, From: "[10, 100]", To: "[10 -100]"}}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			from, to := api.SourceFile{Name: "a.hcl", Text: base}, api.SourceFile{Name: "b.hcl", Text: tc.to}
			a, b := lang.Read(from), lang.Read(to)
			must.NotNil(t, a.Body)
			must.NotNil(t, b.Body, must.Sprint(b.Diags))
			must.Eq(t, tc.want, lang.Differences(from, to, a, b))
		})
	}
}

func TestDifferences_OfFilesThatAreRead(t *testing.T) {
	t.Parallel()
	const text = "policy \"web\" {\n  simulate { workload = file(\"web.har\") }\n}\n"
	from := api.SourceFile{Name: "a.hcl", Text: text, Files: map[string]string{"web.har": "former"}}
	to := api.SourceFile{Name: "a.hcl", Text: text, Files: map[string]string{"web.har": "newer"}}
	got := lang.Differences(from, to, lang.Read(from), lang.Read(to))
	must.Len(t, 1, got)
	must.EqOp(t, `file "web.har"`, got[0].Where)
	must.NotEq(t, got[0].From, got[0].To)
}
