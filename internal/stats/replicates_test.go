package stats_test

import (
	"encoding/json"
	"math"
	"math/rand/v2"
	"testing"

	"github.com/shoenig/test/must"
	"gonum.org/v1/gonum/stat/distuv"

	"github.com/oakumhq/oakum/internal/stats"
)

// TestReplicates_ExpectationIsAtMostOne integrates the e-value of one value over its
// distribution, for means at and below zero.
func TestReplicates_ExpectationIsAtMostOne(t *testing.T) {
	t.Parallel()
	for _, expected := range []float64{0, 0.26} {
		for _, deviation := range []float64{0.03, 0.2} {
			for _, mean := range []float64{0, -0.01, -0.1, -0.5, -5} {
				spread := stats.Spread{Variance: deviation * deviation, Trust: 8}
				law := distuv.StudentsT{Mu: mean, Sigma: deviation, Nu: 8}
				var sum float64
				const step = 1e-2
				for z := -60.0; z < 60; z += step {
					r := stats.Replicates{Spread: spread, Expected: expected}
					y := mean + z*deviation
					r.Observe(y)
					sum += math.Exp(r.LogE()) * law.Prob(y) * step * deviation
				}
				must.LessEq(t, 1.0001, sum, must.Sprintf("expected %g, deviation %g, mean %g", expected, deviation, mean))
				if mean == 0 {
					must.Greater(t, 0.5, sum)
				}
			}
		}
	}
}

// TestReplicates_FalseAlarms looks after each of ten values, with a variance that the
// prior does not know exactly.
func TestReplicates_FalseAlarms(t *testing.T) {
	t.Parallel()
	rng := rand.New(rand.NewPCG(1, 2))
	const runs, alpha = 20_000, 0.01
	law := distuv.ChiSquared{K: 8, Src: rng}
	alarms := 0
	for range runs {
		deviation := 0.05 * math.Sqrt(8/law.Rand())
		r := stats.Replicates{Spread: stats.Spread{Variance: 0.05 * 0.05, Trust: 8}}
		for range 10 {
			r.Observe(deviation * rng.NormFloat64())
			if r.LogE() >= math.Log(1/alpha) {
				alarms++
				break
			}
		}
	}
	must.LessEq(t, runs*alpha, float64(alarms))
}

func TestReplicates_VisibleIsFound(t *testing.T) {
	t.Parallel()
	rng := rand.New(rand.NewPCG(3, 4))
	for _, n := range []int{1, 2, 4, 8} {
		spread := stats.Spread{Variance: 0.05 * 0.05, Trust: 8}
		needed := math.Log(300)
		mean := spread.Visible(n, needed, 0.95)
		must.Between(t, 0.01, mean, 1)
		found := 0
		for range 2000 {
			r := stats.Replicates{Spread: spread}
			for range n {
				r.Observe(mean + 0.05*rng.NormFloat64())
			}
			if r.LogE() >= needed {
				found++
			}
		}
		must.Between(t, 0.94*2000, found, 2000, must.Sprintf("%d values", n))
		must.Greater(t, spread.Visible(2*n, needed, 0.95), mean, must.Sprint("more values see more"))
	}
}

func TestReplicates_SaysNothing(t *testing.T) {
	t.Parallel()
	known := stats.Spread{Variance: 0.01, Trust: 8}
	for name, r := range map[string]stats.Replicates{
		"no values":       {Spread: known},
		"nothing known":   {N: 1, Sum: 3, Squares: 9},
		"below the limit": {Spread: known, N: 1, Sum: -3, Squares: 9},
	} {
		must.LessEq(t, 0, r.LogE(), must.Sprint(name))
	}
	r := stats.Replicates{Spread: known}
	r.Observe(math.NaN())
	r.Observe(math.Inf(1))
	must.Eq(t, 0, r.N)
	must.True(t, math.IsInf(stats.Spread{}.Visible(3, 1, 0.95), 1))
	must.True(t, math.IsInf(known.Visible(0, 1, 0.95), 1))
}

func TestReplicates_ResumesFromJSON(t *testing.T) {
	t.Parallel()
	r := stats.Replicates{Spread: stats.Spread{Variance: 0.01, Trust: 8}, Expected: 0.3}
	r.Observe(0.1)
	raw, err := json.Marshal(r)
	must.NoError(t, err)
	var again stats.Replicates
	must.NoError(t, json.Unmarshal(raw, &again))
	again.Observe(0.2)
	r.Observe(0.2)
	must.Eq(t, r.LogE(), again.LogE())
}
