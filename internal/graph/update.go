package graph

import (
	"slices"

	"github.com/oakumhq/oakum/api"
)

// maxSteps is how many edges Update changes one by one. For more edges a new
// analysis is cheaper: a step takes up to some milliseconds in a large graph, and
// a new analysis less than a second.
const maxSteps = 64

// Update updates the analysis with a change. The result equals Analyse on the
// changed graph. Only what the change touches is computed again, unless it makes
// or breaks a cycle, or a name comes or goes.
func (a *Analysis) Update(change api.GraphChange) {
	if !a.stepwise(change) {
		a.rebuild(change)
		return
	}
	dirty := make(map[int32]bool)
	moved := false
	for _, s := range change.Services {
		v := a.ids[s.Name]
		moved = moved || !slices.Equal(a.services[v].Nodes, s.Nodes) || !slices.Equal(a.services[v].Racks, s.Racks)
		a.services[v] = s
		dirty[v] = true
	}
	if moved {
		a.place(dirty)
	}
	trees := false
	for _, pair := range change.RemoveEdges {
		if !a.step(a.ids[pair[0]], a.ids[pair[1]], "", dirty, &trees) {
			a.rebuild(change)
			return
		}
	}
	for _, e := range change.Edges {
		if !a.step(a.ids[e.From], a.ids[e.To], e.State, dirty, &trees) {
			a.rebuild(change)
			return
		}
	}
	if trees {
		a.rebuildTree(dirty)
	}
	if len(a.via) > 0 && len(change.Edges)+len(change.RemoveEdges) > 0 {
		for _, g := range a.gatewayLosses() {
			dirty[g] = true
		}
	}
	for v := range dirty {
		a.rated[v] = a.rate(v)
	}
}

// stepwise reports whether a change can be taken step by step.
func (a *Analysis) stepwise(change api.GraphChange) bool {
	if !a.certainRadii.kept() || len(change.Edges)+len(change.RemoveEdges) > maxSteps || len(change.RemoveServices) > 0 {
		return false
	}
	for _, s := range change.Services {
		if v, ok := a.ids[s.Name]; !ok || !a.listed[v] {
			return false
		}
	}
	for _, e := range change.Edges {
		if !a.knows(e.From, e.To, false) || !a.sameWay(e) {
			return false
		}
	}
	for _, pair := range change.RemoveEdges {
		if !a.knows(pair[0], pair[1], true) || a.gated(pair) { // a name may go with the edge
			return false
		}
	}
	return true
}

// sameWay reports whether an edge runs through the same gateways as before.
func (a *Analysis) sameWay(e api.Edge) bool {
	have := a.via[[2]int32{a.ids[e.From], a.ids[e.To]}]
	if len(have) != len(e.Via) {
		return false
	}
	for i, name := range e.Via {
		if a.names[have[i]] != name {
			return false
		}
	}
	return true
}

// gated reports whether an edge runs through a gateway.
func (a *Analysis) gated(pair [2]string) bool {
	return len(a.via[[2]int32{a.ids[pair[0]], a.ids[pair[1]]}]) > 0
}

// knows reports whether both ends have a number and will keep it.
func (a *Analysis) knows(from, to string, listed bool) bool {
	v, okFrom := a.ids[from]
	w, okTo := a.ids[to]
	return okFrom && okTo && v != w && (!listed || (a.listed[v] && a.listed[w]))
}

// rebuild applies a change and analyses the graph anew. Steps that were already
// made are part of the change.
func (a *Analysis) rebuild(change api.GraphChange) {
	services := make(map[string]api.Service, len(a.names))
	for v, s := range a.services {
		if a.listed[v] {
			services[s.Name] = s
		}
	}
	for _, s := range change.Services {
		services[s.Name] = s
	}
	for _, name := range change.RemoveServices {
		delete(services, name)
	}
	states := make(map[Pair]api.EdgeState, len(a.states))
	for ids, state := range a.states {
		states[Pair{From: a.names[ids[0]], To: a.names[ids[1]]}] = state
	}
	for _, pair := range change.RemoveEdges {
		delete(states, Pair{From: pair[0], To: pair[1]})
	}
	for _, e := range change.Edges {
		states[Pair{From: e.From, To: e.To}] = e.State
	}
	list := make([]api.Service, 0, len(services))
	for _, s := range services {
		list = append(list, s)
	}
	edges := make([]api.Edge, 0, len(states))
	via := a.viaNames(change)
	for pair, state := range states {
		edges = append(edges, api.Edge{From: pair.From, To: pair.To, State: state, Via: via[pair]})
	}
	*a = *Analyse(list, edges)
}

// viaNames returns the gateways of every edge after a change.
func (a *Analysis) viaNames(change api.GraphChange) map[Pair][]string {
	via := make(map[Pair][]string)
	for ids, list := range a.via {
		for _, g := range list {
			pair := Pair{From: a.names[ids[0]], To: a.names[ids[1]]}
			via[pair] = append(via[pair], a.names[g])
		}
	}
	for _, e := range change.Edges {
		via[Pair{From: e.From, To: e.To}] = e.Via
	}
	return via
}

// place computes the shared nodes again after some services have moved.
func (a *Analysis) place(dirty map[int32]bool) {
	before, nodes := a.shared, a.nodes
	racks := a.racks
	a.shared, a.nodes = shareNodes(a.services)
	a.racks = countRacks(a.services)
	for v := range a.shared {
		if (racks > 1) != (a.racks > 1) || (nodes > 1) != (a.nodes > 1) || !slices.Equal(before[v], a.shared[v]) {
			dirty[int32(v)] = true
		}
	}
}

// step changes the state of one edge; "" removes it. It marks in dirty the
// services whose rating may have changed, and sets trees when the dominators may
// have changed. It returns false when only a new analysis will do.
func (a *Analysis) step(from, to int32, state api.EdgeState, dirty map[int32]bool, trees *bool) bool {
	key := [2]int32{from, to}
	before := a.states[key]
	if state == "" {
		delete(a.states, key)
	} else {
		a.states[key] = state
	}
	if before.Possible() != state.Possible() {
		parts, ok := toggleEdge(a.possible, a.possibleParts, a.possibleRadii, from, to, state.Possible())
		if !ok {
			return false
		}
		mark(a.possibleParts, parts, dirty)
		*trees = a.enter(from) || *trees // a gateway between others may become an entry
		*trees = a.enter(to) || *trees
	}
	if before.Certain() != state.Certain() {
		parts, ok := toggleEdge(a.certain, a.certainParts, a.certainRadii, from, to, state.Certain())
		if !ok {
			return false
		}
		for _, k := range parts {
			a.dependants[k] = firstBits(nil, a.certainRadii.row(k), 0, -1, maxListed+1)
		}
		mark(a.certainParts, parts, dirty)
		*trees = *trees || a.treeMayChange(from, to, state.Certain())
	}
	return true
}

func mark(c components, parts []int32, dirty map[int32]bool) {
	for _, k := range parts {
		for _, v := range c.members[k] {
			dirty[v] = true
		}
	}
}

// enter decides again whether the members of a service's cycle are entries. It
// reports whether that has changed.
func (a *Analysis) enter(v int32) bool {
	k := a.possibleParts.of[v]
	called := calledFromOutside(a.possible, a.possibleParts, k)
	changed := false
	for _, w := range a.possibleParts.members[k] {
		entry := !called && !a.inBetween(w)
		changed = changed || a.entry[w] != entry
		a.entry[w] = entry
	}
	return changed
}

// treeMayChange reports whether an edge that was just added or removed may change the
// dominator tree. It may report a change that is none, but it never misses one:
//
//   - an edge from a node that no entry reaches is on no path
//   - an edge to a node that dominates its start is on no simple path
//   - a new edge keeps the tree when the end's dominator dominates the start
//   - a removed edge keeps the tree when its end is in no cycle and the other callers of the
//     end still meet at the same dominator, since those callers do not depend on the end
func (a *Analysis) treeMayChange(from, to int32, added bool) bool {
	t := a.tree
	if t.idom[from] < 0 {
		return false
	}
	if t.idom[to] < 0 {
		return true
	}
	meet := t.meet(from, to)
	if meet == to {
		return false
	}
	if added {
		return meet != t.idom[to]
	}
	if len(a.certainParts.members[a.certainParts.of[to]]) > 1 {
		return true
	}
	rest := int32(-1)
	if a.entry[to] {
		rest = int32(len(t.idom))
	}
	for _, u := range a.certain.in[to] {
		switch {
		case t.idom[u] < 0:
		case rest < 0:
			rest = u
		default:
			rest = t.meet(rest, u)
		}
	}
	return rest != t.idom[to]
}

// rebuildTree computes the dominators again and marks the services whose list has
// changed.
func (a *Analysis) rebuildTree(dirty map[int32]bool) {
	dominated, first := a.dominated, a.dominatedFirst
	a.dominate()
	for v := range a.dominated {
		if dominated[v] != a.dominated[v] || !slices.Equal(first[v], a.dominatedFirst[v]) {
			dirty[int32(v)] = true
		}
	}
}
