package inventory

import (
	"cmp"
	"slices"
	"strings"

	"github.com/oakumhq/oakum/api"
)

// Diff lists the packages whose versions differ between two inventories, sorted.
func Diff(from, to api.Inventory) api.InventoryDiff {
	type key struct{ ecosystem, name string }
	versions := map[key][2][]string{}
	for side, inv := range []api.Inventory{from, to} {
		for _, p := range inv.Packages {
			k := key{p.Ecosystem, p.Name}
			both := versions[k]
			if !slices.Contains(both[side], p.Version) {
				both[side] = append(both[side], p.Version)
			}
			versions[k] = both
		}
	}
	d := api.InventoryDiff{From: from.Source, To: to.Source, Changes: []api.InventoryDifference{}}
	for k, both := range versions {
		slices.Sort(both[0])
		slices.Sort(both[1])
		if before, after := strings.Join(both[0], ", "), strings.Join(both[1], ", "); before != after {
			d.Changes = append(d.Changes, api.InventoryDifference{Ecosystem: k.ecosystem, PackageChange: api.PackageChange{Name: k.name, Before: before, After: after}})
		}
	}
	slices.SortFunc(d.Changes, func(a, b api.InventoryDifference) int {
		return cmp.Or(cmp.Compare(a.Ecosystem, b.Ecosystem), cmp.Compare(a.Name, b.Name))
	})
	return d
}
