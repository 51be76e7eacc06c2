package graph

import (
	"cmp"
	"strings"

	"github.com/oakumhq/oakum/api"
)

// Wildcard stands for any service in a Rule. A name that ends in /Wildcard
// stands for any service of the namespace before it.
const Wildcard = "*"

// Beyond stands between a service's name and the peer or datacenter that it is
// in, when that is not ours.
const Beyond = "@"

// DefaultDetail is the Detail of a permission that no rule made.
const DefaultDetail = "default"

// defaultNamespace is where a service is whose name holds no namespace.
const defaultNamespace = "default"

// Rule is one statement of who may talk to whom. From and To may be wildcards.
type Rule struct {
	From, To    string
	Allow       bool
	Conditional bool   // allows some requests only
	Precedence  int    // the higher one governs
	Detail      string // where it is written and what it asks for, for a person
}

// wild reports whether a name stands for more than one service.
func wild(name string) bool {
	return name == Wildcard || strings.HasSuffix(name, "/"+Wildcard) || strings.HasPrefix(name, Wildcard+Beyond)
}

// patterns lists what in a rule may stand for a name, the narrowest first.
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

// PrecedenceOf is the precedence that Consul documents for a rule of these
// ends: 9 for one service to one, down to 1 for everything to everything. The
// destination weighs more than the source. An edition without namespaces has
// no wildcard but that of its one namespace, so its rules have 9, 8, 6 and 5.
func PrecedenceOf(from, to string) int { return 9 - 3*width(to) - width(from) }

// Permissions is everything that a mesh allows and forbids. Default is what
// holds where no rule matches: api.EvidenceAllowed, api.EvidenceDenied, or
// empty when it is not known.
type Permissions struct {
	Rules   []Rule
	Default api.EvidenceClass
}

// Decide finds the one rule that governs a pair: the highest precedence, and of
// equals the one that forbids. It reports false when nothing is known.
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

// Expand returns the governing permission of every pair that is named by both
// ends of a rule, and of every pair given. A wildcard never makes pairs up.
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

// permissionIndex keeps only the governing rule of each (from, to) pattern, so
// that a pair is decided by nine look-ups however many rules there are.
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

// Name is how the graph calls a service of a partition and namespace: those
// that are empty or "default" are left out, as an edition without them has it.
func Name(partition, namespace, service string) string {
	if partition != "" && partition != defaultNamespace {
		return partition + "/" + cmp.Or(namespace, defaultNamespace) + "/" + service
	}
	if namespace != "" && namespace != defaultNamespace {
		return namespace + "/" + service
	}
	return service
}
