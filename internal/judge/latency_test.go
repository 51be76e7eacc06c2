package judge_test

import (
	"testing"
	"time"

	"github.com/shoenig/test/must"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/internal/judge"
)

func TestLatency_NeverPromotesATailRegression(t *testing.T) {
	p99 := api.KPISpec{KPI: "latency_p99", AbortAbove: 1.1, PromoteBelow: 1.3}
	for seed := range uint64(20) {
		w := healthy(seed)
		w.tail = 0.02
		v := run(open(t, spec(p99), judge.Stage{}, nil), w, 120)
		must.NotEq(t, api.VerdictPromote, v.Kind, must.Sprint(v.Reason))
	}
}

func TestBank_DropsAReferenceOfAnotherDay(t *testing.T) {
	s := spec(errorRate(), latencyP90(), cpu())
	old := map[string]judge.Reference{
		api.KPIErrorRate: {Events: 500_000, Exposure: 1_000_000},
		api.KPICPU:       {N: 2000, Mean: 5, M2: 100},
	}
	b := open(t, s, judge.Stage{}, old)
	w := healthy(9)
	for i := range 20 {
		b.Observe(w.look(i))
	}
	v := b.Verdict(began())
	must.Less(t, 0.25, v.KPIs[2].Stable, must.Sprint("stable is what was seen, not what was known"))
	fresh := b.References()
	must.InDelta(t, 0.2, fresh[api.KPICPU].Mean, 0.05)
	must.Less(t, 0.01, fresh[api.KPIErrorRate].Events/fresh[api.KPIErrorRate].Exposure)
}

// A stage that begins in a busy minute is promoted by what the quiet ones show, and a
// canary that is worse in those is not.
func TestBank_PromotesWithoutAnotherBusyMinute(t *testing.T) {
	s := spec(latencyP90())
	promoted := func(seed uint64, slow float64) bool {
		w := healthy(seed)
		w.canarySlow = slow
		b := open(t, s, judge.Stage{}, nil)
		for i := range 100 {
			look := w.look(i)
			if i < 3 {
				look.KPIs["latency_p90"] = judge.Pair{Canary: w.latency(50, 30*slow, 0), Stable: w.latency(450, 30, 0)}
			}
			b.Observe(look)
			if v := b.Verdict(look.At); v.Kind != api.VerdictContinue {
				return v.Kind == api.VerdictPromote
			}
		}
		return false
	}
	wrong := 0
	for seed := range uint64(40) {
		must.True(t, promoted(seed, 1), must.Sprint(seed))
		if promoted(seed, latencyP90().PromoteBelow) {
			wrong++
		}
	}
	must.LessEq(t, 5, wrong, must.Sprint("of 40, where one in twenty is allowed: 6 are beyond chance"))
}

// TestLatency_JudgesAFastServiceWithAWideMargin is a service whose requests all take about a
// millisecond, under a margin of fifty: far wider than its buckets there. It is
// promoted in seconds, and one that takes sixty is not.
func TestLatency_JudgesAFastServiceWithAWideMargin(t *testing.T) {
	t.Parallel()
	upper := []float64{0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1}
	spec := api.JudgeSpec{
		Enabled: true, FalseAlarm: 0.01, Miss: 0.05, Interval: api.Duration(2 * time.Second), MaxDuration: api.Duration(4 * time.Minute),
		KPIs: []api.KPISpec{{KPI: "latency_p90", AbortAbove: 1.5, PromoteBelow: 2.5, IgnoreBelow: 0.05}},
	}
	for name, c := range map[string]struct {
		canary []float64
		want   api.VerdictKind
	}{
		"the same":   {[]float64{14, 5, 1, 0, 0, 0, 0, 0, 0, 0}, api.VerdictPromote},
		"60 ms more": {[]float64{0, 0, 0, 0, 0, 0, 18, 2, 0, 0}, api.VerdictAbort},
	} {
		kpi, ok := judge.Known("latency_p90")
		must.True(t, ok)
		start := time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC)
		bank, err := judge.New(spec, []judge.KPI{kpi}, judge.Stage{Started: start})
		must.NoError(t, err)
		verdict := api.Verdict{}
		looks := 0
		for looks < 40 && verdict.Kind != api.VerdictPromote && verdict.Kind != api.VerdictAbort {
			looks++
			at := start.Add(time.Duration(looks) * 2 * time.Second)
			bank.Observe(judge.Look{At: at, Seconds: 2, KPIs: map[string]judge.Pair{"latency_p90": {
				Canary: judge.Buckets(upper, c.canary), Stable: judge.Buckets(upper, []float64{42, 15, 3, 0, 0, 0, 0, 0, 0, 0}),
			}}})
			verdict = bank.Verdict(at)
		}
		must.Eq(t, c.want, verdict.Kind, must.Sprintf("%s: %s", name, verdict.Reason))
		t.Logf("%s: %s after %d looks", name, verdict.Kind, looks)
	}
}
