package inventory_test

import (
	"strings"
	"testing"

	"github.com/shoenig/test/must"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/internal/inventory"
)

func TestFromImage_ReadsManifestsOfLanguages(t *testing.T) {
	t.Parallel()
	const header = "manifests of languages\n"
	inv, err := inventory.FromImage("web", map[string]string{
		"system": "ID=debian\nVERSION_ID=12\n", "languages": header + strings.Join([]string{
			"aside\texample.com/app\tit was built from a folder, so that its version is not known", "package\tpkg:golang/github.com/masterminds/goutils@v1.1.1",
			"package\tpkg:golang/stdlib@go1.26.7", "package\tpkg:maven/org.apache/log4j@2.0", "package\tpkg:npm/%40babel/core@7.1.0", "package\tpkg:pypi/Flask_X@2.0",
			"aside\tpkg:npm/%40babel/core\tanother", "aside\tpkg:maven/org.apache/log4j\ttoo", "part\tmaven", "whole\tgolang", "whole\tnpm", "whole\tpypi",
		}, "\n") + "\n",
	})
	must.NoError(t, err)
	must.EqOp(t, "go, maven (in part), npm, pypi", inv.Format)
	must.True(t, inventory.FromImages(inv), must.Sprint("nobody has looked for everything"))
	must.True(t, inventory.ProgramsOnly(inv))
	for ecosystem, want := range map[string]bool{"go": true, "npm": true, "maven": false, "gem": false} {
		must.EqOp(t, want, inventory.Whole(inv, ecosystem), must.Sprint(ecosystem))
	}
	must.Eq(t, []api.Aside{
		{Name: "@babel/core", Reason: "another"}, {Name: "example.com/app", Reason: "it was built from a folder, so that its version is not known"}, {Name: "org.apache:log4j", Reason: "too"},
	}, inv.Aside, must.Sprint("by the names that advisories have"))
	var have []string
	for _, p := range inv.Packages {
		have = append(have, p.Ecosystem+" "+p.Name+" "+p.Version)
	}
	must.Eq(t, []string{"go github.com/masterminds/goutils 1.1.1", "go stdlib 1.26.7", "maven org.apache:log4j 2.0", "npm @babel/core 7.1.0", "pypi flask-x 2.0"}, have)

	_, err = inventory.FromImage("web", map[string]string{"languages": header})
	must.ErrorContains(t, err, "there is no database", must.Sprint("an image without manifests tells of nothing"))
	for name, line := range map[string]string{
		"a line without a tab": "package", "no package URL": "package\tx", "another ecosystem": "package\tpkg:deb/debian/bash@1", "whole of another": "whole\tdeb",
		"an aside without a reason": "aside\tx", "an aside of nothing": "aside\t\tx",
	} {
		_, err = inventory.FromImage("web", map[string]string{"languages": header + line + "\n"})
		must.ErrorContains(t, err, "a line of manifests is", must.Sprint(name))
	}

	t.Log("manifests that were too large to be told leave the packages of the distribution")
	inv, err = inventory.FromImage("web", map[string]string{"languages": "", "dpkg": "Package: bash\nVersion: 1\nArchitecture: all\n"})
	must.NoError(t, err)
	must.EqOp(t, "dpkg", inv.Format)
	must.False(t, inventory.ProgramsOnly(inv))
}
