package graph

import (
	"math/bits"
	"slices"
)

// toggleEdge adds or removes one edge and updates the radii. It returns the components
// whose rows have changed. It returns false when the components themselves have
// changed.
func toggleEdge(g *digraph, c components, r *radii, from, to int32, add bool) ([]int32, bool) {
	u, v := c.of[from], c.of[to]
	if add {
		g.add(from, to)
		if u == v {
			return nil, true
		}
		if r.has(u, to) {
			return nil, false // what is called depends on the caller: a new cycle
		}
		return r.gain(g, c, v, missing(r.row(u), r.row(v))), true
	}
	g.remove(from, to)
	if u == v {
		// The component stays when another path still leads from the edge's
		// start to its end.
		return nil, within(g, c, from, to)
	}
	return r.lose(g, c, v, sparse(r.row(u))), true
}

// within reports whether to can still be reached from from inside a component.
func within(g *digraph, c components, from, to int32) bool {
	seen := map[int32]bool{from: true}
	stack := []int32{from}
	for len(stack) > 0 {
		v := stack[len(stack)-1]
		stack = stack[:len(stack)-1]
		if v == to {
			return true
		}
		for _, w := range g.out[v] {
			if c.of[w] == c.of[from] && !seen[w] {
				seen[w] = true
				stack = append(stack, w)
			}
		}
	}
	return false
}

// chunkOf is one word of a row.
type chunkOf struct {
	at   int32
	bits uint64
}

// sparse lists a row's words that are not zero.
func sparse(row []uint64) []chunkOf {
	var out []chunkOf
	for i, w := range row {
		if w != 0 {
			out = append(out, chunkOf{at: int32(i), bits: w})
		}
	}
	return out
}

// missing lists the words of a with the bits that b lacks.
func missing(a, b []uint64) []chunkOf {
	var out []chunkOf
	for i, w := range a {
		if w &^= b[i]; w != 0 {
			out = append(out, chunkOf{at: int32(i), bits: w})
		}
	}
	return out
}

// union merges two lists that are sorted by place.
func union(a, b []chunkOf) []chunkOf {
	if len(a) == 0 {
		return b
	}
	out := make([]chunkOf, 0, len(a)+len(b))
	for len(a) > 0 && len(b) > 0 {
		switch {
		case a[0].at < b[0].at:
			out, a = append(out, a[0]), a[1:]
		case a[0].at > b[0].at:
			out, b = append(out, b[0]), b[1:]
		default:
			out, a, b = append(out, chunkOf{at: a[0].at, bits: a[0].bits | b[0].bits}), a[1:], b[1:]
		}
	}
	return append(append(out, a...), b...)
}

// gain adds bits to a component and to everything that it calls. It stops where
// the bits are set already.
func (r *radii) gain(g *digraph, c components, start int32, bitsNew []chunkOf) []int32 {
	type work struct {
		part int32
		bits []chunkOf
	}
	changed := make(map[int32]bool)
	stack := []work{{part: start, bits: bitsNew}}
	for len(stack) > 0 {
		w := stack[len(stack)-1]
		stack = stack[:len(stack)-1]
		row := r.row(w.part)
		var fresh []chunkOf
		for _, x := range w.bits {
			if x.bits &^= row[x.at]; x.bits != 0 {
				row[x.at] |= x.bits
				r.size[w.part] += int32(bits.OnesCount64(x.bits))
				fresh = append(fresh, x)
			}
		}
		if len(fresh) == 0 {
			continue
		}
		changed[w.part] = true
		for _, next := range callees(g, c, w.part) {
			stack = append(stack, work{part: next, bits: fresh})
		}
	}
	return keys(changed)
}

// lose clears bits of a component, and of everything that it calls, unless another
// caller brings them. It visits callers first, so that it decides about each
// component once.
func (r *radii) lose(g *digraph, c components, start int32, doubtful []chunkOf) []int32 {
	doubt := map[int32][]chunkOf{start: doubtful}
	var changed []int32
	for _, k := range downstream(g, c, start) {
		if len(doubt[k]) == 0 {
			continue
		}
		lost := r.unsupported(g, c, k, doubt[k])
		delete(doubt, k)
		if len(lost) == 0 {
			continue
		}
		row := r.row(k)
		for _, x := range lost {
			row[x.at] &^= x.bits
			r.size[k] -= int32(bits.OnesCount64(x.bits))
		}
		changed = append(changed, k)
		for _, next := range callees(g, c, k) {
			doubt[next] = union(doubt[next], lost)
		}
	}
	return changed
}

// unsupported returns those of the bits that neither a caller of the component nor
// one of its members brings.
func (r *radii) unsupported(g *digraph, c components, k int32, list []chunkOf) []chunkOf {
	row := r.row(k)
	left := make([]chunkOf, 0, len(list))
	for _, x := range list {
		if x.bits &= row[x.at]; x.bits != 0 {
			left = append(left, x)
		}
	}
	for _, v := range c.members[k] {
		for i := range left {
			if left[i].at == v/word {
				left[i].bits &^= 1 << (v % word)
			}
		}
		last := int32(-1)
		for _, u := range g.in[v] {
			from := c.of[u]
			if from == k || from == last {
				continue
			}
			last = from
			caller := r.row(from)
			kept := left[:0]
			for _, x := range left {
				if x.bits &^= caller[x.at]; x.bits != 0 {
					kept = append(kept, x)
				}
			}
			if left = kept; len(left) == 0 {
				return nil
			}
		}
	}
	return slices.DeleteFunc(left, func(x chunkOf) bool { return x.bits == 0 })
}
