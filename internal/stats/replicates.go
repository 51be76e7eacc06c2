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
	return student(s.Trust).Quantile(1 - chance)
}

func student(freedom float64) distuv.StudentsT {
	return distuv.StudentsT{Mu: 0, Sigma: 1, Nu: max(freedom, 1)}
}

// Replicates is the evidence that the mean of a few independent normal values is above
// zero, when each value has cost too much to have many of them: the logarithm of a ratio
// between two virtual machines that were booted for it. How many there will be at most is
// planned before the first.
//
// Each value is a look. With a scaled inverse chi-square prior on the variance (Variance,
// with Trust degrees of freedom), the mean of n values divided by its standard error, in
// which the prior's squares and the values' own are added up, has Student's t distribution
// with Trust+n-1 degrees of freedom while the true mean is zero: the moderated t of Smyth
// ("Linear models and empirical Bayes methods for assessing differential expression in
// microarray experiments", Stat. Appl. Genet. Mol. Biol. 3, 2004). A true mean
// below zero makes it smaller.
//
// The looks share the chance of a false alarm by weights that are fixed beforehand and add
// up to one: half of it is the last look's, and each look has half of what the next one
// has. The evidence is the largest weight ÷ p over the looks so far. By the union bound it
// ever reaches 1/a with a chance of at most a, as an e-value does (weighted Bonferroni:
// Genovese, Roeder and Wasserman, Biometrika 93, 2006; as a rule of spending: Lan and
// DeMets, Biometrika 70, 1983). An e-process needs no plan, and pays for that: of seven
// values it takes those whose p is forty times smaller.
type Replicates struct {
	Planned int     `json:"planned"` // values at most; further ones are no looks
	N       float64 `json:"n"`
	Sum     float64 `json:"sum"`
	Squares float64 `json:"squares"`
	Most    float64 `json:"most"` // the evidence of the best look, as a natural logarithm
}

// Observe adds one value, with what is known by then about how much the values vary. A
// value that is not a finite number is left out.
func (r *Replicates) Observe(y float64, known Spread) {
	if !finite(y) {
		return
	}
	r.N++
	r.Sum += y
	r.Squares += y * y
	if share := r.share(r.N); share > 0 && known.Variance > 0 && known.Trust > 0 {
		r.Most = max(r.Most, math.Log(share/r.chance(known)))
	}
}

// share is the part of a false alarm's chance that the look at value n has.
func (r *Replicates) share(n float64) float64 {
	if n < 1 || n > float64(r.Planned) {
		return 0
	}
	return math.Exp2(n-float64(r.Planned)) / (2 - math.Exp2(1-float64(r.Planned)))
}

// chance is p: that of a mean as far above zero as this, or farther, while the true one
// is zero.
func (r *Replicates) chance(known Spread) float64 {
	deviation := r.Deviation(known) / math.Sqrt(r.N)
	return max(student(known.Trust+r.N-1).Survival(r.Mean()/deviation), math.SmallestNonzeroFloat64)
}

// Mean is the mean of the values, 0 without any.
func (r *Replicates) Mean() float64 {
	if r.N == 0 {
		return 0
	}
	return r.Sum / r.N
}

// Deviation is the standard deviation of one value, by what is known and by the values.
func (r *Replicates) Deviation(known Spread) float64 {
	own := max(r.Squares-r.N*r.Mean()*r.Mean(), 0)
	freedom := known.Trust + max(r.N-1, 0)
	if freedom <= 0 {
		return 0
	}
	return math.Sqrt((known.Trust*known.Variance + own) / freedom)
}

// LogE is the natural logarithm of the evidence that the mean is above zero. It is 0
// without values and without a spread that is known.
func (r *Replicates) LogE() float64 { return r.Most }

// Visible is the smallest mean above zero at which the look at value n gives evidence of
// at least logE with the given chance. It is infinite where that look never does.
func (r *Replicates) Visible(known Spread, n int, logE, chance float64) float64 {
	share := r.share(float64(n))
	if share == 0 || !(known.Variance > 0) || !(known.Trust > 0) {
		return math.Inf(1)
	}
	own := 0.0 // squares of the values about their mean, which nine of ten such runs do not exceed
	if n > 1 {
		own = distuv.ChiSquared{K: float64(n - 1)}.Quantile(0.9)
	}
	freedom := known.Trust + float64(n-1)
	limit := student(freedom).Quantile(1-share*math.Exp(-logE)) * math.Sqrt((known.Trust+own)/freedom)
	return (limit + known.Beyond(1-chance)) * math.Sqrt(known.Variance/float64(n))
}
