//go:build e2e

package inventory_test

import (
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"github.com/shoenig/test/must"

	"github.com/oakumhq/oakum/api"
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
	must.Eq(t, dpkgQuery(t), lines(inv))
}

// dpkgQuery is what dpkg-query says is installed on this machine, a line for each package
// with its version, architecture and source package, sorted.
func dpkgQuery(t *testing.T) []string {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), "dpkg-query", "-W", "-f", "${db:Status-Status} ${Package} ${Version} ${Architecture} ${source:Package}\n").Output()
	must.NoError(t, err)
	var list []string
	for line := range strings.Lines(string(out)) {
		state, rest, _ := strings.Cut(strings.TrimSpace(line), " ")
		if !slices.Contains([]string{"not-installed", "config-files", "half-installed"}, state) {
			list = append(list, rest)
		}
	}
	slices.Sort(list)
	must.Greater(t, 50, len(list))
	return list
}

// lines are the packages of an inventory, likewise.
func lines(inv api.Inventory) []string {
	var list []string
	for _, p := range inv.Packages {
		source := p.Source
		if source == "" {
			source = p.Name
		}
		list = append(list, strings.Join([]string{p.Name, p.Version, p.Arch, source}, " "))
	}
	slices.Sort(list)
	return list
}
