package graph

import (
	"cmp"

	"github.com/oakumhq/oakum/api"
)

// Wildcard stands for any service in a Rule.
const Wildcard = "*"

// Rule is one statement of who may talk to whom. From or To may be Wildcard.
type Rule struct {
	From, To   string
	Allow      bool
	Precedence int    // the higher one governs
	Detail     string // where it is written and what it asks for, for a person
}

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
	e := api.Evidence{Class: api.EvidenceDenied, Detail: r.Detail, Exact: r.From != Wildcard && r.To != Wildcard}
	if r.Allow {
		e.Class = api.EvidenceAllowed
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
		if r.From != Wildcard && r.To != Wildcard {
			ask(Pair{From: r.From, To: r.To})
		}
	}
	for _, pair := range pairs {
		ask(pair)
	}
	return out
}

// permissionIndex keeps only the governing rule of each (from, to) pattern, so
// that a pair is decided by four look-ups however many rules there are.
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
	for _, key := range [...]Pair{pair, {Wildcard, pair.To}, {pair.From, Wildcard}, {Wildcard, Wildcard}} {
		if r, ok := x[key]; ok && (!found || governs(r, best)) {
			best, found = r, true
		}
	}
	if !found {
		return api.Evidence{Class: fallback, Detail: "default"}, fallback != ""
	}
	return best.evidence(), true
}

// CompareRules orders rules by precedence, highest first, then To and From.
func CompareRules(a, b Rule) int {
	return cmp.Or(cmp.Compare(b.Precedence, a.Precedence), cmp.Compare(a.To, b.To), cmp.Compare(a.From, b.From))
}
