package rehearsal

import (
	"math"
	"math/rand/v2"

	"gonum.org/v1/gonum/stat/distuv"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/internal/judge"
)

// arm is one of the two sides of a look.
type arm int

const (
	patched arm = iota
	former
)

const (
	// driftDeviations is how many standard deviations a KPI's drift is: the drift
	// is the value that one minute in a thousand exceeds.
	driftDeviations = 3.09
	// gaugeNoise is the difference between a gauge's instances, as a share of
	// their mean, where the history does not contain it.
	gaugeNoise = 0.05
)

// kpiModel is the model of one KPI of a target, for both arms. The KPI's kind decides
// which fields count.
type kpiModel struct {
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

// newKPIModel makes the model of a KPI from the profile and a patch's behaviour.
func newKPIModel(kpi judge.KPI, known bool, b behaviour) kpiModel {
	t := kpiModel{KPI: kpi, known: known}
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
		// Zero events count as half an event: what was never seen may still
		// happen.
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

// slower returns the shares of a histogram whose latencies are all multiplied by
// factor.
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

// beyond is the number of requests above a latency. Every request takes at least
// half of the first bound.
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

// begin begins a judgement. It draws what all instances have in common.
func (t *kpiModel) begin(src *rand.Rand) {
	t.src, t.chance = src, newPoisson(src)
	t.fleet = src.NormFloat64()
	t.state = [2]float64{src.NormFloat64(), src.NormFloat64()}
	t.level = src.NormFloat64()
}

// shift moves both arms by the drift of the whole fleet. It is for a judgement
// without former instances to compare with.
func (t *kpiModel) shift() {
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

// look draws what one arm shows in an interval of some seconds, with so many
// instances that answered so many requests.
func (t *kpiModel) look(a arm, instances, requests, seconds float64) judge.Measure {
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

// step moves a gauge's noise on to the next look.
func (t *kpiModel) step() {
	if t.Kind != api.KPIGauge {
		return
	}
	for i := range t.state {
		t.state[i] = correlated(t.state[i], t.Phi, t.src)
	}
	if t.Level != nil {
		t.level = correlated(t.level, t.Level.Phi, t.src)
	}
}

// correlated is the next value of a series with variance one and correlation phi
// between neighbours.
func correlated(x, phi float64, src *rand.Rand) float64 {
	phi = min(max(phi, 0), 0.999)
	return phi*x + math.Sqrt(1-phi*phi)*src.NormFloat64()
}

// events draws a number of events with a mean. They come in clumps of the size of
// the dispersion, as in the fleet.
func (t *kpiModel) events(mean float64) float64 {
	if mean <= 0 {
		return 0
	}
	clump := max(t.Dispersion, 1)
	return clump * poisson(&t.chance, mean/clump)
}

// poissonNormal is the mean from which on a normal distribution replaces
// Poisson's. There they differ by less than a hundredth in every share.
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
