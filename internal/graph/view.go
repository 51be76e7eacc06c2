package graph

import (
	"math"
	"slices"
	"time"

	"github.com/oakumhq/oakum/api"
)

// View fills what is worked out of a stored graph, and returns it with its
// analysis: Criticality, and the redundancy of each edge. The graph's own
// slices are not changed.
func View(g api.Graph) (api.Graph, *Analysis) {
	a := Analyse(g.Services, g.Edges)
	g.Criticality = a.Criticality()
	g.Edges = a.redundancy(g.Edges)
	return g, a
}

// redundancy says of each edge how much of the called service may be lost.
// Where the caller's proxy tells how many endpoints it would use, that count
// goes before the health checks'.
func (a *Analysis) redundancy(edges []api.Edge) []api.Edge {
	out := slices.Clone(edges)
	for i := range out {
		e := &out[i]
		s := a.services[a.ids[e.To]]
		r := api.Redundancy{Instances: s.Instances, Healthy: s.Healthy, Nodes: len(s.Nodes), Racks: len(s.Racks)}
		for _, evidence := range e.Evidence {
			if evidence.Endpoints > 0 {
				r.Healthy = evidence.Healthy
			}
		}
		if r != (api.Redundancy{}) {
			e.Redundancy = &r
		}
	}
	return out
}

// Age fills the confidence of every edge: 1 for traffic that was seen just now,
// half of it after each half-life, and 0 where none was ever seen. It returns
// a new slice.
func Age(edges []api.Edge, now time.Time, halfLife time.Duration) []api.Edge {
	out := slices.Clone(edges)
	for i := range out {
		out[i].Confidence = confidence(out[i].Evidence, now, halfLife)
	}
	return out
}

func confidence(list []api.Evidence, now time.Time, halfLife time.Duration) float64 {
	best := 0.0
	for _, e := range list {
		if e.Class != api.EvidenceObserved || e.LastSeen.IsZero() {
			continue
		}
		age := max(0, now.Sub(e.LastSeen))
		if halfLife <= 0 {
			best = 1
			continue
		}
		best = max(best, math.Exp2(-float64(age)/float64(halfLife)))
	}
	return round(best)
}
