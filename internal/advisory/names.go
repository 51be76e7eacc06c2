package advisory

import (
	"slices"
	"strings"
	"time"

	"github.com/oakumhq/oakum/api"
)

// Subject is a package, installed or source, that an advisory is about.
type Subject struct {
	key
	plain string // its name in lower case, as entries that were kept aside have it
}

// Subjects lists the packages that an advisory is about, each once. A package of an ecosystem
// that nothing is compared in is left out.
func (a *Advisory) Subjects() []Subject {
	var out []Subject
	seen := map[key]bool{}
	for i := range a.ranges {
		r := &a.ranges[i]
		if r.Ecosystem == "" {
			continue
		}
		if k := keyOf(r.Ecosystem, r.name()); !seen[k] {
			seen[k] = true
			out = append(out, Subject{key: k, plain: strings.ToLower(r.name())})
		}
	}
	return out
}

// Faults are the names under which an advisory is asked for: its ID, its aliases and the
// faults that it is about.
func (a *Advisory) Faults() []string {
	out := append([]string{a.ID}, a.Aliases...)
	return slices.Compact(append(out, a.Upstream...))
}

// Names are the packages that inventories name, installed, source, or kept aside.
type Names struct {
	keys  map[key]bool
	aside map[string]bool
	blind []string // sources of inventories that may have more than they name
}

// NewNames returns the names of no inventory.
func NewNames() *Names { return &Names{keys: map[key]bool{}, aside: map[string]bool{}} }

// Add adds what an inventory names.
func (n *Names) Add(inv *api.Inventory) {
	sourced := slices.ContainsFunc(inv.Packages, func(p api.Package) bool { return p.Source != "" })
	built := slices.ContainsFunc(inv.Packages, func(p api.Package) bool { return p.Ecosystem == "deb" || p.Ecosystem == "apk" })
	if len(inv.Packages) == 0 || built && !sourced { // as blind has it
		n.blind = append(n.blind, inv.Source)
	}
	for i := range inv.Packages {
		p := &inv.Packages[i]
		n.keys[keyOf(p.Ecosystem, p.Name)] = true
		if p.Source != "" {
			n.keys[keyOf(p.Ecosystem, p.Source)] = true
		}
	}
	for i := range inv.Aside {
		for _, name := range []string{inv.Aside[i].Name, inv.Aside[i].Source} {
			if name != "" {
				n.aside[strings.ToLower(name)] = true
			}
		}
	}
}

// Concerned reports whether an inventory names one of the subjects of an advisory.
func (n *Names) Concerned(subjects []Subject) bool {
	return slices.ContainsFunc(subjects, func(s Subject) bool { return n.keys[s.key] || n.aside[s.plain] })
}

// None reports whether no inventory names anything: an advisory may then be about whatever
// runs.
func (n *Names) None() bool { return len(n.keys) == 0 && len(n.aside) == 0 }

// Blind are the sources of inventories that name no packages, or no source packages of a
// distribution whose advisories do: any advisory may be about what they are of.
func (n *Names) Blind() []string { return n.blind }

// Published is an advisory that no patch has brought.
type Published struct {
	Advisory
	Digest string    // of its document, hex SHA-256
	Known  time.Time // when it was published, else when its document was written
}

// Catalogue is what a server knows of faults beside what patches say.
type Catalogue struct {
	Advisories []Published // about what is installed somewhere, by their documents' names
	Others     int         // how many more there are, about what is installed nowhere as far as is known
	Exploited  map[string]api.Exploited
	Probable   map[string]api.EPSS
	Problems   []string // what can't be read, each a sentence without its stop that begins with a file's name
}
