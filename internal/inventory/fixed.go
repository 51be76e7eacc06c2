package inventory

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/oakumhq/oakum/api"
)

// Names lists the installed packages that a patch names, sorted, each once. Source
// packages are not installed.
func Names(affects []api.Affected) []string {
	names := map[string]bool{}
	for _, a := range affects {
		if a.Package != "" {
			names[a.Package] = true
		}
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
// they do: no package that was installed before may have a version with the fault
// afterwards. A package that was in the image neither before nor after has no fault
// there, as long as another one was found: without any, nobody knows whether the image's
// packages were read. unknown says what is not known; it is never safe.
func Fixed(affects []api.Affected, before, after map[string]string) (fault, unknown string) {
	if len(Names(affects)) > 0 && len(before)+len(after) == 0 {
		return "", fmt.Sprintf("none of the packages that the patch names is in the image: %s", strings.Join(Names(affects), ", "))
	}
	for _, a := range affects {
		if a.Package == "" {
			unknown = cmp.Or(unknown, fmt.Sprintf("source package %s: nobody read from the image which packages are built from it", a.Source))
			continue
		}
		have, installed := after[a.Package]
		if !installed {
			continue
		}
		place, err := Locate(a, have)
		switch {
		case err != nil:
			unknown = cmp.Or(unknown, fmt.Sprintf("package %s: %v", a.Package, err))
		case place != PlaceWithin:
		case a.Release != "" || a.Arch != "":
			unknown = cmp.Or(unknown, fmt.Sprintf("package %s is %s after the patch, and has the fault where it is of %s; nobody read that from the image",
				a.Package, have, strings.TrimSpace(a.Release+" "+a.Arch)))
		case before[a.Package] == have:
			fault = cmp.Or(fault, fmt.Sprintf("package %s is still %s after the patch; the fault %s", a.Package, have, ends(a)))
		default:
			fault = cmp.Or(fault, fmt.Sprintf("package %s is %s after the patch; the fault %s", a.Package, have, ends(a)))
		}
	}
	return fault, unknown
}

// ends says which versions have a fault, as the end of a sentence.
func ends(a api.Affected) string {
	if a.Below != "" {
		return "ends with " + a.Below
	}
	return "is in versions " + Describe(a)
}
