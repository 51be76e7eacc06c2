package judge_test

import (
	"encoding/json"
	"math/rand/v2"
	"testing"

	"github.com/shoenig/test/must"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/internal/judge"
)

// BenchmarkJudgeUpdate shows one look to a thousand KPIs of each kind: counts with
// both margins, latencies in sixteen buckets, gauges with history.
func BenchmarkJudgeUpdate(b *testing.B) {
	upper := []float64{0.001, 0.0025, 0.005, 0.01, 0.02, 0.03, 0.05, 0.075, 0.1, 0.15, 0.25, 0.5, 1, 2.5, 5}
	w := &world{rng: rand.New(rand.NewPCG(1, 1)), upper: upper}
	gauge, _ := judge.Known(api.KPICPU)
	gauge.PhiKnown, gauge.Phi, gauge.PhiError, gauge.Noise = true, 0.3, 0.04, judge.Noise{Canary: 1e-4, Stable: 1e-5, N: 720}
	count, _ := judge.Known(api.KPIErrorRate)
	latency, _ := judge.Known("latency_p99")
	for _, c := range []struct {
		name string
		kpi  judge.KPI
		spec api.KPISpec
		next func() judge.Pair
	}{
		{"count", count, errorRate(), func() judge.Pair {
			return judge.Pair{Canary: judge.Count(float64(w.poisson(0.3)), 50+float64(w.poisson(5))), Stable: judge.Count(float64(w.poisson(3)), 450+float64(w.poisson(5)))}
		}},
		{"latency", latency, api.KPISpec{AbortAbove: 1.1, PromoteBelow: 1.3}, func() judge.Pair {
			return judge.Pair{Canary: w.latency(50, 1, 0), Stable: w.latency(450, 1, 0)}
		}},
		{"gauge", gauge, cpu(), func() judge.Pair {
			return judge.Pair{Canary: judge.Gauge(0.2 + 0.01*w.rng.NormFloat64()), Stable: judge.Gauge(0.2 + 0.003*w.rng.NormFloat64())}
		}},
	} {
		b.Run(c.name, func(b *testing.B) {
			c.spec.KPI = c.kpi.Name
			const kpis, prepared = 1000, 64
			banks := make([]*judge.Bank, kpis)
			for i := range banks {
				bank, err := judge.New(spec(c.spec), []judge.KPI{c.kpi}, judge.Stage{Started: began()})
				must.NoError(b, err)
				banks[i] = bank
			}
			looks := make([]judge.Look, prepared)
			for i := range looks {
				looks[i] = judge.Look{Seconds: 5, KPIs: map[string]judge.Pair{c.kpi.Name: c.next()}}
			}
			at := began()
			for i := range 20 { // past the placement of limits
				at = at.Add(step)
				for _, bank := range banks {
					looks[i].At = at
					bank.Observe(looks[i])
				}
			}
			rounds := 0
			for b.Loop() {
				at = at.Add(step)
				rounds++
				look := looks[rounds%prepared]
				look.At = at
				for _, bank := range banks {
					bank.Observe(look)
				}
			}
			raw, err := json.Marshal(banks[0])
			must.NoError(b, err)
			b.ReportMetric(float64(b.Elapsed().Microseconds())/float64(b.N)/1000, "ms/1000kpis")
			b.ReportMetric(float64(len(raw)), "state-bytes")
		})
	}
}
