package graph

import (
	"math/bits"
	"slices"
)

const (
	// keepColumns is the largest number of services for which reachability is
	// kept for updates. 32,768² bits are 128 MiB for each of the two graphs.
	keepColumns = 32_768
	// blockColumns is how many columns are computed at once in a larger graph. A
	// row of them is 1 KiB, so 67,760 rows take 70 MB.
	blockColumns = 8_192
	word         = 64
)

// radii is the blast radius of every component: row c has a bit for each node
// that depends on component c, its own members included.
type radii struct {
	width int // words of a row
	rows  []uint64
	size  []int32 // component → set bits
}

// row returns one component's bits.
func (r *radii) row(c int32) []uint64 {
	return r.rows[int(c)*r.width : (int(c)+1)*r.width]
}

// spread computes the rows of all components, in descending order, since callers
// have higher numbers than their callees. It calls visit, if given, with each row
// of each block of columns, the blocks in ascending order; offset is the block's
// first node. It keeps the matrix when that fits.
func spread(g *digraph, c components, visit func(component int32, offset int, row []uint64)) *radii {
	n := g.size()
	columns := n
	if n > keepColumns {
		columns = blockColumns
	}
	r := &radii{width: (columns + word - 1) / word, size: make([]int32, len(c.members))}
	r.rows = make([]uint64, len(c.members)*r.width)
	empty := make([]bool, len(c.members))
	var callers []int32
	for offset := 0; offset < n; offset += columns {
		if offset > 0 {
			clear(r.rows)
		}
		for k := int32(len(c.members)) - 1; k >= 0; k-- {
			row := r.row(k)
			callers = r.fill(g, c, k, offset, row, empty, callers)
			found := count(row)
			r.size[k] += found
			empty[k] = found == 0
			if visit != nil {
				visit(k, offset, row)
			}
		}
	}
	if n > keepColumns {
		r.rows = nil
	}
	return r
}

// fill joins the rows of all callers of component k, and its own members, into a
// cleared row. It skips callers whose row is known to be empty. It also skips a
// caller that calls another caller of k, since the nearer caller's row contains
// the whole row of the farther one; the nearer caller comes first, since its
// number is lower. callers is room to work in, which is returned.
func (r *radii) fill(g *digraph, c components, k int32, offset int, row []uint64, empty []bool, callers []int32) []int32 {
	callers = callers[:0]
	for _, v := range c.members[k] {
		if at := int(v) - offset; at >= 0 && at < r.width*word {
			row[at/word] |= 1 << (at % word)
		}
		for _, u := range g.in[v] {
			if from := c.of[u]; from != k {
				callers = append(callers, from)
			}
		}
	}
	slices.Sort(callers)
	for _, from := range callers {
		if empty[from] || r.holds(row, offset, c.members[from][0]) {
			continue
		}
		or(row, r.row(from))
	}
	return callers
}

// holds reports whether a row of the block that begins at offset contains node v.
// It is false for a node of another block.
func (r *radii) holds(row []uint64, offset int, v int32) bool {
	at := int(v) - offset
	return at >= 0 && at < r.width*word && row[at/word]&(1<<(at%word)) != 0
}

// or adds the bits of b to a, four words at a time; both are equally long.
func or(a, b []uint64) {
	for len(a) >= 4 && len(b) >= 4 {
		x, y := a[:4:4], b[:4:4]
		x[0] |= y[0]
		x[1] |= y[1]
		x[2] |= y[2]
		x[3] |= y[3]
		a, b = a[4:], b[4:]
	}
	for i := range min(len(a), len(b)) {
		a[i] |= b[i]
	}
}

// kept reports whether the matrix was kept for updates.
func (r *radii) kept() bool { return r.rows != nil }

// has reports whether node v is in the row of component c.
func (r *radii) has(c, v int32) bool {
	return r.row(c)[v/word]&(1<<(v%word)) != 0
}

func count(row []uint64) int32 {
	sum := 0
	for _, w := range row {
		sum += bits.OnesCount64(w)
	}
	return int32(sum)
}

// firstBits appends the numbers of the set bits, less skip, until the list has
// limit members.
func firstBits(list []int32, row []uint64, offset int, skip int32, limit int) []int32 {
	for i, w := range row {
		for ; w != 0 && len(list) < limit; w &= w - 1 {
			if v := int32(offset + i*word + bits.TrailingZeros64(w)); v != skip {
				list = append(list, v)
			}
		}
		if len(list) >= limit {
			return list
		}
	}
	return list
}
