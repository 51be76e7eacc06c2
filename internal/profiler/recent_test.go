package profiler

import (
	"math/rand/v2"
	"testing"
	"testing/synctest"
	"time"

	"github.com/shoenig/test/must"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/internal/judge"
)

func usualMargins() []api.KPISpec {
	return []api.KPISpec{
		{KPI: api.KPIErrorRate, PromoteBelow: 2, IgnoreBelow: 0.0001},
		{KPI: api.KPILatencyP99, PromoteBelow: 1.3, IgnoreBelow: 0.001},
		{KPI: "latency_p50", PromoteBelow: 1.3, IgnoreBelow: 0.001},
		{KPI: api.KPICPU, PromoteBelow: 1.5, IgnoreBelow: 0.01},
	}
}

// besideRollout is a warm profile of a target next to which a rollout begins now.
func besideRollout(t *testing.T, m *model, learned time.Duration) (p *Profiler, began time.Time) {
	t.Helper()
	beside := map[api.TargetRef]bool{}
	p = New(Options{Metrics: m, Stats: m, Fleet: m, Recorder: m, Beside: func() map[api.TargetRef]bool { return beside }})
	during(t, p, learned)
	beside[shop()] = true
	began = time.Now()
	during(t, p, 10*time.Second+time.Millisecond)
	return p, began
}

func kpisOf(list []api.NeighbourEffect) []string {
	var out []string
	for _, e := range list {
		out = append(out, e.KPI)
	}
	return out
}

func TestANeighbourThatGetsWorseIsHeard(t *testing.T) {
	for name, c := range map[string]struct {
		hurt func(*instance)
		want []string
	}{
		"errors": {func(in *instance) { in.errors = 0.1 }, []string{api.KPIErrorRate}},
		"slow":   {func(in *instance) { in.slow = 3 }, []string{api.KPILatencyP99, api.KPILatencyP50}},
		"cpu":    {func(in *instance) { in.cpu = 0.6 }, []string{api.KPICPU}},
		"well":   {func(*instance) {}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				m := newModel(4)
				p, began := besideRollout(t, m, 15*time.Minute)
				must.SliceEmpty(t, p.Worse(shop(), began, time.Now(), usualMargins()))
				for _, in := range m.instances {
					c.hurt(in)
				}
				hurt := time.Now()
				during(t, p, time.Minute+time.Second)
				got := p.Worse(shop(), began, time.Now(), usualMargins())
				must.Eq(t, c.want, kpisOf(got))
				for _, e := range got {
					must.False(t, e.Earlier)
					must.False(t, e.Since.Before(hurt))
					must.Greater(t, e.Before, e.Value)
				}
				must.SliceEmpty(t, p.Worse(shop(), began, time.Now().Add(2*time.Minute), usualMargins()), must.Sprint("no recent sample"))
			})
		})
	}
}

func TestTheBadTimeDoesNotBecomeNormal(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newModel(2)
		p, began := besideRollout(t, m, 15*time.Minute)
		before := find(t, p.Profiles(), api.KPIErrorRate)
		for _, in := range m.instances {
			in.errors = 0.1
		}
		hurt := time.Now()
		during(t, p, time.Hour)
		got := p.Worse(shop(), began, time.Now(), usualMargins())
		must.Eq(t, []string{api.KPIErrorRate}, kpisOf(got))
		must.Between(t, 0, got[0].Since.Sub(hurt), time.Minute)
		must.Eq(t, before.Samples, find(t, p.Profiles(), api.KPIErrorRate).Samples)
		for _, in := range m.instances {
			in.errors = 0.001
		}
		during(t, p, 90*time.Second)
		must.SliceEmpty(t, p.Worse(shop(), began, time.Now(), usualMargins()), must.Sprint("it is well again"))
	})
}

func TestABaselineRestsForAMinuteAfterTheRollout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newModel(2)
		beside := map[api.TargetRef]bool{}
		p := New(Options{Metrics: m, Stats: m, Fleet: m, Recorder: m, Beside: func() map[api.TargetRef]bool { return beside }})
		during(t, p, 5*time.Minute)
		beside[shop()] = true
		during(t, p, time.Minute)
		delete(beside, shop())
		samples := func() int64 { return find(t, p.Profiles(), api.KPIErrorRate).Samples }
		was := samples()
		during(t, p, 50*time.Second)
		must.Eq(t, was, samples())
		during(t, p, time.Minute)
		must.Greater(t, was, samples())
	})
}

func TestWhatWasBadBeforeTheRolloutIsEarlier(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newModel(4)
		beside := map[api.TargetRef]bool{}
		p := New(Options{Metrics: m, Stats: m, Fleet: m, Recorder: m, Beside: func() map[api.TargetRef]bool { return beside }})
		during(t, p, time.Hour) // with less, one bad minute makes all the difference for what is noise
		for _, in := range m.instances {
			in.errors = 0.1
		}
		during(t, p, 90*time.Second)
		beside[shop()] = true
		began := time.Now()
		during(t, p, 2*time.Minute)
		got := p.Worse(shop(), began, time.Now(), usualMargins())
		must.Eq(t, []string{api.KPIErrorRate}, kpisOf(got))
		must.True(t, got[0].Earlier)

		// Of a later rollout beside it, and after a time in which it was well, it is not.
		for _, in := range m.instances {
			in.errors = 0.001
		}
		during(t, p, 2*time.Minute)
		second := time.Now()
		during(t, p, time.Minute)
		for _, in := range m.instances {
			in.errors = 0.1
		}
		during(t, p, 90*time.Second)
		for _, start := range []time.Time{began, second} {
			got = p.Worse(shop(), start, time.Now(), usualMargins())
			must.Eq(t, []string{api.KPIErrorRate}, kpisOf(got))
			must.False(t, got[0].Earlier)
		}
	})
}

func TestAColdBaselineGivesNoSignal(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newModel(4)
		p, began := besideRollout(t, m, time.Minute)
		for _, in := range m.instances {
			in.errors, in.slow = 0.5, 5
		}
		during(t, p, 5*time.Minute)
		must.SliceEmpty(t, p.Worse(shop(), began, time.Now(), usualMargins()))
		must.False(t, find(t, p.Profiles(), api.KPIErrorRate).Cold, must.Sprint("it learns on until it is warm"))
	})
}

func TestTheNoiseOfRecentFiguresOutlivesALeader(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newModel(4)
		during(t, New(Options{Metrics: m, Stats: m, Fleet: m, Recorder: m}), 15*time.Minute+time.Second)
		p := New(Options{Metrics: m, Stats: m, Fleet: m, Recorder: m, Profiles: m.profiles,
			Beside: func() map[api.TargetRef]bool { return map[api.TargetRef]bool{shop(): true} }})
		began := time.Now()
		for _, in := range m.instances {
			in.errors = 0.1
		}
		during(t, p, 90*time.Second)
		must.Eq(t, []string{api.KPIErrorRate}, kpisOf(p.Worse(shop(), began, time.Now(), usualMargins())))
	})
}

// TestLatenciesAreComparedWhereTheyAreNow has a service that was slow for long and
// is not any more. Beside a stable arm that is what counts; without one, the
// reference is what the canary is held against, and a minute is too little for that.
func TestLatenciesAreComparedWhereTheyAreNow(t *testing.T) {
	h := healthy{kpi: api.KPILatencyP99, rps: 30}
	p, rng, now := New(Options{}), rand.New(rand.NewPCG(1, 2)), began()
	for i := range 12 * 10 {
		level := 10.0
		if i >= 12*9 {
			level = 1
		}
		now = now.Add(p.interval)
		h.sampleInto(p, rng, level, now)
	}
	kpi, _ := judge.Known("latency_p90")
	reference := func(stable []string, at time.Time) float64 {
		r := p.learned(Request{Target: shop(), Spec: spec(), Canary: ids(0, 1), Stable: stable, Now: at}, kpi).Reference
		return judge.Quantile(r.Upper, r.Counts, kpi.Quantile)
	}
	must.Less(t, 0.1, reference(ids(1, 2), now))
	must.Greater(t, 0.3, reference(nil, now))
	must.Greater(t, 0.3, reference(ids(1, 2), now.Add(time.Minute)), must.Sprint("the minute is over"))
}
