package service

import (
	"slices"
	"sync"
	"time"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/internal/graph"
)

// GraphCache is the recorded graph with its analysis, which is brought up to
// date once for each change of the graph. Its methods may be called at any time
// from any goroutine.
type GraphCache struct {
	store GraphStore

	mu       sync.Mutex
	analysis *graph.Analysis // nil until somebody asks
	graph    api.Graph       // what analysis is of
	targets  []api.Target    // of graph; nil until somebody asks
	index    uint64          // of the last change that is in graph
	// chains are the services that each target depends on, or that depend on it; by target,
	// of those that somebody has asked about.
	chains map[api.TargetRef]map[string]bool
}

// NewGraphCache returns the graph of a store.
func NewGraphCache(store GraphStore) *GraphCache { return &GraphCache{store: store} }

// read calls use with the present graph and its analysis. use must not keep the
// analysis, nor change the graph.
func (c *GraphCache) read(use func(api.Graph, *graph.Analysis)) {
	index := c.store.IndexOf(api.TopicGraph) // before the graph: it may be newer, never older
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case c.analysis == nil:
		c.graph, c.analysis = graph.View(c.store.Graph())
		c.targets, c.chains = nil, nil
	case c.index != index:
		c.graph = c.analysis.Review(c.graph, c.store.Graph())
		c.targets, c.chains = nil, nil
	}
	c.index = index
	use(c.graph, c.analysis)
}

// Current returns the graph with criticality, and its targets. Both are shared
// with others who ask, and must not be changed.
func (c *GraphCache) Current() (g api.Graph, targets []api.Target) {
	c.read(func(present api.Graph, _ *graph.Analysis) {
		if c.targets == nil {
			c.targets = make([]api.Target, len(present.Targets))
			for i, t := range present.Targets {
				c.targets[i] = t.Target
			}
		}
		g, targets = present, c.targets
	})
	return g, targets
}

// Impact says what would suffer without a service. It reports false when the
// graph does not know the service.
func (c *GraphCache) Impact(service string) (out api.GraphImpact, ok bool) {
	c.read(func(_ api.Graph, a *graph.Analysis) { out, ok = a.Impact(service) })
	return out, ok
}

// Without says what would suffer if a node, a rack or a volume were lost. It
// reports false when no service stands there.
func (c *GraphCache) Without(place string) (out api.GraphWithout, ok bool) {
	c.read(func(_ api.Graph, a *graph.Analysis) { out, ok = a.Without(place) })
	return out, ok
}

// Neighbours names the services that an edge joins to a target's services,
// sorted.
func (c *GraphCache) Neighbours(ref api.TargetRef) []string {
	t, ok := c.store.Target(ref)
	if !ok {
		return nil
	}
	var names []string
	c.read(func(_ api.Graph, a *graph.Analysis) {
		for _, s := range t.Services {
			names = append(names, a.Neighbours(s)...)
		}
	})
	slices.Sort(names)
	return slices.Compact(names)
}

// Adjacent reports whether an edge joins two targets.
func (c *GraphCache) Adjacent(a, b api.TargetRef) bool {
	other, ok := c.store.Target(b)
	if !ok {
		return false
	}
	near := c.Neighbours(a)
	return slices.ContainsFunc(other.Services, func(s string) bool { return slices.Contains(near, s) })
}

// Chained reports whether one of two targets depends on the other, directly or through
// others, over certain edges.
func (c *GraphCache) Chained(a, b api.TargetRef) bool {
	one, ok := c.store.Target(a)
	other, known := c.store.Target(b)
	if !ok || !known {
		return false
	}
	chained := false
	c.read(func(_ api.Graph, analysis *graph.Analysis) {
		chain, ok := c.chains[b]
		if !ok {
			chain = map[string]bool{}
			for _, s := range other.Services {
				for _, name := range analysis.Chained(s) {
					chain[name] = true
				}
			}
			if c.chains == nil {
				c.chains = map[api.TargetRef]map[string]bool{}
			}
			c.chains[b] = chain
		}
		chained = slices.ContainsFunc(one.Services, func(s string) bool { return chain[s] })
	})
	return chained
}

// Depends lists the targets that one depends on, directly or through others, and those that
// depend on it, over possible edges. A target may be in both.
func (c *GraphCache) Depends(ref api.TargetRef) (callees, callers []api.TargetRef) {
	t, ok := c.store.Target(ref)
	if !ok {
		return nil, nil
	}
	c.read(func(_ api.Graph, a *graph.Analysis) {
		for _, s := range t.Services {
			below, above := a.Depends(s)
			callees, callers = append(callees, below...), append(callers, above...)
		}
	})
	itself := func(o api.TargetRef) bool { return o == ref }
	return slices.DeleteFunc(callees, itself), slices.DeleteFunc(callers, itself)
}

// Around lists the targets that an edge joins to a target, its callers first.
func (c *GraphCache) Around(ref api.TargetRef) []api.Target {
	t, ok := c.store.Target(ref)
	if !ok {
		return nil
	}
	var refs []api.TargetRef
	c.read(func(_ api.Graph, a *graph.Analysis) {
		for _, s := range t.Services {
			refs = append(refs, a.Around(s)...)
		}
	})
	var out []api.Target
	listed := map[api.TargetRef]bool{ref: true}
	for _, near := range refs {
		if target, ok := c.store.Target(near); ok && !listed[near] {
			listed[near] = true
			out = append(out, target)
		}
	}
	return out
}

// Gone reports whether Nomad no longer has a target. It is false while a part of what
// Nomad runs is not known.
func (c *GraphCache) Gone(ref api.TargetRef) bool {
	whole := slices.ContainsFunc(c.store.Sources(), func(s api.SourceStatus) bool {
		return s.Name == graph.SourcePlacement && s.State() == api.SourceWhole
	})
	_, has := c.store.Target(ref)
	return whole && !has
}

// Attempts lists the calls of a target's services that are denied and were first
// tried after since. It is false when the graph does not have the target.
func (c *GraphCache) Attempts(ref api.TargetRef, since time.Time) (out []api.Attempt, known bool) {
	t, ok := c.store.Target(ref)
	if !ok {
		return nil, false
	}
	c.read(func(g api.Graph, _ *graph.Analysis) { out = graph.Attempts(g.Edges, t.Services, since) })
	return out, true
}
