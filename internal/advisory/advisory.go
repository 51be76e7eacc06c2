package advisory

import (
	"slices"
	"strings"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/internal/inventory"
)

// Advisory is an advisory with the versions that have its fault.
type Advisory struct {
	api.Advisory
	ranges []faultRange
}

// faultRange is one range of versions of one package. OSV names rpm packages by their
// source package in some distributions and by themselves in others: either then is true,
// and both are looked for.
type faultRange struct {
	api.Affected
	either  bool
	unknown string // why versions can't be compared with it; empty when they can
}

// name is the package that a range is about, installed or source.
func (r *faultRange) name() string {
	if r.Package != "" {
		return r.Package
	}
	return r.Source
}

// FromPatch is what a patch says of the fault that it fixes.
func FromPatch(p api.Patch) Advisory {
	a := Advisory{Advisory: api.Advisory{ID: p.Name, Source: p.File.Name, Upstream: p.Fixes, Summary: p.Description, Severity: p.Severity}}
	for _, r := range p.Affects {
		a.ranges = append(a.ranges, faultRange{Affected: r})
	}
	return a
}

// OfPatch is all that a patch says of the faults that it fixes: its own ranges, the
// document that came with it, and the statements beside it. A patch that says nothing
// gives an advisory that names no packages. Errors have code invalid.
func OfPatch(p api.Patch) ([]Advisory, []Statement, error) {
	var out []Advisory
	if len(p.Affects) > 0 || p.Advisory == nil {
		out = append(out, FromPatch(p))
	}
	if p.Advisory != nil {
		document, err := ParseOSV(p.Advisory.Name, []byte(p.File.Files[p.Advisory.Name]))
		if err != nil {
			return nil, nil, err
		}
		out = append(out, document)
	}
	if p.VEX == nil {
		return out, nil, nil
	}
	statements, err := ParseVEX(p.VEX.Name, []byte(p.File.Files[p.VEX.Name]))
	return out, statements, err
}

// faults are the CVE names of an advisory. A statement about it must be about all of
// them, unless it names the advisory itself.
func (a *Advisory) faults() []string {
	var out []string
	for _, name := range slices.Concat([]string{a.ID}, a.Aliases, a.Upstream) {
		if cve(name) && !slices.Contains(out, name) {
			out = append(out, name)
		}
	}
	return out
}

// cve reports whether a name is one of a fault itself, and not of an advisory.
func cve(name string) bool {
	rest, named := strings.CutPrefix(name, "CVE-")
	year, number, _ := strings.Cut(rest, "-")
	return named && len(year) == 4 && len(number) >= 4 && strings.Trim(year+number, "0123456789") == ""
}

// Index finds the packages of an inventory by name and by source package.
type Index struct {
	inv      api.Inventory
	byName   map[key][]int
	bySource map[key][]int
	aside    map[string]string // reasons, by name in lower case
	sources  map[string]bool   // ecosystems in which a source package is named
	releases map[string][]string
}

// key is an ecosystem, and a name in the form in which it compares names.
type key struct{ ecosystem, name string }

func keyOf(ecosystem, name string) key { return key{ecosystem, inventory.Key(ecosystem, name)} }
