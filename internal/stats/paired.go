package stats

import "math"

// History is what is known about the noise of a series of differences before
// the first of them.
type History struct {
	// Phi is the autocorrelation from one difference to the next, and Error its
	// standard error. Unknown says that there is neither.
	Phi     float64 `json:"phi"`
	Error   float64 `json:"error"`
	Unknown bool    `json:"unknown,omitempty"`
	// Variance of the differences, learned from N of them; 0 without.
	Variance float64 `json:"variance,omitempty"`
	N        float64 `json:"n,omitempty"`
}

const (
	// pairedTrust is how many differences the variance of a history counts
	// for at most. More would decide a strong effect a look or two earlier; with
	// eight, noise of twice the standard deviation that history knows alarms
	// in two percent of the runs where one was allowed.
	pairedTrust = 8
	// pairedDoubt is how many times the variance of a history the differences
	// may have before it counts for nothing: stable instances that are at rest
	// say nothing about a canary that is not. With two, noise of ten times the
	// standard deviation that history knows alarms in about one percent of the runs
	// where one is allowed; without such a limit, in seven.
	pairedDoubt = 2
	// pairedReach is how many standard errors around the autocorrelation of a
	// history are taken for possible.
	pairedReach = 2
	// pairedMin is how many differences it takes to say anything.
	pairedMin = 3
)

// pairedEffects are the variances of the effect, in units of the variance of the
// differences, that alternatives are made with: effects of about a half to
// fifty standard deviations.
func pairedEffects() [4]float64 { return [4]float64{0.3, 2, 30, 1000} }

// pairedUnknown are the autocorrelations that are possible without history.
func pairedUnknown() Vector {
	return Vector{0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.58, 0.66, 0.73, 0.79, 0.84, 0.88, 0.91, 0.935, 0.955, 0.97}
}

// pairedWeight is the weight of an alternative with autocorrelation f. Where it
// is high, evidence grows slowly whatever the weight; where it is low, a weight
// is won in looks.
func pairedWeight(f float64) float64 { return 1 / (0.05 + f) }

// Paired is the evidence that the mean of a series of differences, one per
// interval, is above zero, with unknown variance and first-order
// autocorrelation f.
//
// For a given f, d_t - f d_(t-1) are independent, and so is sqrt(1-f^2) d_0 of
// them. Both are the mean times a known number x_t, plus noise: a regression
// through the origin. With the right Haar prior on the noise and a prior of
// variance g on the mean, in units of the noise, the marginal likelihood of n
// values is, up to a factor that all f and g share,
//
//	m(f, g) = (1-f^2)^(1/2) (1+g X)^(-1/2) (R + b^2 X/(1+g X))^(-n/2)
//
// with X = sum x_t^2, b the estimated mean and R the residual squares; m(f, 0) is
// the likelihood if the mean is zero. Twice the posterior chance of a mean above
// zero times m(f, g) is the likelihood under a prior on the positive side alone.
// The ratio to m(f, 0) is an exact martingale where the mean is zero (the
// sequential t test of the invariant, for f = 0); for means below zero it is
// smaller at every look, as it rises with b alone.
//
// When f is not known, the e-value is the mean of the likelihood over all possible f
// and g, divided by the largest m(f, 0): no possible f explains the series with
// a mean of zero. It is smaller than the e-value of whatever f is true, so the
// guarantee holds for each. That costs time, the more the fewer f are excluded:
// a level and a very slow noise look the same for twenty or thirty values.
type Paired struct {
	Series
	Phi      Vector  `json:"phi"`             // the possible autocorrelations
	Variance float64 `json:"prior,omitempty"` // from history
	Trust    float64 `json:"trust,omitempty"` // how many differences it counts for
	// Doubt makes a history count for nothing once the differences contradict it.
	// It keeps the guarantee where stable instances were at rest, and costs dozens
	// of looks.
	Doubt bool `json:"doubt,omitempty"`
}

// NewPaired starts a process.
func NewPaired(h History) Paired {
	if h.Unknown || !finite(h.Phi, h.Error) {
		return Paired{Phi: pairedUnknown()}
	}
	p := Paired{}
	low := min(max(h.Phi-pairedReach*h.Error, 0), seriesLimit)
	high := min(max(h.Phi+pairedReach*h.Error, low), seriesLimit)
	// The steps are as wide as the steps between the autocorrelations without history.
	steps := max(math.Ceil((math.Atanh(high)-math.Atanh(low))/0.15), 0)
	for i := 0.0; i <= steps; i++ {
		part := 0.0
		if steps > 0 {
			part = i / steps
		}
		p.Phi = append(p.Phi, low+part*(high-low))
	}
	if h.Variance > 0 && finite(h.Variance) && h.N > 0 {
		p.Variance, p.Trust = h.Variance, min(h.N/4, pairedTrust)
	}
	return p
}

// Anew is a process that knows the same history and has seen no difference yet.
func (p *Paired) Anew() Paired {
	return Paired{Phi: p.Phi, Variance: p.Variance, Trust: p.Trust, Doubt: p.Doubt}
}

// LogE is the natural logarithm of the evidence that the mean is above zero.
func (p *Paired) LogE() float64 {
	if p.N < pairedMin {
		return 0
	}
	effects := pairedEffects()
	var room [64]float64
	terms, null := room[:0], math.Inf(-1)
	trust := p.trusted()
	n := p.N + trust
	var weights float64
	for _, f := range p.Phi {
		r, weight := p.regress(f, trust), pairedWeight(f)
		weights += weight
		r.scale += math.Log(weight)
		null = max(null, r.scale-math.Log(weight)-n/2*math.Log(r.rest+r.fit))
		for _, g := range effects {
			terms = append(terms, r.positive(g, n))
		}
	}
	return LogMeanExp(terms...) - null - math.Log(weights/float64(len(p.Phi)))
}

// Interval is the mean with its standard error, at the likeliest of the possible
// autocorrelations. The error is 0 for fewer than three values.
func (p *Paired) Interval() (mean, deviation float64) {
	if p.N < pairedMin {
		return p.Mean(), 0
	}
	best, trust := math.Inf(-1), p.trusted()
	for _, f := range p.Phi {
		r := p.regress(f, trust)
		if likely := r.scale - p.N/2*math.Log(r.rest); likely > best {
			best = likely
			mean, deviation = r.mean, math.Sqrt(r.rest/(p.N+trust-1)/(r.x*(1-f*f)))
		}
	}
	return mean, deviation
}

// Most is a number that LogE does not exceed, found with few logarithms.
func (p *Paired) Most() float64 {
	if p.N < pairedMin {
		return 0
	}
	trust := p.trusted()
	n := p.N + trust
	best, null, positive := math.Inf(-1), math.Inf(-1), false
	for _, f := range p.Phi {
		r := p.regress(f, trust)
		positive = positive || r.mean > 0
		best = max(best, r.scale-n/2*math.Log(r.rest))
		null = max(null, r.scale-n/2*math.Log(r.rest+r.fit))
	}
	if !positive {
		return 0 // no alternative is likelier than its own null
	}
	return best - null + math.Ln2
}

// regression is the series for one autocorrelation.
type regression struct {
	scale float64 // half the logarithm of 1-f^2
	x     float64 // X over 1-f^2, so that effects are in units of the differences
	mean  float64
	fit   float64 // b^2 X
	rest  float64 // R and what history adds
}

// trusted is how many differences the variance of the history counts for: none
// in doubt, when the differences themselves contradict it.
func (p *Paired) trusted() float64 {
	if p.Doubt && p.deviations() > pairedDoubt*(p.N-1)*p.Variance {
		return 0
	}
	return p.Trust
}

func (p *Paired) regress(f, trust float64) regression {
	q := 1 - f*f
	x := q + (p.N-1)*(1-f)*(1-f)
	about := (1 - f) * (p.Sum - f*(p.Sum-p.Last)) / x
	squares := p.Squares - 2*f*p.Lag + f*f*(p.Squares-p.Last*p.Last)
	mean := p.First + about
	fit := mean * mean * x
	rest := max(squares-about*about*x, 0) + trust*p.Variance*q
	// Identical values have no deviation; a relative floor stands in for the
	// resolution of whatever measured them.
	rest = max(rest, 1e-12*fit, math.SmallestNonzeroFloat64)
	return regression{scale: math.Log(q) / 2, x: x / q, mean: mean, fit: fit, rest: rest}
}

// positive is the logarithm of the likelihood with an effect above zero.
func (r regression) positive(g, n float64) float64 {
	k := 1 + g*r.x
	squares := r.rest + r.fit/k
	// The posterior of the mean is a t distribution with n degrees of freedom;
	// its chance of being positive by Wallace's approximation to the normal.
	t2 := r.fit * g * r.x / k * n / squares
	z := (8*n + 1) / (8*n + 3) * math.Sqrt(n*math.Log1p(t2/n))
	if r.mean < 0 {
		z = -z
	}
	return r.scale - math.Log(k)/2 - n/2*math.Log(squares) + math.Log(math.Erfc(-z/math.Sqrt2))
}
