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
// module; and what rpm 4.20 has printed of a database of ndb. The packages that it finds are
// those that the same rpm has named.
func TestFromDatabases_ReadsARealDatabaseOfRPM(t *testing.T) {
	t.Parallel()
	sources, modules := map[string]string{}, map[string]string{}
	for _, files := range [][2]string{{"qa.tsv", "nevra.txt"}, {"ndb.tsv", "ndb-nevra.txt"}} {
		printed, err := os.ReadFile("testdata/rpm/" + files[0])
		must.NoError(t, err)
		named, err := os.ReadFile("testdata/rpm/" + files[1])
		must.NoError(t, err)
		inv, err := inventory.FromDatabases("image", inventory.Databases{OSRelease: "ID=rhel\nVERSION_ID=\"9.4\"\n", RPM: string(printed)})
		must.NoError(t, err)
		must.SliceEmpty(t, inv.Aside)
		have := map[string]bool{}
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
		must.Positive(t, count)
		must.Len(t, count, inv.Packages)
	}
	must.EqOp(t, "openssl", sources["openssl-libs"])
	must.EqOp(t, "nodejs:18", modules["nodejs"])
}
