//go:build e2e

package e2e

import (
	"encoding/json"
	"fmt"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/shoenig/test/must"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/api/client"
)

// TestImageNodes has the leader read what is installed on the client nodes, which are this
// machine, and holds it against what this machine's dpkg says.
func TestImageNodes(t *testing.T) {
	const ask = "${Package} ${Version} ${Architecture} ${db:Status-Status}\n"
	text, err := exec.CommandContext(t.Context(), "dpkg-query", "-W", "-f", ask).Output()
	must.NoError(t, err)
	var want []string
	bash := ""
	for line := range strings.Lines(string(text)) {
		f := strings.Fields(line)
		if f[len(f)-1] != "installed" {
			continue
		}
		want = append(want, strings.Join(f[:3], " "))
		if f[0] == "bash" {
			bash = f[1]
		}
	}
	must.NotEqOp(t, "", bash)
	slices.Sort(want)

	o := newReader(t, 1, "inventory {\n  read_nodes = true\n}")
	var nodes []api.Node
	eventuallySay(t, 4*time.Minute, func() bool {
		c, err := o.Client(o.pipeline)
		if err != nil {
			return false
		}
		nodes, _, err = c.Nodes(t.Context(), client.Query{})
		return err == nil && len(nodes) > 0 && !slices.ContainsFunc(nodes, func(n api.Node) bool { return n.Missing != "" })
	}, func() string {
		return "what is installed on each node: " + o.Oakum(t.Context(), o.pipeline, "inventory", "list", "-nodes").Stdout
	})
	t.Log(o.does(o.pipeline, "inventory", "list", "-nodes").Stdout)
	for _, n := range nodes {
		var shown []api.Inventory
		must.NoError(t, json.Unmarshal([]byte(o.does(o.pipeline, "inventory", "show", "-json", "node:"+n.ID).Stdout), &shown))
		must.Len(t, 1, shown)
		var got []string
		for _, p := range shown[0].Packages {
			if p.Ecosystem == "deb" {
				got = append(got, p.Name+" "+p.Version+" "+p.Arch)
			}
		}
		slices.Sort(got)
		must.Eq(t, want, got, must.Sprint(n.Name))
	}
	for below, code := range map[string]int{bash: 0, bash + ".1": 2} {
		patch := o.file("bash.hcl", fmt.Sprintf(`patch "bash" {
  severity = "high"
  affects "deb" {
    package = "bash"
    below   = %q
  }
  target { jobs = ["*"] }
  apply "job" {
    task = "none"
    env  = { A = "b" }
  }
}
`, below))
		res := o.Oakum(t.Context(), o.pipeline, "patch", "affected", "-nodes", patch)
		must.EqOp(t, code, res.Code, must.Sprint(res.Stdout, res.Stderr))
		must.StrContains(t, res.Stdout, bash)
	}
	eventually(t, "nothing is left of the reading", 5*time.Minute, func() bool { return len(readings(t, o.vendor)) == 0 })
}
