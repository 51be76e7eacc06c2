package stats

import (
	"encoding/json"
	"fmt"
	"math"
	"math/rand/v2"
	"testing"

	"github.com/shoenig/test/must"
	"gonum.org/v1/gonum/stat/distuv"
	"pgregory.net/rapid"
)

// looks is an hour of looks every five seconds.
const looks = 720

// poisson multiplies uniform numbers until they fall below exp(-mean).
func poisson(rng *rand.Rand, mean float64) float64 {
	limit, n := math.Exp(-mean), -1.0
	for product := 1.0; product >= limit; n++ {
		product *= rng.Float64()
	}
	return n
}

// alarms counts the runs in which a process that is made anew for each run
// ever reaches 1/alpha.
func alarms(runs int, alpha float64, run func(rng *rand.Rand, crossed func(logE float64) bool)) int {
	hits := 0
	for i := range runs {
		rng := rand.New(rand.NewPCG(7, uint64(i)))
		hit := false
		run(rng, func(logE float64) bool {
			hit = hit || logE >= math.Log(1/alpha)
			return hit
		})
		if hit {
			hits++
		}
	}
	return hits
}

// mustNotExceed fails when the true share of alarms lies above alpha with
// confidence 99.9 percent.
func mustNotExceed(t *testing.T, hits, runs int, alpha float64) {
	t.Helper()
	low, _ := ShareBounds(hits, runs, 0.001)
	t.Logf("%d of %d runs, limit %.3g", hits, runs, alpha)
	must.LessEq(t, alpha, low)
}

func TestCounts_KeepTheRateOfFalseAlarms(t *testing.T) {
	t.Parallel()
	const runs, alpha = 300, 0.05 // a high alpha gives the limit something to bite on
	cases := map[string]struct {
		canary, stable      float64 // exposure per look
		canaryRate, stable0 float64
		new                 func() (observe func(Block), logE func() float64)
	}{
		"ratio equal arms":            {50, 50, 0.01, 0.01, ratioOf(1, Worse)},
		"ratio at margin":             {20, 200, 0.011, 0.01, ratioOf(1.1, Worse)},
		"ratio promote a bad canary":  {50, 450, 0.02, 0.01, ratioOf(2, Better)},
		"margin at difference":        {20, 180, 0.03, 0.01, marginOf(0.02, Worse)},
		"margin high base":            {20, 20, 0.42, 0.4, marginOf(0.02, Worse)},
		"margin promote a bad canary": {20, 180, 0.03, 0.01, marginOf(0.02, Better)},
		"margin promote without base": {20, 180, 0.02, 0, marginOf(0.02, Better)},
		"margin promote few stable":   {20, 2, 0.07, 0.05, marginOf(0.02, Better)},
		"rate at bound":               {50, 0, 0.01, 0, rateOf(0.01, Worse)},
		"rate promote at bound":       {50, 0, 0.01, 0, rateOf(0.01, Better)},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			hits := alarms(runs, alpha, func(rng *rand.Rand, crossed func(float64) bool) {
				observe, logE := c.new()
				for range looks {
					observe(Block{poisson(rng, c.canary*c.canaryRate), c.canary, poisson(rng, c.stable*c.stable0+1e-12), c.stable})
					if crossed(logE()) {
						return
					}
				}
			})
			mustNotExceed(t, hits, runs, alpha)
		})
	}
}

func ratioOf(m float64, s Side) func() (func(Block), func() float64) {
	return func() (func(Block), func() float64) {
		p := NewRatio(m, s, 1)
		return func(b Block) { p.Observe(b, 1) }, p.LogE
	}
}

func marginOf(d float64, s Side) func() (func(Block), func() float64) {
	return func() (func(Block), func() float64) {
		p := NewMargin(d, s)
		return func(b Block) { p.Observe(b, 1) }, p.LogE
	}
}

func rateOf(bound float64, s Side) func() (func(Block), func() float64) {
	return func() (func(Block), func() float64) {
		p := NewRate(bound, s)
		return func(b Block) { p.Observe(b.CanaryEvents, b.CanaryExposure, 1) }, p.LogE
	}
}

// TestMargin_IsASupermartingale checks the derivation itself: wherever the true
// rates lie in the null, one factor has expectation at most one.
func TestMargin_IsASupermartingale(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		draw := func(low, high float64, name string) float64 { return rapid.Float64Range(low, high).Draw(t, name) }
		d := draw(1e-4, 0.3, "d")
		y1, n, m := draw(1e-6, 0.5, "y1"), draw(0.01, 100, "n"), draw(0, 100, "m")
		if m < 1e-9 {
			m = 0 // the judge takes no exposure that is less, of which the quotient of the rates overflows
		}
		x1 := draw(1e-6, 0.99, "x1")
		y := draw(0, 0.6, "y")
		better := x1 < y1+d
		x := y + d + draw(0, 0.3, "beyond")
		if !better {
			x = draw(0, y+d, "x")
		}
		if m == 0 && !better {
			return // no stable exposure excludes nothing above the margin
		}
		x0, y0 := project(x1, y1, n, m, d)
		logMean := n*x*(x1/x0-1) - n*(x1-x0)
		if m > 0 {
			logMean += m*y*(y1/y0-1) - m*(y1-y0)
		}
		if logMean > 1e-6*(1+n+m) {
			t.Fatalf("expectation exp(%g) above one at rates (%g, %g), projected to (%g, %g)", logMean, x, y, x0, y0)
		}
	})
}

func TestMargin_PromotesAHealthyCanaryWithoutErrors(t *testing.T) {
	p := NewMargin(0.02, Better)
	requests := 0.0
	for p.LogE() < math.Log(20) {
		p.Observe(Block{0, 10, 0, 90}, 1)
		requests += 10
		must.Less(t, 400, requests)
	}
	t.Logf("%.0f requests; the bound is %.0f", requests, math.Log(20)/0.02)
	must.Less(t, 1.5*math.Log(20)/0.02, requests)
}

func TestMargin_AbortsABrokenCanary(t *testing.T) {
	p := NewMargin(0.02, Worse)
	p.Observe(Block{4, 8, 0, 90}, 1)
	must.Greater(t, math.Log(500), p.LogE())
}

func TestPaired_KeepsTheRateOfFalseAlarms(t *testing.T) {
	const runs, alpha = 100, 0.05
	for _, rho := range []float64{0, 0.5, 0.95} {
		for name, h := range map[string]History{
			"known":           {Phi: rho},
			"variance known":  {Phi: rho, Variance: 1, N: 500},
			"from an hour":    {Phi: rho, Error: math.Sqrt((1 - rho*rho) / 720), Variance: 1, N: 720},
			"without history": {Unknown: true},
		} {
			for _, mean := range []float64{0, -0.3} {
				t.Run(fmt.Sprintf("autocorrelation %g, %s, mean %g", rho, name, mean), func(t *testing.T) {
					t.Parallel()
					hits := alarms(runs, alpha, func(rng *rand.Rand, crossed func(float64) bool) {
						p := NewPaired(h)
						x := rng.NormFloat64()
						for range looks / 3 {
							x = rho*x + math.Sqrt(1-rho*rho)*rng.NormFloat64()
							p.Observe(x + mean)
							if crossed(p.LogE()) {
								return
							}
						}
					})
					mustNotExceed(t, hits, runs, alpha)
				})
			}
		}
	}
}

// A canary that moves, of a target whose instances were at rest: the small
// variance that history knows must not make the evidence of a few looks large.
func TestPaired_KeepsTheRateOfFalseAlarmsAgainstAQuietHistory(t *testing.T) {
	const runs, alpha = 400, 0.01
	for _, quieter := range []float64{2, 4, 10, 1000} {
		for _, rho := range []float64{0, 0.5} {
			t.Run(fmt.Sprintf("%g times quieter, autocorrelation %g", quieter, rho), func(t *testing.T) {
				t.Parallel()
				hits := alarms(runs, alpha, func(rng *rand.Rand, crossed func(float64) bool) {
					p := NewPaired(History{Phi: rho, Error: 0.1, Variance: 1 / (quieter * quieter), N: 50})
					p.Doubt = true
					x := rng.NormFloat64()
					for range 200 {
						x = rho*x + math.Sqrt(1-rho*rho)*rng.NormFloat64()
						p.Observe(x)
						if crossed(p.LogE()) {
							return
						}
					}
				})
				mustNotExceed(t, hits, runs, alpha)
			})
		}
	}
}

func TestPaired_FindsAShift(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 1))
	p := NewPaired(History{})
	n := 0.0
	for p.LogE() < math.Log(100) {
		p.Observe(1 + rng.NormFloat64())
		n++
		must.Less(t, 100, n)
	}
	quiet := NewPaired(History{})
	for range 1000 {
		quiet.Observe(-1)
	}
	must.Negative(t, quiet.LogE())
}

func TestProcesses_SurviveJSON(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 3))
	type all struct {
		A Ratio
		B Margin
		C Rate
		D Paired
	}
	one := all{NewRatio(1.1, Worse, 1.5), NewMargin(0.01, Better), NewRate(0.1, Worse), NewPaired(History{Unknown: true})}
	two := one
	two.A.Log, two.B.Log, two.C.Log = append(Vector{}, one.A.Log...), append(Vector{}, one.B.Log...), append(Vector{}, one.C.Log...)
	for range 200 {
		b := Block{poisson(rng, 1), 50, poisson(rng, 3), 200}
		d := rng.NormFloat64()
		for _, p := range []*all{&one, &two} {
			p.A.Observe(b, 1.3)
			p.B.Observe(b, 1.3)
			p.C.Observe(b.CanaryEvents, b.CanaryExposure, 1)
			p.D.Observe(d)
		}
		raw, err := json.Marshal(two)
		must.NoError(t, err)
		two = all{}
		must.NoError(t, json.Unmarshal(raw, &two))
	}
	first, err := json.Marshal(one)
	must.NoError(t, err)
	second, err := json.Marshal(two)
	must.NoError(t, err)
	must.Eq(t, string(first), string(second))
	must.Eq(t, one.A.LogE(), two.A.LogE())
	must.Eq(t, one.D.LogE(), two.D.LogE())
}

// TestMost_IsNeverExceeded holds the cheap bound that spares most looks the
// logarithms.
func TestMost_IsNeverExceeded(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		seed := rapid.Uint64().Draw(t, "seed")
		rng := rand.New(rand.NewPCG(seed, 4))
		ratio, margin := NewRatio(1.2, Worse, 0), NewMargin(0.05, Better)
		better, order := NewRatio(2, Better, 1), NewOrder([]float64{5, 3, 2})
		history := rapid.SampledFrom([]History{{}, {Unknown: true}, {Phi: 0.4, Error: 0.1, Variance: 1, N: 50}}).Draw(t, "history")
		paired := NewPaired(history)
		shift := rapid.Float64Range(-2, 2).Draw(t, "shift")
		for range 30 {
			b := Block{poisson(rng, 1+shift/2), 20, poisson(rng, 4), 100}
			ratio.Observe(b, 1)
			margin.Observe(b, 1)
			better.Observe(b, 1)
			order.Observe([]float64{poisson(rng, 2), poisson(rng, 2), poisson(rng, 1)}, []float64{poisson(rng, 6), poisson(rng, 3), poisson(rng, 1)}, 1)
			paired.Observe(shift + rng.NormFloat64())
			for name, p := range map[string][2]float64{
				"ratio": {ratio.LogE(), ratio.Most()}, "better": {better.LogE(), better.Most()}, "margin": {margin.LogE(), margin.Most()},
				"order": {order.LogE(), order.Most()}, "paired": {paired.LogE(), paired.Most()},
			} {
				if p[0] > p[1]+1e-9 {
					t.Fatalf("%s: evidence %g above its bound %g", name, p[0], p[1])
				}
			}
		}
	})
}

func TestVector_RefusesDamage(t *testing.T) {
	var v Vector
	must.Error(t, json.Unmarshal([]byte(`"AAA"`), &v))
	must.Error(t, json.Unmarshal([]byte(`"!"`), &v))
	must.Error(t, json.Unmarshal([]byte(`1`), &v))
}

func TestSketch(t *testing.T) {
	rng := rand.New(rand.NewPCG(5, 5))
	one, two, both := NewSketch(), NewSketch(), NewSketch()
	for i := range 20_000 {
		x := math.Exp(rng.NormFloat64())
		half := one
		if i%2 == 0 {
			half = two
		}
		must.NoError(t, half.Add(x, 1))
		must.NoError(t, both.Add(x, 1))
	}
	must.NoError(t, one.Merge(two))
	raw := both.Bytes()
	read, err := DecodeSketch(raw, both.Mean())
	must.NoError(t, err)
	for _, q := range []float64{0.5, 0.9, 0.99} {
		want := math.Exp(distuv.UnitNormal.Quantile(q))
		must.InDelta(t, want, both.Quantile(q), 0.06*want)
		must.Eq(t, both.Quantile(q), one.Quantile(q))
		must.Eq(t, both.Quantile(q), read.Quantile(q))
	}
	must.InDelta(t, math.Exp(0.5), both.Mean(), 0.05)
	must.InDelta(t, 10_000, both.Above(1), 300)
	t.Logf("%d bytes", len(raw))
	for _, bad := range []float64{math.NaN(), math.Inf(1), -1} {
		must.Error(t, both.Add(bad, 1))
	}
	_, err = DecodeSketch([]byte("no sketch"), 0)
	must.Error(t, err)
}

func TestDispersion(t *testing.T) {
	rng := rand.New(rand.NewPCG(9, 9))
	var chance, bursts Dispersion
	for range 500 {
		exposures := []float64{100, 100, 100, 100}
		calm, wild := make([]float64, 4), make([]float64, 4)
		for i := range calm {
			calm[i] = poisson(rng, 1)
			wild[i] = 10 * poisson(rng, 0.1)
		}
		chance.Observe(calm, exposures)
		bursts.Observe(wild, exposures)
	}
	must.InDelta(t, 1, chance.Factor(), 0.15)
	must.InDelta(t, 10, bursts.Factor(), 2)
}

func TestBounds_AgreeWithClosedForms(t *testing.T) {
	low, high := RateBounds(0, 100, 0.05)
	must.Eq(t, 0, low)
	must.InDelta(t, -math.Log(0.05)/100, high, 1e-9)
	low, high = ShareBounds(0, 10, 0.05)
	must.Eq(t, 0, low)
	must.InDelta(t, 1-math.Pow(0.05, 0.1), high, 1e-9)
	must.InDelta(t, 542, WaldRatio(0.05, 0.05, 2, 1, 0.01), 1)
}
