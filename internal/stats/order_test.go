package stats

import (
	"encoding/json"
	"math"
	"math/rand/v2"
	"testing"

	"github.com/shoenig/test/must"
	"gonum.org/v1/gonum/stat/combin"
	"pgregory.net/rapid"
)

// TestOrder_IsAnEVariable sums an interval's factor over all outcomes of a few
// values, for a canary that is not above the stable arm: its expectation is at
// most one whatever both distributions are, and wherever the tables were made.
func TestOrder_IsAnEVariable(t *testing.T) {
	const bins, n, m = 3, 2, 3
	rapid.Check(t, func(t *rapid.T) {
		shares := func(name string) []float64 {
			out, sum := make([]float64, bins), 0.0
			for k := range out {
				out[k] = rapid.Float64Range(0.001, 1).Draw(t, name)
				sum += out[k]
			}
			for k := range out {
				out[k] /= sum
			}
			return out
		}
		stable := shares("stable")
		// The canary moves a part of every bin to the one below.
		canary := append([]float64{}, stable...)
		for k := 1; k < bins; k++ {
			moved := canary[k] * rapid.Float64Range(0, 1).Draw(t, "moved")
			canary[k] -= moved
			canary[k-1] += moved
		}
		base := shares("base")
		share := rapid.Float64Range(0.3, 0.5).Draw(t, "share")
		var mean float64
		for a := range outcomes(n, bins) {
			for b := range outcomes(m, bins) {
				p := NewOrder(base)
				p.Share = share
				p.Observe(a, b, 1)
				mean += multinomial(a, canary) * multinomial(b, stable) * math.Exp(p.LogE())
			}
		}
		if mean > 1+1e-9 {
			t.Fatalf("expectation %g for stable %v, canary %v, believed %v", mean, stable, canary, base)
		}
	})
}

// outcomes are all ways to put n values in bins.
func outcomes(n, bins int) func(func([]float64) bool) {
	return func(yield func([]float64) bool) {
		for _, bars := range combin.Combinations(n+bins-1, bins-1) {
			out, from := make([]float64, bins), -1
			for k, b := range bars {
				out[k], from = float64(b-from-1), b
			}
			out[bins-1] = float64(n + bins - 2 - from)
			if !yield(out) {
				return
			}
		}
	}
}

func multinomial(counts, shares []float64) float64 {
	var n, log float64
	for k, c := range counts {
		n += c
		g, _ := math.Lgamma(c + 1)
		log += c*math.Log(shares[k]) - g
	}
	g, _ := math.Lgamma(n + 1)
	return math.Exp(log + g)
}

func TestOrder_KeepsTheRateOfFalseAlarms(t *testing.T) {
	t.Parallel()
	const runs, alpha = 200, 0.05
	for name, faster := range map[string]float64{"equal arms": 0, "a faster canary": 0.1} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			hits := alarms(runs, alpha, func(rng *rand.Rand, crossed func(float64) bool) {
				p := NewOrder([]float64{10, 10, 10, 10}) // a poor guess
				draw := func(n, shift float64) []float64 {
					out := make([]float64, 4)
					for range int(n) {
						z := rng.NormFloat64() - shift
						k := 0
						for k < 3 && z > float64(k) {
							k++
						}
						out[k]++
					}
					return out
				}
				for range looks / 2 {
					p.Observe(draw(poisson(rng, 3), faster), draw(poisson(rng, 20), 0), 1)
					if crossed(p.LogE()) {
						return
					}
				}
			})
			mustNotExceed(t, hits, runs, alpha)
		})
	}
}

func TestOrder_IgnoresWhatHasNoOtherArm(t *testing.T) {
	p := NewOrder([]float64{5, 5})
	p.Observe([]float64{3, 9}, []float64{0, 0}, 1)
	p.Observe([]float64{0, 0}, []float64{3, 9}, 1)
	p.Observe([]float64{1}, []float64{3, 9}, 1)
	must.InDelta(t, 0, p.LogE(), 1e-12)
}

func TestOrder_SurvivesJSON(t *testing.T) {
	rng := rand.New(rand.NewPCG(8, 8))
	one := NewOrder([]float64{5, 3, 2})
	two := NewOrder([]float64{5, 3, 2})
	for range 300 {
		canary := []float64{poisson(rng, 2), poisson(rng, 2), poisson(rng, 1)}
		stable := []float64{poisson(rng, 6), poisson(rng, 3), poisson(rng, 1)}
		one.Observe(canary, stable, 1.2)
		two.Observe(canary, stable, 1.2)
		raw, err := json.Marshal(two)
		must.NoError(t, err)
		two = Order{}
		must.NoError(t, json.Unmarshal(raw, &two))
		must.Eq(t, one.LogE(), two.LogE())
	}
}
