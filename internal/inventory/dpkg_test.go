//go:build e2e

package inventory_test

import (
	"os/exec"
	"testing"

	"github.com/shoenig/test/must"
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
