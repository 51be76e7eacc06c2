package stats

import (
	"math"

	"gonum.org/v1/gonum/stat/distuv"
)

// Spread is what is known, before the first of them, about how much independent values
// vary: their variance, as if it had been estimated with Trust degrees of freedom.
type Spread struct {
	Variance float64 `json:"variance"`
	Trust    float64 `json:"trust"`
}

// Beyond is the number of standard deviations that a value exceeds with the given
// chance: the quantile of Student's t with the spread's degrees of freedom.
func (s Spread) Beyond(chance float64) float64 {
	return distuv.StudentsT{Mu: 0, Sigma: 1, Nu: max(s.Trust, 1)}.Quantile(1 - chance)
}

// Replicates is the evidence that the mean of a few independent values is above zero,
// when each value has cost too much to have many of them: the logarithm of a ratio
// between two virtual machines that were booted for it.
//
// With a scaled inverse chi-square prior on the variance (Variance, with Trust degrees
// of freedom), the marginal likelihood of n values with mean u is, up to a factor that
// all u share,
//
//	m(u) = (Trust*Variance + sum (y_i - u)^2)^(-(n+Trust)/2),
//
// a multivariate t (Gelman et al., Bayesian Data Analysis, 3.3). The e-value is a
// weighted mean of m(u) over alternatives u > 0, divided by the largest m(u) over u <= 0.
// It is no larger than the likelihood ratio to whatever u of the null is true, so its
// expectation is at most one for each of them, given the prior (Wasserman, Ramdas and
// Balakrishnan, "Universal inference", PNAS 2020). It may be looked at after each value.
//
// A value decides alone where it is far beyond what the prior allows, and more values
// make up for a prior that is too small: they replace it as their number grows.
type Replicates struct {
	Spread
	N       float64 `json:"n"`
	Sum     float64 `json:"sum"`
	Squares float64 `json:"squares"`
	// Expected is the mean that is likelier than any other, where one is.
	Expected float64 `json:"expected,omitempty"`
}

const (
	// replicatesFirst is the smallest alternative: a good percent, as a logarithm.
	replicatesFirst = 0.0125
	// replicatesCount is how many alternatives there are, each twice the one before: up
	// to a factor of 25.
	replicatesCount = 9
)

// Observe adds one value. A value that is not a finite number is left out.
func (r *Replicates) Observe(y float64) {
	if !finite(y) {
		return
	}
	r.N++
	r.Sum += y
	r.Squares += y * y
}

// Mean is the mean of the values, 0 without any.
func (r *Replicates) Mean() float64 {
	if r.N == 0 {
		return 0
	}
	return r.Sum / r.N
}

// Deviation is the standard deviation of one value, from the prior and the values.
func (r *Replicates) Deviation() float64 {
	own := max(r.Squares-r.N*r.Mean()*r.Mean(), 0)
	freedom := r.Trust + max(r.N-1, 0)
	if freedom <= 0 {
		return 0
	}
	return math.Sqrt((r.Trust*r.Variance + own) / freedom)
}

// LogE is the natural logarithm of the evidence that the mean is above zero. It is 0
// without values and without a spread that is known.
func (r *Replicates) LogE() float64 {
	if r.N == 0 || !(r.Variance > 0) || !(r.Trust > 0) {
		return 0
	}
	null := r.likelihood(min(r.Mean(), 0))
	var terms [replicatesCount]float64
	for j := range terms {
		terms[j] = r.likelihood(replicatesFirst * math.Exp2(float64(j)))
	}
	grid := LogMeanExp(terms[:]...)
	if !(r.Expected > 0) {
		return grid - null
	}
	return LogMeanExp(math.Log(2*ratioExpected)+r.likelihood(r.Expected), math.Log(2*(1-ratioExpected))+grid) - null
}

// likelihood is the logarithm of m(u).
func (r *Replicates) likelihood(u float64) float64 {
	rest := max(r.Squares-2*u*r.Sum+r.N*u*u, 0)
	return -(r.N + r.Trust) / 2 * math.Log(r.Trust*r.Variance+rest)
}

// Visible is the smallest mean above zero at which n values give evidence of at least
// logE with the given chance. It is infinite where n values never do.
func (s Spread) Visible(n int, logE, chance float64) float64 {
	if n < 1 || !(s.Variance > 0) || !(s.Trust > 0) {
		return math.Inf(1)
	}
	low := s.Beyond(1-chance) * math.Sqrt(s.Variance/float64(n))
	scatter := 0.0 // about their mean, which nine of ten such runs do not exceed
	if n > 1 {
		scatter = distuv.ChiSquared{K: float64(n - 1)}.Quantile(0.9) * s.Variance
	}
	seen := func(mean float64) bool {
		r := Replicates{Spread: s}
		for range n {
			r.Observe(mean - low)
		}
		r.Squares += scatter
		return r.LogE() >= logE
	}
	from, to := 0.0, math.Log(gridReach)+low
	if !seen(to) {
		return math.Inf(1)
	}
	for range 40 {
		if middle := (from + to) / 2; seen(middle) {
			to = middle
		} else {
			from = middle
		}
	}
	return to
}
