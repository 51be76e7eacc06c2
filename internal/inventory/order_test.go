package inventory_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/shoenig/test/must"

	"github.com/oakumhq/oakum/internal/inventory"
)

// ranked are the versions of a file in the order of the ecosystem's own tool, with their
// ranks: versions on one line are equal.
func ranked(t *testing.T, name string) (versions []string, rank map[string]int) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("testdata", name))
	must.NoError(t, err)
	rank = map[string]int{}
	for i, line := range strings.Split(strings.TrimSpace(string(text)), "\n") {
		for v := range strings.FieldsSeq(line) {
			versions, rank[v] = append(versions, v), i
		}
	}
	return versions, rank
}

// TestCompare_OrdersAsTheToolsDo compares each pair of versions of published archives,
// which dpkg and librpm have put in order.
func TestCompare_OrdersAsTheToolsDo(t *testing.T) {
	for file, ecosystem := range map[string]string{"deb-order.txt": "deb", "rpm-order.txt": "rpm"} {
		versions, rank := ranked(t, file)
		pairs := 0
		for i, a := range versions {
			for _, b := range versions[i+1:] {
				n, err := inventory.Compare(ecosystem, a, b)
				must.NoError(t, err)
				if want := max(-1, rank[a]-rank[b]); n != want {
					t.Errorf("%s: %s and %s: have %d, want %d", ecosystem, a, b, n, want)
				}
				pairs++
			}
		}
		must.GreaterEq(t, 10_000, pairs)
		t.Logf("%s: %d pairs", ecosystem, pairs)
	}
}
