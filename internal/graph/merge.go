package graph

import (
	"cmp"
	"slices"
	"time"

	"github.com/oakumhq/oakum/api"
)

// SourcePolicy is the source of evidence that people declare in a policy. Such
// evidence is about traffic that no mesh can see, so no intention overrules it.
const SourcePolicy = "policy"

// SourcePlacement is the source of targets: what Nomad runs, and where.
const SourcePlacement = "nomad-placement"

// Pair is an ordered pair of services: From depends on To.
type Pair struct {
	From, To string
}

// Compare orders pairs by From, then To.
func (p Pair) Compare(o Pair) int {
	return cmp.Or(cmp.Compare(p.From, o.From), cmp.Compare(p.To, o.To))
}

// Flow is the observed traffic from one service to another within one window. Its
// evidence says how much there was and which source saw it. An Attempt is traffic
// that was refused.
type Flow struct {
	From, To string
	// Raw says that From and To are no names of services. They are addresses, or
	// labels that hold an allocation's ID, and the mapper translates them.
	Raw      bool
	Evidence api.Evidence
}

// Terms are the things besides its evidence that the state of a pair depends on.
type Terms struct {
	Now        time.Time
	StaleAfter time.Duration // without traffic a declaration is stale after this time; 0 means never
	Watched    time.Time     // since when traffic is watched; zero when it is not
	Unseen     bool          // traffic should be watched, and no source ever reported any
	Hidden     bool          // some permissions are hidden, so only exact rules can be trusted
}

// Merge folds the evidence of each pair into an edge. It leaves out a pair that
// only a wildcard or a default permits, and a pair of a service with itself. The
// result is sorted by From and To.
func Merge(evidence map[Pair][]api.Evidence, terms Terms) []api.Edge {
	edges := make([]api.Edge, 0, len(evidence))
	for pair, list := range evidence {
		if pair.From == pair.To || pair.From == "" || pair.To == "" {
			continue
		}
		state, ok := StateOf(list, terms)
		if !ok {
			continue
		}
		edges = append(edges, api.Edge{From: pair.From, To: pair.To, State: state, Evidence: fold(list)})
	}
	slices.SortFunc(edges, compareEdges)
	return edges
}

// weighed says which kinds of evidence one pair has.
type weighed struct {
	observed, onMesh  bool // seen at all; seen by the mesh
	attempted         bool // refused attempts were seen
	allowed, denied   bool // by the governing permission
	ruled, ruledExact bool // that is a rule rather than the default; one that names both ends
	named, inPolicy   bool // declared or exactly allowed; by people, in a policy
	shared            bool
	since             time.Time // when the newest of the names began to hold
}

func weigh(list []api.Evidence) weighed {
	var w weighed
	name := func(e api.Evidence) {
		w.named = true
		if e.FirstSeen.After(w.since) {
			w.since = e.FirstSeen
		}
	}
	for _, e := range list {
		switch e.Class {
		case api.EvidenceObserved:
			w.observed, w.onMesh = true, w.onMesh || !e.OffMesh
		case api.EvidenceDenied:
			if e.Attempt {
				w.attempted = true
				continue
			}
			w.denied, w.ruled, w.ruledExact = true, e.Detail != DefaultDetail, e.Exact
		case api.EvidenceDeclared:
			name(e)
			w.inPolicy = w.inPolicy || e.Source == SourcePolicy
		case api.EvidenceAllowed:
			w.allowed, w.ruled, w.ruledExact = true, e.Detail != DefaultDetail, e.Exact
			if e.Exact {
				name(e)
			}
		case api.EvidenceShared:
			w.shared = true
		}
	}
	return w
}

// StateOf returns the state of a pair with some evidence. It returns false when no
// evidence is worth an edge.
//
// With observed traffic the state is the first that fits:
//
//   - observed_off_mesh: the traffic was seen outside of the mesh, where no rule applies
//   - observed_denied: a rule forbids the pair
//   - confirmed: the pair is declared, or allowed by an exact rule
//   - observed_undeclared: anything else
//
// Without traffic, a refused attempt that nothing allows makes denied_attempted. A
// denial makes denied. A denial is stronger than a declaration, since the mesh refuses
// the connection. A declaration in a policy is stronger than a denial, since it is
// about traffic that no mesh can see. Two pairs are unknown: a denied pair that a
// hidden rule may allow, and a declared pair while no source of traffic has ever
// answered.
func StateOf(list []api.Evidence, terms Terms) (api.EdgeState, bool) {
	w := weigh(list)
	denied := w.denied && !w.inPolicy && (w.ruledExact || !terms.Hidden)
	switch {
	case w.observed && !w.onMesh && !w.named && !w.ruled:
		return api.EdgeObservedOffMesh, true
	case w.observed && denied:
		return api.EdgeObservedDenied, true
	case w.observed && w.named:
		return api.EdgeConfirmed, true
	case w.observed:
		return api.EdgeObservedUndeclared, true
	case w.attempted && !w.allowed && !w.inPolicy:
		return api.EdgeDeniedAttempted, true
	case denied:
		return api.EdgeDenied, true
	case w.named:
		return w.unobserved(terms), true
	case w.shared:
		return api.EdgeShared, true
	}
	return "", false
}

// unobserved is the state of a declared or allowed pair without traffic.
func (w weighed) unobserved(terms Terms) api.EdgeState {
	switch {
	case w.inPolicy:
		return api.EdgeDeclaredOnly
	case terms.Unseen || (w.denied && terms.Hidden):
		return api.EdgeUnknown
	case terms.StaleAfter > 0 && !terms.Watched.IsZero() &&
		terms.Now.Sub(w.since) > terms.StaleAfter && terms.Now.Sub(terms.Watched) > terms.StaleAfter:
		return api.EdgeDeclaredStale
	}
	return api.EdgeDeclaredOnly
}

// fold sorts evidence by source, class and detail and joins equal ones: the times
// of the first and the last sight widen, and rates add up.
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
	a.Exact, a.Conditional, a.OffMesh = a.Exact || b.Exact, a.Conditional && b.Conditional, a.OffMesh && b.OffMesh
	if all := a.RequestsPerSecond + b.RequestsPerSecond; all > 0 {
		a.LatencySeconds = (a.LatencySeconds*a.RequestsPerSecond + b.LatencySeconds*b.RequestsPerSecond) / all
	}
	a.BytesPerSecond += b.BytesPerSecond
	a.RequestsPerSecond += b.RequestsPerSecond
	a.ErrorsPerSecond += b.ErrorsPerSecond
	a.Connections += b.Connections
	if b.Endpoints > a.Endpoints {
		a.Endpoints, a.Healthy = b.Endpoints, b.Healthy
	}
	if a.FirstSeen.IsZero() || (!b.FirstSeen.IsZero() && b.FirstSeen.Before(a.FirstSeen)) {
		a.FirstSeen = b.FirstSeen
	}
	if b.LastSeen.After(a.LastSeen) {
		a.LastSeen, a.Days = b.LastSeen, b.Days
	}
	return a
}

// CompareEvidence orders evidence by source, class and detail. It returns zero
// when both state the same fact.
func CompareEvidence(a, b api.Evidence) int {
	return cmp.Or(cmp.Compare(a.Source, b.Source), cmp.Compare(a.Class, b.Class), cmp.Compare(a.Detail, b.Detail))
}

func compareEdges(a, b api.Edge) int {
	return cmp.Or(cmp.Compare(a.From, b.From), cmp.Compare(a.To, b.To))
}
