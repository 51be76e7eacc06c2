package inventory

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/google/osv-scalibr/semantic"
	"golang.org/x/mod/semver"
)

// orders are the names of ecosystems in patches, and the name of the order of versions
// in osv-scalibr that each has.
func orders() map[string]string {
	return map[string]string{
		"deb": "Debian", "rpm": "Red Hat", "apk": "Alpine",
		"go": "Go", "npm": "npm", "pypi": "PyPI", "maven": "Maven", "gem": "RubyGems", "cargo": "crates.io", "nuget": "NuGet",
	}
}

// Ecosystems lists the ecosystems whose versions can be compared, sorted.
func Ecosystems() []string { return slices.Sorted(maps.Keys(orders())) }

// Compare compares two versions by the order of their ecosystem: -1 when a is older
// than b, 0 when they are equal, 1 when a is newer. It returns an error for an unknown
// ecosystem and for a version that the ecosystem does not allow.
func Compare(ecosystem, a, b string) (int, error) {
	order, ok := orders()[ecosystem]
	if !ok {
		return 0, fmt.Errorf("compare versions: there is no ecosystem %q: want one of %s", ecosystem, strings.Join(Ecosystems(), ", "))
	}
	for _, v := range []string{a, b} {
		if v == "" || strings.ContainsAny(v, " \t\r\n") {
			return 0, fmt.Errorf("compare versions: %q is no version of %s", v, ecosystem)
		}
	}
	if err := checkVersions(ecosystem, a, b); err != nil {
		return 0, err
	}
	left, err := semantic.Parse(a, order)
	if err != nil {
		return 0, fmt.Errorf("compare versions: %w", err)
	}
	n, err := left.CompareStr(b)
	if err != nil {
		return 0, fmt.Errorf("compare versions: %w", err)
	}
	return n, nil
}

// checkVersions refuses texts that the order of an ecosystem would read as some version
// although they are none.
func checkVersions(ecosystem string, versions ...string) error {
	if ecosystem != "go" && ecosystem != "npm" {
		return nil
	}
	for _, v := range versions {
		if !semver.IsValid("v" + strings.TrimPrefix(v, "v")) {
			return fmt.Errorf("compare versions: %q is no version of %s", v, ecosystem)
		}
	}
	return nil
}
