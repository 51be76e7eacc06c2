package judge_test

import (
	"flag"
	"fmt"
	"math"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/shoenig/test/must"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/internal/judge"
	"github.com/oakumhq/oakum/internal/stats"
)

const (
	benchAlpha = 0.01
	benchMiss  = 0.05
	benchRate  = 10.0  // requests per second of each arm
	benchError = 0.005 // stable share of errors
	benchSigma = 0.5   // of the logarithm of a latency
	benchRho   = 0.5   // autocorrelation of a gauge
	benchHour  = 720   // looks
)

// judgeRuns is how many hours a share of false alarms rests on in a benchmark.
var judgeRuns = flag.Int("judge.runs", 2000, "simulated hours per share of false alarms")

// scene is one kind of data: looks of a canary with and without its fault.
type scene struct {
	spec   api.KPISpec
	kpi    func(*judge.KPI)
	source func(rng *rand.Rand, faulty bool) func() judge.Pair
	bound  float64 // seconds
}

// errorScene is a canary whose error rate is ratio times the stable one.
func errorScene(ratio float64) scene {
	return scene{
		spec: api.KPISpec{KPI: api.KPIErrorRate, AbortAbove: 1, PromoteBelow: 64},
		source: func(rng *rand.Rand, faulty bool) func() judge.Pair {
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

// latencyScene is a lognormal latency that grows by slow, or of which a share
// tail grows by factor.
func latencyScene(slow, tail, factor float64) scene {
	history := newHistogram()
	rng := rand.New(rand.NewPCG(4, 4))
	learned := history.draw(rng, 20_000, 1, 0, 1)
	return scene{
		spec: api.KPISpec{KPI: "latency_p99", AbortAbove: 1, PromoteBelow: 64},
		kpi:  func(k *judge.KPI) { k.Reference = judge.Reference{Upper: learned.Upper, Counts: learned.Counts} },
		source: func(rng *rand.Rand, faulty bool) func() judge.Pair {
			w, h := &world{rng: rng}, newHistogram()
			s, t := slow, tail
			if !faulty {
				s, t = 1, 0
			}
			return func() judge.Pair {
				return judge.Pair{Canary: h.draw(rng, w.poisson(benchRate*5), s, t, factor), Stable: h.draw(rng, w.poisson(benchRate*5), 1, 0, 1)}
			}
		},
		bound: math.Log(1/benchAlpha) / (benchRate * twoSampleDivergence(slow, tail, factor)),
	}
}

// gaugeScene is a canary that is shifted by a number of standard deviations of
// the differences' noise, whose autocorrelation is rho. Known says that an hour
// of history is there.
func gaugeScene(rho, shift float64, known bool) scene {
	const sigma = 0.01
	return scene{
		spec: api.KPISpec{KPI: api.KPICPU, AbortAbove: 1, PromoteBelow: 64},
		kpi: func(k *judge.KPI) {
			k.Phi, k.PhiKnown = rho, known
			k.Noise = judge.Noise{Canary: sigma * sigma, N: benchHour}
		},
		source: func(rng *rand.Rand, faulty bool) func() judge.Pair {
			x := rng.NormFloat64()
			return func() judge.Pair {
				x = rho*x + math.Sqrt(1-rho*rho)*rng.NormFloat64()
				canary := 0.2 + sigma*x
				if faulty {
					canary += shift * sigma
				}
				return judge.Pair{Canary: judge.Gauge(canary), Stable: judge.Gauge(0.2)}
			}
		},
		bound: 5 * stats.WaldMean(shift*math.Sqrt((1-rho)/(1+rho)), benchAlpha),
	}
}

func scenes() map[string]scene {
	return map[string]scene{
		"errors-2x": errorScene(2), "errors-5x": errorScene(5), "errors-10x": errorScene(10),
		"latency-20pct": latencyScene(1.2, 0, 1), "latency-tail": latencyScene(1, 0.02, 10),
		"gauge": gaugeScene(benchRho, 2, true),
	}
}

// histogram draws lognormal latencies into the buckets of judge.Samples.
type histogram struct{ upper []float64 }

func newHistogram() histogram { return histogram{judge.Samples(nil).Upper} }

func (h histogram) draw(rng *rand.Rand, n int, slow, tail, factor float64) judge.Measure {
	counts := make([]float64, len(h.upper)+1)
	start, step := math.Log(0.03*slow/h.upper[0]), math.Log(h.upper[1]/h.upper[0])
	for range n {
		x := start + benchSigma*rng.NormFloat64()
		if tail > 0 && rng.Float64() < tail {
			x += math.Log(factor)
		}
		counts[min(max(int(math.Ceil(x/step)), 0), len(h.upper))]++
	}
	return judge.Buckets(h.upper, counts)
}

// twoSampleDivergence is the information per request of each arm about the
// difference between a lognormal latency and one that is slower: the least
// divergence from any distribution that both might share, by integration.
func twoSampleDivergence(slow, tail, factor float64) float64 {
	normal := func(x, mean float64) float64 {
		z := (x - mean) / benchSigma
		return math.Exp(-z*z/2) / (benchSigma * math.Sqrt(2*math.Pi))
	}
	var sum float64
	const width = 0.001
	for x := -4.0; x < 6; x += width {
		p := (1-tail)*normal(x, math.Log(slow)) + tail*normal(x, math.Log(slow*factor))
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
	bank, err := judge.New(api.JudgeSpec{Enabled: true, FalseAlarm: benchAlpha, Miss: benchMiss, KPIs: []api.KPISpec{s.spec}},
		[]judge.KPI{kpi}, judge.Stage{Started: began()})
	must.NoError(b, err)
	return bank
}

// run looks every five seconds until the bank aborts or the looks are over.
func (s scene) run(b testing.TB, seed uint64, faulty bool, most int) (seconds float64, aborted bool) {
	bank := s.bank(b)
	next := s.source(rand.New(rand.NewPCG(seed, 21)), faulty)
	for i := range most {
		at := began().Add(time.Duration(i+1) * step)
		bank.Observe(judge.Look{At: at, Seconds: 5, KPIs: map[string]judge.Pair{s.spec.KPI: next()}})
		if bank.Aborted() {
			return float64(i+1) * 5, true
		}
	}
	return float64(most) * 5, false
}

// falseAlarms counts the hours of equal arms in which the judge aborts, on all
// processors.
func (s scene) falseAlarms(b testing.TB, runs, looks int) int {
	var hits, next atomic.Int64
	var wg sync.WaitGroup
	for range 2 {
		wg.Go(func() {
			for i := next.Add(1); i <= int64(runs); i = next.Add(1) {
				if _, aborted := s.run(b, uint64(i), false, looks); aborted {
					hits.Add(1)
				}
			}
		})
	}
	wg.Wait()
	return int(hits.Load())
}

// mustNotExceed fails when the true share of hits lies above a limit with
// confidence 99.9 percent.
func mustNotExceed(t testing.TB, hits, runs int, limit float64) {
	t.Helper()
	low, high := stats.ShareBounds(hits, runs, 0.001)
	t.Logf("%d of %d: %.4f, with 99.8 percent confidence %.4f to %.4f; the limit is %g", hits, runs, float64(hits)/float64(runs), low, high, limit)
	must.LessEq(t, limit, low)
}

// BenchmarkJudge measures how long a regression takes to be found, in units of
// the least time that any judge with the same guarantee needs, and how often
// equal arms are called different in an hour. For latencies x_dkw is the time
// in units of that of a sequential Dvoretzky-Kiefer-Wolfowitz band.
func BenchmarkJudge(b *testing.B) {
	all := scenes()
	for _, name := range []string{"errors-2x", "errors-5x", "errors-10x", "latency-20pct", "latency-tail", "gauge"} {
		s := all[name]
		b.Run(name, func(b *testing.B) {
			alarms := s.falseAlarms(b, *judgeRuns, benchHour)
			var total, runs float64
			for b.Loop() {
				seconds, _ := s.run(b, uint64(runs)+1_000_000, true, 10*benchHour)
				total += seconds
				runs++
			}
			b.ReportMetric(total/runs, "s/detect")
			b.ReportMetric(total/runs/s.bound, "x_wald")
			b.ReportMetric(float64(alarms)/float64(*judgeRuns), "false_alarm")
			if s.spec.KPI == "latency_p99" {
				b.ReportMetric(total/runs/s.band(100, benchHour), "x_dkw")
			}
		})
	}
}

// band is the mean time, in seconds, in which a time-uniform band around both
// distribution functions (Howard and Ramdas 2022, each arm at half of alpha)
// tells that the canary is slower; at most that of most looks.
func (s scene) band(runs, most int) float64 {
	width := func(n float64) float64 {
		return 0.85 * math.Sqrt((math.Log(math.Log(math.E*n))+0.8*math.Log(1612/(benchAlpha/2)))/n)
	}
	var total float64
	for i := range runs {
		next := s.source(rand.New(rand.NewPCG(uint64(i), 77)), true)
		var canary, stable []float64
		looks := 0
		for found := false; !found && looks < most; looks++ {
			pair := next()
			if canary == nil {
				canary, stable = make([]float64, len(pair.Canary.Counts)), make([]float64, len(pair.Canary.Counts))
			}
			var n, m, below, under float64
			for k, c := range pair.Canary.Counts {
				canary[k] += c
				stable[k] += pair.Stable.Counts[k]
				n += canary[k]
				m += stable[k]
			}
			room := width(n) + width(m)
			for k := range canary {
				below += canary[k] / n
				under += stable[k] / m
				found = found || under-below > room
			}
		}
		total += float64(looks) * 5
	}
	return total / float64(runs)
}

// BenchmarkFalseAlarms measures how often equal arms are called different in an
// hour of looks, for the kinds of noise that real arms have.
func BenchmarkFalseAlarms(b *testing.B) {
	for _, c := range noises() {
		b.Run(c.name, func(b *testing.B) {
			hits := c.falseAlarms(b, *judgeRuns, benchHour)
			for b.Loop() {
				c.falseAlarms(b, 1, benchHour) // the time of one
			}
			low, high := stats.ShareBounds(hits, *judgeRuns, 0.025)
			b.ReportMetric(float64(hits)/float64(*judgeRuns), "false_alarm")
			b.ReportMetric(low, "at_least")
			b.ReportMetric(high, "at_most")
		})
	}
}

type noise struct {
	name string
	scene
}

func noises() []noise {
	out := []noise{{"counts", errorScene(2)}, {"latency", latencyScene(1.2, 0, 1)}}
	for _, rho := range []float64{0, 0.5, 0.8, 0.9, 0.95} {
		out = append(out, noise{fmt.Sprintf("gauge-%g-history", rho), gaugeScene(rho, 2, true)},
			noise{fmt.Sprintf("gauge-%g-cold", rho), gaugeScene(rho, 2, false)})
	}
	return append(out, noise{"bursts-common", burstScene(false)}, noise{"bursts-per-arm", burstScene(true)})
}

// burstScene has errors in bursts of ten on average: of both arms alike, or of
// each arm by itself, with the dispersion that the profile learns from such
// instances.
func burstScene(perArm bool) scene {
	s := errorScene(2)
	burst := func(w *world) float64 { return math.Ceil(math.Log(1-w.rng.Float64()) / math.Log(0.9)) }
	const instances, n = 4, 5 * benchRate
	errorsOf := func(w *world) float64 {
		var sum float64
		for range w.poisson(n * benchError / 10) {
			sum += burst(w)
		}
		return sum
	}
	learned := stats.Dispersion{}
	if perArm {
		w := &world{rng: rand.New(rand.NewPCG(6, 6))}
		for range 2 * benchHour {
			events, exposures := make([]float64, instances), make([]float64, instances)
			for i := range events {
				events[i], exposures[i] = errorsOf(w), n
			}
			learned.Observe(events, exposures)
		}
	}
	s.kpi = func(k *judge.KPI) { k.Dispersion = learned.Factor() }
	s.source = func(rng *rand.Rand, _ bool) func() judge.Pair {
		w := &world{rng: rng}
		return func() judge.Pair {
			if perArm {
				var stable float64
				for range 9 {
					stable += errorsOf(w)
				}
				return judge.Pair{Canary: judge.Count(errorsOf(w), n), Stable: judge.Count(stable, 9*n)}
			}
			level := benchError * 5 * math.Pow(w.rng.Float64(), 4) // mean benchError, ten times as high now and then
			return judge.Pair{Canary: judge.Count(float64(w.poisson(n*level)), n), Stable: judge.Count(float64(w.poisson(9*n*level)), 9*n)}
		}
	}
	return s
}

// canaryOf is a canary with a tenth of 100 requests a second whose error rate is
// ratio times the stable one, judged by "no more than twice as many".
func canaryOf(ratio float64) scene {
	const n, m = 5 * benchRate, 45 * benchRate
	return scene{
		spec: api.KPISpec{KPI: api.KPIErrorRate, AbortAbove: 1, PromoteBelow: 2},
		source: func(rng *rand.Rand, _ bool) func() judge.Pair {
			w := &world{rng: rng}
			return func() judge.Pair {
				return judge.Pair{Canary: judge.Count(float64(w.poisson(n*benchError*ratio)), n),
					Stable: judge.Count(float64(w.poisson(m*benchError)), m)}
			}
		},
		bound: stats.WaldRatio(benchRate*benchError, 9*benchRate*benchError, 1, 2, benchMiss),
	}
}

// verdicts judges runs to their end, an hour at most: how many were promoted and
// aborted, and the mean time of the promotions in seconds.
func (s scene) verdicts(b testing.TB, runs int) (promoted, aborted int, seconds float64) {
	for i := range runs {
		bank := s.bank(b)
		next := s.source(rand.New(rand.NewPCG(uint64(i), 31)), true)
		for look := range benchHour {
			at := began().Add(time.Duration(look+1) * step)
			bank.Observe(judge.Look{At: at, Seconds: 5, KPIs: map[string]judge.Pair{s.spec.KPI: next()}})
			if bank.Aborted() {
				aborted++
				break
			}
			if bank.Promoted() {
				promoted++
				seconds += float64(look+1) * 5
				break
			}
		}
	}
	return promoted, aborted, seconds / float64(max(promoted, 1))
}

// BenchmarkPromote measures how long a healthy canary takes to be promoted, in
// units of the least time, and how often one with twice the errors is.
func BenchmarkPromote(b *testing.B) {
	s := canaryOf(1)
	promoted, aborted, seconds := s.verdicts(b, *judgeRuns)
	wrong, _, _ := canaryOf(2).verdicts(b, *judgeRuns)
	runs := 0
	for b.Loop() {
		s.verdicts(b, 1) // the time of one
		runs++
	}
	if runs > 0 {
		b.ReportMetric(seconds, "s/promote")
		b.ReportMetric(seconds/s.bound, "x_bound")
		b.ReportMetric(float64(promoted)/float64(*judgeRuns), "promoted")
		b.ReportMetric(float64(aborted)/float64(*judgeRuns), "false_abort")
		b.ReportMetric(float64(wrong)/float64(*judgeRuns), "wrong_promotion")
	}
}

// TestBank_DetectsNearTheBound holds the benchmark's figures, with room for the
// chance of a hundred runs.
func TestBank_DetectsNearTheBound(t *testing.T) {
	t.Parallel()
	all := scenes()
	for name, most := range map[string]float64{"errors-5x": 1.5, "errors-10x": 1.8, "latency-20pct": 1.8, "latency-tail": 1.9, "gauge": 2.1} {
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

func TestLatency_DetectsInAThirdOfTheTimeOfABand(t *testing.T) {
	t.Parallel()
	for name, s := range map[string]scene{"latency-20pct": latencyScene(1.2, 0, 1), "latency-tail": latencyScene(1, 0.02, 10)} {
		var total float64
		const runs = 30
		for i := range runs {
			seconds, _ := s.run(t, uint64(i), true, benchHour)
			total += seconds
		}
		band := s.band(10, benchHour/2)
		t.Logf("%s: %.0f s against %.0f s", name, total/runs, band)
		must.Less(t, band/3, total/runs)
	}
}

// TestBank_KeepsTheRateOfFalseAlarms is BenchmarkFalseAlarms for a few runs of ten
// minutes: enough to see a judge that is wrong several times too often.
func TestBank_KeepsTheRateOfFalseAlarms(t *testing.T) {
	t.Parallel()
	for _, c := range noises() {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			const runs = 100
			mustNotExceed(t, c.falseAlarms(t, runs, benchHour/6), runs, benchAlpha)
		})
	}
}

func TestBank_PromotesAHealthyCanaryNearTheBound(t *testing.T) {
	t.Parallel()
	const runs = 100
	s := canaryOf(1)
	promoted, _, seconds := s.verdicts(t, runs)
	must.Greater(t, 90, promoted)
	must.Less(t, 1.35, seconds/s.bound, must.Sprint("the benchmark's 1.2, with room for a hundred runs"))
	wrong, _, _ := canaryOf(2).verdicts(t, runs)
	mustNotExceed(t, wrong, runs, benchMiss)
}
