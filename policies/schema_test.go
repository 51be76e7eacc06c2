package policies

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/shoenig/test/must"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/policies/lang"
)

func testSchemas() map[string]api.ConfigSchema {
	return map[string]api.ConfigSchema{"phased": {Attributes: []api.ConfigAttribute{
		{Name: "stages", Type: "list(number)", Default: []byte("[10,50,100]"), Doc: "Shares."},
	}}}
}

// TestSchema_IsWhatTheParserTakes writes a block and an argument that are not there into
// each block of the schema. The parser's answer lists what it takes instead.
func TestSchema_IsWhatTheParserTakes(t *testing.T) {
	policy, err := Schema(testSchemas())
	must.NoError(t, err)
	known := func(name string) (api.ConfigSchema, bool) {
		s, ok := testSchemas()[name]
		return s, ok
	}
	visited := 0
	var visit func(blocks []api.BlockSchema, around func(string) string)
	visit = func(blocks []api.BlockSchema, around func(string) string) {
		for _, b := range blocks {
			visited++
			head := b.Name
			switch {
			case b.Kind != "":
				head += fmt.Sprintf(" %q", b.Kind)
			case b.Label != "":
				head += ` "deb"`
			}
			in := func(body string) string { return around(head + " {\n" + body + "\n}\n") }
			text := in("zzz = 1\nzzzz {\n}")
			var said []string
			if strings.HasPrefix(text, "patch") {
				_, diags := ParsePatch(api.SourceFile{Name: "a.hcl", Text: text})
				for _, d := range diags {
					said = append(said, d.Detail)
				}
			} else {
				_, diags := ParsePolicy(api.SourceFile{Name: "a.hcl", Text: text}, known)
				for _, d := range diags {
					said = append(said, d.Detail)
				}
			}
			names := make([]string, len(b.Arguments))
			for i, a := range b.Arguments {
				names[i] = a.Name
			}
			slices.Sort(names)
			takes := "It takes " + lang.List(names, "and") + "."
			must.True(t, slices.ContainsFunc(said, func(s string) bool {
				return strings.Contains(s, `no argument "zzz"`) && strings.HasSuffix(s, takes)
			}), must.Sprintf("%s\nwant %s\nhave %q", text, takes, said))
			var inner []string
			for _, i := range b.Blocks {
				inner = append(inner, i.Name)
			}
			slices.Sort(inner)
			inner = slices.Compact(inner)
			unknown := func(s string) bool { return strings.Contains(s, `"zzzz"`) }
			at := slices.IndexFunc(said, unknown)
			must.NonNegative(t, at, must.Sprintf("%s: %q", text, said))
			if len(inner) == 0 {
				must.StrContains(t, said[at], "takes no blocks")
			} else {
				must.StrHasSuffix(t, "It takes "+lang.List(inner, "and")+".", said[at])
			}
			visit(b.Blocks, in)
		}
	}
	whole := func(s string) string { return s }
	visit(policy, whole)
	visit(PatchSchema(), whole)
	must.Greater(t, 20, visited)
}

// TestSchema_Says looks at one argument of each kind of range.
func TestSchema_Says(t *testing.T) {
	blocks, err := Schema(testSchemas())
	must.NoError(t, err)
	found := map[string]api.ArgumentSchema{}
	var walk func(within string, blocks []api.BlockSchema)
	walk = func(within string, blocks []api.BlockSchema) {
		for _, b := range blocks {
			for _, a := range b.Arguments {
				must.NotEq(t, "", a.Doc, must.Sprintf("%s%s %s has no documentation", within, b.Name, a.Name))
				found[within+b.Name+"."+a.Name] = a
			}
			walk(within+b.Name+".", b.Blocks)
		}
	}
	walk("", blocks)
	walk("", PatchSchema())
	for path, want := range map[string]api.ArgumentSchema{
		"policy.approval.count":      {Type: "number", Min: "1", Max: "20"},
		"policy.judge.false_alarm":   {Type: "number", Min: "0.000001", Max: "0.5", Default: "0.01"},
		"policy.pause":               {Type: "string", Min: "1s", Max: "168h", Since: 8},
		"policy.window.cutoff":       {Type: "string", OneOf: []string{"finish", "hold"}, Default: `"finish"`},
		"policy.window.except":       {Type: "list(string)", Wants: `a day such as "2026-12-24"`, Since: 8},
		"policy.budget.failures":     {Type: "number", Min: "1", Max: "1000000", Default: "1"},
		"policy.strategy.stages":     {Type: "list(number)", Wants: "rising whole percentages that end at 100, such as [10, 50, 100]", Default: "[10, 50, 100]"},
		"policy.simulate.env":        {Type: "map(string)", Since: 6},
		"patch.severity":             {Type: "string", Required: true, OneOf: []string{"low", "medium", "high", "critical"}},
		"patch.target.namespace":     {Type: "string", Default: `"default"`},
		"patch.apply.verify.command": {Type: "string", Required: true},
	} {
		have, ok := found[path]
		must.True(t, ok, must.Sprint(path))
		want.Name, want.Doc = have.Name, have.Doc
		must.Eq(t, want, have, must.Sprint(path))
	}
}
