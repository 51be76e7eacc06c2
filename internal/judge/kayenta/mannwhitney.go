package kayenta

import (
	"math"
	"slices"

	"gonum.org/v1/gonum/stat/distuv"
)

const (
	// rootTolerance and rootMost are the limits of Kayenta's root finder.
	rootTolerance = 1e-4
	rootMost      = 1001
)

// Interval is a confidence interval of a shift, with the shift itself.
type Interval struct{ Low, High, Estimate float64 }

// Shift estimates by how much x is shifted against y, after Mann and Whitney, by
// inverting the normal approximation of the rank sum test at the confidence
// level, which is between 0 and 1. Both must have a value.
func Shift(x, y []float64, confidence float64) Interval {
	low, high := slices.Min(x)-slices.Max(y), slices.Max(x)-slices.Min(y)
	z := distuv.UnitNormal.Quantile(1 - (1-confidence)/2)
	at := func(quantile float64) float64 {
		w := func(shift float64) float64 { return RankSum(x, y, shift) - quantile }
		switch {
		case w(low) <= 0:
			return low
		case w(high) >= 0:
			return high
		}
		return root(w, low, high)
	}
	return Interval{Low: at(z), High: at(-z), Estimate: at(0)}
}

// RankSum is the standardised rank sum of x against y after x is shifted back,
// with the correction for continuity and for ties.
func RankSum(x, y []float64, shift float64) float64 {
	type ranked struct {
		value float64
		ours  bool
	}
	all := make([]ranked, 0, len(x)+len(y))
	for _, v := range x {
		all = append(all, ranked{v - shift, true})
	}
	for _, v := range y {
		all = append(all, ranked{v, false})
	}
	slices.SortFunc(all, func(a, b ranked) int {
		switch {
		case a.value < b.value:
			return -1
		case a.value > b.value:
			return 1
		}
		return 0
	})
	var sum, ties float64
	for i := 0; i < len(all); {
		j, ours := i, 0.0
		for ; j < len(all) && all[j].value == all[i].value; j++ {
			if all[j].ours {
				ours++
			}
		}
		t := float64(j - i)
		sum += ours * (float64(i+1) + float64(j)) / 2 // all of them have the mean rank
		ties += t*t*t - t
		i = j
	}
	nx, ny, n := float64(len(x)), float64(len(y)), float64(len(all))
	dz := sum - nx*(nx+1)/2 - nx*ny/2
	correction := 0.0
	switch {
	case dz > 0:
		correction = 0.5
	case dz < 0:
		correction = -0.5
	}
	return (dz - correction) / math.Sqrt(nx*ny/12*(n+1-ties/(n*(n-1))))
}

// root finds where f crosses zero between a and b, where it has different signs,
// by Brent's method (Algorithms for Minimization without Derivatives, 1973,
// chapter 4) with the bookkeeping of R's uniroot. It keeps b, the best so far, a,
// the best before it, and c on the other side of the crossing.
func root(f func(float64) float64, a, b float64) float64 {
	fa, fb := f(a), f(b)
	c, fc := a, fa
	for range rootMost {
		before := b - a
		if math.Abs(fc) < math.Abs(fb) {
			a, b, c = b, c, b
			fa, fb, fc = fb, fc, fb
		}
		tolerance := 2*0x1p-52*math.Abs(b) + rootTolerance/2
		step := (c - b) / 2
		if math.Abs(step) <= tolerance || fb == 0 {
			return b
		}
		if math.Abs(before) >= tolerance && math.Abs(fa) > math.Abs(fb) {
			if next, ok := interpolate(a, b, c, fa, fb, fc); ok && next*sign(step) >= 0 &&
				math.Abs(next) < 1.5*math.Abs(step)-tolerance/2 && math.Abs(next) < math.Abs(before)/2 {
				step = next
			}
		}
		if math.Abs(step) < tolerance {
			step = tolerance * sign(step)
		}
		a, fa = b, fb
		b += step
		fb = f(b)
		if (fb > 0) == (fc > 0) {
			c, fc = a, fa
		}
	}
	return b
}

// interpolate is the step from b to where a line through a and b, or an inverse
// parabola through all three points, crosses zero.
func interpolate(a, b, c, fa, fb, fc float64) (step float64, ok bool) {
	s := fb / fa
	var p, q float64
	if a == c {
		p, q = (c-b)*s, 1-s
	} else {
		u, r := fa/fc, fb/fc
		p = s * ((c-b)*u*(u-r) - (b-a)*(r-1))
		q = (u - 1) * (r - 1) * (s - 1)
	}
	if q == 0 {
		return 0, false
	}
	return -p / q, true
}

func sign(x float64) float64 {
	if x > 0 {
		return 1
	}
	return -1
}
