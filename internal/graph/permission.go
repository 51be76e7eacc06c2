package graph

import (
	"cmp"
	"strings"

	"github.com/oakumhq/oakum/api"
)

// Wildcard stands for any service in a Rule. A name that ends in /Wildcard stands
// for any service of the namespace in front of it.
const Wildcard = "*"

// Beyond separates a service's name from its peer or datacenter when that is
// another one than the cluster's own.
const Beyond = "@"

// DefaultDetail is the Detail of the permission where no rule matches.
const DefaultDetail = "default"

// defaultNamespace is the namespace of a service whose name contains none.
const defaultNamespace = "default"

// Rule says whether one service may call another. From and To may be wildcards.
type Rule struct {
	From, To    string
	Allow       bool
	Conditional bool   // allows some requests only
	Precedence  int    // the higher one governs
	Detail      string // where it is written and what it asks for, for a person
}

// wild reports whether a name is a wildcard.
func wild(name string) bool {
	return name == Wildcard || strings.HasSuffix(name, "/"+Wildcard) || strings.HasPrefix(name, Wildcard+Beyond)
}

// patterns lists the names in rules that match a service, the narrowest first.
func patterns(name string) [3]string {
	if at := strings.Index(name, Beyond); at >= 0 {
		all := Wildcard + name[at:] // what is beyond is matched by no wildcard of this side
		return [...]string{name, all, all}
	}
	namespace := defaultNamespace
	if at := strings.LastIndexByte(name, '/'); at >= 0 {
		namespace = name[:at]
	}
	return [...]string{name, namespace + "/" + Wildcard, Wildcard}
}

// width is how wide a name is: 0 for one service, 1 for a namespace, 2 for all.
func width(name string) int {
	switch {
	case name == Wildcard:
		return 2
	case wild(name): // of one namespace, or of one peer
		return 1
	}
	return 0
}

// PrecedenceOf is the precedence that Consul documents for a rule with these ends:
// from 9 for one service to one, down to 1 for any service to any. The destination
// weighs more than the source. Consul without namespaces knows only the wildcard
// of its one namespace, so its rules have the precedences 9, 8, 6 and 5.
func PrecedenceOf(from, to string) int { return 9 - 3*width(to) - width(from) }

// Permissions is everything that a mesh allows and forbids. Default is the
// permission where no rule matches: api.EvidenceAllowed, api.EvidenceDenied, or
// empty when it is not known.
type Permissions struct {
	Rules   []Rule
	Default api.EvidenceClass
}

// Decide finds the rule that governs a pair. It is the matching rule with the
// highest precedence, and of equal ones the one that forbids. It returns false
// when no rule matches and the default is not known.
func (p Permissions) Decide(pair Pair) (api.Evidence, bool) {
	return p.index().decide(pair, p.Default)
}

// governs reports whether a goes before b.
func governs(a, b Rule) bool {
	if a.Precedence != b.Precedence {
		return a.Precedence > b.Precedence
	}
	return !a.Allow && b.Allow
}

func (r Rule) evidence() api.Evidence {
	e := api.Evidence{Class: api.EvidenceDenied, Detail: r.Detail, Exact: !wild(r.From) && !wild(r.To)}
	if r.Allow {
		e.Class, e.Conditional = api.EvidenceAllowed, r.Conditional
	}
	return e
}

// Expand returns the governing permission of every given pair, and of every pair
// that a rule names by both ends. A wildcard makes no pairs.
func (p Permissions) Expand(pairs []Pair) map[Pair]api.Evidence {
	out := make(map[Pair]api.Evidence, len(pairs)+len(p.Rules))
	index := p.index()
	ask := func(pair Pair) {
		if _, done := out[pair]; done {
			return
		}
		if e, ok := index.decide(pair, p.Default); ok {
			out[pair] = e
		}
	}
	for _, r := range p.Rules {
		if !wild(r.From) && !wild(r.To) {
			ask(Pair{From: r.From, To: r.To})
		}
	}
	for _, pair := range pairs {
		ask(pair)
	}
	return out
}

// permissionIndex holds the governing rule for each pattern of both ends. A pair
// is decided by nine look-ups, however many rules there are.
type permissionIndex map[Pair]Rule

func (p Permissions) index() permissionIndex {
	index := make(permissionIndex, len(p.Rules))
	for _, r := range p.Rules {
		key := Pair{From: r.From, To: r.To}
		if have, ok := index[key]; !ok || governs(r, have) {
			index[key] = r
		}
	}
	return index
}

func (x permissionIndex) decide(pair Pair, fallback api.EvidenceClass) (api.Evidence, bool) {
	var best Rule
	found := false
	for _, to := range patterns(pair.To) {
		for _, from := range patterns(pair.From) {
			if r, ok := x[Pair{From: from, To: to}]; ok && (!found || governs(r, best)) {
				best, found = r, true
			}
		}
	}
	if !found {
		return api.Evidence{Class: fallback, Detail: DefaultDetail}, fallback != ""
	}
	return best.evidence(), true
}

// CompareRules orders rules by precedence, highest first, then To and From.
func CompareRules(a, b Rule) int {
	return cmp.Or(cmp.Compare(b.Precedence, a.Precedence), cmp.Compare(a.To, b.To), cmp.Compare(a.From, b.From))
}

// Name is the name of a service in the graph. It leaves out a partition or
// namespace that is empty or "default", as Consul without them does.
func Name(partition, namespace, service string) string {
	if partition != "" && partition != defaultNamespace {
		return partition + "/" + cmp.Or(namespace, defaultNamespace) + "/" + service
	}
	if namespace != "" && namespace != defaultNamespace {
		return namespace + "/" + service
	}
	return service
}
