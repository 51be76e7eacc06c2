package stats

import "math"

const (
	// pairedGuess is what the autocorrelation is taken for while no history is
	// known, and pairedPrior how many observations that guess is worth. High,
	// so that a strongly correlated series is not believed before it is
	// measured; the price is a few looks more for an obvious regression.
	pairedGuess = 0.9
	pairedPrior = 8
	// pairedSpread is the prior variance of the effect in units of the noise
	// variance: effects of about one standard deviation are met first.
	pairedSpread = 1.0
	// pairedLimit keeps the correction for the autocorrelation finite.
	pairedLimit = 0.98
	// pairedMin is how many differences it takes to say anything.
	pairedMin = 3
)

// Paired is the evidence that the mean of a series of differences, one per
// interval, is above zero, with unknown variance and first-order
// autocorrelation f.
//
// It is the sequential t test with the right Haar prior on the scale and a
// normal prior of variance g on the effect,
//
//	E = (1+kg)^(-1/2) * ((1 + t^2/v) / (1 + t^2/(v(1+kg))))^((v+1)/2), v = n-1,
//
// where k = n(1-f)/(1+f) is the number of independent differences that n
// correlated ones are worth, t = mean*sqrt(k)/s, and s is corrected for its
// own bias under correlation. For f = 0 this is the exact martingale. It counts
// only while the mean is positive. That keeps the guarantee for every mean <=
// 0: adding a negative constant to all values lowers t at every n and leaves s
// alone, and E rises with t.
//
// With f known from history the share of false alarms stays within the limit
// from f = 0 to 0.95 (measured; the tests repeat it). Without history f is
// estimated on the way: then the limit holds up to about f = 0.5, and a series
// with f = 0.95 whose mean sits exactly on the margin alarms in one of six runs
// at a limit of one in a hundred. Equal arms are never on the margin.
type Paired struct {
	Phi   float64 `json:"phi"`
	Known bool    `json:"known,omitempty"`
	N     float64 `json:"n"`
	Mean  float64 `json:"mean"`
	M2    float64 `json:"m2"`  // sum of squared deviations from the mean
	Lag   float64 `json:"lag"` // sum of products of neighbours, about First
	First float64 `json:"first"`
	Last  float64 `json:"last"`
}

// NewPaired starts a process. Known says that phi was learned from history.
func NewPaired(phi float64, known bool) Paired {
	if !known || math.IsNaN(phi) {
		phi, known = pairedGuess, false
	}
	return Paired{Phi: min(max(phi, 0), pairedLimit), Known: known}
}

// Observe adds one difference.
func (p *Paired) Observe(d float64) {
	if !finite(d) {
		return
	}
	if p.N == 0 {
		p.First = d
	} else {
		// Sums about the first value, so that a large mean does not swallow
		// the products.
		p.Lag += (d - p.First) * (p.Last - p.First)
	}
	p.N++
	delta := d - p.Mean
	p.Mean += delta / p.N
	p.M2 += delta * (d - p.Mean)
	p.Last = d
}

// Autocorrelation is the coefficient that history or the past suggests.
func (p *Paired) Autocorrelation() float64 {
	if p.Known || p.N < pairedMin || p.M2 <= 0 {
		return p.Phi
	}
	pairs, mean, last := p.N-1, p.Mean-p.First, p.Last-p.First
	// Sum of (d_t - mean)(d_(t-1) - mean), written out; the first value is 0.
	products := p.Lag - mean*(2*p.N*mean-last) + pairs*mean*mean
	found := products / p.M2
	found += (1 + 3*found) / p.N // short series underestimate it by about that
	weight := pairs / (pairs + pairedPrior)
	return min(max(weight*found+(1-weight)*p.Phi, 0), pairedLimit)
}

// LogE is the natural logarithm of the evidence that the mean is above zero.
func (p *Paired) LogE() float64 {
	if p.N < pairedMin {
		return 0
	}
	f, v := p.Autocorrelation(), p.N-1
	inflation := (1 + f) / (1 - f)
	worth := p.N / inflation
	// Correlated values spread less about their own mean than they vary.
	shrunk := max(1-(inflation-1)/v, 0.1)
	// Identical values have no deviation; a relative floor stands in for the
	// resolution of whatever measured them.
	variance := max(p.M2/v/shrunk, 1e-12*p.Mean*p.Mean)
	t2 := 0.0
	if p.Mean > 0 {
		t2 = worth * p.Mean * p.Mean / variance
	}
	spread := 1 + worth*pairedSpread
	return -math.Log(spread)/2 + (v+1)/2*(math.Log1p(t2/v)-math.Log1p(t2/(v*spread)))
}
