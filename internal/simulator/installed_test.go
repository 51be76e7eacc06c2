package simulator_test

import (
	"context"
	"testing"
	"testing/synctest"

	"github.com/shoenig/test/must"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/internal/simulator"
	"github.com/oakumhq/oakum/internal/twin"
)

// TestTry_TellsWhatIsInstalledInTheImage tries scripts, whose image is made, and images
// that a patch brings.
func TestTry_TellsWhatIsInstalledInTheImage(t *testing.T) {
	dpkg := map[string]string{"system": "ID=debian\nVERSION_ID=12\n", "dpkg": "Package: openssl\nStatus: install ok installed\nVersion: 3.0.16-1\n"}
	script := api.Apply{Kind: api.ApplyScript, Task: "vm", Script: "apt-get install openssl"}
	for name, c := range map[string]struct {
		apply     api.Apply
		databases map[string]string
		bad       bool // the patch is turned back
		told      string
	}{
		"of a script":           {script, dpkg, false, "abc /images/"},
		"of an image":           {api.Apply{Kind: api.ApplyImage, Task: "vm", Image: "/images/store-1.1.qcow2"}, dpkg, false, "/images/store-1.1.qcow2"},
		"not when turned back":  {script, dpkg, true, ""},
		"not without databases": {script, nil, false, ""},
		"not of a part": {
			script, map[string]string{"system": dpkg["system"], "dpkg": dpkg["dpkg"], "rpm": ""}, false, "",
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				m, o := newModel(), &oven{baked: twin.Image{Databases: c.databases, After: map[string]string{"openssl": "3.0.16-1"}}}
				if c.bad {
					o.baked.After = map[string]string{"openssl": "3.0.15-1"}
				}
				told := ""
				s := simulator.New(simulator.Options{Sandbox: m, Baker: o, Transport: m, Installed: func(_ context.Context, digest string, inv api.Inventory) error {
					must.Eq(t, []string{"Debian:12"}, inv.Releases)
					must.Len(t, 1, inv.Packages)
					told = digest + " " + inv.Source
					return nil
				}})
				r := request()
				r.Affects = []api.Affected{{Ecosystem: "deb", Package: "openssl", Below: "3.0.16-1"}}
				r.Apply, r.Target.Tasks = []api.Apply{c.apply}, []api.Task{{Name: "vm", Driver: "qemu", Image: "/images/store.qcow2"}}
				impact, _, err := s.Try(t.Context(), r)
				must.NoError(t, err)
				must.Eq(t, c.bad, impact.Negative)
				if c.told == "" {
					must.Eq(t, "", told)
				}
				must.StrContains(t, told, c.told)
			})
		})
	}
}
