package judge_test

import (
	"math"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/shoenig/test/must"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/internal/profiler/judge"
	"github.com/oakumhq/oakum/internal/stats"
)

const (
	benchAlpha = 0.01
	benchRate  = 10.0  // requests per second of each arm
	benchError = 0.005 // stable share of errors
	benchSigma = 0.5   // of the logarithm of a latency
	benchRho   = 0.5   // autocorrelation of a gauge
	benchHour  = 720   // looks
	// benchRuns is how many hours of equal arms a false-alarm share rests on.
	benchRuns = 500
)

// scene is one kind of data: a look of the canary with and without its fault.
type scene struct {
	spec  api.KPISpec
	kpi   func(*judge.KPI)
	make  func(rng *rand.Rand, faulty bool) func() judge.Pair
	bound float64 // seconds
}

func scenes() map[string]scene {
	out := map[string]scene{}
	for name, ratio := range map[string]float64{"errors-2x": 2, "errors-5x": 5, "errors-10x": 10} {
		out[name] = scene{
			spec: api.KPISpec{KPI: api.KPIErrorRate, AbortAbove: 1, PromoteBelow: 64},
			make: func(rng *rand.Rand, faulty bool) func() judge.Pair {
				w := &world{rng: rng}
				canary := benchError
				if faulty {
					canary *= ratio
				}
				const n = benchRate * 5
				return func() judge.Pair {
					return judge.Pair{Canary: judge.Count(float64(w.poisson(n*canary)), n),
						Stable: judge.Count(float64(w.poisson(n*benchError)), n)}
				}
			},
			bound: stats.WaldRatio(benchRate*benchError, benchRate*benchError, ratio, 1, benchAlpha),
		}
	}
	// A profile places the limits before the first look.
	history := (&world{rng: rand.New(rand.NewPCG(4, 4))}).latency(20_000, 1, 0)
	learned := judge.Reference{Upper: history.Upper, Counts: history.Counts}
	for name, fault := range map[string]struct{ slow, tail float64 }{"latency-20pct": {1.2, 0}, "latency-tail": {1, 0.02}} {
		out[name] = scene{
			spec: api.KPISpec{KPI: "latency_p99", AbortAbove: 1, PromoteBelow: 64},
			kpi:  func(k *judge.KPI) { k.Reference = learned },
			make: func(rng *rand.Rand, faulty bool) func() judge.Pair {
				w := &world{rng: rng}
				slow, tail := 1.0, 0.0
				if faulty {
					slow, tail = fault.slow, fault.tail
				}
				return func() judge.Pair {
					return judge.Pair{Canary: w.latency(w.poisson(benchRate*5), slow, tail), Stable: w.latency(w.poisson(benchRate*5), 1, 0)}
				}
			},
			bound: math.Log(1/benchAlpha) / (benchRate * twoSampleDivergence(fault.slow, fault.tail)),
		}
	}
	const shift, sigma = 0.02, 0.01 // two deviations of the difference's noise
	out["gauge"] = scene{
		spec: api.KPISpec{KPI: api.KPICPU, AbortAbove: 1, PromoteBelow: 64},
		kpi:  func(k *judge.KPI) { k.Phi, k.PhiKnown = benchRho, true },
		make: func(rng *rand.Rand, faulty bool) func() judge.Pair {
			x := rng.NormFloat64()
			return func() judge.Pair {
				x = benchRho*x + math.Sqrt(1-benchRho*benchRho)*rng.NormFloat64()
				canary := 0.2 + sigma*x
				if faulty {
					canary += shift
				}
				return judge.Pair{Canary: judge.Gauge(canary), Stable: judge.Gauge(0.2)}
			}
		},
		bound: 5 * stats.WaldMean(shift/sigma*math.Sqrt((1-benchRho)/(1+benchRho)), benchAlpha),
	}
	return out
}

// twoSampleDivergence is the information per request of each arm about the
// difference between a lognormal latency and one that is slower: the least
// divergence from any distribution that both might share, by integration.
func twoSampleDivergence(slow, tail float64) float64 {
	normal := func(x, mean float64) float64 {
		z := (x - mean) / benchSigma
		return math.Exp(-z*z/2) / (benchSigma * math.Sqrt(2*math.Pi))
	}
	var sum float64
	const width = 0.001
	for x := -4.0; x < 6; x += width {
		p := (1-tail)*normal(x, math.Log(slow)) + tail*normal(x, math.Log(slow*10))
		q := normal(x, 0)
		middle := (p + q) / 2
		for _, d := range []float64{p, q} {
			if d > 0 {
				sum += width * d * math.Log(d/middle)
			}
		}
	}
	return sum
}

func (s scene) bank(b testing.TB) *judge.Bank {
	kpi, _ := judge.Known(s.spec.KPI)
	if s.kpi != nil {
		s.kpi(&kpi)
	}
	bank, err := judge.New(api.JudgeSpec{Enabled: true, FalseAlarm: benchAlpha, Miss: 0.05, KPIs: []api.KPISpec{s.spec}},
		[]judge.KPI{kpi}, judge.Stage{Started: began()})
	if err != nil {
		b.Fatal(err)
	}
	return bank
}

// run looks every five seconds until the bank aborts or the looks are over.
func (s scene) run(b testing.TB, seed uint64, faulty bool, most int) (seconds float64, aborted bool) {
	bank := s.bank(b)
	next := s.make(rand.New(rand.NewPCG(seed, 21)), faulty)
	for i := range most {
		at := began().Add(time.Duration(i+1) * step)
		bank.Observe(judge.Look{At: at, Seconds: 5, KPIs: map[string]judge.Pair{s.spec.KPI: next()}})
		if bank.Aborted() {
			return float64(i+1) * 5, true
		}
	}
	return float64(most) * 5, false
}

// BenchmarkJudge measures how long a regression takes to be found, in units of
// the least time that any judge with the same guarantee needs, and how often
// equal arms are called different in an hour.
func BenchmarkJudge(b *testing.B) {
	all := scenes()
	for _, name := range []string{"errors-2x", "errors-5x", "errors-10x", "latency-20pct", "latency-tail", "gauge"} {
		s := all[name]
		b.Run(name, func(b *testing.B) {
			alarms := 0
			for i := range benchRuns {
				if _, aborted := s.run(b, uint64(i), false, benchHour); aborted {
					alarms++
				}
			}
			var total, runs float64
			for b.Loop() {
				seconds, _ := s.run(b, uint64(runs)+1_000_000, true, 10*benchHour)
				total += seconds
				runs++
			}
			b.ReportMetric(total/runs, "s/detect")
			b.ReportMetric(total/runs/s.bound, "x_wald")
			b.ReportMetric(float64(alarms)/benchRuns, "false_alarm")
		})
	}
}

// TestDetectionIsNearTheBound holds the benchmark's figures, with room for the
// chance of a hundred runs.
func TestDetectionIsNearTheBound(t *testing.T) {
	all := scenes()
	for name, most := range map[string]float64{"errors-5x": 1.5, "errors-10x": 1.8, "latency-20pct": 5, "gauge": 3} {
		s := all[name]
		var total float64
		const runs = 100
		for i := range runs {
			seconds, aborted := s.run(t, uint64(i), true, benchHour)
			must.True(t, aborted)
			total += seconds
		}
		t.Logf("%s: %.2f of the bound", name, total/runs/s.bound)
		must.Less(t, most, total/runs/s.bound, must.Sprint(name))
	}
}
