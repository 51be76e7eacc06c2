package graph_test

import (
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/shoenig/test/must"
	"pgregory.net/rapid"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/internal/graph"
)

// TestUpdate_IsAnalyse applies random changes one after the other and compares
// each outcome with an analysis from nothing.
func TestUpdate_IsAnalyse(t *testing.T) {
	t.Parallel()
	states := []api.EdgeState{api.EdgeConfirmed, api.EdgeObservedUndeclared, api.EdgeDeclaredOnly, api.EdgeDenied}
	rapid.Check(t, func(t *rapid.T) {
		d := draw(t)
		a := graph.Analyse(d.services, d.edges)
		for range rapid.IntRange(1, 12).Draw(t, "changes") {
			var change api.GraphChange
			for range rapid.IntRange(0, 3).Draw(t, "edges") {
				from, to := rapid.IntRange(0, len(d.services)).Draw(t, "from"), rapid.IntRange(0, len(d.services)-1).Draw(t, "to")
				if from == to || slices.ContainsFunc(change.Edges, func(e api.Edge) bool { return e.From == name(from) && e.To == name(to) }) {
					continue
				}
				change.Edges = append(change.Edges, edge(name(from), name(to), rapid.SampledFrom(states).Draw(t, "state")))
			}
			if len(d.edges) > 0 && rapid.Bool().Draw(t, "remove") {
				e := d.edges[rapid.IntRange(0, len(d.edges)-1).Draw(t, "which")]
				if !slices.ContainsFunc(change.Edges, func(o api.Edge) bool { return o.From == e.From && o.To == e.To }) {
					change.RemoveEdges = append(change.RemoveEdges, [2]string{e.From, e.To})
				}
			}
			if rapid.IntRange(0, 4).Draw(t, "service") == 0 {
				s := d.services[rapid.IntRange(0, len(d.services)-1).Draw(t, "changed")]
				s.Instances, s.Nodes = 1, []string{"moved"}
				change.Services = []api.Service{s}
			}
			d.apply(change)
			a.Update(change)
			fresh := graph.Analyse(d.services, d.edges)
			must.Eq(t, "", cmp.Diff(fresh.Criticality(), a.Criticality()))
			must.Eq(t, fresh.Entries(), a.Entries())
			want, _ := fresh.Impact(d.services[0].Name)
			got, _ := a.Impact(d.services[0].Name)
			must.Eq(t, "", cmp.Diff(want, got))
			must.Eq(t, fresh.Neighbours(d.services[0].Name), a.Neighbours(d.services[0].Name))
		}
	})
}

func (d *drawn) apply(c api.GraphChange) {
	for _, s := range c.Services {
		d.services[d.id(s.Name)] = s
	}
	gone := func(e api.Edge) bool {
		return slices.Contains(c.RemoveEdges, [2]string{e.From, e.To}) ||
			slices.ContainsFunc(c.Edges, func(o api.Edge) bool { return o.From == e.From && o.To == e.To })
	}
	d.edges = append(slices.DeleteFunc(d.edges, gone), c.Edges...)
}
