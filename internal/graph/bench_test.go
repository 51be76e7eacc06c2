package graph_test

import (
	"fmt"
	"math/rand/v2"
	"runtime"
	"testing"
	"time"

	"github.com/shoenig/test/must"
	graphs "gonum.org/v1/gonum/graph"
	"gonum.org/v1/gonum/graph/flow"
	"gonum.org/v1/gonum/graph/simple"
	"gonum.org/v1/gonum/graph/topo"

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

// BenchmarkGraphAnalyse measures a whole analysis. x_gonum is the time of the two
// parts that gonum has too, components and dominators of the certain edges, over
// gonum's for the same graph in the same run; x_gonum_whole is that of all of the
// analysis, with the blast radius of every service and what is read from it.
func BenchmarkGraphAnalyse(b *testing.B) {
	for _, c := range []struct {
		name                       string
		services, edges, instances int
	}{{"1k", 1_000, 10_000, 50_000}, {"5k", 5_000, 50_000, 250_000}, {"20k", 20_000, 200_000, 1_000_000}, {"68k", 67_760, 400_000, 1_866_091}} {
		b.Run(c.name, func(b *testing.B) {
			services, edges := synthetic(c.services, c.edges, c.instances)
			certain, root := certainGonum(services, edges)
			var whole, ours, theirs time.Duration
			b.ReportAllocs()
			for b.Loop() {
				began := time.Now()
				a := graph.Analyse(services, edges)
				whole += time.Since(began)
				b.StopTimer()
				runtime.GC() // neither pays for what the analysis left behind
				began = time.Now()
				parts, _ := a.Structure()
				ours += time.Since(began)
				began = time.Now()
				found := topo.TarjanSCC(certain)
				flow.Dominators(root, certain)
				theirs += time.Since(began)
				must.Len(b, parts+1, found) // the root is one by itself
				b.StartTimer()
			}
			b.ReportMetric(ours.Seconds()/theirs.Seconds(), "x_gonum")
			b.ReportMetric(whole.Seconds()/theirs.Seconds(), "x_gonum_whole")
		})
	}
}

// certainGonum is the graph of certain edges as gonum holds it, with a node that
// stands before all entries.
func certainGonum(services []api.Service, edges []api.Edge) (*simple.DirectedGraph, graphs.Node) {
	g := simple.NewDirectedGraph()
	ids := make(map[string]int64, len(services))
	for i, s := range services {
		ids[s.Name] = int64(i)
		g.AddNode(simple.Node(i))
	}
	for _, e := range edges {
		if e.State.Certain() {
			g.SetEdge(simple.Edge{F: simple.Node(ids[e.From]), T: simple.Node(ids[e.To])})
		}
	}
	root := simple.Node(len(services))
	g.AddNode(root)
	for _, name := range graph.Analyse(services, edges).Entries() {
		g.SetEdge(simple.Edge{F: root, T: simple.Node(ids[name])})
	}
	return g, root
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
