package profiler

import (
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/shoenig/test/must"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/internal/judge"
	"github.com/oakumhq/oakum/internal/kpi/kpitest"
)

func usualMargins() []api.KPISpec {
	return []api.KPISpec{
		{KPI: api.KPIErrorRate, PromoteBelow: 2, IgnoreBelow: 0.0001},
		{KPI: api.KPILatencyP99, PromoteBelow: 1.3, IgnoreBelow: 0.001},
		{KPI: "latency_p50", PromoteBelow: 1.3, IgnoreBelow: 0.001},
		{KPI: api.KPICPU, PromoteBelow: 1.5, IgnoreBelow: 0.01},
	}
}

// neighbourOf is a warm profile of a target at whose neighbour a rollout begins now.
func neighbourOf(t *testing.T, m *kpitest.Fleet, learned time.Duration) (p *Profiler, began time.Time) {
	t.Helper()
	patched := map[api.TargetRef]bool{}
	p = open(parts{Metrics: m, Stats: m, Fleet: m, Neighbours: func() map[api.TargetRef]bool { return patched }})
	during(t, p, learned)
	patched[kpitest.Shop()] = true
	began = time.Now()
	during(t, p, 10*time.Second+time.Millisecond)
	return p, began
}

// worse lists the KPIs that the last minute shows to be clearly worse.
func worse(b *Baselines, began, now time.Time, margins ...api.KPISpec) []api.NeighbourEffect {
	return slices.DeleteFunc(b.LastMinute(kpitest.Shop(), began, now, margins), func(e api.NeighbourEffect) bool { return e.Since.IsZero() })
}

func kpisOf(list []api.NeighbourEffect) []string {
	var out []string
	for _, e := range list {
		out = append(out, e.KPI)
	}
	return out
}

func TestBaselines_ListsWhatGotWorse(t *testing.T) {
	for name, c := range map[string]struct {
		hurt func(*kpitest.Instance)
		want []string
	}{
		"errors": {func(in *kpitest.Instance) { in.Errors = 0.1 }, []string{api.KPIErrorRate}},
		"slow":   {func(in *kpitest.Instance) { in.Slow = 3 }, []string{api.KPILatencyP99, api.KPILatencyP50}},
		"cpu":    {func(in *kpitest.Instance) { in.CPU = 0.6 }, []string{api.KPICPU}},
		"well":   {func(*kpitest.Instance) {}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				m := kpitest.New(4)
				p, began := neighbourOf(t, m, 15*time.Minute)
				must.SliceEmpty(t, worse(p.baselines, began, time.Now(), usualMargins()...))
				for _, in := range m.Instances {
					c.hurt(in)
				}
				hurt := time.Now()
				during(t, p, time.Minute+time.Second)
				got := worse(p.baselines, began, time.Now(), usualMargins()...)
				must.Eq(t, c.want, kpisOf(got))
				for _, e := range got {
					must.False(t, e.Earlier)
					must.False(t, e.Since.Before(hurt))
					must.Greater(t, e.Before, e.Value)
				}
				must.SliceEmpty(t, worse(p.baselines, began, time.Now().Add(2*time.Minute), usualMargins()...), must.Sprint("no recent sample"))
			})
		})
	}
}

func TestProfiler_LearnsNoBadTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := kpitest.New(2)
		p, began := neighbourOf(t, m, 15*time.Minute)
		before := find(t, p.baselines.Profiles(), api.KPIErrorRate)
		for _, in := range m.Instances {
			in.Errors = 0.1
		}
		hurt := time.Now()
		during(t, p, time.Hour)
		got := worse(p.baselines, began, time.Now(), usualMargins()...)
		must.Eq(t, []string{api.KPIErrorRate}, kpisOf(got))
		must.Between(t, 0, got[0].Since.Sub(hurt), time.Minute)
		must.Eq(t, before.Samples, find(t, p.baselines.Profiles(), api.KPIErrorRate).Samples)
		for _, in := range m.Instances {
			in.Errors = 0.001
		}
		during(t, p, 90*time.Second)
		must.SliceEmpty(t, worse(p.baselines, began, time.Now(), usualMargins()...), must.Sprint("it is well again"))
	})
}

func TestProfiler_RestsForAMinuteAfterTheRollout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := kpitest.New(2)
		patched := map[api.TargetRef]bool{}
		p := open(parts{Metrics: m, Stats: m, Fleet: m, Neighbours: func() map[api.TargetRef]bool { return patched }})
		during(t, p, 5*time.Minute)
		patched[kpitest.Shop()] = true
		during(t, p, time.Minute)
		delete(patched, kpitest.Shop())
		samples := func() int64 { return find(t, p.baselines.Profiles(), api.KPIErrorRate).Samples }
		was := samples()
		during(t, p, 50*time.Second)
		must.Eq(t, was, samples())
		during(t, p, time.Minute)
		must.Greater(t, was, samples())
	})
}

func TestBaselines_TellsWhatWasWorseEarlier(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := kpitest.New(4)
		patched := map[api.TargetRef]bool{}
		p := open(parts{Metrics: m, Stats: m, Fleet: m, Neighbours: func() map[api.TargetRef]bool { return patched }})
		during(t, p, time.Hour) // with less, one bad minute makes all the difference for what is noise
		for _, in := range m.Instances {
			in.Errors = 0.1
		}
		during(t, p, 90*time.Second)
		patched[kpitest.Shop()] = true
		began := time.Now()
		during(t, p, 2*time.Minute)
		got := worse(p.baselines, began, time.Now(), usualMargins()...)
		must.Eq(t, []string{api.KPIErrorRate}, kpisOf(got))
		must.True(t, got[0].Earlier)

		// After a time in which it was well, it is not earlier, and not for a later rollout.
		for _, in := range m.Instances {
			in.Errors = 0.001
		}
		during(t, p, 2*time.Minute)
		second := time.Now()
		during(t, p, time.Minute)
		for _, in := range m.Instances {
			in.Errors = 0.1
		}
		during(t, p, 90*time.Second)
		for _, start := range []time.Time{began, second} {
			got = worse(p.baselines, start, time.Now(), usualMargins()...)
			must.Eq(t, []string{api.KPIErrorRate}, kpisOf(got))
			must.False(t, got[0].Earlier)
		}
	})
}

func TestBaselines_ListsTheLastMinuteOfWhatIsNotWorse(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := kpitest.New(4)
		p, began := neighbourOf(t, m, 15*time.Minute)
		list := func(now time.Time) []api.NeighbourEffect {
			return p.baselines.LastMinute(kpitest.Shop(), began, now, usualMargins())
		}
		got := list(time.Now())
		must.Eq(t, []string{api.KPIErrorRate, api.KPILatencyP99, "latency_p50", api.KPICPU}, kpisOf(got))
		for i, e := range got {
			must.True(t, e.Since.IsZero() && !e.Earlier, must.Sprint(e.KPI))
			must.Positive(t, e.Before)
			must.LessEq(t, usualMargins()[i].Margins().PromoteLimit(e.Before), e.Value)
		}
		must.Eq(t, got[1].Exposure, got[2].Exposure, must.Sprint("both are of the same requests"))
		must.Greater(t, 100, got[0].Exposure, must.Sprint("requests of a minute"))
		must.Eq(t, windowSamples, got[3].Exposure, must.Sprint("samples of a minute"))
		must.SliceEmpty(t, list(time.Now().Add(2*time.Minute)), must.Sprint("nobody knows of now"))

		p.baselines.targets[kpitest.Shop()].kpis[api.KPIErrorRate].control = judge.Control{Runs: 20, Alarms: 10}
		must.Eq(t, []string{api.KPILatencyP99, "latency_p50", api.KPICPU}, kpisOf(list(time.Now())))
	})
}

// A new leader has all baselines, and no last minute.
func TestBaselines_ListsNothingInTheFirstHalfMinuteOfALeader(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, l := kpitest.New(4), &ledger{}
		during(t, open(parts{Metrics: m, Stats: m, Fleet: m, Recorder: l}), 15*time.Minute+time.Second)
		p := open(parts{Metrics: m, Stats: m, Fleet: m, Recorder: l, Profiles: l.profiles})
		began := time.Now()
		must.SliceEmpty(t, p.baselines.LastMinute(kpitest.Shop(), began, time.Now(), usualMargins()))
		during(t, p, 20*time.Second)
		thin := p.baselines.LastMinute(kpitest.Shop(), began, time.Now(), usualMargins())
		must.SliceNotContains(t, kpisOf(thin), api.KPICPU)
		during(t, p, time.Minute)
		full := p.baselines.LastMinute(kpitest.Shop(), began, time.Now(), usualMargins())
		must.Eq(t, []string{api.KPIErrorRate, api.KPILatencyP99, "latency_p50", api.KPICPU}, kpisOf(full))
		must.Less(t, full[0].Exposure/2, thin[0].Exposure, must.Sprint("too few requests to say that it is well"))
	})
}

func TestBaselines_ListsNothingWhileCold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := kpitest.New(4)
		p, began := neighbourOf(t, m, time.Minute)
		for _, in := range m.Instances {
			in.Errors, in.Slow = 0.5, 5
		}
		during(t, p, 5*time.Minute)
		must.SliceEmpty(t, worse(p.baselines, began, time.Now(), usualMargins()...))
		must.False(t, find(t, p.baselines.Profiles(), api.KPIErrorRate).Cold, must.Sprint("it learns on until it is warm"))
	})
}

func TestRestore_KeepsTheNoiseOfMinutes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, l := kpitest.New(4), &ledger{}
		during(t, open(parts{Metrics: m, Stats: m, Fleet: m, Recorder: l}), 15*time.Minute+time.Second)
		p := open(parts{Metrics: m, Stats: m, Fleet: m, Recorder: l, Profiles: l.profiles,
			Neighbours: func() map[api.TargetRef]bool { return map[api.TargetRef]bool{kpitest.Shop(): true} }})
		began := time.Now()
		for _, in := range m.Instances {
			in.Errors = 0.1
		}
		during(t, p, 90*time.Second)
		must.Eq(t, []string{api.KPIErrorRate}, kpisOf(worse(p.baselines, began, time.Now(), usualMargins()...)))
	})
}
