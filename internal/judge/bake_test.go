package judge_test

import (
	"math"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/shoenig/test/must"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/internal/judge"
)

// promotes simulates healthy stages and returns the mean seconds to a promotion.
func promotes(t *testing.T, s api.JudgeSpec, kpi judge.KPI, runs int, source func(*world) judge.Pair) float64 {
	t.Helper()
	var total float64
	for i := range runs {
		w := &world{rng: rand.New(rand.NewPCG(uint64(i), 99))}
		b, err := judge.New(s, []judge.KPI{kpi}, judge.Stage{Started: began()})
		must.NoError(t, err)
		look := 0
		for !b.Promoted() && look < benchHour {
			look++
			b.Observe(judge.Look{At: began().Add(time.Duration(look) * step), Seconds: 5, KPIs: map[string]judge.Pair{kpi.Name: source(w)}})
		}
		total += float64(look+1) * 5 // the first look of all only sets the counters
	}
	return total / float64(runs)
}

func TestBake_ForecastsTheTimeThatAVerdictTakes(t *testing.T) {
	t.Parallel()
	known := func(name string) judge.KPI {
		kpi, ok := judge.Known(name)
		must.True(t, ok)
		return kpi
	}
	count := known(api.KPIErrorRate)
	count.Reference = judge.Reference{Events: 5000, Exposure: 1_000_000}
	clean := known(api.KPIErrorRate)
	clean.Reference = judge.Reference{Events: 0, Exposure: 1_000_000}
	latency := known("latency_p90")
	history := newHistogram().draw(rand.New(rand.NewPCG(1, 2)), 20_000, 1, 0, 1)
	latency.Reference = judge.Reference{Upper: history.Upper, Counts: history.Counts}
	gauge := known(api.KPICPU)
	gauge.Reference = judge.Reference{N: 500, Mean: 0.2, M2: 0.05}
	gauge.PhiKnown, gauge.Noise = true, judge.Noise{Canary: 1e-4, N: 500}
	cases := map[string]struct {
		kpi    judge.KPI
		spec   api.KPISpec
		within float64 // factor
		source func(*world) judge.Pair
	}{
		"errors by a ratio": {count, api.KPISpec{AbortAbove: 1, PromoteBelow: 2}, 1.15, func(w *world) judge.Pair {
			return judge.Pair{Canary: judge.Count(float64(w.poisson(0.25)), 50), Stable: judge.Count(float64(w.poisson(2.25)), 450)}
		}},
		"no errors, by a difference": {clean, api.KPISpec{AbortAbove: 1.1, PromoteBelow: 2, IgnoreBelow: 0.02}, 1.5, func(*world) judge.Pair {
			return judge.Pair{Canary: judge.Count(0, 50), Stable: judge.Count(0, 450)}
		}},
		"latency": {latency, api.KPISpec{AbortAbove: 1.1, PromoteBelow: 1.3}, 1.5, func(w *world) judge.Pair {
			h := newHistogram()
			return judge.Pair{Canary: h.draw(w.rng, w.poisson(50), 1, 0, 1), Stable: h.draw(w.rng, w.poisson(450), 1, 0, 1)}
		}},
	}
	cases["gauge"] = cases["latency"]
	g := cases["gauge"]
	g.kpi, g.spec, g.source = gauge, api.KPISpec{AbortAbove: 1.01, PromoteBelow: 1.05}, func(w *world) judge.Pair {
		return judge.Pair{Canary: judge.Gauge(0.2 + 0.01*w.rng.NormFloat64()), Stable: judge.Gauge(0.2)}
	}
	cases["gauge"] = g
	for name, c := range cases {
		c.spec.KPI = c.kpi.Name
		s := spec(c.spec)
		s.Interval, s.MaxDuration = api.Duration(step), api.Duration(2*time.Hour)
		bake := judge.Bake(s, []judge.KPI{c.kpi}, judge.Traffic{Canary: 10, Stable: 90})
		took := promotes(t, s, c.kpi, 150, c.source)
		t.Logf("%s: %.0f s forecast, %.0f s taken: %s", name, bake.Expected.D().Seconds(), took, bake)
		must.Between(t, took/c.within, bake.Expected.D().Seconds(), took*c.within, must.Sprint(name))
		must.False(t, bake.Late)
		s.MinDuration = api.Duration(time.Hour)
		must.Eq(t, s.MinDuration, judge.Bake(s, []judge.KPI{c.kpi}, judge.Traffic{Canary: 10, Stable: 90}).Expected)
	}
}

// TestBake_KnowsTheSecondEvidenceOfAGauge has a gauge whose evidence grows slowly. The
// first evidence has seven eighths of the weight, so that a promotion takes 8/7 of the
// evidence that the policy's miss asks for: five looks more here.
func TestBake_KnowsTheSecondEvidenceOfAGauge(t *testing.T) {
	t.Parallel()
	kpi, _ := judge.Known(api.KPICPU)
	kpi.Reference = judge.Reference{N: 500, Mean: 1, M2: 0.05}
	kpi.PhiKnown, kpi.Noise = true, judge.Noise{Canary: 0.16, N: 500}
	s := spec(api.KPISpec{KPI: api.KPICPU, AbortAbove: 1.01, PromoteBelow: 1.1})
	s.Interval, s.MinDuration, s.MaxDuration = api.Duration(step), 0, api.Duration(2*time.Hour)
	looks := func(evidence float64) float64 { return math.Ceil(1.15*2*(evidence+1)/math.Log1p(0.1*0.1/0.16) + 1) }
	miss := math.Log(1 / s.Miss)
	must.Eq(t, 5, looks(miss+math.Log(8./7))-looks(miss))
	bake := judge.Bake(s, []judge.KPI{kpi}, judge.Traffic{})
	must.Eq(t, looks(miss+math.Log(8./7))*step.Seconds(), bake.Expected.D().Seconds())
}

func TestBake_SaysWhatIsNotKnown(t *testing.T) {
	s := spec(errorRate(), cpu())
	s.Interval = api.Duration(step)
	count, _ := judge.Known(api.KPIErrorRate)
	gauge, _ := judge.Known(api.KPICPU)
	bake := judge.Bake(s, []judge.KPI{count, gauge}, judge.Traffic{Canary: 10, Stable: 90})
	must.Eq(t, []string{api.KPIErrorRate, api.KPICPU}, bake.Unknown)
	must.Eq(t, "how long it takes can't be said (nothing is known yet of error_rate, cpu); at most 10 min", bake.String())

	count.Reference = judge.Reference{Events: 1, Exposure: 1000}
	bake = judge.Bake(s, []judge.KPI{count, gauge}, judge.Traffic{Canary: 0.01, Stable: 0.1})
	must.True(t, bake.Late)
	must.StrContains(t, bake.String(), "more than it may take")
	must.Eq(t, []string{api.KPICPU}, bake.Unknown)
}

func TestControl_TrustsNoiseThatIsEqual(t *testing.T) {
	t.Parallel()
	rng := rand.New(rand.NewPCG(5, 6))
	var quiet, uneven judge.Control
	kpi, _ := judge.Known(api.KPICPU)
	kpi.PhiKnown = true
	for i := range 20 * benchHour {
		at := began().Add(time.Duration(i) * step)
		a, b := 1+0.01*rng.NormFloat64(), 1+0.01*rng.NormFloat64()
		quiet.Observe(kpi, judge.Gauge(a), judge.Gauge(b), at, 5)
		// One machine is faster than the other, which no patch has to do with.
		uneven.Observe(kpi, judge.Gauge(a), judge.Gauge(b+0.02), at, 5)
	}
	must.GreaterEq(t, 19, quiet.Runs)
	must.Eq(t, "", quiet.Distrust())
	must.Less(t, 0.11, quiet.Rate())
	must.StrContains(t, uneven.Distrust(), "equal instances were called different")
	must.Less(t, 200, uneven.Runs)
}
