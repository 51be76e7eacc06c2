package graph_test

import (
	"fmt"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/shoenig/test/must"
	"gonum.org/v1/gonum/graph/flow"
	"gonum.org/v1/gonum/graph/simple"
	"gonum.org/v1/gonum/graph/topo"
	"pgregory.net/rapid"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/internal/graph"
)

// drawn is a random application: n services with ids, and the edges by id.
type drawn struct {
	services []api.Service
	edges    []api.Edge
}

func name(i int) string { return fmt.Sprintf("s%03d", i) }

func draw(t *rapid.T) drawn {
	n := rapid.IntRange(1, 24).Draw(t, "n")
	states := []api.EdgeState{api.EdgeConfirmed, api.EdgeConfirmed, api.EdgeObservedUndeclared, api.EdgeDeclaredOnly, api.EdgeDenied, api.EdgeShared}
	var d drawn
	for i := range n {
		d.services = append(d.services, api.Service{Name: name(i), Instances: rapid.IntRange(0, 3).Draw(t, "instances"),
			Nodes: []string{fmt.Sprint(rapid.IntRange(0, 5).Draw(t, "node"))}})
	}
	seen := map[graph.Pair]bool{}
	for range rapid.IntRange(0, 3*n).Draw(t, "edges") {
		from, to := rapid.IntRange(0, n-1).Draw(t, "from"), rapid.IntRange(0, n-1).Draw(t, "to")
		pair := graph.Pair{From: name(from), To: name(to)}
		if from == to || seen[pair] {
			continue
		}
		seen[pair] = true
		d.edges = append(d.edges, edge(pair.From, pair.To, rapid.SampledFrom(states).Draw(t, "state")))
	}
	return d
}

func (d drawn) gonum(keep func(api.EdgeState) bool) *simple.DirectedGraph {
	g := simple.NewDirectedGraph()
	for i := range d.services {
		g.AddNode(simple.Node(i))
	}
	for _, e := range d.edges {
		if keep(e.State) {
			g.SetEdge(simple.Edge{F: simple.Node(d.id(e.From)), T: simple.Node(d.id(e.To))})
		}
	}
	return g
}

func (d drawn) id(service string) int64 {
	return int64(slices.IndexFunc(d.services, func(s api.Service) bool { return s.Name == service }))
}

// TestAnalyse_AgreesWithGonum compares components, entries, blast radius and
// dominators with an independent library, service by service.
func TestAnalyse_AgreesWithGonum(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		d := draw(t)
		a := graph.Analyse(d.services, d.edges)
		certain, possible := d.gonum(api.EdgeState.Certain), d.gonum(api.EdgeState.Possible)

		for _, part := range topo.TarjanSCC(certain) {
			first := int64(len(d.services))
			for _, v := range part {
				first = min(first, v.ID())
			}
			for _, v := range part {
				c, _ := a.Service(name(int(v.ID())))
				must.Eq(t, int(first)+1, c.Component)
			}
		}
		var entries []string
		for _, part := range topo.TarjanSCC(possible) {
			inside := map[int64]bool{}
			for _, v := range part {
				inside[v.ID()] = true
			}
			called := false
			for _, v := range part {
				for from := possible.To(v.ID()); from.Next(); {
					called = called || !inside[from.Node().ID()]
				}
			}
			for _, v := range part {
				if !called {
					entries = append(entries, name(int(v.ID())))
				}
			}
		}
		slices.Sort(entries)
		must.Eq(t, entries, a.Entries())

		for i, s := range d.services {
			c, _ := a.Service(s.Name)
			var radius, most []string
			for j, o := range d.services {
				if i != j && topo.PathExistsIn(certain, simple.Node(j), simple.Node(i)) {
					radius = append(radius, o.Name)
				}
				if i != j && topo.PathExistsIn(possible, simple.Node(j), simple.Node(i)) {
					most = append(most, o.Name)
				}
			}
			must.Eq(t, "", cmp.Diff(radius, c.Dependants))
			must.Eq(t, len(radius), c.BlastRadius)
			must.Eq(t, len(most), c.BlastRadiusMax)
		}
		checkDominators(t, d, a, certain, entries)
	})
}

func checkDominators(t *rapid.T, d drawn, a *graph.Analysis, certain *simple.DirectedGraph, entries []string) {
	root := simple.Node(len(d.services))
	certain.AddNode(root)
	for _, e := range entries {
		certain.SetEdge(simple.Edge{F: root, T: simple.Node(d.id(e))})
	}
	tree := flow.Dominators(root, certain)
	want := map[string][]string{}
	for i, s := range d.services {
		up := tree.DominatorOf(int64(i))
		for up != nil && up.ID() != root.ID() {
			by := name(int(up.ID()))
			want[by] = append(want[by], s.Name)
			up = tree.DominatorOf(up.ID())
		}
	}
	for _, s := range d.services {
		c, _ := a.Service(s.Name)
		must.Eq(t, "", cmp.Diff(want[s.Name], c.Dominates))
		must.Eq(t, len(want[s.Name]) > 0 || (s.Instances == 1 && c.BlastRadius > 0), c.SinglePoint)
	}
}

// TestAnalyse_IgnoresOrder shuffles the input and expects the same output.
func TestAnalyse_IgnoresOrder(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		d := draw(t)
		want := graph.Analyse(d.services, d.edges).Criticality()
		got := graph.Analyse(rapid.Permutation(d.services).Draw(t, "services"), rapid.Permutation(d.edges).Draw(t, "order")).Criticality()
		must.Eq(t, "", cmp.Diff(want, got))
		for _, c := range got {
			sum := 0.0
			for _, p := range c.Parts {
				sum += p.Value
			}
			must.InDelta(t, sum, c.Score, 1e-9)
			must.Between(t, 0, c.Score, 1)
		}
	})
}
