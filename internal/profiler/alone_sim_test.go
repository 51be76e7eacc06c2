package profiler

import (
	"flag"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/shoenig/test/must"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/internal/judge"
	"github.com/oakumhq/oakum/internal/kpi/kpitest"
)

var stages = flag.Int("stages", 3, "how many stages without a stable instance of each kind TestBaselines_JudgeAStageWithoutAStableArm judges")

// alone learns a target for a while and then judges all of its instances, which
// got a patch that multiplies the level by factor, for up to ten minutes.
func (h healthy) alone(t *testing.T, rng *rand.Rand, learned time.Duration, factor float64) api.VerdictKind {
	b := Restore(nil, 0, nil)
	now := time.Date(2026, 3, 2, 12, 0, 0, 0, time.UTC)
	wander := rng.NormFloat64()
	for end := now.Add(learned); now.Before(end); {
		now = now.Add(b.interval)
		wander = h.wander(rng, wander)
		h.learnedBy(b, rng, h.level(wander), now)
	}
	began := now
	spec := api.JudgeSpec{Enabled: true, FalseAlarm: 0.01, Miss: 0.05, Interval: api.Duration(b.interval), MaxDuration: api.Duration(10 * time.Minute),
		KPIs: []api.KPISpec{h.margins}}
	k := b.Describe(kpitest.Shop(), known(h.kpi), b.interval, now)
	bank, err := judge.New(spec, []judge.KPI{k}, judge.Stage{Started: began, Alone: true})
	must.NoError(t, err)
	for {
		now = now.Add(b.interval)
		wander = h.wander(rng, wander)
		level, seconds := h.level(wander)*factor, b.interval.Seconds()
		in := h.draw(rng, level, seconds)
		var m judge.Measure
		switch h.kpi {
		case api.KPICPU:
			m = judge.Gauge(0.2 * level)
		case api.KPIErrorRate:
			m = judge.Count(in.Errors, in.Requests)
		default:
			m = judge.Buckets(in.Upper, in.Counts)
		}
		bank.Observe(judge.Look{At: now, Seconds: seconds, KPIs: map[string]judge.Pair{h.kpi: {Canary: m}}})
		if v := bank.Verdict(now); v.Kind != api.VerdictContinue {
			return v.Kind
		}
	}
}

// TestBaselines_JudgeAStageWithoutAStableArm judges patches that change nothing where no former
// instance is left, while the level of all of them wanders: at most one stage in a
// hundred may be turned back. Without their drift it is one in thirty, and half of
// those of a busy target whose latencies wander. A patch that makes everything ten
// times worse must still be seen where requests are many.
func TestBaselines_JudgeAStageWithoutAStableArm(t *testing.T) {
	margins := map[string]api.KPISpec{
		api.KPIErrorRate:  {PromoteBelow: 2, AbortAbove: 1.1, IgnoreBelow: 0.0001},
		api.KPILatencyP99: {PromoteBelow: 1.3, AbortAbove: 1.1, IgnoreBelow: 0.001},
		api.KPICPU:        {PromoteBelow: 1.5, AbortAbove: 1.1, IgnoreBelow: 0.01},
	}
	rng := rand.New(rand.NewPCG(7, 11))
	for _, learned := range []time.Duration{3 * time.Minute, 10 * time.Minute, 2 * time.Hour} {
		all, aborted, seen, harmful := 0, 0, 0, 0
		for _, h := range healthyKinds(0, 0.5, 0.9, 0.98) {
			h.margins = margins[h.kpi]
			h.margins.KPI = h.kpi
			mine, hits := 0, 0
			for range *stages {
				if h.alone(t, rng, learned, 1) == api.VerdictAbort {
					mine++
				}
				if !h.busy() {
					continue
				}
				harmful++
				if h.alone(t, rng, learned, 10) == api.VerdictAbort {
					hits++
				}
			}
			if mine > 0 || h.busy() && hits < *stages {
				t.Logf("%s learned, %s: %d of %d turned back; %d seen that are ten times worse", learned, h, mine, *stages, hits)
			}
			all, aborted, seen = all+*stages, aborted+mine, seen+hits
		}
		t.Logf("%s learned: %d of %d stages turned back for nothing; %d of %d seen that are ten times worse", learned, aborted, all, seen, harmful)
		must.LessEq(t, 0.01, float64(aborted)/float64(all))
		must.GreaterEq(t, 0.9, float64(seen)/float64(harmful))
	}
}

// busy reports whether a few minutes have enough requests to see a tenfold change.
func (h healthy) busy() bool {
	return h.rps >= 30 && (h.kpi == api.KPILatencyP99 || h.errors >= 0.01)
}
