package graph

import (
	"cmp"
	"slices"

	"github.com/oakumhq/oakum/api"
)

// Diff returns the changes of edges and services between two graphs. A changed
// figure is no change. At most limit changes of each kind are listed; 0 means all.
func Diff(before, after api.Graph, limit int) api.GraphDelta {
	states := make(map[Pair]api.EdgeDelta, len(after.Edges))
	for _, e := range before.Edges {
		states[Pair{From: e.From, To: e.To}] = api.EdgeDelta{From: e.From, To: e.To, Before: e.State}
	}
	for _, e := range after.Edges {
		d := states[Pair{From: e.From, To: e.To}]
		states[Pair{From: e.From, To: e.To}] = api.EdgeDelta{From: e.From, To: e.To, Before: d.Before, After: e.State}
	}
	services := make(map[string]int)
	for _, s := range before.Services {
		services[s.Name]--
	}
	for _, s := range after.Services {
		services[s.Name]++
	}
	return listDelta(states, services, limit)
}

// Compose joins a series of changes, the oldest first, into one.
func Compose(deltas []api.GraphDelta) api.GraphDelta {
	states := make(map[Pair]api.EdgeDelta)
	services := make(map[string]int)
	truncated := false
	for _, d := range deltas {
		truncated = truncated || d.Truncated
		for _, e := range d.Edges {
			pair := Pair{From: e.From, To: e.To}
			if first, ok := states[pair]; ok {
				e.Before = first.Before
			}
			states[pair] = e
		}
		for _, name := range d.Added {
			services[name]++
		}
		for _, name := range d.Removed {
			services[name]--
		}
	}
	out := listDelta(states, services, 0)
	out.Truncated = truncated
	return out
}

func listDelta(states map[Pair]api.EdgeDelta, services map[string]int, limit int) api.GraphDelta {
	var out api.GraphDelta
	for _, d := range states {
		if d.Before != d.After {
			out.Edges = append(out.Edges, d)
		}
	}
	for name, n := range services {
		switch {
		case n > 0:
			out.Added = append(out.Added, name)
		case n < 0:
			out.Removed = append(out.Removed, name)
		}
	}
	slices.SortFunc(out.Edges, func(a, b api.EdgeDelta) int { return cmp.Or(cmp.Compare(a.From, b.From), cmp.Compare(a.To, b.To)) })
	slices.Sort(out.Added)
	slices.Sort(out.Removed)
	if limit > 0 {
		out.Edges, out.Truncated = cut(out.Edges, limit, out.Truncated)
		out.Added, out.Truncated = cut(out.Added, limit, out.Truncated)
		out.Removed, out.Truncated = cut(out.Removed, limit, out.Truncated)
	}
	return out
}

func cut[T any](list []T, limit int, already bool) ([]T, bool) {
	if len(list) <= limit {
		return list, already
	}
	return list[:limit], true
}

// changes returns the change from one graph to another that the analysis depends
// on. It leaves figures and evidence out.
func changes(before, after api.Graph) api.GraphChange {
	var c api.GraphChange
	edges := make(map[Pair]*api.Edge, len(before.Edges))
	for i := range before.Edges {
		edges[Pair{From: before.Edges[i].From, To: before.Edges[i].To}] = &before.Edges[i]
	}
	for _, e := range after.Edges {
		pair := Pair{From: e.From, To: e.To}
		if old, ok := edges[pair]; !ok || old.State != e.State || !slices.Equal(old.Via, e.Via) {
			c.Edges = append(c.Edges, e)
		}
		delete(edges, pair)
	}
	for pair := range edges {
		c.RemoveEdges = append(c.RemoveEdges, [2]string{pair.From, pair.To})
	}
	services := make(map[string]*api.Service, len(before.Services))
	for i := range before.Services {
		services[before.Services[i].Name] = &before.Services[i]
	}
	for _, s := range after.Services {
		if old, ok := services[s.Name]; !ok || !alike(*old, s) {
			c.Services = append(c.Services, s)
		}
		delete(services, s.Name)
	}
	for name := range services {
		c.RemoveServices = append(c.RemoveServices, name)
	}
	return c
}

// alike reports whether the analysis rates two states of a service the same.
func alike(a, b api.Service) bool {
	return a.Kind == b.Kind && a.Instances == b.Instances && a.Healthy == b.Healthy &&
		slices.Equal(a.Nodes, b.Nodes) && slices.Equal(a.Racks, b.Racks) && slices.Equal(a.Volumes, b.Volumes)
}

// Review is View for a graph of which the analysis knows an earlier form. It
// updates the analysis of before, and computes only what the difference touches.
func (a *Analysis) Review(before, after api.Graph) api.Graph {
	if c := changes(before, after); len(c.Edges)+len(c.RemoveEdges)+len(c.Services)+len(c.RemoveServices) > 0 {
		a.Update(c)
	}
	after.Criticality = a.Criticality()
	after.Edges = a.redundancy(after.Edges)
	return after
}
