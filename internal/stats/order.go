package stats

import (
	"math"

	"gonum.org/v1/gonum/stat/distuv"
)

// Order is an e-process against "the canary's values are not larger than the
// stable ones, in stochastic order": for no limit does the canary have a larger
// share of values above it. Values come counted in bins that rise.
//
// Given that a value of bin k was seen, let theta_k be the chance with which an
// alternative expects it from the canary, and r the canary's share of all values
// of the interval. The factor of an interval is
//
//	E = prod_k (theta_k/r)^c_k ((1-theta_k)/(1-r))^s_k
//
// for the counts c and s of canary and stable. It is the two-sample e-variable of
// Turner, Ly and Grünwald ("Generic E-variables for exact sequential k-sample
// tests that allow for optional stopping"), which grows as fast as any test of
// "both distributions are the same" can. It covers the whole null here as long as
// theta rises with k: for stable distribution F and a canary below it, the
// canary's expectation of theta is at most F's, t; with n and m values of both,
// the expectation of E is at most (t/r)^n ((1-t)/(1-r))^m, whose maximum over t is
// one, at t = r = n/(n+m). Nothing is assumed about F.
//
// The alternatives distort the stable arm's survival function S into
//
//	(1-e) S + e N(N^-1(S) + d),
//
// N being the normal distribution: a share e of the values is shifted by d
// standard deviations, on whatever scale makes the values normal. It is concave
// in S, so the likelihood ratio rises with the value and theta with the bin. A
// lognormal latency that grows by a factor f is e = 1 and d = ln(f)/sigma.
type Order struct {
	Base  Vector  `json:"base"`  // share of the stable values in each bin, from the past
	Share float64 `json:"share"` // r around which the tables are
	Log   Vector  `json:"log"`

	// The factors of one value in bin k under alternative j, at j*bins+k: see
	// build. They follow from Base and Share.
	canary, both, slope []float64
	weights             []float64 // logarithms
}

// distortion is one alternative of an Order with its weight.
type distortion struct{ share, shift, weight float64 }

// distortions are the alternatives, about a factor of two apart in the shift and
// of four in the share. What decides within a few looks under any alternative
// weighs little; small changes are what takes long to see.
func distortions() []distortion {
	return []distortion{
		{1, 0.1, 2}, {1, 0.2, 2}, {1, 0.4, 2}, {1, 1, 0.3}, {1, 3, 0.1},
		{0.25, 1.5, 1}, {0.06, 3, 1}, {0.02, 4, 2}, {0.005, 4, 1},
	}
}

// NewOrder starts a process. Base holds the stable arm's known shares, or counts,
// per bin. Base must be from before the intervals that are observed. If base is
// wrong, a difference is seen later and the guarantee still holds.
func NewOrder(base []float64) Order {
	p := Order{Log: make(Vector, len(distortions()))}
	p.Rebase(base)
	return p
}

// Rebase replaces the known shares or counts of the stable arm, and perhaps the
// bins. The evidence so far is kept, because alternatives may be chosen anew from
// the past at any time.
func (p *Order) Rebase(base []float64) {
	var sum float64
	for _, b := range base {
		sum += b
	}
	p.Base = make(Vector, len(base))
	for k, b := range base {
		p.Base[k] = (b + 0.5) / (sum + 0.5*float64(len(base)))
	}
	p.canary = nil
}

const (
	// orderDrift is how far the share may wander from where the tables were
	// made, in units of sqrt(r(1-r)): the tables' tangents then give away less
	// than a tenth of a unit of log evidence an hour.
	orderDrift = 0.2
	// orderMost is the largest odds that an alternative gives; it keeps one
	// value in a bin that was thought empty from deciding alone.
	orderMost = 50.0
)

// Observe adds one interval's counts per bin.
func (p *Order) Observe(canary, stable []float64, dispersion float64) {
	if len(canary) != len(p.Base) || len(stable) != len(p.Base) {
		return
	}
	var n, m float64
	for k := range canary {
		n += canary[k]
		m += stable[k]
	}
	if n <= 0 || m <= 0 {
		return // nothing to compare with
	}
	share := n / (n + m)
	if math.Abs(share-p.Share) > orderDrift*math.Sqrt(p.Share*(1-p.Share)) {
		p.Share, p.canary = share, nil // also at the start, where it is 0
	}
	if p.canary == nil {
		p.build()
	}
	weight := 1.0
	if dispersion > 1 {
		weight = 1 / dispersion
	}
	drift, bins := share-p.Share, len(p.Base)
	for j := range p.Log {
		ours, both, slope := p.canary[j*bins:][:bins], p.both[j*bins:][:bins], p.slope[j*bins:][:bins]
		var sum float64
		for k, c := range canary {
			sum += c*ours[k] - (c+stable[k])*(both[k]+slope[k]*drift)
		}
		p.Log[j] += weight * sum
	}
}

// build makes the tables. With odds L_k of an alternative, theta_k/r is
// L/(1+r(L-1)) and (1-theta_k)/(1-r) is 1/(1+r(L-1)). The logarithm of the
// denominator is concave in r, so its tangent at the tables' r is above it
// everywhere: using the tangent at other shares can only lower the evidence.
func (p *Order) build() {
	bins := len(p.Base)
	all := distortions()
	p.canary = make([]float64, len(all)*bins)
	p.both = make([]float64, len(all)*bins)
	p.slope = make([]float64, len(all)*bins)
	for j, d := range all {
		above, odds := 1.0, 0.0
		bent := 1.0
		for k, b := range p.Base {
			next := max(above-b, 0)
			if k == bins-1 {
				next = 0
			}
			bentNext := d.alternative(next)
			// The maximum only repairs rounding: the odds rise by themselves.
			odds = min(max(odds, (bent-bentNext)/b, 1/orderMost), orderMost)
			above, bent = next, bentNext
			mixed := 1 + p.Share*(odds-1)
			p.canary[j*bins+k] = math.Log(odds)
			p.both[j*bins+k] = math.Log(mixed)
			p.slope[j*bins+k] = (odds - 1) / mixed
		}
	}
}

// alternative is the survival function of the alternative where the stable one is s.
func (d distortion) alternative(s float64) float64 {
	if s <= 0 || s >= 1 {
		return s
	}
	return (1-d.share)*s + d.share*distuv.UnitNormal.CDF(distuv.UnitNormal.Quantile(s)+d.shift)
}

// LogE is the natural logarithm of the e-value.
func (p *Order) LogE() float64 {
	if p.weights == nil {
		all, sum := distortions(), 0.0
		for _, d := range all {
			sum += d.weight
		}
		for _, d := range all {
			p.weights = append(p.weights, math.Log(d.weight/sum*float64(len(all))))
		}
	}
	var room [16]float64
	weighted := append(room[:0], p.Log...)
	for j := range weighted {
		weighted[j] += p.weights[j]
	}
	return LogMeanExp(weighted...)
}

// Most is a number that LogE does not exceed, found without logarithms.
func (p *Order) Most() float64 { return largest(p.Log) }
