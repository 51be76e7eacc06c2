package judge_test

import (
	"encoding/json"
	"math"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/shoenig/test/must"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/internal/judge"
	"github.com/oakumhq/oakum/internal/stats"
)

// began is when every judgement in these tests starts.
func began() time.Time { return time.Date(2026, 3, 2, 10, 0, 0, 0, time.UTC) }

const step = 5 * time.Second

func spec(kpis ...api.KPISpec) api.JudgeSpec {
	return api.JudgeSpec{Enabled: true, FalseAlarm: 0.01, Miss: 0.05, KPIs: kpis,
		MaxDuration: api.Duration(10 * time.Minute)}
}

func errorRate() api.KPISpec {
	return api.KPISpec{KPI: api.KPIErrorRate, AbortAbove: 1.1, PromoteBelow: 2, IgnoreBelow: 0.02}
}

func latencyP90() api.KPISpec {
	return api.KPISpec{KPI: "latency_p90", AbortAbove: 1.1, PromoteBelow: 1.3, IgnoreBelow: 0.001}
}

func cpu() api.KPISpec {
	return api.KPISpec{KPI: api.KPICPU, AbortAbove: 1.2, PromoteBelow: 1.5}
}

func open(t testing.TB, s api.JudgeSpec, stage judge.Stage, refs map[string]judge.Reference) *judge.Bank {
	t.Helper()
	var kpis []judge.KPI
	for _, k := range s.KPIs {
		kpi, ok := judge.Known(k.KPI)
		must.True(t, ok)
		kpi.Reference = refs[k.KPI]
		kpis = append(kpis, kpi)
	}
	stage.Started = began()
	b, err := judge.New(s, kpis, stage)
	must.NoError(t, err)
	return b
}

// world makes looks of one service with a canary.
type world struct {
	rng                    *rand.Rand
	canaryRPS, stableRPS   float64
	canaryError, stableErr float64
	canarySlow, tail       float64 // factor on latency; share of requests ten times slower
	canaryCPU              float64
	upper                  []float64 // buckets, nil for raw samples
}

func healthy(seed uint64) *world {
	return &world{rng: rand.New(rand.NewPCG(seed, 11)), canaryRPS: 8, stableRPS: 72,
		canaryError: 0.001, stableErr: 0.001, canarySlow: 1, canaryCPU: 0.2}
}

func (w *world) poisson(mean float64) int {
	limit, n := math.Exp(-mean), -1
	for product := 1.0; product >= limit; n++ {
		product *= w.rng.Float64()
	}
	return n
}

func (w *world) latency(n int, slow, tail float64) judge.Measure {
	values := make([]float64, n)
	for i := range values {
		values[i] = 0.03 * slow * math.Exp(0.5*w.rng.NormFloat64())
		if w.rng.Float64() < tail {
			values[i] *= 10
		}
	}
	if w.upper == nil {
		return judge.Samples(values)
	}
	counts := make([]float64, len(w.upper)+1)
	for _, v := range values {
		i := 0
		for i < len(w.upper) && v > w.upper[i] {
			i++
		}
		counts[i]++
	}
	return judge.Buckets(w.upper, counts)
}

func (w *world) look(i int) judge.Look {
	seconds := step.Seconds()
	n, m := w.poisson(w.canaryRPS*seconds), w.poisson(w.stableRPS/8*seconds)*8
	return judge.Look{At: began().Add(time.Duration(i+1) * step), Seconds: seconds, KPIs: map[string]judge.Pair{
		api.KPIErrorRate: {
			Canary: judge.Count(float64(w.poisson(float64(n)*w.canaryError)), float64(n)),
			Stable: judge.Count(float64(w.poisson(float64(m)*w.stableErr)), float64(m)),
		},
		"latency_p90": {Canary: w.latency(n, w.canarySlow, w.tail), Stable: w.latency(m, 1, 0)},
		"latency_p99": {Canary: w.latency(n, w.canarySlow, w.tail), Stable: w.latency(m, 1, 0)},
		api.KPICPU: {
			Canary: judge.Gauge(w.canaryCPU + 0.01*w.rng.NormFloat64()),
			Stable: judge.Gauge(0.2 + 0.01*w.rng.NormFloat64()),
		},
	}}
}

// run judges until there is a verdict.
func run(b *judge.Bank, w *world, most int) api.Verdict {
	v := b.Verdict(began())
	for i := range most {
		look := w.look(i)
		b.Observe(look)
		if v = b.Verdict(look.At); v.Kind != api.VerdictContinue {
			break
		}
	}
	return v
}

func TestBank_DecidesEachVerdict(t *testing.T) {
	coarse := []float64{0.001, 0.0025, 0.005, 0.01, 0.02, 0.03, 0.05, 0.075, 0.1, 0.15, 0.25, 0.5, 1, 2.5, 5}
	cases := map[string]struct {
		change func(*world)
		want   api.VerdictKind
		kpi    string
		within time.Duration
	}{
		"healthy":             {func(*world) {}, api.VerdictPromote, "", 3 * time.Minute},
		"healthy in buckets":  {func(w *world) { w.upper = coarse }, api.VerdictPromote, "", 4 * time.Minute},
		"thirty percent fail": {func(w *world) { w.canaryError = 0.3 }, api.VerdictAbort, api.KPIErrorRate, 15 * time.Second},
		"twice as slow":       {func(w *world) { w.canarySlow = 2 }, api.VerdictAbort, "latency_p90", 30 * time.Second},
		"twice as slow in buckets": {func(w *world) { w.canarySlow = 2; w.upper = coarse }, api.VerdictAbort,
			"latency_p90", 45 * time.Second},
		"twice the cpu": {func(w *world) { w.canaryCPU = 0.4 }, api.VerdictAbort, api.KPICPU, 4 * time.Minute},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			for seed := range uint64(20) {
				w := healthy(seed)
				c.change(w)
				v := run(open(t, spec(errorRate(), latencyP90(), cpu()), judge.Stage{}, nil), w, 100)
				must.Eq(t, c.want, v.Kind, must.Sprint(v.Reason))
				must.LessEq(t, c.within, v.At.Sub(began()), must.Sprint(v.Reason))
				if seed == 0 {
					t.Log(v.Reason)
				}
				for _, k := range v.KPIs {
					if k.KPI == c.kpi {
						must.Eq(t, api.VerdictAbort, k.Kind)
						must.Greater(t, 1.5*k.Stable, k.Canary)
						must.GreaterEq(t, k.Needed, k.Evidence)
					}
				}
			}
		})
	}
}

func TestBank_NeverPromotesOnMissingData(t *testing.T) {
	cases := map[string]func(judge.Look){
		"absent":        func(l judge.Look) { delete(l.KPIs, api.KPICPU) },
		"silent canary": func(l judge.Look) { p := l.KPIs[api.KPICPU]; p.Canary = judge.Measure{}; l.KPIs[api.KPICPU] = p },
		"silent stable": func(l judge.Look) { p := l.KPIs[api.KPICPU]; p.Stable = judge.Measure{}; l.KPIs[api.KPICPU] = p },
		"not a number":  func(l judge.Look) { p := l.KPIs[api.KPICPU]; p.Canary.Value = math.NaN(); l.KPIs[api.KPICPU] = p },
		"infinite":      func(l judge.Look) { p := l.KPIs[api.KPICPU]; p.Stable.Value = math.Inf(1); l.KPIs[api.KPICPU] = p },
		"negative":      func(l judge.Look) { p := l.KPIs[api.KPICPU]; p.Canary.Value = -1; l.KPIs[api.KPICPU] = p },
		"broken latency": func(l judge.Look) {
			p := l.KPIs["latency_p90"]
			p.Canary = judge.Samples([]float64{math.NaN()})
			l.KPIs["latency_p90"] = p
		},
		"short histogram": func(l judge.Look) {
			p := l.KPIs["latency_p90"]
			p.Canary.Counts = p.Canary.Counts[1:]
			l.KPIs["latency_p90"] = p
		},
		"no exposure to speak of": func(l judge.Look) {
			p := l.KPIs[api.KPIErrorRate]
			p.Stable.Exposure = 5e-309
			l.KPIs[api.KPIErrorRate] = p
		},
		"negative count": func(l judge.Look) { p := l.KPIs[api.KPIErrorRate]; p.Canary.Events = -3; l.KPIs[api.KPIErrorRate] = p },
	}
	for name, damage := range cases {
		t.Run(name, func(t *testing.T) {
			w := healthy(1)
			b := open(t, spec(errorRate(), latencyP90(), cpu()), judge.Stage{}, nil)
			var v api.Verdict
			for i := range 119 {
				look := w.look(i)
				damage(look)
				b.Observe(look)
				v = b.Verdict(look.At)
				must.Eq(t, api.VerdictContinue, v.Kind, must.Sprint(v.Reason))
			}
			must.StrContains(t, v.Reason, "missing")
			must.Eq(t, api.VerdictInconclusive, b.Verdict(began().Add(10*time.Minute)).Kind)
		})
	}
}

func TestBank_StopsThePromotionWhenDataEnds(t *testing.T) {
	w := healthy(4)
	b := open(t, spec(errorRate()), judge.Stage{}, nil)
	must.Eq(t, api.VerdictPromote, run(b, w, 100).Kind)
	b.Observe(judge.Look{At: began().Add(time.Hour), Seconds: 5})
	must.NotEq(t, api.VerdictPromote, b.Verdict(began().Add(time.Minute)).Kind)
}

func TestBank_ContinuesOnLowTraffic(t *testing.T) {
	w := healthy(2)
	w.canaryRPS = 0
	v := run(open(t, spec(errorRate(), latencyP90()), judge.Stage{}, nil), w, 100)
	must.Eq(t, api.VerdictContinue, v.Kind)
}

func TestBank_DecidesTheSameAfterItIsResumed(t *testing.T) {
	for _, slow := range []float64{1, 1.25, 2} {
		w := healthy(3)
		w.canarySlow = slow
		kept := open(t, spec(errorRate(), latencyP90(), cpu()), judge.Stage{}, nil)
		handed := open(t, spec(errorRate(), latencyP90(), cpu()), judge.Stage{}, nil)
		for i := range 60 {
			look := w.look(i)
			kept.Observe(look)
			handed.Observe(look)
			raw, err := json.Marshal(handed)
			must.NoError(t, err)
			handed, err = judge.Load(raw)
			must.NoError(t, err)
			handed.Observe(look) // a repeated look counts once
			must.Eq(t, kept.Verdict(look.At), handed.Verdict(look.At))
		}
	}
}

func TestLoad_RefusesDamage(t *testing.T) {
	for _, raw := range []string{`{`, `{}`, `{"spec":{"false_alarm":0.01,"miss":0.05,"kpis":[{"kpi":"cpu","abort_above":1,"promote_below":2}]},"kpis":[null]}`} {
		_, err := judge.Load([]byte(raw))
		must.Error(t, err)
	}
}

func TestCheck_NamesTheField(t *testing.T) {
	cases := map[string]func(*api.JudgeSpec){
		"judge.false_alarm":                  func(s *api.JudgeSpec) { s.FalseAlarm = 0 },
		"judge.miss":                         func(s *api.JudgeSpec) { s.Miss = 1 },
		"judge.kpi.error_rate.abort_above":   func(s *api.JudgeSpec) { s.KPIs[0].AbortAbove = 0.9 },
		"judge.kpi.error_rate.promote_below": func(s *api.JudgeSpec) { s.KPIs[0].PromoteBelow = 1.1 },
		"judge.kpi.error_rate.ignore_below":  func(s *api.JudgeSpec) { s.KPIs[0].IgnoreBelow = math.NaN() },
		"judge.kpi.error_rate.weight":        func(s *api.JudgeSpec) { s.KPIs[0].Weight = 2 },
		"named twice":                        func(s *api.JudgeSpec) { s.KPIs = append(s.KPIs, s.KPIs[0]) },
		"no kpi block":                       func(s *api.JudgeSpec) { s.KPIs = nil },
	}
	for want, damage := range cases {
		s := spec(errorRate())
		damage(&s)
		_, err := judge.New(s, nil, judge.Stage{})
		must.ErrorContains(t, err, want)
		must.True(t, api.IsCode(err, api.CodeInvalid))
	}
	_, err := judge.New(spec(errorRate()), nil, judge.Stage{})
	must.ErrorContains(t, err, "not a known KPI")
}

func TestWeights_ShareTheFalseAlarms(t *testing.T) {
	s := spec(errorRate(), latencyP90(), cpu())
	s.KPIs[0].Weight = 0.5
	v := open(t, s, judge.Stage{}, nil).Verdict(began())
	must.InDelta(t, math.Log10(1/0.005), v.KPIs[0].Needed, 0.001)
	must.InDelta(t, math.Log10(1/0.0025), v.KPIs[1].Needed, 0.001)
}

func TestBank_ComparesTheLastStageWithTheStableArmBefore(t *testing.T) {
	s := spec(errorRate(), latencyP90(), cpu())
	before := open(t, s, judge.Stage{}, nil)
	must.Eq(t, api.VerdictPromote, run(before, healthy(6), 100).Kind)
	alone := func(change func(*world)) api.Verdict {
		w := healthy(7)
		w.canaryRPS = 80
		change(w)
		return run(open(t, s, judge.Stage{Alone: true}, before.References()), w, 100)
	}
	good := alone(func(*world) {})
	must.Eq(t, api.VerdictPromote, good.Kind, must.Sprint(good.Reason))
	must.Eq(t, api.VerdictAbort, alone(func(w *world) { w.canaryError = 0.2 }).Kind)
	must.Eq(t, api.VerdictAbort, alone(func(w *world) { w.canarySlow = 2 }).Kind)
	must.Eq(t, api.VerdictAbort, alone(func(w *world) { w.canaryCPU = 0.5 }).Kind)

	v := run(open(t, s, judge.Stage{Alone: true}, nil), healthy(8), 100)
	must.Eq(t, api.VerdictContinue, v.Kind, must.Sprint("nothing to compare with"))
}

func TestBank_CallsEqualArmsEqual(t *testing.T) {
	const runs = 120
	hits := 0
	for seed := range uint64(runs) {
		s := spec(api.KPISpec{KPI: api.KPIErrorRate, AbortAbove: 1, PromoteBelow: 1.01},
			api.KPISpec{KPI: "latency_p99", AbortAbove: 1, PromoteBelow: 1.01})
		s.FalseAlarm = 0.05
		w := healthy(seed)
		w.canaryRPS, w.stableRPS = 4, 16
		w.canaryError, w.stableErr = 0.05, 0.05
		b := open(t, s, judge.Stage{}, nil)
		for i := range 150 {
			b.Observe(w.look(i))
		}
		if b.Verdict(began()).Kind == api.VerdictAbort {
			hits++
		}
	}
	low, _ := stats.ShareBounds(hits, runs, 0.001)
	t.Logf("%d of %d", hits, runs)
	must.LessEq(t, 0.05, low)
}

func TestBank_HasASmallState(t *testing.T) {
	b := open(t, spec(errorRate(), latencyP90(), cpu()), judge.Stage{}, nil)
	w := healthy(1)
	w.upper = []float64{0.001, 0.0025, 0.005, 0.01, 0.02, 0.03, 0.05, 0.075, 0.1, 0.15, 0.25, 0.5, 1, 2.5, 5}
	for i := range 10 {
		b.Observe(w.look(i))
	}
	raw, err := json.Marshal(b)
	must.NoError(t, err)
	t.Logf("%d bytes", len(raw))
	must.Less(t, 16<<10, len(raw))
}

func TestBank_CountsNoTimeWithoutLooks(t *testing.T) {
	w := healthy(10)
	w.canaryRPS = 0
	b := open(t, spec(errorRate()), judge.Stage{}, nil)
	for _, after := range []int{1, 2, 3, 603, 604} { // five-second steps; fifty minutes away
		b.Observe(w.look(after))
	}
	must.Eq(t, api.VerdictContinue, b.Verdict(began().Add(605*step)).Kind)
	must.Eq(t, api.VerdictInconclusive, b.Verdict(began().Add(603*step).Add(10*time.Minute)).Kind)
}

func TestBank_JudgesForTheMinimumHoweverClearItIs(t *testing.T) {
	s := spec(errorRate())
	s.MinDuration = api.Duration(5 * time.Minute)
	v := run(open(t, s, judge.Stage{}, nil), healthy(1), 100)
	must.Eq(t, api.VerdictPromote, v.Kind)
	must.Eq(t, s.MinDuration.D(), v.At.Sub(began()))

	soon := run(open(t, s, judge.Stage{}, nil), healthy(1), 59)
	must.Eq(t, api.VerdictContinue, soon.Kind)
	must.Eq(t, api.VerdictPromote, soon.KPIs[0].Kind)
	must.StrContains(t, soon.Reason, "every KPI is within its margin")
	must.StrContains(t, soon.Reason, "; a stage is judged for 5m0s at least")

	bad := healthy(1)
	bad.canaryError = 0.3
	v = run(open(t, s, judge.Stage{}, nil), bad, 100)
	must.Eq(t, api.VerdictAbort, v.Kind)
	must.Less(t, time.Minute, v.At.Sub(began()), must.Sprint("an abort does not wait"))

	s.MinDuration, s.MaxDuration = api.Duration(time.Hour), api.Duration(2*time.Minute)
	v = run(open(t, s, judge.Stage{}, nil), healthy(1), 100)
	must.Eq(t, api.VerdictPromote, v.Kind)
	must.Eq(t, s.MaxDuration.D(), v.At.Sub(began()), must.Sprint("it is at most max_duration"))
}

func TestBank_DecidesByKayentasRulesWhenThePolicyAsks(t *testing.T) {
	t.Parallel()
	cases := map[string]struct {
		change func(*world)
		want   api.VerdictKind
	}{
		"healthy":             {func(*world) {}, api.VerdictPromote},
		"everything is worse": {func(w *world) { w.canaryError = 0.3; w.canarySlow = 2; w.canaryCPU = 0.4 }, api.VerdictAbort},
	}
	for name, c := range cases {
		s := spec(errorRate(), latencyP90(), cpu())
		s.Method = api.JudgeKayenta
		w := healthy(3)
		c.change(w)
		v := run(open(t, s, judge.Stage{}, nil), w, 100)
		must.Eq(t, c.want, v.Kind, must.Sprintf("%s: %s", name, v.Reason))
		for _, k := range v.KPIs {
			must.StrContains(t, k.Reason, "Kayenta")
		}
	}
	s := spec(errorRate())
	s.Method = "guess"
	_, err := judge.New(s, nil, judge.Stage{})
	must.ErrorContains(t, err, "judge.method")
}

// TestBank_NamesTheKPIThatGotWorse has slow requests in the middle of the distribution
// only: the quantile of the KPI itself is the same, or better.
func TestBank_NamesTheKPIThatGotWorse(t *testing.T) {
	t.Parallel()
	s := spec(api.KPISpec{KPI: "latency_p99", AbortAbove: 1.1, PromoteBelow: 1.3})
	b := open(t, s, judge.Stage{}, nil)
	upper := []float64{0.01, 0.02, 0.05, 0.1, 1}
	var v api.Verdict
	for i := range 100 {
		at := began().Add(time.Duration(i+1) * step)
		b.Observe(judge.Look{At: at, Seconds: 5, KPIs: map[string]judge.Pair{"latency_p99": {
			Canary: judge.Buckets(upper, []float64{10, 10, 77, 1, 2, 0}), Stable: judge.Buckets(upper, []float64{80, 10, 6, 1, 3, 0}),
		}}})
		if v = b.Verdict(at); v.Kind == api.VerdictAbort {
			break
		}
	}
	must.Eq(t, api.VerdictAbort, v.Kind)
	must.StrContains(t, v.Reason, "of its requests took longer than")
	// What comes after does not change the sentence.
	looks := v.KPIs[0].Exposure
	b.Observe(judge.Look{At: began().Add(time.Hour), Seconds: 5, KPIs: map[string]judge.Pair{"latency_p99": {
		Canary: judge.Buckets(upper, []float64{1000, 0, 0, 0, 0, 0}), Stable: judge.Buckets(upper, []float64{0, 0, 0, 0, 0, 1000}),
	}}})
	must.Eq(t, looks, b.Verdict(began().Add(time.Hour)).KPIs[0].Exposure)
}

// TestBank_HasIntervalsThatHoldTheTruth counts how often the interval of an effect misses
// what the world was made with.
func TestBank_HasIntervalsThatHoldTheTruth(t *testing.T) {
	t.Parallel()
	const runs = 100
	missed := map[string]int{}
	for seed := range uint64(runs) {
		w := healthy(seed)
		w.canaryError, w.stableErr, w.canarySlow, w.canaryCPU = 0.04, 0.02, 1.3, 0.23
		b := open(t, spec(api.KPISpec{KPI: api.KPIErrorRate, AbortAbove: 60, PromoteBelow: 64},
			api.KPISpec{KPI: "latency_p90", AbortAbove: 60, PromoteBelow: 64}, api.KPISpec{KPI: api.KPICPU, AbortAbove: 60, PromoteBelow: 64}), judge.Stage{}, nil)
		for i := range 30 {
			b.Observe(w.look(i))
		}
		for _, k := range b.Verdict(began()).KPIs {
			truth := map[string]float64{api.KPIErrorRate: 2, "latency_p90": 1.3, api.KPICPU: 1.15}[k.KPI]
			must.Positive(t, k.High)
			if truth < k.Low || truth > k.High {
				missed[k.KPI]++
			}
			must.Less(t, 3, k.High-k.Low, must.Sprint(k.KPI))
		}
	}
	t.Log(missed)
	for name, n := range missed {
		mustNotExceed(t, n, runs, 0.07)
		must.NotEq(t, "", name)
	}
}

// TestBank_PromotesNoCanaryThatGetsWorseLater finds a canary well, and then sees it fail
// more than its margin allows but less than all instances have been seen to drift:
// nothing is turned back for that, and nothing goes on.
func TestBank_PromotesNoCanaryThatGetsWorseLater(t *testing.T) {
	kpi, _ := judge.Known(api.KPIErrorRate)
	kpi.Reference, kpi.Drift = judge.Reference{Events: 100, Exposure: 10_000}, 0.3
	b, err := judge.New(spec(errorRate()), []judge.KPI{kpi}, judge.Stage{Started: began(), Alone: true})
	must.NoError(t, err)
	at := began()
	look := func(looks int, failed float64) api.Verdict {
		for range looks {
			at = at.Add(step)
			b.Observe(judge.Look{At: at, Seconds: 5, KPIs: map[string]judge.Pair{kpi.Name: {Canary: judge.Count(failed, 100)}}})
		}
		return b.Verdict(at)
	}
	must.Eq(t, api.VerdictPromote, look(20, 1).Kind)
	v := look(20, 20)
	must.Eq(t, api.VerdictContinue, v.Kind, must.Sprint(v.Reason))
	must.Eq(t, api.VerdictAbort, look(40, 90).Kind)
}
