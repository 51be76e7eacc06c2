package load

import (
	"math"
	"math/bits"
)

const (
	// firstBlock is the length of the first block of a process; each further one
	// is as long as all before it together.
	firstBlock = 64
	// exactHalves is up to how many points are shared between two halves by exact
	// chance; beyond, the normal distribution does as well.
	exactHalves = 256
	// fewPoints is from when on the points of a cell are placed one by one.
	fewPoints = 4
)

// arrivals is how many points a Poisson process of rate one has in [0, x]. The
// key names the process: the same one always has its points at the same places,
// so that the figure rises with x and can be asked for in any order.
//
// The line is cut into blocks. A block has a number of points of its own, which
// is shared between its halves, and so on, down to the cell that holds x.
func arrivals(key uint64, x float64) float64 {
	if !(x > 0) {
		return 0
	}
	var before float64
	from, length := 0.0, float64(firstBlock)
	node := key
	for {
		node = mix(node)
		n := poisson(length, node)
		if x < from+length {
			return before + within(mix(node+1), n, (x-from)/length)
		}
		before += n
		from += length
		length = from
	}
}

// within is how many of n points that are spread evenly over a cell lie in its
// first part, a share of it.
func within(node uint64, n, share float64) float64 {
	var before float64
	for n > fewPoints {
		left := half(node, n)
		node = mix(node)
		if share < 0.5 {
			n, share = left, 2*share
			continue
		}
		before += left
		n, share = n-left, 2*share-1
		node ^= 1
	}
	for range int(n) {
		node = mix(node)
		if uniform(node) <= share {
			before++
		}
	}
	return before
}

// half is how many of n points fall into the first half.
func half(node uint64, n float64) float64 {
	if n > exactHalves {
		return min(max(math.Round(n/2+math.Sqrt(n)/2*normal(mix(node+2))), 0), n)
	}
	sum, left := 0, int(n)
	for ; left > 0; left -= 64 {
		node = mix(node + 3)
		sum += bits.OnesCount64(node >> max(0, 64-left))
	}
	return float64(sum)
}

// poisson draws a number whose mean is not small: normal, and corrected for skew.
func poisson(mean float64, node uint64) float64 {
	z := normal(mix(node + 5))
	return max(0, math.Round(mean+math.Sqrt(mean)*z+(z*z-1)/6))
}

// mix is the finaliser of SplitMix64: each bit of the answer depends on every bit
// of x.
func mix(x uint64) uint64 {
	x += 0x9e3779b97f4a7c15
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}

// uniform is in (0, 1).
func uniform(x uint64) float64 { return (float64(x>>11) + 0.5) / (1 << 53) }

// normal is a standard normal variable.
func normal(x uint64) float64 { return math.Sqrt2 * math.Erfinv(2*uniform(x)-1) }

// keyOf names something by a seed and a text.
func keyOf(seed uint64, text string) uint64 {
	key := mix(seed)
	for i := range len(text) {
		key = (key ^ uint64(text[i])) * 0x100000001b3
	}
	return mix(key)
}
