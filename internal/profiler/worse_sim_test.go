package profiler

import (
	"flag"
	"fmt"
	"math"
	"math/rand/v2"
	"sort"
	"testing"
	"time"

	"github.com/shoenig/test/must"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/internal/kpi"
	"github.com/oakumhq/oakum/internal/kpi/kpitest"
)

var hours = flag.Int("hours", 4, "how many hours of each kind of healthy neighbour TestBaselines_RarelyCallsAHealthyNeighbourWorse watches")

// healthy is one kind of a target that nothing is wrong with: how much its level
// wanders, how slowly, and how many requests it has.
type healthy struct {
	kpi     string
	margins api.KPISpec
	phi     float64 // of one sample to the next
	noise   float64 // standard deviation of the level's logarithm
	rps     float64
	errors  float64 // share
}

func (h healthy) String() string {
	return fmt.Sprintf("%s phi=%.1f noise=%.2f rps=%g errors=%g", h.kpi, h.phi, h.noise, h.rps, h.errors)
}

// poisson draws a number of events.
func poisson(rng *rand.Rand, mean float64) float64 {
	if mean > 50 {
		return max(0, math.Round(mean+math.Sqrt(mean)*rng.NormFloat64()))
	}
	n, p := 0.0, rng.Float64()
	for limit := math.Exp(-mean); p > limit; p *= rng.Float64() {
		n++
	}
	return n
}

// draw is what it does in some seconds.
func (h healthy) draw(rng *rand.Rand, level, seconds float64) kpi.Increment {
	in := kpi.Increment{Requests: poisson(rng, h.rps*seconds), Upper: kpitest.Bounds(), Counts: make([]float64, len(kpitest.Bounds())+1)}
	in.Errors = min(in.Requests, poisson(rng, in.Requests*h.errors*level))
	for range int(in.Requests) {
		in.Counts[sort.SearchFloat64s(in.Upper, 0.03*level*math.Exp(0.5*rng.NormFloat64()))]++
	}
	return in
}

// learnedBy lets baselines learn one sample of it.
func (h healthy) learnedBy(b *Baselines, rng *rand.Rand, level float64, now time.Time) {
	seconds := b.interval.Seconds()
	if h.kpi == api.KPICPU {
		b.Learn(values(kpitest.Shop(), h.kpi, now, 0.2*level))
		return
	}
	if sum := h.draw(rng, level, seconds); sum.Requests > 0 {
		b.Learn(counted(h.kpi, now, seconds, sum))
	}
}

// wander is the logarithm of a level that wanders, in its standard deviations.
func (h healthy) wander(rng *rand.Rand, last float64) float64 {
	return h.phi*last + math.Sqrt(1-h.phi*h.phi)*rng.NormFloat64()
}

// level is the level after wandering, with a mean of one.
func (h healthy) level(wander float64) float64 { return math.Exp(h.noise*wander - h.noise*h.noise/2) }

// hour learns for a while, then looks every sample of an hour at whose neighbour a rollout is,
// and reports whether the target was ever called worse.
func (h healthy) hour(rng *rand.Rand, learned time.Duration) bool {
	b := Restore(nil, 0, nil)
	now := time.Date(2026, 3, 2, 12, 0, 0, 0, time.UTC)
	wander := rng.NormFloat64()
	began := now.Add(learned)
	for now.Before(began.Add(time.Hour)) {
		now = now.Add(b.interval)
		wander = h.wander(rng, wander)
		if now.After(began) {
			b.rest(map[api.TargetRef]bool{kpitest.Shop(): true}, now)
		}
		h.learnedBy(b, rng, h.level(wander), now)
		if now.After(began) && len(worse(b, began, now, h.margins)) > 0 {
			return true
		}
	}
	return false
}

// healthyKinds are targets of all KPIs, with these autocorrelations of their level.
func healthyKinds(phis ...float64) []healthy {
	var kinds []healthy
	for _, phi := range phis {
		for _, noise := range []float64{0.1, 0.4} {
			kinds = append(kinds, healthy{kpi: api.KPICPU, phi: phi, noise: noise})
			for _, rps := range []float64{0.3, 3, 30} {
				kinds = append(kinds, healthy{kpi: api.KPIErrorRate, phi: phi, noise: noise, rps: rps, errors: 0.01},
					healthy{kpi: api.KPIErrorRate, phi: phi, noise: noise, rps: rps, errors: 0.0005})
				kinds = append(kinds, healthy{kpi: api.KPILatencyP99, phi: phi, noise: noise, rps: rps})
			}
		}
	}
	return kinds
}

// TestBaselines_RarelyCallsAHealthyNeighbourWorse watches healthy targets of many kinds
// at whose neighbour a rollout is, with margins that would by themselves be left all the time:
// at most one hour in a hundred may bring a false signal.
func TestBaselines_RarelyCallsAHealthyNeighbourWorse(t *testing.T) {
	tight := api.KPISpec{PromoteBelow: 1}
	usual := map[string]api.KPISpec{
		api.KPIErrorRate:  {PromoteBelow: 2, IgnoreBelow: 0.0001},
		api.KPILatencyP99: {PromoteBelow: 1.3, IgnoreBelow: 0.001},
		api.KPICPU:        {PromoteBelow: 1.5, IgnoreBelow: 0.01},
	}
	kinds := healthyKinds(0, 0.5, 0.9)
	rng := rand.New(rand.NewPCG(3, 5))
	for name, margins := range map[string]func(kpi string) api.KPISpec{
		"margins of the library": func(kpi string) api.KPISpec { return usual[kpi] },
		"no margin at all":       func(string) api.KPISpec { return tight },
	} {
		for _, learned := range []time.Duration{6 * time.Minute, 2 * time.Hour} {
			all, hits := 0, 0
			for _, h := range kinds {
				h.margins = margins(h.kpi)
				h.margins.KPI = h.kpi
				mine := 0
				for range *hours {
					if h.hour(rng, learned) {
						mine++
					}
				}
				if mine > 0 {
					t.Logf("%s, %s learned, %s: %d of %d", name, learned, h, mine, *hours)
				}
				all, hits = all+*hours, hits+mine
			}
			t.Logf("%s, %s learned: %d of %d hours have a false signal (%.3f %%)", name, learned, hits, all, 100*float64(hits)/float64(all))
			must.LessEq(t, 0.01, float64(hits)/float64(all))
		}
	}
}
