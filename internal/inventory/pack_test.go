package inventory_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/shoenig/test/must"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/internal/inventory"
)

func TestPack_RefusesReleasesThatFillTheRecord(t *testing.T) {
	var components []string
	for i := range 2000 {
		components = append(components, fmt.Sprintf(`{"type": "library", "name": "a", "purl": "pkg:deb/debian/a@1?distro=debian-%d"}`, i))
	}
	inv, err := inventory.Parse("a.json", []byte(`{"bomFormat": "CycloneDX", "specVersion": "1.6", "components": [`+strings.Join(components, ",")+`]}`))
	must.NoError(t, err)
	must.Len(t, 2000, inv.Releases)
	_, _, err = inventory.Pack(inv, 1<<20)
	must.True(t, api.IsCode(err, api.CodeInvalid), must.Sprint(err))

	inv.Releases = inv.Releases[:1]
	_, _, err = inventory.Pack(inv, 1<<20)
	must.NoError(t, err)
}
