package fleet_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/shoenig/test/must"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/e2e/fleet"
)

func TestDescribe_TheExample(t *testing.T) {
	t.Parallel()
	d, err := fleet.Describe(filepath.Join("..", "..", "examples", "fleets", "shop.hcl"))
	must.NoError(t, err)
	instances := 0
	for _, s := range d.Services {
		instances += s.Count
	}
	must.Len(t, 40, d.Services)
	must.EqOp(t, 200, instances)
}

func TestDescribe_TellsWhereTheMistakeIs(t *testing.T) {
	t.Parallel()
	const nodes = "nodes \"n\" { count = 1 }\n"
	for _, tc := range []struct{ name, text, want string }{
		{"syntax", "service {", "fleet.hcl:1,9-10: Unclosed configuration block"},
		{"no nodes", `service "a" { count = 1 }`, "want at least one nodes block"},
		{"no count", nodes + `service "a" {}`, `fleet.hcl:2,13-13: Missing required argument; The argument "count" is required`},
		{"unknown argument", nodes + "service \"a\" {\n  count = 1\n  colour = 2\n}", `fleet.hcl:4,3-9: Unsupported argument`},
		{"twice", nodes + "service \"a\" { count = 1 }\nservice \"a\" { count = 1 }", "fleet.hcl:3,1-12: service a is described twice"},
		{"calls nobody", nodes + "service \"a\" {\n  count = 1\n  calls = { b = 1 }\n}", `fleet.hcl:2,1-12: service a: calls: there is no other service "b"`},
		{"no duration", nodes + "service \"a\" {\n  count = 1\n  latency = \"fast\"\n}", `service a: latency: want a duration above 0 such as 10ms, have "fast"`},
		{"no week", nodes + "service \"a\" {\n  count = 1\n  week = \"leap\"\n}", `service a: week: want steady, office or evenings, have "leap"`},
		{"a build of nothing", nodes + `build "b" { errors = 0.5 }`, "fleet.hcl:2,1-10: build b: want an image or env, by which it is known"},
		{"more than all", nodes + "build \"b\" {\n  image = \"x\"\n  errors = 1.5\n}", "build b: errors: want a share between 0 and 1, have 1.5"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			file := filepath.Join(t.TempDir(), "fleet.hcl")
			must.NoError(t, os.WriteFile(file, []byte(tc.text), 0o600))
			_, err := fleet.Describe(file)
			must.True(t, api.IsCode(err, api.CodeInvalid), must.Sprint(err))
			must.StrContains(t, err.Error(), tc.want)
		})
	}
}
