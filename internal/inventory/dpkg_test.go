//go:build e2e

package inventory_test

import (
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"github.com/shoenig/test/must"

	"github.com/oakumhq/oakum/internal/inventory"
)

// TestOrder_IsDpkgs asks dpkg about each two neighbours of the stored order, which then
// is dpkg's for all pairs.
func TestOrder_IsDpkgs(t *testing.T) {
	versions, rank := ranked(t, "deb-order.txt")
	for i, b := range versions[1:] {
		a, is := versions[i], "lt"
		if rank[a] == rank[b] {
			is = "eq"
		}
		out, err := exec.CommandContext(t.Context(), "dpkg", "--compare-versions", a, is, b).CombinedOutput()
		must.NoError(t, err, must.Sprint(a, is, b, string(out)))
	}
}

// TestFromDatabases_AgreesWithDpkgQuery compares this machine's own database with what
// dpkg-query says of it.
func TestFromDatabases_AgreesWithDpkgQuery(t *testing.T) {
	t.Parallel()
	status, err := os.ReadFile("/var/lib/dpkg/status")
	must.NoError(t, err)
	inv, err := inventory.FromDatabases("this machine", inventory.Databases{Dpkg: string(status)})
	must.NoError(t, err)
	out, err := exec.CommandContext(t.Context(), "dpkg-query", "-W", "-f", "${db:Status-Status} ${Package} ${Version} ${Architecture} ${source:Package}\n").Output()
	must.NoError(t, err)
	var want, have []string
	for line := range strings.Lines(string(out)) {
		state, rest, _ := strings.Cut(strings.TrimSpace(line), " ")
		if !slices.Contains([]string{"not-installed", "config-files", "half-installed"}, state) {
			want = append(want, rest)
		}
	}
	for _, p := range inv.Packages {
		source := p.Source
		if source == "" {
			source = p.Name
		}
		have = append(have, strings.Join([]string{p.Name, p.Version, p.Arch, source}, " "))
	}
	slices.Sort(want)
	slices.Sort(have)
	must.Greater(t, 50, len(want))
	must.Eq(t, want, have)
}
