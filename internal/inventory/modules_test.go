package inventory_test

import (
	"testing"

	"github.com/shoenig/test/must"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/internal/inventory"
)

func TestFromImage_ReadsModulesOfGo(t *testing.T) {
	t.Parallel()
	const header = "modules of Go\n"
	inv, err := inventory.FromImage("web", map[string]string{
		"system": "ID=debian\nVERSION_ID=12\n", "go": header + "example.com/app\t(devel)\ngithub.com/Masterminds/goutils\tv1.1.1\nstdlib\tgo1.26.7\n",
	})
	must.NoError(t, err)
	must.EqOp(t, "go", inv.Format)
	must.True(t, inventory.DistributionsOnly(inv), must.Sprint("nobody has looked for everything"))
	must.Eq(t, []api.Aside{{Name: "example.com/app", Reason: "it was built from a folder, so that its version is not known"}}, inv.Aside)
	must.Len(t, 2, inv.Packages)
	for i, want := range []string{"go github.com/masterminds/goutils 1.1.1", "go stdlib 1.26.7"} {
		p := inv.Packages[i]
		must.EqOp(t, want, p.Ecosystem+" "+p.Name+" "+p.Version)
	}

	_, err = inventory.FromImage("web", map[string]string{"go": header})
	must.ErrorContains(t, err, "there is no database", must.Sprint("an image without programs of Go tells of nothing"))
	for name, text := range map[string]string{"a line without a tab": header + "x v1\n", "no module": header + "\tv1\n"} {
		_, err = inventory.FromImage("web", map[string]string{"go": text})
		must.ErrorContains(t, err, "a line of modules of Go", must.Sprint(name))
	}
}
