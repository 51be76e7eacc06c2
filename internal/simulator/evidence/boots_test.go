package evidence

import (
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/shoenig/test"
	"github.com/shoenig/test/must"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/internal/twin"
)

// world is a sandbox in numbers: what machines differ by from boot to boot, and what
// the patch does. The differences between boots are those that were measured, see
// docs/reference/simulation.md.
type world struct {
	spec api.SimulateSpec
	rate float64
	kpis []api.KPISpec
	// Of the treatment, as factors; 1 is none.
	latency, cpu, memory float64
	errors, moreErrors   float64 // shares of the requests: of both, and of the treatment besides
	boots                float64 // factor on the differences between boots
	former               []api.BootSpread
}

func usualWorld(pairs int) world {
	return world{
		spec: api.SimulateSpec{Duration: api.Duration(2 * time.Minute), Pairs: pairs}, rate: 5,
		kpis: []api.KPISpec{
			{KPI: api.KPIErrorRate, AbortAbove: 1.1, PromoteBelow: 2, IgnoreBelow: 0.0001},
			{KPI: api.KPILatencyP99, AbortAbove: 1.1, PromoteBelow: 1.3, IgnoreBelow: 0.001},
			{KPI: api.KPICPU, AbortAbove: 1.2, PromoteBelow: 1.5, IgnoreBelow: 0.01},
			{KPI: api.KPIMemory, AbortAbove: 1.1, PromoteBelow: 1.3, IgnoreBelow: 1 << 20},
		},
		latency: 1, cpu: 1, memory: 1, boots: 1, errors: 0.001,
	}
}

// boot is one machine in the world. Its factors stay for as long as it runs.
type boot struct {
	latency, cpu, memory, errors float64
	busy                         float64 // autocorrelated noise of the processor
}

// measuredBoots are the standard deviations of one machine's figures from boot to boot,
// as logarithms. Those of a pair's ratio are larger by the square root of two.
var measuredBoots = struct{ latency, cpu, memory float64 }{0.025, 0.012, 0.005}

func (w world) boot(rng *rand.Rand, patched bool) *boot {
	spread := func(deviation float64) float64 { return math.Exp(w.boots * deviation * rng.NormFloat64()) }
	b := &boot{0.01 * spread(measuredBoots.latency), 0.1 * spread(measuredBoots.cpu), 2e8 * spread(measuredBoots.memory), w.errors, 0}
	if patched {
		b.latency, b.cpu, b.memory, b.errors = b.latency*w.latency, b.cpu*w.cpu, b.memory*w.memory, b.errors+w.moreErrors
	}
	return b
}

// look is what a machine shows in the four seconds between two looks.
func (b *boot) look(rng *rand.Rand, at time.Time, requests int) Interval {
	t := Interval{Requests: requests}
	for range requests {
		t.Latencies = append(t.Latencies, b.latency*math.Exp(0.5*rng.NormFloat64()))
		if rng.Float64() < b.errors {
			t.Errors++
		}
	}
	for second := range 4 {
		b.busy = 0.1*b.busy + 0.11*rng.NormFloat64() // of one machine; the difference of two has 0.15
		t.Usage = append(t.Usage, twin.Usage{
			At: at.Add(time.Duration(second-3) * time.Second), CPUCores: b.cpu * (1 + b.busy), Memory: b.memory * (1 + 0.001*rng.NormFloat64()),
		})
	}
	return t
}

// simulate is what a simulation does, without machines. An error is the verdict.
func (w world) simulate(rng *rand.Rand) api.Impact {
	const look = 4 * time.Second
	p, err := New(api.JudgeSpec{Enabled: true, FalseAlarm: 0.01, Miss: 0.05, KPIs: w.kpis}, w.spec, w.rate, w.former)
	if err != nil {
		return api.Impact{Verdict: api.SimulationVerdict(err.Error())}
	}
	now := time.Unix(1e9, 0)
	var usual []float64
	for range 250 {
		usual = append(usual, 0.01*math.Exp(0.5*rng.NormFloat64()))
	}
	p.Usual(usual)
	for range p.pairs {
		if err := p.Begin(now); err != nil {
			return api.Impact{Verdict: api.SimulationVerdict(err.Error())}
		}
		control, treatment := w.boot(rng, false), w.boot(rng, true)
		for passed := time.Duration(0); passed < p.duration && !p.Aborted(); passed += look {
			now = now.Add(look)
			n := int(w.rate * look.Seconds())
			p.Look(now, look, control.look(rng, now, n), treatment.look(rng, now, n))
		}
		p.End()
		if p.Rejected(now) || p.Decided(now) {
			break
		}
	}
	return p.Conclude(now, nil)
}

// verdicts counts the verdicts of many simulations, on all processors.
func (w world) verdicts(runs int) map[api.SimulationVerdict]int {
	const parts = 4
	out := map[api.SimulationVerdict]int{}
	var mu sync.Mutex
	var group sync.WaitGroup
	for part := range parts {
		group.Go(func() {
			rng := rand.New(rand.NewPCG(uint64(part), 7))
			for range runs / parts {
				impact := w.simulate(rng)
				mu.Lock()
				out[impact.Verdict]++
				mu.Unlock()
			}
		})
	}
	group.Wait()
	return out
}

// TestSimulation_FalseAlarms tries patches that change nothing, on machines that differ
// from boot to boot.
func TestSimulation_FalseAlarms(t *testing.T) {
	t.Parallel()
	cases := map[string]struct {
		pairs, runs   int
		boots         float64
		strict        bool    // no margin at all, so that any difference is one
		most, passing float64 // shares of the runs
	}{
		"one pair":   {1, 400, 1, false, 0.01, 0.95},
		"two pairs":  {2, 2000, 1, false, 0.01, 0.98},
		"four pairs": {4, 400, 1, false, 0.01, 0.98},
		// More than was measured, as on another kind of machine.
		"boots differ by half as much again":          {2, 400, 1.5, false, 0.01, 0.95},
		"without a margin":                            {7, 300, 1, true, 0.01, 0},
		"both, and a history that says nothing of it": {2, 400, 1.5, true, 0.01, 0},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := usualWorld(c.pairs)
			w.boots = c.boots
			if c.strict && c.boots > 1 {
				for _, k := range w.kpis {
					w.former = append(w.former, api.BootSpread{KPI: k.KPI, Variance: 0, Within: 1e-5, Freedom: 40})
				}
			}
			if c.strict {
				for i, k := range w.kpis {
					w.kpis[i] = api.KPISpec{KPI: k.KPI, AbortAbove: 1, PromoteBelow: 1.0001}
				}
			}
			got := w.verdicts(c.runs)
			t.Log(got)
			must.LessEq(t, c.most*float64(c.runs), float64(got[api.SimulationReject]))
			must.GreaterEq(t, c.passing*float64(c.runs), float64(got[api.SimulationPass]))
		})
	}
}

// TestSimulation_Misses gives the treatment a change as large as the margin of a pass, of
// which few runs may pass.
func TestSimulation_Misses(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(w *world){
		"latency":   func(w *world) { w.latency = 1.3 },
		"processor": func(w *world) { w.cpu = 1.5 },
		"memory":    func(w *world) { w.memory = 1.3 },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := usualWorld(2)
			change(&w)
			const runs = 200
			got := w.verdicts(runs)
			t.Log(got)
			must.LessEq(t, 0.05*runs, float64(got[api.SimulationPass]))
		})
	}
}

// TestSimulation_SilenceIsNoPass has too few requests for anything.
func TestSimulation_SilenceIsNoPass(t *testing.T) {
	t.Parallel()
	w := usualWorld(1)
	w.spec.Duration, w.rate = api.Duration(10*time.Second), 1
	must.Eq(t, map[api.SimulationVerdict]int{api.SimulationUndecided: 40}, w.verdicts(40))
}

// TestSimulation_FindsWhatItsPowerSays gives the treatment just the change that a run
// says it finds 95 times of 100.
func TestSimulation_FindsWhatItsPowerSays(t *testing.T) {
	t.Parallel()
	const runs = 200
	for _, kpi := range []string{api.KPIErrorRate, api.KPILatencyP99, api.KPICPU, api.KPIMemory} {
		t.Run(kpi, func(t *testing.T) {
			t.Parallel()
			w := usualWorld(2)
			w.errors = 0.01
			ratio, ok := w.power()[kpi]
			must.True(t, ok)
			switch kpi {
			case api.KPIErrorRate:
				w.moreErrors = w.errors * (ratio - 1)
			case api.KPILatencyP99:
				w.latency = ratio
			case api.KPICPU:
				w.cpu = ratio
			case api.KPIMemory:
				w.memory = ratio
			}
			got := w.verdicts(runs)
			t.Logf("%.3g times: %v", ratio, got)
			must.GreaterEq(t, 0.9*runs, float64(got[api.SimulationReject]))
		})
	}
}

// power is the median of what 21 runs without a change say that they would find, by KPI.
// It lacks a KPI that fewer than half of them say it of.
func (w world) power() map[string]float64 {
	const runs = 21
	ratios := map[string][]float64{}
	for seed := range uint64(runs) {
		for _, p := range w.simulate(rand.New(rand.NewPCG(seed, 3))).Power {
			ratios[p.KPI] = append(ratios[p.KPI], p.Ratio)
		}
	}
	out := map[string]float64{}
	for kpi, list := range ratios {
		if len(list) > runs/2 {
			slices.Sort(list)
			out[kpi] = list[len(list)/2]
		}
	}
	return out
}

// TestPower_IsAsTheDocumentationSays computes the table of docs/reference/simulation.md.
func TestPower_IsAsTheDocumentationSays(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile("../../../docs/reference/simulation.md")
	must.NoError(t, err)
	for _, c := range []struct {
		minutes, pairs int
		rate           float64
	}{{1, 2, 5}, {2, 2, 5}, {2, 4, 5}, {7, 7, 5}, {7, 7, 20}, {8, 16, 5}} {
		w := usualWorld(c.pairs)
		w.spec.Duration, w.rate = api.Duration(time.Duration(c.minutes)*time.Minute), c.rate
		w.errors = 0.001
		w.kpis = []api.KPISpec{
			{KPI: api.KPIErrorRate, AbortAbove: 1, PromoteBelow: 1.01},
			{KPI: "latency_p50", AbortAbove: 1, PromoteBelow: 1.01},
			{KPI: api.KPICPU, AbortAbove: 1, PromoteBelow: 1.01},
			{KPI: api.KPIMemory, AbortAbove: 1, PromoteBelow: 1.01},
		}
		found := w.power()
		row := fmt.Sprintf("| %d min | %d | %g | %.1f %% | %.0f %% | %.0f %% | %.0f %% |", c.minutes, c.pairs, c.rate,
			100*w.errors*found[api.KPIErrorRate], 100*(found["latency_p50"]-1), 100*(found[api.KPICPU]-1), 100*(found[api.KPIMemory]-1))
		test.True(t, strings.Contains(string(page), row+"\n"), test.Sprintf("the page lacks %q", row))
	}
}
