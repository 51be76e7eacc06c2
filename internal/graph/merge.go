package graph

import (
	"cmp"
	"slices"

	"github.com/oakumhq/oakum/api"
)

// SourcePolicy names the evidence that people wrote down in a policy. It holds
// for what no mesh can see, and so an intention does not overrule it.
const SourcePolicy = "policy"

// Pair is an ordered pair of services: From depends on To.
type Pair struct {
	From, To string
}

// Compare orders pairs by From, then To.
func (p Pair) Compare(o Pair) int {
	return cmp.Or(cmp.Compare(p.From, o.From), cmp.Compare(p.To, o.To))
}

// Flow is traffic that was seen from one service to another within one window.
type Flow struct {
	From, To       string
	Detail         string // who told, for a person
	BytesPerSecond float64
}

// Merge folds the evidence of each pair into an edge. A pair that nothing but a
// wildcard or a default permits is no edge and is left out; so is a pair of a
// service with itself. The result is sorted by From and To.
func Merge(evidence map[Pair][]api.Evidence) []api.Edge {
	edges := make([]api.Edge, 0, len(evidence))
	for pair, list := range evidence {
		if pair.From == pair.To || pair.From == "" || pair.To == "" {
			continue
		}
		state, ok := StateOf(list)
		if !ok {
			continue
		}
		edges = append(edges, api.Edge{From: pair.From, To: pair.To, State: state, Evidence: fold(list)})
	}
	slices.SortFunc(edges, compareEdges)
	return edges
}

// StateOf says what all evidence of one pair means together. It reports false
// when there is none that makes the pair worth keeping.
//
// Traffic decides first: observed and forbidden is observed_denied, observed
// and named (declared or exactly allowed) is confirmed, observed otherwise is
// observed_undeclared. Without traffic a prohibition wins over a declaration
// (the mesh would refuse the connection) unless a policy declares the pair.
func StateOf(list []api.Evidence) (api.EdgeState, bool) {
	var observed, denied, named, written, shared bool
	for _, e := range list {
		switch e.Class {
		case api.EvidenceObserved:
			observed = true
		case api.EvidenceDenied:
			denied = true
		case api.EvidenceDeclared:
			named = true
			written = written || e.Source == SourcePolicy
		case api.EvidenceAllowed:
			named = named || e.Exact
		case api.EvidenceShared:
			shared = true
		}
	}
	switch {
	case observed && denied && !written:
		return api.EdgeObservedDenied, true
	case observed && named:
		return api.EdgeConfirmed, true
	case observed:
		return api.EdgeObservedUndeclared, true
	case denied && !written:
		return api.EdgeDenied, true
	case named:
		return api.EdgeDeclaredOnly, true
	case shared:
		return api.EdgeShared, true
	}
	return "", false
}

// fold sorts evidence by source, class and detail and joins what says the same
// thing twice: first and last sight widen, rates add up.
func fold(list []api.Evidence) []api.Evidence {
	sorted := slices.Clone(list)
	slices.SortStableFunc(sorted, CompareEvidence)
	out := sorted[:0]
	for _, e := range sorted {
		if n := len(out); n > 0 && CompareEvidence(out[n-1], e) == 0 {
			out[n-1] = join(out[n-1], e)
			continue
		}
		out = append(out, e)
	}
	return out
}

func join(a, b api.Evidence) api.Evidence {
	a.Exact = a.Exact || b.Exact
	a.BytesPerSecond += b.BytesPerSecond
	if a.FirstSeen.IsZero() || (!b.FirstSeen.IsZero() && b.FirstSeen.Before(a.FirstSeen)) {
		a.FirstSeen = b.FirstSeen
	}
	if b.LastSeen.After(a.LastSeen) {
		a.LastSeen = b.LastSeen
	}
	return a
}

// CompareEvidence orders evidence by source, class and detail; equal means that
// both state the same fact.
func CompareEvidence(a, b api.Evidence) int {
	return cmp.Or(cmp.Compare(a.Source, b.Source), cmp.Compare(a.Class, b.Class), cmp.Compare(a.Detail, b.Detail))
}

func compareEdges(a, b api.Edge) int {
	return cmp.Or(cmp.Compare(a.From, b.From), cmp.Compare(a.To, b.To))
}
