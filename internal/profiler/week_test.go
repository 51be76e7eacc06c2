package profiler

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"runtime"
	"testing"
	"testing/synctest"
	"time"

	"github.com/shoenig/test/must"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/internal/graph"
	"github.com/oakumhq/oakum/internal/stats"
)

func TestWeeksRideAlongWhenAnHourEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		must.Eq(t, 0, time.Now().Minute()) // a bubble begins with an hour
		m := newModel(2)
		o := Options{Metrics: m, Stats: m, Fleet: m, Recorder: m, Profiles: m.profiles}
		during(t, New(o), 2*time.Hour+time.Minute)
		kpis := len(m.profiles()[0].KPIs)
		must.Eq(t, 3*kpis, m.weeks, must.Sprint("one when the baseline is complete, and one for each hour that ended"))
		must.Greater(t, 200, m.records)
		for _, b := range m.profiles()[0].KPIs {
			w, err := stats.DecodeWeek(b.HourSketches)
			must.NoError(t, err)
			must.Between(t, 715, w.Moments(stats.HourOfWeek(time.Now())-1).Samples, 720, must.Sprint(b.KPI))
		}

		t.Log("the next leader goes on with them, and hands over none before it has learned something")
		before := m.weeks
		during(t, New(o), 30*time.Minute)
		must.Eq(t, before, m.weeks)
		during(t, New(o), time.Hour)
		must.Eq(t, before+kpis, m.weeks)
	})
}

// TestAFleetHandsItsWeeksOverBitByBit has more of them due than one entry should hold.
func TestAFleetHandsItsWeeksOverBitByBit(t *testing.T) {
	m := newModel(0)
	p := New(Options{Recorder: m})
	for i := range 300 {
		ref := api.TargetRef{Namespace: "default", Job: fmt.Sprint(i), Group: "web"}
		for k := range coldBelow {
			p.learnGauge(ref, api.KPICPU, sourceStats, []float64{1}, began().Add(time.Duration(k)*time.Second))
		}
	}
	p.record(t.Context())
	must.Eq(t, 2, m.records, must.Sprint("300 profiles do not go into one entry"))
	must.Eq(t, weeksAtOnce, m.weeks)
	p.record(t.Context())
	must.Eq(t, 300, m.weeks)
	records := m.records
	p.record(t.Context())
	must.Eq(t, records, m.records, must.Sprint("nothing has changed"))
	for _, profile := range m.profiles() {
		must.Positive(t, len(profile.KPIs[0].HourSketches))
	}
}

// days lets a fleet learn three days of a load that is ten times as high at noon.
func days(p *Profiler) {
	rng := rand.New(rand.NewPCG(1, 1))
	for i := range 3 * 24 * 120 {
		now := began().Truncate(24 * time.Hour).Add(time.Duration(i) * 30 * time.Second)
		load := 1.0
		if now.Hour() == 12 {
			load = 10
		}
		p.learnGauge(shop(), api.KPICPU, sourceStats, []float64{load * (1 + 0.05*rng.NormFloat64())}, now)
		p.mu.Lock()
		s := p.series(shop(), api.KPIErrorRate, sourceMetrics, now)
		s.learn(load/1000, now)
		s.learnCounts(load, 1000, now)
		l := p.series(shop(), api.KPILatencyP99, sourceMetrics, now)
		l.learn(load/100, now)
		l.learnBuckets([]float64{0.01, 0.1}, []float64{990, 10, 0})
		p.mu.Unlock()
	}
}

func TestAnHourIsHeldAgainstItself(t *testing.T) {
	p := New(Options{})
	days(p)
	noon := began().Truncate(24 * time.Hour).Add(12*time.Hour + 30*time.Minute)
	for name, tc := range map[string]struct {
		at          time.Time
		cpu, errors float64
	}{
		"noon":        {noon, 10, 0.01},
		"one o'clock": {noon.Add(time.Hour), 1, 0.001},
	} {
		t.Run(name, func(t *testing.T) {
			r := request(0)
			r.Now = tc.at
			cpu, _ := p.queries.known(api.KPISpec{KPI: api.KPICPU})
			ref := p.learned(r, cpu).Reference
			must.InDelta(t, tc.cpu, ref.Mean, 0.1*tc.cpu)
			must.InDelta(t, 0.05*tc.cpu, math.Sqrt(ref.M2/ref.N), 0.01*tc.cpu)
			must.Between(t, 100, ref.N, 120)
			share, _ := p.queries.known(api.KPISpec{KPI: api.KPIErrorRate})
			ref = p.learned(r, share).Reference
			must.InDelta(t, tc.errors, ref.Events/ref.Exposure, 1e-6)
			kpis := []api.KPIEffect{{KPI: api.KPIErrorRate}}
			p.before(shop(), kpis, tc.at)
			must.InDelta(t, tc.errors, *kpis[0].Before, 1e-6)
		})
	}
	never := request(0)
	never.Now = noon.Add(4 * 24 * time.Hour)
	cpu, _ := p.queries.known(api.KPISpec{KPI: api.KPICPU})
	must.Eq(t, p.targets[shop()].series[api.KPICPU].reference, p.learned(never, cpu).Reference)
	kpis := func(at time.Time) float64 {
		kpis := []api.KPIEffect{{KPI: api.KPILatencyP99}}
		p.before(shop(), kpis, at)
		return *kpis[0].Before
	}
	must.InDelta(t, 10*kpis(noon.Add(time.Hour)), kpis(noon), 1e-3)
}

func TestWhatIsUsualAtAnHour(t *testing.T) {
	p := New(Options{})
	days(p)
	p.learnGauge(shop(), api.KPIMemory, sourceStats, []float64{1}, began())
	noon := stats.HourOfWeek(began().Truncate(24 * time.Hour).Add(12 * time.Hour))
	profile, err := AtHour(p.Profiles()[0], noon)
	must.NoError(t, err)
	cpu := find(t, []api.Profile{profile}, api.KPICPU)
	must.Eq(t, 120, cpu.Usual.Samples)
	must.False(t, cpu.Usual.Whole)
	must.InDelta(t, 10, cpu.Usual.Mean, 0.2)
	must.InDelta(t, 10, cpu.Usual.P50, 0.7)
	must.InDelta(t, 11.2, cpu.Usual.Unusual, 1)
	must.Eq(t, cpu.Usual.P99, cpu.Usual.Unusual)
	must.Nil(t, find(t, []api.Profile{profile}, api.KPIMemory).Usual, must.Sprint("it is cold"))

	profile, err = AtHour(p.Profiles()[0], (noon+4*24)%168)
	must.NoError(t, err)
	cpu = find(t, []api.Profile{profile}, api.KPICPU)
	must.True(t, cpu.Usual.Whole)
	must.Eq(t, cpu.P99, cpu.Usual.Unusual)
	must.Eq(t, cpu.Samples, cpu.Usual.Samples)

	bad := p.Profiles()[0]
	bad.KPIs[0].HourSketches = []byte("x")
	_, err = AtHour(bad, 0)
	must.ErrorContains(t, err, bad.KPIs[0].KPI)
	damaged := New(Options{Profiles: func() []api.Profile { return []api.Profile{bad} }})
	damaged.load()
	must.Len(t, len(bad.KPIs)-1, damaged.Profiles()[0].KPIs)
}

// TestMeansOfAFormerVersionAreKept restores a profile that has no sketches.
func TestMeansOfAFormerVersionAreKept(t *testing.T) {
	p := New(Options{})
	days(p)
	old := p.Profiles()
	for i := range old[0].KPIs {
		old[0].KPIs[i].HourSketches = nil
	}
	next := New(Options{Profiles: func() []api.Profile { return old }})
	next.load()
	for i, b := range next.Profiles()[0].KPIs {
		must.Eq(t, old[0].KPIs[i].Hours, b.Hours, must.Sprint(b.KPI))
	}
	profile, err := AtHour(next.Profiles()[0], 12)
	must.NoError(t, err)
	must.True(t, profile.KPIs[0].Usual.Whole)
}

// absent is a fleet of which Nomad can stop telling.
type absent struct {
	*model
	away error
}

func (a *absent) Layout(ctx context.Context) (graph.Layout, error) {
	if a.away != nil {
		return graph.Layout{}, a.away
	}
	return a.model.Layout(ctx)
}

func TestTargetsThatAreGoneAreForgotten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newModel(2)
		fleet := &absent{model: m}
		o := Options{Stats: m, Fleet: fleet, Recorder: m, Profiles: m.profiles, Interval: time.Minute, Checkpoint: time.Minute, Retention: 4 * time.Hour}
		during(t, New(o), time.Hour+time.Minute)
		must.Len(t, 1, m.profiles())

		t.Log("one without samples stays as long as Nomad has it")
		m.statsAway = errors.New("gone fishing")
		during(t, New(o), 5*time.Hour+time.Minute)
		must.Len(t, 1, m.profiles())
		must.LessEq(t, seenEvery+2*time.Minute, time.Since(m.profiles()[0].Seen), must.Sprint("recorded at the next look, and at the next checkpoint"))

		t.Log("while Nomad does not answer, nobody is gone")
		fleet.away = errors.New("connection refused")
		during(t, New(o), 5*time.Hour+time.Minute)
		must.Len(t, 1, m.profiles())

		t.Log("a target that comes back in time stays")
		fleet.away = nil
		during(t, New(o), time.Hour+time.Minute)
		targets := m.targets
		m.targets = nil
		during(t, New(o), 2*time.Hour+time.Minute)
		m.targets = targets
		during(t, New(o), time.Hour+time.Minute)
		must.Len(t, 1, m.profiles())

		m.targets = nil
		p := New(o)
		during(t, p, 5*time.Hour+time.Minute)
		must.SliceEmpty(t, m.profiles())
		must.SliceEmpty(t, p.Profiles())
	})
}

// BenchmarkProfileWeek learns a week of a sample every five seconds with a daily
// rhythm, and tells what a KPI of each kind takes after an hour, a day and the week.
func BenchmarkProfileWeek(b *testing.B) {
	const every, perHour = 5 * time.Second, 720
	for _, kpi := range []string{api.KPICPU, api.KPIMemory, api.KPILatencyP99, api.KPIErrorRate} {
		b.Run(kpi, func(b *testing.B) {
			rng := rand.New(rand.NewPCG(1, 2))
			monday := time.Date(2026, 3, 2, 0, 0, 0, 0, time.UTC)
			values := make([]float64, 168*perHour)
			for i := range values {
				load := 1.5 - 0.5*math.Cos(2*math.Pi*float64(i)/(24*perHour))
				switch kpi {
				case api.KPIMemory:
					values[i] = 300e6 * (1 + 0.02*rng.NormFloat64())
				case api.KPIErrorRate:
					values[i] = float64(rng.IntN(3))
				default:
					values[i] = 0.1 * load * math.Exp(0.25*rng.NormFloat64())
				}
			}
			heap := func() float64 {
				var m runtime.MemStats
				runtime.GC()
				runtime.ReadMemStats(&m)
				return float64(m.HeapAlloc)
			}
			ends := make([]string, len(values))
			ends[perHour-1], ends[24*perHour-1], ends[168*perHour-1] = "hour", "day", "week"
			before := heap()
			var p *Profiler
			for b.Loop() {
				p = New(Options{})
				p.mu.Lock()
				for i, v := range values {
					now := monday.Add(time.Duration(i) * every)
					s := p.series(shop(), kpi, sourceStats, now)
					if s.kpi.Kind == api.KPICount {
						s.learn(v/200, now)
						s.learnCounts(v, 200, now)
					} else {
						s.learn(v, now)
					}
					if name := ends[i]; name != "" {
						b.ReportMetric(float64(len(s.week.Bytes())), "bytes/"+name)
					}
				}
				p.mu.Unlock()
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(len(values)), "ns/sample")
			b.ReportMetric(heap()-before, "heap-bytes/kpi")
			s := p.targets[shop()].series[kpi]
			without, err := s.baseline(false)
			must.NoError(b, err)
			without.Hours = nil // the state has them
			with, err := s.baseline(true)
			must.NoError(b, err)
			b.ReportMetric(size(b, without), "record-bytes")
			b.ReportMetric(size(b, with), "record-bytes/hour-end")
			runtime.KeepAlive(values)
			runtime.KeepAlive(ends)
		})
	}
}

// size is what a baseline takes in a record before it is packed.
func size(b *testing.B, baseline api.Baseline) float64 {
	b.Helper()
	raw, err := json.Marshal(baseline)
	must.NoError(b, err)
	return float64(len(raw))
}
