package rehearsal

import (
	"math"
	"math/rand/v2"

	"gonum.org/v1/gonum/stat/distuv"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/internal/judge"
)

// arm names the two sides of a look.
type arm int

const (
	patched arm = iota
	former
)

const (
	// driftDeviations is how many standard deviations the drift of a KPI is: the
	// one that a minute in a thousand is beyond.
	driftDeviations = 3.09
	// gaugeNoise is what a gauge's instances differ by where no history tells it,
	// as a share of their mean.
	gaugeNoise = 0.05
)

// truth is how one KPI of a target is in the model, for both arms. Which fields
// count depends on the kind.
type truth struct {
	judge.KPI
	known  bool           // something was measured
	alone  bool           // by instance-seconds and not by requests
	rate   [2]float64     // count: events for each exposure
	share  [2][]float64   // latency: of the requests, in each bucket
	factor float64        // latency: of the patched arm
	mean   [2]float64     // gauge
	noise  float64        // gauge: variance of one instance
	state  [2]float64     // gauge: of the noise, in standard deviations
	level  float64        // gauge: of what all instances have in common
	fleet  float64        // how far all instances together are off, in standard deviations
	room   [2][]float64   // latency: buckets of a look
	src    *rand.Rand     // of every draw
	chance distuv.Poisson // shares src
}

// newTruth makes a KPI as the profile has it, with what a patch does to it.
func newTruth(kpi judge.KPI, known bool, b behaviour) truth {
	t := truth{KPI: kpi, known: known}
	if !known {
		return t
	}
	r := kpi.Reference
	switch kpi.Kind {
	case api.KPICount:
		if t.known = r.Exposure > 0; !t.known {
			return t
		}
		t.alone = kpi.Unit == judge.UnitRate
		// Half an event stands for none: what was never seen may happen.
		base := max(r.Events, 0.5) / r.Exposure
		t.rate = [2]float64{base, base}
		if kpi.Name == api.KPIErrorRate {
			t.rate[patched] = min(base*b.errors, 1)
		}
	case api.KPILatency:
		if t.known = len(r.Counts) > 0 && sum(r.Counts) > 0; !t.known {
			return t
		}
		t.factor = b.latency
		t.share = [2][]float64{slower(r.Upper, r.Counts, b.latency), slower(r.Upper, r.Counts, 1)}
		t.room = [2][]float64{make([]float64, len(r.Counts)), make([]float64, len(r.Counts))}
	case api.KPIGauge:
		if t.known = r.N > 0; !t.known {
			return t
		}
		t.mean = [2]float64{r.Mean, r.Mean}
		t.noise = kpi.Noise.Canary
		if !kpi.PhiKnown {
			t.noise = gaugeNoise * gaugeNoise * r.Mean * r.Mean
		}
	}
	return t
}

// slower is a histogram whose every latency is factor times as long, as shares.
func slower(upper, counts []float64, factor float64) []float64 {
	n := sum(counts)
	out := make([]float64, len(counts))
	before := n
	for i, bound := range upper {
		above := min(before, beyond(upper, counts, bound/factor))
		out[i] = (before - above) / n
		before = above
	}
	out[len(upper)] = before / n
	return out
}

// beyond is the number of requests above a latency; none is as fast as half the
// first bound.
func beyond(upper, counts []float64, y float64) float64 {
	if y <= upper[0]/2 {
		return sum(counts)
	}
	return judge.Above(upper, counts, y)
}

func sum(values []float64) float64 {
	total := 0.0
	for _, v := range values {
		total += v
	}
	return total
}

// begin prepares a judgement: what all instances have in common is drawn once.
func (t *truth) begin(src *rand.Rand) {
	t.src, t.chance = src, newPoisson(src)
	t.fleet = src.NormFloat64()
	t.state = [2]float64{src.NormFloat64(), src.NormFloat64()}
	t.level = src.NormFloat64()
}

// shift moves both arms by the drift of the whole fleet, for a judgement that has
// no former instance to compare with.
func (t *truth) shift() {
	by := t.fleet * t.Drift / driftDeviations
	switch t.Kind {
	case api.KPICount:
		for i := range t.rate {
			t.rate[i] = min(max(t.rate[i]+by, 0), 1)
		}
	case api.KPILatency:
		r := t.Reference
		t.share = [2][]float64{slower(r.Upper, r.Counts, t.factor*math.Exp(by)), slower(r.Upper, r.Counts, math.Exp(by))}
	case api.KPIGauge: // its level moves from look to look
	}
}

// look draws what one arm shows in an interval: of so many instances, which
// answered so many requests.
func (t *truth) look(a arm, instances, requests, seconds float64) judge.Measure {
	switch t.Kind {
	case api.KPICount:
		exposure := requests
		if t.alone {
			exposure = instances * seconds
		}
		return judge.Count(min(t.events(exposure*t.rate[a]), exposure), exposure)
	case api.KPILatency:
		for i, share := range t.share[a] {
			t.room[a][i] = t.events(requests * share)
		}
		return judge.Buckets(t.Reference.Upper, t.room[a])
	case api.KPIGauge:
	}
	value := t.mean[a] + math.Sqrt(t.noise/max(instances, 1))*t.state[a]
	if t.Level != nil {
		value += math.Sqrt(t.Level.Variance) * t.level
	}
	return judge.Gauge(max(value, 0))
}

// step carries a gauge's noise on to the next look.
func (t *truth) step() {
	if t.Kind != api.KPIGauge {
		return
	}
	for i := range t.state {
		t.state[i] = resemble(t.state[i], t.Phi, t.src)
	}
	if t.Level != nil {
		t.level = resemble(t.level, t.Level.Phi, t.src)
	}
}

// resemble is the next value of a series of variance one whose neighbours have
// the correlation phi.
func resemble(x, phi float64, src *rand.Rand) float64 {
	phi = min(max(phi, 0), 0.999)
	return phi*x + math.Sqrt(1-phi*phi)*src.NormFloat64()
}

// events draws a number with a mean; they come in clumps as large as the
// dispersion, as they do in the fleet.
func (t *truth) events(mean float64) float64 {
	if mean <= 0 {
		return 0
	}
	clump := max(t.Dispersion, 1)
	return clump * poisson(&t.chance, mean/clump)
}

// poissonNormal is the mean from which on a normal distribution stands for
// Poisson's: they differ by less than a hundredth in any share there.
const poissonNormal = 1000

func newPoisson(src *rand.Rand) distuv.Poisson { return distuv.Poisson{Src: src} }

func poisson(p *distuv.Poisson, mean float64) float64 {
	if mean > poissonNormal {
		src, _ := p.Src.(*rand.Rand)
		return max(math.Round(mean+math.Sqrt(mean)*src.NormFloat64()), 0)
	}
	p.Lambda = mean
	return p.Rand()
}
