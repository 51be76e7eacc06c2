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
	"github.com/oakumhq/oakum/internal/kpi"
	"github.com/oakumhq/oakum/internal/kpi/kpitest"
	"github.com/oakumhq/oakum/internal/stats"
)

func TestProfiler_RecordsWeeksWhenAnHourEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		must.Eq(t, 0, time.Now().Minute()) // a bubble begins with an hour
		m, l := kpitest.New(2), &ledger{}
		o := parts{Metrics: m, Stats: m, Fleet: m, Recorder: l, Profiles: l.profiles}
		during(t, open(o), 2*time.Hour+time.Minute)
		kpis := len(l.profiles()[0].KPIs)
		must.Eq(t, 3*kpis, l.weeks, must.Sprint("one when the baseline is complete, and one for each hour that ended"))
		must.Greater(t, 200, l.records)
		for _, b := range l.profiles()[0].KPIs {
			w, err := stats.DecodeWeek(b.HourSketches)
			must.NoError(t, err)
			must.Between(t, 715, w.Moments(stats.HourOfWeek(time.Now())-1).Samples, 720, must.Sprint(b.KPI))
		}

		t.Log("the next leader goes on with them, and hands over none before it has learned something")
		before := l.weeks
		during(t, open(o), 30*time.Minute)
		must.Eq(t, before, l.weeks)
		during(t, open(o), time.Hour)
		must.Eq(t, before+kpis, l.weeks)
	})
}

// TestProfiler_HandsWeeksOverBitByBit has more of them due than one entry should hold.
func TestProfiler_HandsWeeksOverBitByBit(t *testing.T) {
	l := &ledger{}
	p := open(parts{Recorder: l})
	for i := range 300 {
		ref := api.TargetRef{Namespace: "default", Job: fmt.Sprint(i), Group: "web"}
		for k := range coldBelow {
			p.baselines.Learn(values(ref, api.KPICPU, began().Add(time.Duration(k)*time.Second), 1))
		}
	}
	p.record(t.Context())
	must.Eq(t, 2, l.records, must.Sprint("300 profiles do not go into one entry"))
	must.Eq(t, weeksAtOnce, l.weeks)
	p.record(t.Context())
	must.Eq(t, 300, l.weeks)
	records := l.records
	p.record(t.Context())
	must.Eq(t, records, l.records, must.Sprint("nothing has changed"))
	for _, profile := range l.profiles() {
		must.Positive(t, len(profile.KPIs[0].HourSketches))
	}
}

// days are the baselines of three days of a load that is ten times as high at noon.
func days() *Baselines {
	b := Restore(nil, 0, nil)
	rng := rand.New(rand.NewPCG(1, 1))
	for i := range 3 * 24 * 120 {
		now := began().Truncate(24 * time.Hour).Add(time.Duration(i) * 30 * time.Second)
		load := 1.0
		if now.Hour() == 12 {
			load = 10
		}
		b.Learn(values(kpitest.Shop(), api.KPICPU, now, load*(1+0.05*rng.NormFloat64())))
		b.Learn(counted(api.KPIErrorRate, now, 30, kpi.Increment{Errors: load, Requests: 1000}))
		b.mu.Lock()
		latency := b.baseline(counted(api.KPILatencyP99, now, 30, kpi.Increment{}))
		latency.learnValue(load/100, now) // buckets would tell every hour alike
		latency.learnBuckets([]float64{0.01, 0.1}, []float64{990, 10, 0})
		b.mu.Unlock()
	}
	return b
}

func TestBaselines_CompareAnHourWithItself(t *testing.T) {
	b := days()
	noon := began().Truncate(24 * time.Hour).Add(12*time.Hour + 30*time.Minute)
	for name, tc := range map[string]struct {
		at          time.Time
		cpu, errors float64
	}{
		"noon":        {noon, 10, 0.01},
		"one o'clock": {noon.Add(time.Hour), 1, 0.001},
	} {
		t.Run(name, func(t *testing.T) {
			ref := b.Describe(kpitest.Shop(), known(api.KPICPU), 5*time.Second, tc.at).Reference
			must.InDelta(t, tc.cpu, ref.Mean, 0.1*tc.cpu)
			must.InDelta(t, 0.05*tc.cpu, math.Sqrt(ref.M2/ref.N), 0.01*tc.cpu)
			must.Between(t, 100, ref.N, 120)
			ref = b.Describe(kpitest.Shop(), known(api.KPIErrorRate), 5*time.Second, tc.at).Reference
			must.InDelta(t, tc.errors, ref.Events/ref.Exposure, 1e-6)
			usual, ok := b.Usual(kpitest.Shop(), known(api.KPIErrorRate), tc.at)
			must.True(t, ok)
			must.InDelta(t, tc.errors, usual, 1e-6)
		})
	}
	never := noon.Add(4 * 24 * time.Hour)
	must.Eq(t, b.targets[kpitest.Shop()].kpis[api.KPICPU].reference, b.Describe(kpitest.Shop(), known(api.KPICPU), 5*time.Second, never).Reference)
	latency := func(at time.Time) float64 {
		usual, ok := b.Usual(kpitest.Shop(), known(api.KPILatencyP99), at)
		must.True(t, ok)
		return usual
	}
	must.InDelta(t, 10*latency(noon.Add(time.Hour)), latency(noon), 1e-3)
}

func TestAtHour_TellsWhatIsUsual(t *testing.T) {
	b := days()
	b.Learn(values(kpitest.Shop(), api.KPIMemory, began(), 1))
	noon := stats.HourOfWeek(began().Truncate(24 * time.Hour).Add(12 * time.Hour))
	profile, err := AtHour(b.Profiles()[0], noon)
	must.NoError(t, err)
	cpu := find(t, []api.Profile{profile}, api.KPICPU)
	must.Eq(t, 120, cpu.Usual.Samples)
	must.False(t, cpu.Usual.Whole)
	must.InDelta(t, 10, cpu.Usual.Mean, 0.2)
	must.InDelta(t, 10, cpu.Usual.P50, 0.7)
	must.InDelta(t, 11.2, cpu.Usual.Unusual, 1)
	must.Eq(t, cpu.Usual.P99, cpu.Usual.Unusual)
	must.Nil(t, find(t, []api.Profile{profile}, api.KPIMemory).Usual, must.Sprint("it is cold"))

	profile, err = AtHour(b.Profiles()[0], (noon+4*24)%168)
	must.NoError(t, err)
	cpu = find(t, []api.Profile{profile}, api.KPICPU)
	must.True(t, cpu.Usual.Whole)
	must.Eq(t, cpu.P99, cpu.Usual.Unusual)
	must.Eq(t, cpu.Samples, cpu.Usual.Samples)

	bad := b.Profiles()[0]
	bad.KPIs[0].HourSketches = []byte("x")
	_, err = AtHour(bad, 0)
	must.ErrorContains(t, err, bad.KPIs[0].KPI)
	must.Len(t, len(bad.KPIs)-1, Restore([]api.Profile{bad}, 0, nil).Profiles()[0].KPIs)
}

// TestRestoreLater_LetsWhoeverAsksWait has the records arrive late: the answer is
// whole all the same, and nobody waited before the first question.
func TestRestoreLater_LetsWhoeverAsksWait(t *testing.T) {
	recorded := days().Profiles()
	arrive := make(chan struct{})
	b := RestoreLater(func() []api.Profile { <-arrive; return recorded }, 0, nil)
	asked := make(chan []api.Profile)
	go func() { asked <- b.Profiles() }()
	close(arrive)
	must.Eq(t, Restore(recorded, 0, nil).Profiles(), <-asked)
}

// TestRestore_KeepsTheMeansOfAFormerVersion restores a profile that has no sketches.
func TestRestore_KeepsTheMeansOfAFormerVersion(t *testing.T) {
	b := days()
	old := b.Profiles()
	for i := range old[0].KPIs {
		old[0].KPIs[i].HourSketches = nil
	}
	next := Restore(old, 0, nil)
	for i, b := range next.Profiles()[0].KPIs {
		must.Eq(t, old[0].KPIs[i].Hours, b.Hours, must.Sprint(b.KPI))
	}
	profile, err := AtHour(next.Profiles()[0], 12)
	must.NoError(t, err)
	must.True(t, profile.KPIs[0].Usual.Whole)
}

// absent is a fleet of which Nomad can stop telling.
type absent struct {
	*kpitest.Fleet
	away error
}

func (a *absent) Layout(ctx context.Context) (graph.Layout, error) {
	if a.away != nil {
		return graph.Layout{}, a.away
	}
	return a.Fleet.Layout(ctx)
}

func TestProfiler_ForgetsTargetsThatAreGone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, l := kpitest.New(2), &ledger{}
		fleet := &absent{Fleet: m}
		o := parts{Stats: m, Fleet: fleet, Recorder: l, Profiles: l.profiles, Interval: time.Minute, Checkpoint: time.Minute, Retention: 4 * time.Hour}
		during(t, open(o), time.Hour+time.Minute)
		must.Len(t, 1, l.profiles())

		t.Log("one without samples stays as long as Nomad has it")
		m.StatsAway = errors.New("gone fishing")
		during(t, open(o), 5*time.Hour+time.Minute)
		must.Len(t, 1, l.profiles())
		must.LessEq(t, seenEvery+2*time.Minute, time.Since(l.profiles()[0].Seen), must.Sprint("recorded at the next look, and at the next checkpoint"))

		t.Log("while Nomad does not answer, nobody is gone")
		fleet.away = errors.New("connection refused")
		during(t, open(o), 5*time.Hour+time.Minute)
		must.Len(t, 1, l.profiles())

		t.Log("a target that comes back in time stays")
		fleet.away = nil
		during(t, open(o), time.Hour+time.Minute)
		targets := m.Targets
		m.Targets = nil
		during(t, open(o), 2*time.Hour+time.Minute)
		m.Targets = targets
		during(t, open(o), time.Hour+time.Minute)
		must.Len(t, 1, l.profiles())

		m.Targets = nil
		p := open(o)
		during(t, p, 5*time.Hour+time.Minute)
		must.SliceEmpty(t, l.profiles())
		must.SliceEmpty(t, p.baselines.Profiles())
	})
}

// BenchmarkProfileWeek learns a week of a sample every five seconds with a daily
// rhythm, and tells what a KPI of each kind takes after an hour, a day and the week.
func BenchmarkProfileWeek(b *testing.B) {
	const every, perHour = 5 * time.Second, 720
	for _, name := range []string{api.KPICPU, api.KPIMemory, api.KPILatencyP99, api.KPIErrorRate} {
		b.Run(name, func(b *testing.B) {
			rng := rand.New(rand.NewPCG(1, 2))
			monday := time.Date(2026, 3, 2, 0, 0, 0, 0, time.UTC)
			values := make([]float64, 168*perHour)
			for i := range values {
				load := 1.5 - 0.5*math.Cos(2*math.Pi*float64(i)/(24*perHour))
				switch name {
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
			var known *Baselines
			for b.Loop() {
				known = Restore(nil, 0, nil)
				known.mu.Lock()
				for i, v := range values {
					now := monday.Add(time.Duration(i) * every)
					s := known.baseline(counted(name, now, 5, kpi.Increment{}))
					if s.kpi.Kind == api.KPICount {
						s.learnValue(v/200, now)
						s.learnCounts(v, 200, now)
					} else {
						s.learnValue(v, now)
					}
					if end := ends[i]; end != "" {
						b.ReportMetric(float64(len(s.week.Bytes())), "bytes/"+end)
					}
				}
				known.mu.Unlock()
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(len(values)), "ns/sample")
			b.ReportMetric(heap()-before, "heap-bytes/kpi")
			s := known.targets[kpitest.Shop()].kpis[name]
			without, err := s.record(false)
			must.NoError(b, err)
			without.Hours = nil // the state has them
			with, err := s.record(true)
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
