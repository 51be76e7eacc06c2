package graph_test

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/internal/graph"
)

// synthetic is an application as the published traces describe them: an eighth
// of the services are entries, calls go down layers, the callee is chosen with
// a heavy tail, and one edge in fifty goes back up within reach of small
// cycles. Instances are spread over a node for each service.
func synthetic(services, edges, instances int) ([]api.Service, []api.Edge) {
	rng := rand.New(rand.NewPCG(1, 2))
	list := make([]api.Service, services)
	for i := range list {
		count := instances / services
		s := api.Service{Name: fmt.Sprintf("svc-%06d", i), Instances: count, Healthy: count}
		for range count {
			s.Nodes = append(s.Nodes, fmt.Sprintf("node-%06d", rng.IntN(services)))
		}
		list[i] = s
	}
	seen := make(map[[2]int]bool, edges)
	out := make([]api.Edge, 0, edges)
	states := []api.EdgeState{api.EdgeConfirmed, api.EdgeConfirmed, api.EdgeConfirmed, api.EdgeObservedUndeclared, api.EdgeDeclaredOnly}
	for len(out) < edges {
		from := rng.IntN(services * 6 / 10)
		span := services - from - 1
		x := rng.Float64()
		to := from + 1 + int(x*x*float64(span))
		if rng.IntN(3) == 0 { // the heavy tail: shared services at the end
			to = services - 1 - int(x*x*x*float64(services/10))
		}
		if rng.IntN(5000) == 0 && from > 10 {
			to = from - 1 - rng.IntN(8)
		}
		if from == to || seen[[2]int{from, to}] {
			continue
		}
		seen[[2]int{from, to}] = true
		out = append(out, edge(list[from].Name, list[to].Name, states[rng.IntN(len(states))]))
	}
	return list, out
}

func BenchmarkGraphAnalyse(b *testing.B) {
	for _, c := range []struct {
		name                       string
		services, edges, instances int
	}{{"1k", 1_000, 10_000, 50_000}, {"5k", 5_000, 50_000, 250_000}, {"20k", 20_000, 200_000, 1_000_000}, {"68k", 67_760, 400_000, 1_866_091}} {
		b.Run(c.name, func(b *testing.B) {
			services, edges := synthetic(c.services, c.edges, c.instances)
			b.ReportAllocs()
			for b.Loop() {
				graph.Analyse(services, edges)
			}
		})
	}
}

// BenchmarkGraphUpdate changes one edge of the 20k graph at a time: existing
// edges go and come back, and lose and regain their proof.
func BenchmarkGraphUpdate(b *testing.B) {
	services, edges := synthetic(20_000, 200_000, 1_000_000)
	a := graph.Analyse(services, edges)
	rng := rand.New(rand.NewPCG(3, 4))
	b.ReportAllocs()
	var removed api.Edge
	for step := 0; b.Loop(); step++ {
		if step%2 == 1 {
			a.Update(api.GraphChange{Edges: []api.Edge{removed}})
			continue
		}
		removed = edges[rng.IntN(len(edges))]
		if step%4 == 0 {
			a.Update(api.GraphChange{RemoveEdges: [][2]string{{removed.From, removed.To}}})
		} else {
			weaker := removed
			weaker.State = api.EdgeDenied
			a.Update(api.GraphChange{Edges: []api.Edge{weaker}})
		}
	}
}
