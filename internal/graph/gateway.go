package graph

import (
	"slices"

	"github.com/oakumhq/oakum/api"
)

// gatewayLoss is the loss of one gateway. A gateway is no end of the edges that run
// through it, so dominators and radii do not contain it. Its loss is computed by a
// walk over the graph without those edges, once for each gateway.
type gatewayLoss struct {
	certain, possible []int32 // who depends on it, ascending
	dominated         []int32 // what no entry reaches without it, ascending
}

// through collects the gateways of every edge that has some.
func (a *Analysis) through(edges []api.Edge) {
	a.via, a.gateways = make(map[[2]int32][]int32), make(map[int32]bool)
	for _, e := range edges {
		if e.From == e.To {
			continue
		}
		for _, name := range e.Via {
			pair := [2]int32{a.ids[e.From], a.ids[e.To]}
			a.via[pair] = append(a.via[pair], a.ids[name])
			a.gateways[a.ids[name]] = true
		}
	}
}

// gatewayLosses computes the loss of every gateway and returns the gateways whose loss
// has changed.
func (a *Analysis) gatewayLosses() []int32 {
	before := a.losses
	a.losses = make(map[int32]gatewayLoss)
	passes := make(map[int32][][2]int32)
	for pair, list := range a.via {
		if a.states[pair].Possible() {
			for _, g := range list {
				passes[g] = append(passes[g], pair)
			}
		}
	}
	var changed []int32
	for g, pairs := range passes {
		a.losses[g] = a.gateway(g, pairs)
		if old, ok := before[g]; !ok || !slices.Equal(old.certain, a.losses[g].certain) ||
			!slices.Equal(old.possible, a.losses[g].possible) || !slices.Equal(old.dominated, a.losses[g].dominated) {
			changed = append(changed, g)
		}
	}
	for g := range before {
		if _, ok := a.losses[g]; !ok {
			changed = append(changed, g)
		}
	}
	return changed
}

func (a *Analysis) gateway(g int32, pairs [][2]int32) gatewayLoss {
	var certain, possible []int32
	for _, pair := range pairs {
		if a.states[pair].Certain() {
			certain = append(certain, pair[0])
		}
		possible = append(possible, pair[0])
	}
	out := gatewayLoss{certain: reachAll(a.certain.in, append(certain, g), g), possible: reachAll(a.possible.in, append(possible, g), g)}
	whole, without := a.fromEntries(nil, nil), a.fromEntries(map[int32]bool{g: true}, func(pair [2]int32) bool { return slices.Contains(a.via[pair], g) })
	for v, is := range whole {
		if is && !without[v] && int32(v) != g {
			out.dominated = append(out.dominated, int32(v))
		}
	}
	return out
}

// reachAll lists, ascending, the starts and every node that reaches one of them by
// next. It leaves out skip.
func reachAll(next [][]int32, starts []int32, skip int32) []int32 {
	seen := make([]bool, len(next))
	stack := make([]int32, 0, len(starts))
	var found []int32
	visit := func(v int32) {
		if seen[v] {
			return
		}
		seen[v] = true
		stack = append(stack, v)
		if v != skip {
			found = append(found, v)
		}
	}
	for _, v := range starts {
		visit(v)
	}
	for len(stack) > 0 {
		v := stack[len(stack)-1]
		stack = stack[:len(stack)-1]
		for _, w := range next[v] {
			visit(w)
		}
	}
	slices.Sort(found)
	return found
}

// fromEntries marks the nodes that the entries reach over certain edges, without the
// nodes in down and without lost edges. lost may be nil.
func (a *Analysis) fromEntries(down map[int32]bool, lost func(pair [2]int32) bool) []bool {
	seen := make([]bool, len(a.names))
	var stack []int32
	visit := func(v int32) {
		if !seen[v] && !down[v] {
			seen[v] = true
			stack = append(stack, v)
		}
	}
	for v, is := range a.entry {
		if is {
			visit(int32(v))
		}
	}
	for len(stack) > 0 {
		v := stack[len(stack)-1]
		stack = stack[:len(stack)-1]
		for _, w := range a.certain.out[v] {
			if lost == nil || !lost([2]int32{v, w}) {
				visit(w)
			}
		}
	}
	return seen
}
