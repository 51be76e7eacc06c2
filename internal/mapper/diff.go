package mapper

import (
	"cmp"
	"maps"
	"reflect"
	"slices"
	"time"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/internal/graph"
)

// rateChange is the factor by which a rate must change to be recorded before its
// next refresh.
const rateChange = 2

// rateFloor is the rate, in bytes per second, below which a change means nothing:
// a few keep-alive packets.
const rateFloor = 100

const (
	// perEdge paces the refresh of a large graph to 100 edges, or 50 kB, a
	// second.
	perEdge = 10 * time.Millisecond
	// manyEdges is the number of edges above which figures are recorded with a
	// refresh only.
	manyEdges = 5_000
	// maxDelta bounds how many changes of each kind one recorded event lists.
	// Further changes are counted, and a diff over such an event says that it is
	// incomplete.
	maxDelta = 200
)

// diff returns the change that turns r into next. Rates and last sights move all
// the time, so it contains them only when they have moved far or are old.
func (r *recorded) diff(next *recorded, now time.Time, s settings) api.GraphChange {
	change := api.GraphChange{At: now}
	refresh := s.refresh // of the sources, which are few
	s = s.paced(len(next.edges))
	for pair, edge := range next.edges {
		if have, ok := r.edges[pair]; !ok || edgeChanged(have, edge, s) {
			change.Edges = append(change.Edges, edge)
		}
	}
	for pair := range r.edges {
		if _, ok := next.edges[pair]; !ok {
			change.RemoveEdges = append(change.RemoveEdges, [2]string{pair.From, pair.To})
		}
	}
	for name, service := range next.services {
		if have, ok := r.services[name]; !ok || !same(have, service) {
			change.Services = append(change.Services, service)
		}
	}
	for name := range r.services {
		if _, ok := next.services[name]; !ok {
			change.RemoveServices = append(change.RemoveServices, name)
		}
	}
	for ref, target := range next.targets {
		if have, ok := r.targets[ref]; !ok || !same(have, target) {
			change.Targets = append(change.Targets, target)
		}
	}
	for ref := range r.targets {
		if _, ok := next.targets[ref]; !ok {
			change.RemoveTargets = append(change.RemoveTargets, ref)
		}
	}
	for name, status := range next.sources {
		if have, ok := r.sources[name]; !ok || sourceChanged(have, status, now, refresh) {
			change.Sources = append(change.Sources, status)
		}
	}
	for name := range r.sources {
		if _, ok := next.sources[name]; !ok {
			change.RemoveSources = append(change.RemoveSources, name)
		}
	}
	sortChange(&change)
	if total(change) > 0 {
		if d := graph.Diff(r.graph(), next.graph(), maxDelta); !d.Empty() {
			change.Delta = &d
		}
	}
	return change
}

// sortChange sorts every list, so that the same facts make the same command.
func sortChange(c *api.GraphChange) {
	slices.SortFunc(c.Edges, func(a, b api.Edge) int {
		return cmp.Or(cmp.Compare(a.From, b.From), cmp.Compare(a.To, b.To))
	})
	slices.SortFunc(c.RemoveEdges, func(a, b [2]string) int {
		return cmp.Or(cmp.Compare(a[0], b[0]), cmp.Compare(a[1], b[1]))
	})
	slices.SortFunc(c.Services, func(a, b api.Service) int { return cmp.Compare(a.Name, b.Name) })
	slices.Sort(c.RemoveServices)
	slices.SortFunc(c.Targets, func(a, b api.Target) int { return a.Compare(b.TargetRef) })
	slices.SortFunc(c.RemoveTargets, func(a, b api.TargetRef) int { return a.Compare(b) })
	slices.Sort(c.RemoveSources)
	slices.SortFunc(c.Sources, func(a, b api.SourceStatus) int { return cmp.Compare(a.Name, b.Name) })
}

// edgeChanged reports whether an edge says something else, or has a figure that
// has moved far or is old.
func edgeChanged(have, next api.Edge, s settings) bool {
	if have.State != next.State || len(have.Evidence) != len(next.Evidence) || !slices.Equal(have.Via, next.Via) {
		return true
	}
	for i, e := range next.Evidence {
		h := have.Evidence[i]
		if graph.CompareEvidence(h, e) != 0 || h.Exact != e.Exact || h.Conditional != e.Conditional || h.LastSeen.IsZero() != e.LastSeen.IsZero() {
			return true
		}
		if e.LastSeen.Sub(h.LastSeen) > s.refresh || (s.figures && rateMoved(h.BytesPerSecond, e.BytesPerSecond)) {
			return true
		}
		if s.figures && (h.Endpoints != e.Endpoints || h.Healthy != e.Healthy) {
			return true
		}
	}
	return false
}

// paced makes records rarer in a large graph. An edge is about 500 bytes, so
// recording 200,000 edges once a minute would write two megabytes a second to the
// log.
func (s settings) paced(edges int) settings {
	s.refresh = max(s.refresh, time.Duration(edges)*perEdge)
	s.figures = edges <= manyEdges
	return s
}

// rateMoved reports whether a rate has changed by more than the factor.
func rateMoved(have, next float64) bool {
	low, high := min(have, next), max(have, next)
	return high > rateFloor && high > rateChange*low
}

// sourceChanged reports whether a source's status must be recorded. The wording of
// an error is no change. The last good answer, or the count of failures, is
// recorded again once it is older than refresh.
func sourceChanged(have, next api.SourceStatus, now time.Time, refresh time.Duration) bool {
	switch {
	case have.OK != next.OK, have.Partial != next.Partial, (have.Failures > 0) != (next.Failures > 0):
		return true
	case next.Failures > 0:
		return next.Failed.Sub(have.Failed) > refresh
	}
	return next.OK && now.Sub(have.LastOK) > refresh
}

// same reports whether two values are stored as the same. The store does not
// distinguish nil from empty.
func same(a, b any) bool { return reflect.DeepEqual(normal(a), normal(b)) }

// normal turns the empty slices and maps of a service or target into nil.
func normal(v any) any {
	switch x := v.(type) {
	case api.Service:
		x.Targets, x.Nodes = emptyNil(x.Targets), emptyNil(x.Nodes)
		x.Racks, x.Volumes = emptyNil(x.Racks), emptyNil(x.Volumes)
		return x
	case api.Target:
		x.Tasks, x.Services, x.Checked = emptyNil(x.Tasks), emptyNil(x.Services), emptyNil(x.Checked)
		if len(x.Meta) == 0 {
			x.Meta = nil
		}
		return x
	}
	return v
}

func emptyNil[T any](list []T) []T {
	if len(list) == 0 {
		return nil
	}
	return list
}

// split cuts a change into pieces of a bounded size; an empty change has none.
// Services and targets come before the edges that name them. The statuses of
// sources come last, so that a source is recorded as whole only after all its
// facts.
func split(c api.GraphChange) []api.GraphChange {
	var pieces []api.GraphChange
	cut := func(n int, fill func(piece *api.GraphChange, from, to int)) {
		for from := 0; from < n; from += chunk {
			piece := api.GraphChange{At: c.At}
			fill(&piece, from, min(from+chunk, n))
			pieces = append(pieces, piece)
		}
	}
	if total(c) == 0 {
		return nil
	}
	if total(c) <= chunk {
		return []api.GraphChange{c}
	}
	cut(len(c.RemoveSources), func(p *api.GraphChange, i, j int) { p.RemoveSources = c.RemoveSources[i:j] })
	var whole, lacking []api.SourceStatus
	for i := range c.Sources {
		if s := c.Sources[i]; s.State() == api.SourceWhole {
			whole = append(whole, s)
		} else {
			lacking = append(lacking, s)
		}
	}
	cut(len(lacking), func(p *api.GraphChange, i, j int) { p.Sources = lacking[i:j] })
	cut(len(c.Targets), func(p *api.GraphChange, i, j int) { p.Targets = c.Targets[i:j] })
	cut(len(c.Services), func(p *api.GraphChange, i, j int) { p.Services = c.Services[i:j] })
	cut(len(c.Edges), func(p *api.GraphChange, i, j int) { p.Edges = c.Edges[i:j] })
	cut(len(c.RemoveEdges), func(p *api.GraphChange, i, j int) { p.RemoveEdges = c.RemoveEdges[i:j] })
	cut(len(c.RemoveServices), func(p *api.GraphChange, i, j int) { p.RemoveServices = c.RemoveServices[i:j] })
	cut(len(c.RemoveTargets), func(p *api.GraphChange, i, j int) { p.RemoveTargets = c.RemoveTargets[i:j] })
	cut(len(whole), func(p *api.GraphChange, i, j int) { p.Sources = whole[i:j] })
	pieces[len(pieces)-1].Delta = c.Delta // the change is complete with the last of them
	return pieces
}

func total(c api.GraphChange) int {
	return len(c.Edges) + len(c.RemoveEdges) + len(c.Services) + len(c.RemoveServices) +
		len(c.Targets) + len(c.RemoveTargets) + len(c.Sources) + len(c.RemoveSources)
}

// graph returns the recorded graph in the form of the API, sorted. Tests use it.
func (r *recorded) graph() api.Graph {
	c := api.GraphChange{
		Edges:    slices.Collect(maps.Values(r.edges)),
		Services: slices.Collect(maps.Values(r.services)),
		Targets:  slices.Collect(maps.Values(r.targets)),
		Sources:  slices.Collect(maps.Values(r.sources)),
	}
	sortChange(&c)
	g := api.Graph{Edges: c.Edges, Services: c.Services, Sources: c.Sources}
	for _, t := range c.Targets {
		g.Targets = append(g.Targets, api.TargetView{Target: t})
	}
	return g
}
