package inventory_test

import (
	"os"
	"strings"
	"testing"

	"github.com/shoenig/test/must"

	"github.com/oakumhq/oakum/internal/inventory"
)

// TestFromDatabases_ReadsARealDatabaseOfRPM reads what rpm 4.18 has printed of a database
// (SQLite) of packages with an epoch, a tilde and a caret, without an architecture, and of a
// module. The packages that it finds are those that the same rpm has named.
func TestFromDatabases_ReadsARealDatabaseOfRPM(t *testing.T) {
	t.Parallel()
	printed, err := os.ReadFile("testdata/rpm/qa.tsv")
	must.NoError(t, err)
	named, err := os.ReadFile("testdata/rpm/nevra.txt")
	must.NoError(t, err)
	inv, err := inventory.FromDatabases("image", inventory.Databases{OSRelease: "ID=rhel\nVERSION_ID=\"9.4\"\n", RPM: string(printed)})
	must.NoError(t, err)
	must.SliceEmpty(t, inv.Aside)
	have, sources, modules := map[string]bool{}, map[string]string{}, map[string]string{}
	for _, p := range inv.Packages {
		have[p.Name+"-"+p.Version+"."+p.Arch] = true
		sources[p.Name], modules[p.Name] = p.Source, p.Module
	}
	count := 0
	for line := range strings.Lines(string(named)) {
		nevra := strings.Replace(strings.TrimSpace(line), "-0:", "-", 1) // an epoch of 0 is none
		must.True(t, have[nevra], must.Sprint(nevra, " is not among ", inv.Packages))
		count++
	}
	must.Len(t, count, inv.Packages)
	must.EqOp(t, "openssl", sources["openssl-libs"])
	must.EqOp(t, "nodejs:18", modules["nodejs"])
}
