package graph

import "slices"

// dominators is the dominator tree of a digraph with a set of entries. A virtual
// root, numbered n, is the predecessor of all entries.
type dominators struct {
	idom  []int32 // immediate dominator, n for the root; -1 when no entry reaches the node
	depth []int32 // of the tree; the root has 0
}

// dominate computes the tree by the semi-NCA algorithm: semidominators over a
// depth-first tree, then the nearest common ancestor in the finished part.
func dominate(g *digraph, entry []bool) dominators {
	n := g.size()
	order, parent := preorder(g, entry)
	count := len(order)
	number := make([]int32, n) // node → preorder number, -1 when not reached
	for i := range number {
		number[i] = -1
	}
	for i, v := range order[1:] {
		number[v] = int32(i + 1)
	}
	semi, label, link := make([]int32, count), make([]int32, count), make([]int32, count)
	for i := range count {
		semi[i], label[i], link[i] = int32(i), int32(i), parent[i]
	}
	var path []int32
	for i := count - 1; i > 0; i-- {
		v := order[i]
		if entry[v] {
			semi[i] = 0
		}
		for _, u := range g.in[v] {
			if p := number[u]; p >= 0 {
				var best int32
				best, path = eval(p, int32(i), semi, label, link, path)
				semi[i] = min(semi[i], semi[best])
			}
		}
	}
	tree := make([]int32, count) // immediate dominator by preorder number
	d := dominators{idom: make([]int32, n), depth: make([]int32, n)}
	for i := range d.idom {
		d.idom[i] = -1
	}
	for i := 1; i < count; i++ {
		at := parent[i]
		for at > semi[i] {
			at = tree[at]
		}
		tree[i] = at
		v := order[i]
		if at == 0 {
			d.idom[v], d.depth[v] = int32(n), 1
		} else {
			d.idom[v], d.depth[v] = order[at], d.depth[order[at]]+1
		}
	}
	return d
}

// preorder visits every node that the entries reach. order[0] is the virtual root
// n. parent is indexed by the number in preorder.
func preorder(g *digraph, entry []bool) (order, parent []int32) {
	n := g.size()
	seen := make([]bool, n)
	order, parent = append(make([]int32, 0, n+1), int32(n)), append(make([]int32, 0, n+1), 0)
	type frame struct{ number, edge int32 }
	var stack []frame
	for root := range int32(n) {
		if !entry[root] || seen[root] {
			continue
		}
		seen[root] = true
		order, parent = append(order, root), append(parent, 0)
		stack = append(stack, frame{number: int32(len(order) - 1)})
		for len(stack) > 0 {
			top := &stack[len(stack)-1]
			list := g.out[order[top.number]]
			if int(top.edge) == len(list) {
				stack = stack[:len(stack)-1]
				continue
			}
			w := list[top.edge]
			top.edge++
			if !seen[w] {
				seen[w] = true
				order, parent = append(order, w), append(parent, top.number)
				stack = append(stack, frame{number: int32(len(order) - 1)})
			}
		}
	}
	return order, parent
}

// eval returns the node of least semidominator on the linked path above v: the
// nodes numbered above last are linked. It compresses the path as it goes.
func eval(v, last int32, semi, label, link, path []int32) (int32, []int32) {
	if v <= last {
		return v, path
	}
	path = path[:0]
	for at := v; link[at] > last; at = link[at] {
		path = append(path, at)
	}
	for _, at := range slices.Backward(path) {
		up := link[at]
		if semi[label[up]] < semi[label[at]] {
			label[at] = label[up]
		}
		link[at] = link[up]
	}
	return label[v], path
}

// meet is the nearest common ancestor of two nodes that the entries reach.
func (d dominators) meet(a, b int32) int32 {
	n := int32(len(d.idom))
	for a != b {
		switch {
		case a == n || b == n:
			return n
		case d.depth[a] >= d.depth[b]:
			a = d.idom[a]
		default:
			b = d.idom[b]
		}
	}
	return a
}

// listings returns, for each node, how many nodes it dominates and the first of
// them, ascending, up to limit.
func (d dominators) listings(limit int) (count []int32, first [][]int32) {
	n := len(d.idom)
	count, first = make([]int32, n), make([][]int32, n)
	deepest := int32(0)
	for _, x := range d.depth {
		deepest = max(deepest, x)
	}
	levels := make([][]int32, deepest+1)
	for v := range n {
		if d.idom[v] >= 0 {
			levels[d.depth[v]] = append(levels[d.depth[v]], int32(v))
		}
	}
	for depth := deepest; depth > 1; depth-- {
		for _, v := range levels[depth] {
			up := d.idom[v]
			count[up] += count[v] + 1
			first[up] = mergeFirst(first[up], insertFirst(first[v], v, limit), limit)
		}
	}
	return count, first
}

// insertFirst returns the sorted list with v in it, cut to limit.
func insertFirst(list []int32, v int32, limit int) []int32 {
	return mergeFirst(list, []int32{v}, limit)
}

// mergeFirst merges two sorted lists without common members, cut to limit.
func mergeFirst(a, b []int32, limit int) []int32 {
	if len(a) == 0 {
		return b[:min(len(b), limit)]
	}
	if len(b) == 0 {
		return a[:min(len(a), limit)]
	}
	out := make([]int32, 0, min(len(a)+len(b), limit))
	for len(out) < limit && (len(a) > 0 || len(b) > 0) {
		if len(b) == 0 || (len(a) > 0 && a[0] < b[0]) {
			out, a = append(out, a[0]), a[1:]
		} else {
			out, b = append(out, b[0]), b[1:]
		}
	}
	return out
}
