package graph

import "slices"

// digraph is a directed graph over the ids 0..n-1; neighbour lists are sorted
// and hold no duplicates.
type digraph struct {
	out, in [][]int32
}

// newDigraph makes the lists from edges in any order, each given once. It sorts by
// counting twice, once for each end, without comparisons. Each list is a slice of
// one block with its capacity closed, so a later insertion moves only that list.
func newDigraph(n int, edges [][2]int32) *digraph {
	outAt, inAt := make([]int32, n+1), make([]int32, n+1)
	for _, e := range edges {
		outAt[e[0]+1]++
		inAt[e[1]+1]++
	}
	for i := range n {
		outAt[i+1] += outAt[i]
		inAt[i+1] += inAt[i]
	}
	outs, ins := make([]int32, len(edges)), make([]int32, len(edges))
	fill := slices.Clone(inAt)
	for _, e := range edges { // callers of each node, not sorted yet
		ins[fill[e[1]]] = e[0]
		fill[e[1]]++
	}
	copy(fill, outAt)
	for to := range int32(n) {
		for _, from := range ins[inAt[to]:inAt[to+1]] {
			outs[fill[from]] = to
			fill[from]++
		}
	}
	copy(fill, inAt)
	for from := range int32(n) {
		for _, to := range outs[outAt[from]:outAt[from+1]] {
			ins[fill[to]] = from
			fill[to]++
		}
	}
	g := &digraph{out: make([][]int32, n), in: make([][]int32, n)}
	for i := range n {
		g.out[i] = outs[outAt[i]:outAt[i+1]:outAt[i+1]]
		g.in[i] = ins[inAt[i]:inAt[i+1]:inAt[i+1]]
	}
	return g
}

func (g *digraph) size() int { return len(g.out) }

// add inserts an edge and reports whether it was new.
func (g *digraph) add(from, to int32) bool {
	at, found := slices.BinarySearch(g.out[from], to)
	if found {
		return false
	}
	g.out[from] = slices.Insert(g.out[from], at, to)
	at, _ = slices.BinarySearch(g.in[to], from)
	g.in[to] = slices.Insert(g.in[to], at, from)
	return true
}

// remove deletes an edge and reports whether it was there.
func (g *digraph) remove(from, to int32) bool {
	at, found := slices.BinarySearch(g.out[from], to)
	if !found {
		return false
	}
	g.out[from] = slices.Delete(g.out[from], at, at+1)
	at, _ = slices.BinarySearch(g.in[to], from)
	g.in[to] = slices.Delete(g.in[to], at, at+1)
	return true
}

// reach lists, ascending, every node that next reaches from start, without start.
func reach(next [][]int32, start int32) []int32 {
	seen := make([]bool, len(next))
	seen[start] = true
	stack := []int32{start}
	var found []int32
	for len(stack) > 0 {
		v := stack[len(stack)-1]
		stack = stack[:len(stack)-1]
		for _, w := range next[v] {
			if !seen[w] {
				seen[w] = true
				found = append(found, w)
				stack = append(stack, w)
			}
		}
	}
	slices.Sort(found)
	return found
}

// components holds the strongly connected components of a digraph. They are
// numbered so that an edge between two of them goes from the higher number to
// the lower one.
type components struct {
	of      []int32   // node → component
	members [][]int32 // component → nodes, ascending
}

// Components numbers the strongly connected components of a graph, which is given
// by each node's successors. A component has a larger number than the components
// that it reaches. It returns each node's component and the number of components.
func Components(successors [][]int32) (of []int32, count int) {
	c := condense(&digraph{out: successors})
	return c.of, len(c.members)
}

// condense finds the components by Tarjan's algorithm, without recursion.
func condense(g *digraph) components {
	n := g.size()
	c := components{of: make([]int32, n)}
	var (
		index = make([]int32, n) // 0: not visited
		low   = make([]int32, n)
		edge  = make([]int32, n) // next edge to look at
		stack = make([]int32, 0, n)
		calls = make([]int32, 0, n)
		next  = int32(1)
		pool  = make([]int32, 0, n)
	)
	for i := range c.of {
		c.of[i] = -1
	}
	for root := range int32(n) {
		if index[root] != 0 {
			continue
		}
		calls = append(calls, root)
		for len(calls) > 0 {
			v := calls[len(calls)-1]
			if index[v] == 0 {
				index[v], low[v] = next, next
				next++
				stack = append(stack, v)
			}
			if descend(g, v, edge, index, low, c.of, &calls) {
				continue
			}
			calls = calls[:len(calls)-1]
			if len(calls) > 0 {
				u := calls[len(calls)-1]
				low[u] = min(low[u], low[v])
			}
			if low[v] == index[v] {
				stack, pool = c.close(v, stack, pool)
			}
		}
	}
	return c
}

// descend follows the next edges of v. It returns true when it has pushed a new
// node.
func descend(g *digraph, v int32, edge, index, low, of []int32, calls *[]int32) bool {
	for ; int(edge[v]) < len(g.out[v]); edge[v]++ {
		w := g.out[v][edge[v]]
		switch {
		case index[w] == 0:
			*calls = append(*calls, w)
			return true
		case of[w] < 0: // still on the stack
			low[v] = min(low[v], index[w])
		}
	}
	return false
}

// close pops one complete component off the stack.
func (c *components) close(v int32, stack, pool []int32) (rest, used []int32) {
	number := int32(len(c.members))
	begin := len(pool)
	for {
		w := stack[len(stack)-1]
		stack = stack[:len(stack)-1]
		c.of[w] = number
		pool = append(pool, w)
		if w == v {
			break
		}
	}
	members := pool[begin:len(pool):len(pool)]
	slices.Sort(members)
	c.members = append(c.members, members)
	return stack, pool
}
