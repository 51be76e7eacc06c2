package fleet_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
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
		{"more than all", nodes + "build \"b\" {\n  image = \"x\"\n  errors = 1.5\n}", "build b: errors: want 0 to 1, have 1.5"},
		{"a negative factor", nodes + "build \"b\" {\n  image = \"x\"\n  latency = -5\n}", "build b: latency: want 0 to 1e+09, have -5"},
		{"endless requests", nodes + "service \"a\" {\n  count = 1\n  rate = 1e300\n}", "fleet.hcl:2,1-12: service a: rate: want 0 to 1e+09, have 1e+300"},
		{"negative calls", nodes + "service \"a\" { count = 1 }\nservice \"b\" {\n  count = 1\n  calls = { a = -1 }\n}", "service b: calls: a: want 0 to 1e+09, have -1"},
		{"too many nodes", `nodes "n" { count = 2000000000 }`, "fleet.hcl:1,1-10: nodes n: count: want 1 to 20000, have 2000000000"},
		{"too many nodes in all", "nodes \"n\" { count = 15000 }\nnodes \"m\" { count = 15000 }", "have 30000 and 0"},
		{"too many instances", nodes + `service "a" { count = 2000000000 }`, "service a: count: want 0 to 50000, have 2000000000"},
		{"too many instances in all", nodes + large(11), "have 1 and 550000"},
		{"the same nodes twice", nodes + nodes, "fleet.hcl:2,1-10: nodes n are described twice"},
		{"negative memory", "nodes \"n\" {\n  count = 1\n  memory_mb = -1\n}", "nodes n: memory_mb: want 0 or more, have -1"},
		{"no name", nodes + `service "" { count = 1 }`, "want a name of at most 63 letters"},
		{"a name that is a path", nodes + `service "a b/../c" { count = 1 }`, "want a name of at most 63 letters"},
		{"no text at all", strings.Repeat("\x00", 1000), "more"},
		{"no such fault", nodes + `fault "rain" { at = "1s" }`, "fleet.hcl:2,1-13: fault rain: want one of node-away, drain,"},
		{"a fault at no time", nodes + `fault "no-capacity" {}`, `fleet.hcl:2,21-21: Missing required argument; The argument "at" is required`},
		{"a fault for no time", nodes + "fault \"no-capacity\" {\n  at = \"1s\"\n  for = \"0s\"\n}", "fleet.hcl:2,1-20: fault no-capacity: for: want a duration above 0"},
		{"a fault of no node", nodes + `fault "drain" { at = "1s" }`, "fleet.hcl:2,1-14: fault drain: want nodes"},
		{"an absent node", nodes + "fault \"drain\" {\n  at = \"1s\"\n  nodes = [\"n-2\"]\n}", `fault drain: nodes: there is no node "n-2"`},
		{"a field of another fault", nodes + "fault \"api-away\" {\n  at = \"1s\"\n  api = \"nomad\"\n  delay = \"1s\"\n}", "fault api-away: delay: it has none"},
		{"an unknown API", nodes + "fault \"api-away\" {\n  at = \"1s\"\n  api = \"vault\"\n}", `fault api-away: api: want nomad, consul or prometheus, have "vault"`},
		{"no service to scale", nodes + "fault \"autoscaler\" {\n  at = \"1s\"\n  service = \"a\"\n  every = \"1s\"\n  counts = [-1]\n}", `fault autoscaler: service: there is no service "a"`},
		{"no such count", nodes + "fault \"autoscaler\" {\n  at = \"1s\"\n  service = \"a\"\n  every = \"1s\"\n  counts = [-1]\n}", "fault autoscaler: counts: want 0 to 50000 each, have [-1]"},
		{"a hurry", nodes + "fault \"autoscaler\" {\n  at = \"1s\"\n  service = \"a\"\n  every = \"1ns\"\n  counts = [1]\n}", "fault autoscaler: every: want at least 1s, have 1ns"},
		{"a fault in a far future", nodes + `fault "no-capacity" { at = "999999h" }`, "fault no-capacity: at: want at most 8760h0m0s, have 999999h"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			file := filepath.Join(t.TempDir(), "fleet.hcl")
			must.NoError(t, os.WriteFile(file, []byte(tc.text), 0o600))
			_, err := fleet.Describe(file)
			must.True(t, api.IsCode(err, api.CodeInvalid), must.Sprint(err))
			must.StrContains(t, err.Error(), tc.want)
			must.LessEq(t, 11, strings.Count(err.Error(), "\n")+1, must.Sprint("lines"))
		})
	}
}

// large is services of as many instances as one may have.
func large(services int) string {
	var b strings.Builder
	for i := range services {
		fmt.Fprintf(&b, "service \"s%d\" { count = 50000 }\n", i)
	}
	return b.String()
}
