package kpi

import (
	"math"
	"sort"

	"github.com/oakumhq/oakum/internal/stats"
)

// A native histogram has its own buckets in every answer: those that are not empty, in
// the resolution that its instance has come to. To be compared from look to look and from
// instance to instance they are laid out in fixed buckets: four for each doubling, from
// 0.1 ms to about 108 s. Their ends are ends of native buckets too, so that no bucket of
// a resolution of four or more for each doubling is cut; of a coarser one, all requests
// count at its upper end.
const (
	nativeFirst    = -53 // 2^(-53/4) s is about 0.1 ms
	nativeLast     = 27  // 2^(27/4) s is about 108 s
	nativePerPower = 4
	// nativeRounding is how much the ends of equal buckets may differ by rounding.
	nativeRounding = 1e-9
)

// nativeBounds are the ends of the fixed buckets in seconds, without +Inf.
func nativeBounds() []float64 {
	bounds := make([]float64, 0, nativeLast-nativeFirst+1)
	for k := nativeFirst; k <= nativeLast; k++ {
		bounds = append(bounds, math.Exp2(float64(k)/nativePerPower))
	}
	return bounds
}

// layOut accumulates the counts of a native histogram by nativeBounds, one more than
// they are, and adds what is there of another one. Scale makes seconds of its ends.
func layOut(there stats.Vector, s Series, scale float64) stats.Vector {
	bounds := nativeBounds()
	counts := make(stats.Vector, len(bounds)+1)
	for i, upper := range s.Upper {
		counts[sort.SearchFloat64s(bounds, upper*scale*(1-nativeRounding))] += s.Counts[i]
	}
	for i := 1; i < len(counts); i++ {
		counts[i] += counts[i-1]
	}
	for i, n := range there {
		counts[i] += n
	}
	return counts
}
