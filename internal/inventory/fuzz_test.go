package inventory_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/shoenig/test/must"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/internal/inventory"
)

// FuzzParse checks that no document makes the reader panic, that each entry ends up as
// a package with a name and a version or aside with a reason, and that a document reads
// the same twice.
func FuzzParse(f *testing.F) {
	paths, err := filepath.Glob("testdata/*.json")
	must.NoError(f, err)
	for _, path := range paths {
		document, err := os.ReadFile(path)
		must.NoError(f, err)
		f.Add(document)
	}
	f.Add([]byte(bom("pkg:deb/debian/curl@1?distro=debian-12&upstream=a%40", "pkg:rpm/a@1?upstream=-.src.rpm&rpmmod=%3A", "x")))
	f.Add([]byte(`{"spdxVersion":"SPDX-2.2","packages":[null,{"name":"a","externalRefs":[null,{"referenceType":"purl","referenceLocator":"pkg:npm/a@1"}]}]}`))
	f.Fuzz(func(t *testing.T, document []byte) {
		inv, err := inventory.Parse("x", document)
		if err != nil {
			must.True(t, api.IsCode(err, api.CodeInvalid))
			return
		}
		for _, p := range inv.Packages {
			must.NotEq(t, "", p.Name)
			must.NotEq(t, "", p.Version)
			must.NotEq(t, "", p.Ecosystem)
		}
		for _, a := range inv.Aside {
			must.NotEq(t, "", a.Reason)
		}
		again, err := inventory.Parse("x", document)
		must.NoError(t, err)
		must.Eq(t, inv, again)
	})
}

// FuzzCompare checks that each ecosystem's order is one: a version equals itself, and
// two versions compare the other way round when they are swapped, or not at all.
func FuzzCompare(f *testing.F) {
	f.Add("1:2.3~rc1-4+deb12u1", "2.3-4")
	f.Add("1.0_rc1-r0", "1.0^git1")
	f.Add("v1.2.3-0.20200101000000-abcdefabcdef", "1.2.3-alpha.1")
	f.Add("1!2.0.post1.dev3+local", "1.0-SNAPSHOT")
	f.Fuzz(func(t *testing.T, a, b string) {
		for _, ecosystem := range inventory.Ecosystems() {
			n, err := inventory.Compare(ecosystem, a, b)
			back, errBack := inventory.Compare(ecosystem, b, a)
			must.EqOp(t, err == nil, errBack == nil, must.Sprint(ecosystem))
			if err != nil {
				continue
			}
			must.EqOp(t, n, -back, must.Sprint(ecosystem))
			same, err := inventory.Compare(ecosystem, a, a)
			must.NoError(t, err)
			must.EqOp(t, 0, same, must.Sprint(ecosystem))
		}
	})
}
