package load

import (
	"math"
	"time"
)

// Harm is what a build does to the requests and the machines of its instances,
// compared with what the service usually does. The zero value does none.
type Harm struct {
	Errors   float64       // share of the requests that fail on top of the usual
	ErrorsBy float64       // factor on the usual share of errors; 1 when 0
	Latency  float64       // factor on every latency; 1 when 0
	Tail     float64       // share of the requests that are slow
	TailBy   float64       // factor on their latency; 10 when 0
	CPU      float64       // factor on the processor time; 1 when 0
	Memory   float64       // factor on the memory; 1 when 0
	Leak     float64       // bytes per hour
	Disk     float64       // factor on the disk operations; 1 when 0
	Above    float64       // it does all this only from so many requests/s of an instance on
	After    time.Duration // and only so long after a run has begun
	// Lies says that what the instances show is as usual and callers alone suffer:
	// answers that are wrong and say that they are right.
	Lies bool
}

// later reports whether it depends on the time or on the rate.
func (h Harm) later() bool { return h.Above > 0 || h.After > 0 }

// at is what it does to an instance of a rate and an age.
func (h Harm) at(rate float64, age time.Duration) Harm {
	if rate < h.Above || age < h.After {
		return Harm{}
	}
	return h
}

// factor is x, or 1 when that is not set.
func factor(x float64) float64 {
	if x == 0 {
		return 1
	}
	return x
}

// errors is the share of a service's requests that fails.
func (h Harm) errors(usual float64) float64 {
	return min(usual*factor(h.ErrorsBy)+h.Errors, 1)
}

// slowness is by how much requests take longer than usual: of a share of them
// the latency is multiplied by a factor, of the rest by 1.
type slowness struct{ share, by float64 }

// tail is the share of slow requests on top of the common factor.
func (h Harm) tail() slowness {
	if h.Tail == 0 {
		return slowness{0, 1}
	}
	by := h.TailBy
	if by == 0 {
		by = 10
	}
	return slowness{min(h.Tail, 1), by}
}

// delay is the mean factor on a latency.
func (h Harm) delay() float64 {
	t := h.tail()
	return factor(h.Latency) * (1 - t.share + t.share*t.by)
}

// Bounds are the upper bounds of the latency histograms in seconds: dense where
// services answer, wide enough for a timeout.
func Bounds() []float64 {
	return []float64{.001, .002, .003, .005, .0075, .01, .015, .02, .03, .05, .075, .1, .15, .2, .3, .5, 1, 2, 5}
}

// bounds is their number, and that of the buckets without the one beyond them.
const bounds = 19

// addShares adds to the shares of the buckets what a lognormal latency has there:
// weight in all.
func addShares(into *[bounds + 1]float64, weight, median, spread float64) {
	if weight <= 0 {
		return
	}
	below := 0.0
	for i, upper := range Bounds() {
		next := 0.5 * math.Erfc(-math.Log(upper/median)/(spread*math.Sqrt2))
		into[i] += weight * (next - below)
		below = next
	}
	into[bounds] += weight * (1 - below)
}

// middle is a latency that stands for a bucket in sums.
func middle(bucket int) float64 {
	b := Bounds()
	switch bucket {
	case 0:
		return b[0] / 2
	case bounds:
		return 2 * b[bounds-1]
	}
	return math.Sqrt(b[bucket-1] * b[bucket])
}
