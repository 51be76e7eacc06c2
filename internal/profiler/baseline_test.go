package profiler

import (
	"math/rand/v2"
	"testing"

	"github.com/shoenig/test/must"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/internal/judge"
	"github.com/oakumhq/oakum/internal/kpi"
)

// TestBaseline_LearnsThatSlowRequestsComeInBursts has instances of which one at a time is slow for
// an interval: the profile learns that its requests do not count each by itself.
func TestBaseline_LearnsThatSlowRequestsComeInBursts(t *testing.T) {
	upper := []float64{0.01, 0.1, 1}
	learn := func(burst float64) float64 {
		rng := rand.New(rand.NewPCG(2, 8))
		s := newBaseline(judge.KPI{Name: api.KPILatencyP99, Kind: api.KPILatency, Quantile: 0.99}, kpi.SourceMetrics)
		for i := range 400 {
			var round []kpi.Increment
			for k := range 4 {
				slow := 0.0
				for range 100 {
					if rng.Float64() < 0.05 {
						slow++
					}
				}
				if k == i%4 {
					slow += burst
				}
				round = append(round, kpi.Increment{Requests: 100, Upper: upper, Counts: []float64{50, 50 - slow, slow, 0}})
			}
			s.learnSlow(round)
			s.learnBuckets(upper, []float64{200, 180, 20, 0})
		}
		return s.dispersion.Factor()
	}
	must.Less(t, 1.2, learn(0))
	must.Greater(t, 5, learn(20))
}
