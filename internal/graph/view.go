package graph

import (
	"math"
	"slices"
	"time"

	"github.com/oakumhq/oakum/api"
)

// View adds the computed parts to a stored graph: criticality, and the redundancy
// of each edge. It returns the graph with its analysis, and does not change the
// given graph's slices.
func View(g api.Graph) (api.Graph, *Analysis) {
	a := Analyse(g.Services, g.Edges)
	g.Criticality = a.Criticality()
	g.Edges = a.redundancy(g.Edges)
	return g, a
}

// redundancy adds to each edge how many instances, nodes and racks the called service
// has. When the caller's proxy reports how many endpoints it would use, that number
// replaces the number of healthy instances.
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

// Age sets the confidence of every edge. It is 1 for traffic that was seen just
// now, and halves with each half-life; it is 0 for an edge without traffic. Age
// returns a new slice.
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
