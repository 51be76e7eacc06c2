package stats

import (
	"math"
)

// Side says which way a process looks: for a canary that is worse than the
// margin, or for one that is better.
type Side string

// Sides. Worse gathers evidence against "not above the margin", Better against
// "not below the margin".
const (
	Worse  Side = "worse"
	Better Side = "better"
)

const (
	// gridSize is how many alternatives a mixture spreads over. Halving the
	// distance between neighbours again gains less than two percent of
	// detection time; each alternative costs eight bytes of replicated state.
	gridSize = 64
	// gridReach is how far from the margin the alternatives go. Beyond a
	// factor of 64 a handful of events decide under any alternative.
	gridReach = 64.0
)

// mixed holds three numbers for each alternative of a grid: the alternative's
// distance from the margin as a factor, the logarithm of that factor, and the
// logarithm of the alternative's weight. The density of the weights in x, the
// distance from the margin in logarithms, is x exp(-2x). The density is highest at a
// factor of 1.6. An alternative nearer to the margin weighs less, because it takes
// long to see under any weight and matters little. An alternative farther from the
// margin weighs less, because a large factor decides within a few events.
type mixed struct{ factor, log, weight []float64 }

func mixtureOf(side Side, size int) *mixed {
	m := &mixed{make([]float64, size), make([]float64, size), make([]float64, size)}
	var sum float64
	grid(side, size, func(j int, factor, log float64) {
		m.factor[j], m.log[j] = factor, log
		x := math.Abs(log)
		m.weight[j] = x * math.Exp(-2*x)
		sum += m.weight[j]
	})
	for j := range m.weight {
		m.weight[j] = math.Log(m.weight[j] / sum * float64(size))
	}
	return m
}

// logE is the logarithm of the weighted mean.
func (m *mixed) logE(logs []float64) float64 {
	var room [gridSize]float64
	weighted := append(room[:0], logs...)
	for j := range weighted {
		weighted[j] += m.weight[j]
	}
	return LogMeanExp(weighted...)
}

// Block holds the events and exposures of both arms in one interval. Exposures are
// requests or instance-seconds. They are known before the events are looked at and
// may change from interval to interval.
type Block struct {
	CanaryEvents, CanaryExposure float64
	StableEvents, StableExposure float64
}

// scale divides everything by the index of dispersion, so that events that
// come in clumps count as the clumps that they are.
func (b Block) scale(dispersion float64) Block {
	if !(dispersion > 1) {
		return b
	}
	return Block{b.CanaryEvents / dispersion, b.CanaryExposure / dispersion,
		b.StableEvents / dispersion, b.StableExposure / dispersion}
}

// Ratio is an e-process about the ratio of two event rates.
//
// Given that an event happened, it came from the canary with probability
// t(r) = r*n/(r*n+m), where r is the true ratio and n, m are the exposures of
// canary and stable in that interval. The unknown base rate cancels. Each grid
// point r_j keeps the log likelihood ratio of r_j against the margin; the
// e-value is their mean. Under any true ratio on the null's side of the margin
// each of them is a supermartingale. Counts of Bernoulli trials are covered as
// well as Poisson counts, because (1+x)^n <= exp(nx).
type Ratio struct {
	Margin float64 `json:"margin"`
	Side   Side    `json:"side"`
	Log    Vector  `json:"log"`
	// Expected is the ratio that is most likely, where one is; LogExpected is the
	// evidence of that alternative.
	Expected    float64 `json:"expected,omitempty"`
	LogExpected float64 `json:"log_expected,omitempty"`
	// Share is the canary's share of events under the null where the tables are.
	Share float64 `json:"share,omitempty"`

	grid         *mixed
	level, slope []float64
}

// ratioExpected is the weight of the expected ratio: a canary is harmless more
// often than anything else. It costs ln(1/0.7) where the expectation is right,
// and ln(1/0.3) where it is not.
const ratioExpected = 0.7

// NewRatio starts a process. Worse tests "ratio <= margin", Better tests
// "ratio >= margin". Expected is a ratio on the other side of the margin that is
// likelier than all others, or 0.
func NewRatio(margin float64, side Side, expected float64) Ratio {
	if !(expected > 0) || (expected > margin) != (side == Worse) {
		expected = 0
	}
	return Ratio{Margin: margin, Side: side, Log: make(Vector, gridSize), Expected: expected}
}

// grid walks over the alternatives beyond a margin, evenly spaced in the
// logarithm, half a step from the margin to half a step from its reach. It
// gives each alternative's distance from the margin as a factor and its
// logarithm.
func grid(side Side, size int, visit func(j int, factor, log float64)) {
	step := math.Log(gridReach) / float64(size)
	if side == Better {
		step = -step
	}
	factor, growth := math.Exp(step/2), math.Exp(step)
	for j := range size {
		visit(j, factor, step*(float64(j)+0.5))
		factor *= growth
	}
}

// ratioDrift is how far the null's share may wander from where the tables were
// made, in units of its standard deviation for one event. The tangents in use
// there give away less than a hundredth of an event's evidence.
const ratioDrift = 0.05

// Observe adds one interval.
func (p *Ratio) Observe(block Block, dispersion float64) {
	b := block.scale(dispersion)
	events := b.CanaryEvents + b.StableEvents
	if events == 0 || b.CanaryExposure == 0 || b.StableExposure == 0 {
		return // nothing is said about the ratio
	}
	null := p.Margin*b.CanaryExposure + b.StableExposure
	share := p.Margin * b.CanaryExposure / null
	if math.Abs(share-p.Share) > ratioDrift*math.Sqrt(p.Share*(1-p.Share)) {
		p.Share, p.level = share, nil // also at the start, where it is 0
	}
	if p.level == nil {
		p.build()
	}
	// The logarithm of 1+share*(factor-1) is concave in the share, so its tangent
	// at the tables' share is nowhere below it: the value in use is never too large.
	drift := share - p.Share
	for j, log := range p.grid.log[:len(p.Log)] {
		p.Log[j] += b.CanaryEvents*log - events*(p.level[j]+p.slope[j]*drift)
	}
	if p.Expected > 0 {
		factor := p.Expected / p.Margin
		p.LogExpected += b.CanaryEvents*math.Log(factor) - events*math.Log1p(share*(factor-1))
	}
}

func (p *Ratio) build() {
	p.mix()
	p.level, p.slope = make([]float64, len(p.Log)), make([]float64, len(p.Log))
	for j, factor := range p.grid.factor {
		x := p.Share * (factor - 1)
		p.level[j], p.slope[j] = math.Log1p(x), (factor-1)/(1+x)
	}
}

func (p *Ratio) mix() {
	if p.grid == nil {
		p.grid = mixtureOf(p.Side, len(p.Log))
	}
}

// LogE is the natural logarithm of the e-value.
func (p *Ratio) LogE() float64 {
	p.mix()
	if p.Expected == 0 {
		return p.grid.logE(p.Log)
	}
	return LogMeanExp(math.Log(2*ratioExpected)+p.LogExpected, math.Log(2*(1-ratioExpected))+p.grid.logE(p.Log))
}

// Most is a number that LogE does not exceed, found without logarithms.
func (p *Ratio) Most() float64 { return max(largest(p.Log), p.LogExpected) }

// Margin is an e-process about the difference of two event rates, for a margin
// in the unit of the rate itself: errors per request, say. It separates a canary
// without any errors from a canary with too many errors even if the stable arm has
// no errors. A ratio says nothing there.
//
// Derivation. Let n, m be the exposures and a, b the events of canary and
// stable in an interval, and (x, y) their Poisson rates. The null is a half
// plane, x-y >= d for Better and x-y <= d for Worse, so it is convex. Take any
// alternative (x1, y1) outside it, chosen from the past alone, and let (x0, y0)
// be the point of the null that minimises the divergence
//
//	n*KL(x1, x) + m*KL(y1, y),  KL(u, v) = u ln(u/v) - u + v.
//
// The factor E = (x1/x0)^a (y1/y0)^b exp(-n(x1-x0) - m(y1-y0)) has at (x, y) the
// log expectation n x (x1/x0 - 1) + m y (y1/y0 - 1) - n(x1-x0) - m(y1-y0). That
// is linear in (x, y), zero at (x0, y0), and its gradient there is minus the
// divergence's. As (x0, y0) minimises a convex function over a convex set, the
// expression is at most zero on the whole null: E has expectation at most one
// whatever the true rates are, without knowing the stable one. For Bernoulli
// trials the expectation is smaller still, since 1+x <= exp(x).
//
// Alternatives: the stable rate is estimated from earlier intervals. The canary's
// rate is the stable rate plus a fixed excess per grid point; the last expert takes
// the canary's own rate. An expert whose alternative lies inside the null, or within
// five percent of its limit, is idle and keeps its value.
type Margin struct {
	Difference float64 `json:"difference"`
	Side       Side    `json:"side"`
	Log        Vector  `json:"log"`
	// Sums of the past, from which alternatives are made.
	CanaryEvents   float64 `json:"ce"`
	CanaryExposure float64 `json:"cn"`
	StableEvents   float64 `json:"se"`
	StableExposure float64 `json:"sn"`

	excess []float64 // of the alternatives over the stable rate
}

// marginExperts is smaller than gridSize: excesses below the margin matter by
// their distance to it alone, and five of those with one that follows the
// canary cover it.
const (
	marginExpertsBetter = 6
	marginExpertsWorse  = 12
)

// NewMargin starts a process. Worse tests "canary <= stable + difference",
// Better tests "canary >= stable + difference".
func NewMargin(difference float64, side Side) Margin {
	n := marginExpertsWorse
	if side == Better {
		n = marginExpertsBetter
	}
	return Margin{Difference: difference, Side: side, Log: make(Vector, n)}
}

// Observe adds one interval.
func (p *Margin) Observe(block Block, dispersion float64) {
	b := block.scale(dispersion)
	if b.CanaryExposure == 0 || p.Difference <= 0 {
		return
	}
	// A tenth of an event in 1/difference exposures stands in for the past at
	// the start: far below the margin, and above zero, where logarithms end.
	prior := 1 / p.Difference
	stable := (p.StableEvents + 0.1) / (p.StableExposure + prior)
	canary := (p.CanaryEvents + 0.1) / (p.CanaryExposure + prior)
	for j := range p.Log {
		x, ok := p.alternative(j, canary, stable)
		if !ok {
			continue
		}
		x0, y0 := project(x, stable, b.CanaryExposure, b.StableExposure, p.Difference)
		p.Log[j] -= b.CanaryExposure * (x - x0)
		if b.CanaryEvents > 0 {
			p.Log[j] += b.CanaryEvents * math.Log(x/x0)
		}
		if b.StableExposure > 0 {
			p.Log[j] -= b.StableExposure * (stable - y0)
		}
		if b.StableExposure > 0 && b.StableEvents > 0 {
			p.Log[j] += b.StableEvents * math.Log(stable/y0)
		}
	}
	p.CanaryEvents += b.CanaryEvents
	p.CanaryExposure += b.CanaryExposure
	p.StableEvents += b.StableEvents
	p.StableExposure += b.StableExposure
}

// alternative is the canary's rate that expert j believes in.
func (p *Margin) alternative(j int, canary, stable float64) (float64, bool) {
	bound := stable + p.Difference
	if p.Side == Better {
		if j == len(p.Log)-1 {
			return canary, canary < 0.95*bound
		}
		return stable + p.Difference*[]float64{0, 0.1, 0.25, 0.5, 0.75}[j], true
	}
	if j == len(p.Log)-1 {
		return canary, canary > 1.05*bound
	}
	// From a quarter above the margin up to "everything fails", or to 64
	// margins when rates are not probabilities.
	if len(p.excess) != len(p.Log) {
		top := math.Log(max(1/p.Difference, gridReach) / 1.25)
		p.excess = make([]float64, len(p.Log))
		for k := range p.excess {
			p.excess[k] = p.Difference * 1.25 * math.Exp(top*float64(k)/float64(len(p.Log)-2))
		}
	}
	return stable + p.excess[j], true
}

// project finds the point of the line x = y + d that is nearest to (x1, y1) in
// the exposure-weighted Poisson divergence. Setting the derivative along the
// line to zero leaves a quadratic in y with one positive root. Without a stable
// exposure the stable rate is free and the nearest point keeps its value only
// if zero cost allows x0 = x1; the caller's null is then not excluded, so the
// projection falls on x1 itself when x1 >= d.
func project(x1, y1, n, m, d float64) (x0, y0 float64) {
	if m == 0 {
		y := max(x1-d, 0)
		return y + d, y
	}
	b := n*(d-x1) + m*(d-y1)
	root := math.Sqrt(b*b + 4*(n+m)*m*y1*d)
	y := (root - b) / (2 * (n + m))
	if b > 0 {
		y = 2 * m * y1 * d / (b + root) // the same root without cancellation
	}
	return y + d, y
}

// LogE is the natural logarithm of the e-value.
func (p *Margin) LogE() float64 { return LogMeanExp(p.Log...) }

// Most is a number that LogE does not exceed, found without logarithms.
func (p *Margin) Most() float64 { return largest(p.Log) }

// Rate is an e-process about one event rate against a fixed bound: "rate <=
// bound" for Worse, "rate >= bound" for Better.
type Rate struct {
	Bound float64 `json:"bound"`
	Side  Side    `json:"side"`
	Log   Vector  `json:"log"`

	grid *mixed
}

// NewRate starts a process against bound, which must be above zero.
func NewRate(bound float64, side Side) Rate {
	return Rate{Bound: bound, Side: side, Log: make(Vector, gridSize)}
}

// Observe adds one interval.
func (p *Rate) Observe(events, exposure, dispersion float64) {
	if exposure == 0 || p.Bound <= 0 {
		return
	}
	if dispersion > 1 {
		events, exposure = events/dispersion, exposure/dispersion
	}
	p.mix()
	for j, log := range p.grid.log[:len(p.Log)] {
		p.Log[j] += events*log - exposure*p.Bound*(p.grid.factor[j]-1)
	}
}

func (p *Rate) mix() {
	if p.grid == nil {
		p.grid = mixtureOf(p.Side, len(p.Log))
	}
}

// LogE is the natural logarithm of the e-value.
func (p *Rate) LogE() float64 {
	p.mix()
	return p.grid.logE(p.Log)
}

// Most is a number that LogE does not exceed, found without logarithms.
func (p *Rate) Most() float64 { return largest(p.Log) }
