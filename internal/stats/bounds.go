package stats

import (
	"math"

	"gonum.org/v1/gonum/stat/distuv"
)

// RateBounds are exact limits of a Poisson rate after events in exposure: the
// true rate is below low with probability at most miss, and above high with
// probability at most miss.
func RateBounds(events, exposure, miss float64) (low, high float64) {
	if !(exposure > 0) {
		return 0, math.Inf(1)
	}
	if events > 0 {
		low = distuv.Gamma{Alpha: events, Beta: 1}.Quantile(miss) / exposure
	}
	high = distuv.Gamma{Alpha: events + 1, Beta: 1}.Quantile(1-miss) / exposure
	return low, high
}

// RatioBounds are limits of the ratio of two event rates, canary over stable. Each
// limit is missed with probability at most miss. They follow from the exact limits
// of the canary's share of all events, given the number of all events. High is
// infinite if there is no upper limit.
func RatioBounds(b Block, miss float64) (low, high float64) {
	low, high = 0, math.Inf(1)
	if b.CanaryExposure <= 0 || b.StableExposure <= 0 {
		return low, high
	}
	scale := b.StableExposure / b.CanaryExposure
	if b.CanaryEvents > 0 {
		share := distuv.Beta{Alpha: b.CanaryEvents, Beta: b.StableEvents + 1}.Quantile(miss)
		low = share / (1 - share) * scale
	}
	if b.StableEvents > 0 {
		share := distuv.Beta{Alpha: b.CanaryEvents + 1, Beta: b.StableEvents}.Quantile(1 - miss)
		high = share / (1 - share) * scale
	}
	return low, high
}

// ShareBounds are the exact (Clopper-Pearson) limits of a probability after
// hits in trials, each missed with probability at most miss.
func ShareBounds(hits, trials int, miss float64) (low, high float64) {
	k, n := float64(hits), float64(trials)
	low, high = 0, 1
	if hits > 0 {
		low = distuv.Beta{Alpha: k, Beta: n - k + 1}.Quantile(miss)
	}
	if hits < trials {
		high = distuv.Beta{Alpha: k + 1, Beta: n - k}.Quantile(1 - miss)
	}
	return low, high
}

// WaldRatio is the least expected time, in the unit of the rates, in which a test
// detects that the canary's event rate is ratio times the stable one and not null
// times the stable one. It holds for any test of power one with false alarms at most
// alpha. CanaryRate and stableRate are the events per unit of time that each arm
// would have at the stable event rate.
func WaldRatio(canaryRate, stableRate, ratio, null, alpha float64) float64 {
	share := func(r float64) float64 { return r * canaryRate / (r*canaryRate + stableRate) }
	p, q := share(ratio), share(null)
	kl := p*math.Log(p/q) + (1-p)*math.Log((1-p)/(1-q))
	return math.Log(1/alpha) / (kl * (ratio*canaryRate + stableRate))
}

// WaldMean is the least expected number of observations in which a test detects that
// a normal mean is effect standard deviations away from its null. It holds for any
// test of power one with false alarms at most alpha.
func WaldMean(effect, alpha float64) float64 {
	return 2 * math.Log(1/alpha) / (effect * effect)
}

// MarginInformation is the growth, per unit of exposure time, of the best test that
// separates "both rates are base" from "the canary's is higher by difference".
// Canary and stable are the exposures of both arms per unit of time.
func MarginInformation(base, difference, canary, stable float64) float64 {
	kl := func(u, v float64) float64 {
		if u == 0 {
			return v
		}
		return u*math.Log(u/v) - u + v
	}
	x, y := project(base, base, canary, stable, difference)
	return canary*kl(base, x) + stable*kl(base, max(y, math.SmallestNonzeroFloat64))
}
