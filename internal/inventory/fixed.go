package inventory

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/oakumhq/oakum/api"
)

// Names lists the packages that a patch names, sorted, each once.
func Names(affects []api.Affected) []string {
	names := map[string]bool{}
	for _, a := range affects {
		names[a.Package] = true
	}
	return slices.Sorted(maps.Keys(names))
}

// Changes pairs the versions before a patch with those after it, by name. A package
// that is in neither is left out.
func Changes(names []string, before, after map[string]string) []api.PackageChange {
	var out []api.PackageChange
	for _, name := range names {
		if before[name] != "" || after[name] != "" {
			out = append(out, api.PackageChange{Name: name, Before: before[name], After: after[name]})
		}
	}
	slices.SortFunc(out, func(a, b api.PackageChange) int { return cmp.Compare(a.Name, b.Name) })
	return out
}

// Fixed says why the versions after a patch do not fix what the patch says, or "" when
// they do: each package that was installed before must be at least at the first version
// without the fault, or gone. A package that was in the image neither before nor after
// has no fault there, as long as another one was found: without any, nobody knows
// whether the image's packages were read. unknown says what is not known; it is never
// safe.
func Fixed(affects []api.Affected, before, after map[string]string) (fault, unknown string) {
	if len(affects) > 0 && len(before)+len(after) == 0 {
		return "", fmt.Sprintf("none of the packages that the patch names is in the image: %s", strings.Join(Names(affects), ", "))
	}
	for _, a := range affects {
		have, installed := after[a.Package]
		if !installed {
			continue
		}
		n, err := Compare(a.Ecosystem, have, a.Below)
		switch {
		case err != nil:
			unknown = cmp.Or(unknown, fmt.Sprintf("package %s: %v", a.Package, err))
		case n < 0 && before[a.Package] == have:
			fault = cmp.Or(fault, fmt.Sprintf("package %s is still %s after the patch; the fault ends with %s", a.Package, have, a.Below))
		case n < 0:
			fault = cmp.Or(fault, fmt.Sprintf("package %s is %s after the patch; the fault ends with %s", a.Package, have, a.Below))
		}
	}
	return fault, unknown
}
