package graph

import "slices"

// callees lists the components that a component calls, each once.
func callees(g *digraph, c components, k int32) []int32 {
	var out []int32
	for _, v := range c.members[k] {
		for _, w := range g.out[v] {
			if c.of[w] != k {
				out = append(out, c.of[w])
			}
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// downstream lists a component and all components that it calls, directly or
// through others. A caller comes before its callees.
func downstream(g *digraph, c components, start int32) []int32 {
	type frame struct {
		part int32
		next []int32
	}
	seen := map[int32]bool{start: true}
	stack := []frame{{part: start, next: callees(g, c, start)}}
	var order []int32
	for len(stack) > 0 {
		top := &stack[len(stack)-1]
		if len(top.next) == 0 {
			order = append(order, top.part)
			stack = stack[:len(stack)-1]
			continue
		}
		k := top.next[0]
		top.next = top.next[1:]
		if !seen[k] {
			seen[k] = true
			stack = append(stack, frame{part: k, next: callees(g, c, k)})
		}
	}
	slices.Reverse(order)
	return order
}

func keys(set map[int32]bool) []int32 {
	out := make([]int32, 0, len(set))
	for k := range set {
		out = append(out, k)
	}
	slices.Sort(out)
	return out
}
