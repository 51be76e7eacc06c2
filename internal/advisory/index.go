package advisory

import (
	"fmt"
	"slices"
	"strings"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/internal/inventory"
)

// NewIndex indexes an inventory, which must not be changed afterwards.
func NewIndex(inv api.Inventory) *Index {
	ix := &Index{
		inv: inv, byName: map[key][]int{}, bySource: map[key][]int{}, aside: map[string]string{},
		sources: map[string]bool{}, releases: map[string][]string{},
	}
	for i, p := range inv.Packages {
		k := keyOf(p.Ecosystem, p.Name)
		ix.byName[k] = append(ix.byName[k], i)
		if !distributed(p.Ecosystem) {
			continue
		}
		if p.Source != "" {
			ix.sources[p.Ecosystem] = true
			k = keyOf(p.Ecosystem, p.Source)
		}
		ix.bySource[k] = append(ix.bySource[k], i)
		if !slices.Contains(ix.releases[p.Ecosystem], p.Release) {
			ix.releases[p.Ecosystem] = append(ix.releases[p.Ecosystem], p.Release)
		}
	}
	for _, a := range inv.Aside { // a range always has a name, so that empty ones do no harm
		for _, name := range []string{a.Name, a.Source} {
			ix.aside[strings.ToLower(name)] = a.Reason
			ix.aside[inventory.Key("pypi", name)] = a.Reason // the only names that compare otherwise
		}
	}
	return ix
}

// distributed reports whether the packages of an ecosystem are built from source
// packages by distributions.
func distributed(ecosystem string) bool { return inventory.Distributed(ecosystem) }

// installed is a package of the inventory that a range is about, with the version that
// the range is to be compared with.
type installed struct {
	at      int
	version string
}

// find lists the packages that a range is about.
func (ix *Index) find(r *faultRange) []installed {
	var out []installed
	if r.Package != "" || r.either {
		for _, i := range ix.byName[keyOf(r.Ecosystem, r.name())] {
			out = append(out, installed{i, ix.inv.Packages[i].Version})
		}
	}
	if r.Source == "" && !r.either {
		return out
	}
	for _, i := range ix.bySource[keyOf(r.Ecosystem, r.name())] {
		if slices.ContainsFunc(out, func(o installed) bool { return o.at == i }) {
			continue
		}
		version := ix.inv.Packages[i].Version
		if v := ix.inv.Packages[i].SourceVersion; v != "" {
			version = v
		}
		out = append(out, installed{i, version})
	}
	return out
}

// blind says why packages that a range is about may be there beside those that were
// found; it is empty when they are not.
func (ix *Index) blind(r *faultRange, found int) string {
	reason, ok := ix.aside[strings.ToLower(r.name())]
	if !ok {
		reason, ok = ix.aside[inventory.Key(r.Ecosystem, r.name())]
	}
	if ok {
		return fmt.Sprintf("the inventory has an entry %s that nothing can be compared with: %s", r.name(), reason)
	}
	switch {
	case found > 0 && (distributed(r.Ecosystem) || !inventory.FromImages(ix.inv) || inventory.Whole(ix.inv, r.Ecosystem)):
		return ""
	case len(ix.inv.Packages) == 0:
		return "the inventory names no packages at all"
	case found > 0:
		return fmt.Sprintf("the inventory was read from the image, of which some of %s could not be read, so that it may have %s in other versions too", r.Ecosystem, r.name())
	case !distributed(r.Ecosystem) && inventory.FromImages(ix.inv):
		return fmt.Sprintf("the inventory was read from the image, which may have %s of %s without a manifest that says so", r.name(), r.Ecosystem)
	case distributed(r.Ecosystem) && inventory.ProgramsOnly(ix.inv):
		return fmt.Sprintf("no package database was found in the image, and the advisory is about %s of a distribution", r.name())
	}
	// Any system of these two has packages whose source package has another name.
	if r.Source == "" || r.either || ix.sources[r.Ecosystem] || (r.Ecosystem != "deb" && r.Ecosystem != "apk") {
		return ""
	}
	for _, release := range ix.releases[r.Ecosystem] {
		if inventory.Covers(r.Release, release) != inventory.CoverNo {
			return fmt.Sprintf("the inventory names no source packages, and the advisory is about source package %s", r.Source)
		}
	}
	return ""
}
