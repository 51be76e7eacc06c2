package judge_test

import (
	"math/rand/v2"
	"testing"
	"time"

	"github.com/shoenig/test/must"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/internal/judge"
)

// TestBank_LeavesWhatIsUnlikeWithoutAPatch has arms that differ by a fifth from the first
// look to the last, as two boots of one image may.
func TestBank_LeavesWhatIsUnlikeWithoutAPatch(t *testing.T) {
	t.Parallel()
	cases := map[string]struct {
		kpi     string
		factor  float64
		unlike  judge.Unlike
		aborts  bool
		passing bool
	}{
		"a gauge":                      {api.KPICPU, 1.2, judge.Unlike{}, true, true},
		"a gauge with room":            {api.KPICPU, 1.2, judge.Unlike{Abort: 1.3}, false, true},
		"a gauge far beyond its room":  {api.KPICPU, 2, judge.Unlike{Abort: 1.3}, true, false},
		"a gauge that must be better":  {api.KPICPU, 1, judge.Unlike{Promote: 1.6}, false, false},
		"a latency":                    {"latency_p90", 1.2, judge.Unlike{}, true, true},
		"a latency with room":          {"latency_p90", 1.2, judge.Unlike{Abort: 1.3}, false, true},
		"a latency that must be lower": {"latency_p90", 1, judge.Unlike{Promote: 1.6}, false, false},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			kpi, ok := judge.Known(c.kpi)
			must.True(t, ok)
			kpi.Unlike = c.unlike
			now := time.Unix(1e9, 0)
			bank, err := judge.New(api.JudgeSpec{FalseAlarm: 0.01, Miss: 0.05, KPIs: []api.KPISpec{{KPI: c.kpi, AbortAbove: 1.05, PromoteBelow: 1.5}}},
				[]judge.KPI{kpi}, judge.Stage{Started: now})
			must.NoError(t, err)
			rng := rand.New(rand.NewPCG(1, 2))
			passed := false
			for range 400 {
				now = now.Add(time.Second)
				pair := judge.Pair{Canary: judge.Gauge(c.factor * (1 + 0.05*rng.NormFloat64())), Stable: judge.Gauge(1 + 0.05*rng.NormFloat64())}
				if kpi.Kind == api.KPILatency {
					pair = judge.Pair{Canary: judge.Samples(latencies(rng, c.factor)), Stable: judge.Samples(latencies(rng, 1))}
				}
				bank.Observe(judge.Look{At: now, Seconds: 1, KPIs: map[string]judge.Pair{c.kpi: pair}})
				passed = passed || bank.Promoted()
			}
			must.Eq(t, c.aborts, bank.Aborted())
			if !c.aborts {
				must.Eq(t, c.passing, passed)
			}
		})
	}
}

// latencies are twenty requests.
func latencies(rng *rand.Rand, factor float64) []float64 {
	out := make([]float64, 20)
	for i := range out {
		out[i] = 0.01 * factor * (0.5 + rng.ExpFloat64())
	}
	return out
}

// TestBank_APromotionIsContentWithItsResolution has arms without an error, and a margin
// that would take a hundred thousand requests to show.
func TestBank_APromotionIsContentWithItsResolution(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		resolution, errors float64
		want               api.VerdictKind
	}{{0, 0, api.VerdictContinue}, {0.02, 0, api.VerdictPromote}, {0.02, 0.1, api.VerdictAbort}} {
		kpi, _ := judge.Known(api.KPIErrorRate)
		kpi.Resolution = c.resolution
		now := time.Unix(1e9, 0)
		bank, err := judge.New(api.JudgeSpec{FalseAlarm: 0.01, Miss: 0.05, KPIs: []api.KPISpec{{KPI: api.KPIErrorRate, AbortAbove: 1.1, PromoteBelow: 2, IgnoreBelow: 0.0001}}},
			[]judge.KPI{kpi}, judge.Stage{Started: now})
		must.NoError(t, err)
		for range 60 {
			now = now.Add(time.Second)
			bank.Observe(judge.Look{At: now, Seconds: 1, KPIs: map[string]judge.Pair{
				api.KPIErrorRate: {Canary: judge.Count(10*c.errors, 10), Stable: judge.Count(0, 10)},
			}})
		}
		must.Eq(t, c.want, bank.Verdict(now).Kind, must.Sprintf("%+v", c))
	}
}
