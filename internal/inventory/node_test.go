package inventory_test

import (
	"testing"

	"github.com/shoenig/test/must"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/internal/inventory"
)

func TestRunningKernel_IsKnownWhereItsReleaseIsAVersion(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		node api.Node
		want string // of the first package; empty where nobody knows
	}{
		"rhel":           {api.Node{OS: "redhat", OSVersion: "9.3", Kernel: "5.14.0-362.8.1.el9_3.x86_64"}, "Red Hat:9.3 kernel 5.14.0-362.8.1.el9_3 x86_64 "},
		"fedora":         {api.Node{OS: "fedora", OSVersion: "42", Kernel: "6.14.4-300.fc42.x86_64"}, "Fedora:42 kernel 6.14.4-300.fc42 x86_64 "},
		"alpine":         {api.Node{OS: "alpine", OSVersion: "3.20.1", Kernel: "6.6.31-0-lts"}, "Alpine:v3.20.1 linux-lts 6.6.31-r0  "},
		"debian":         {api.Node{OS: "debian", OSVersion: "12.5", Kernel: "6.1.0-18-amd64"}, ""},
		"ubuntu":         {api.Node{OS: "ubuntu", OSVersion: "22.04", Kernel: "5.15.0-105-generic"}, ""},
		"oracle's own":   {api.Node{OS: "oracle", OSVersion: "9.3", Kernel: "5.15.0-200.131.27.el9uek.x86_64"}, ""},
		"real time":      {api.Node{OS: "redhat", OSVersion: "9.3", Kernel: "5.14.0-362.8.1.el9_3.x86_64+rt"}, ""},
		"another system": {api.Node{OS: "debian", OSVersion: "12.5", Kernel: "5.14.0-362.8.1.el9_3.x86_64"}, ""},
		"no release":     {api.Node{OS: "redhat", Kernel: "5.14.0-362.8.1.el9_3.x86_64"}, ""},
		"nothing":        {api.Node{}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			inv, unknown := inventory.RunningKernel(&c.node)
			must.Eq(t, c.want == "", unknown != "")
			if c.want == "" {
				must.SliceEmpty(t, inv.Packages)
				return
			}
			p := inv.Packages[0]
			must.EqOp(t, c.want, p.Release+" "+p.Name+" "+p.Version+" "+p.Arch+" "+p.Source)
		})
	}
}
