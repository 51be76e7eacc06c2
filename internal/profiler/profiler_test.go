package profiler

import (
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"runtime"
	"testing"
	"testing/synctest"
	"time"

	"github.com/shoenig/test/must"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/internal/kpi"
	"github.com/oakumhq/oakum/internal/kpi/kpitest"
	"github.com/oakumhq/oakum/internal/log/logtest"
	"github.com/oakumhq/oakum/internal/stats"
)

func TestProfiler_LearnsAndRecords(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, l, log := kpitest.New(10), &ledger{}, &logtest.Book{}
		m.Instances[kpitest.ID(9)].Errors = 1 // patched, and not to be learned from
		o := parts{Logger: slog.New(slog.NewTextHandler(log, nil)), Metrics: m, Stats: m, Fleet: m, Recorder: l, Profiles: l.profiles,
			Excluded: func() map[string]bool { return map[string]bool{kpitest.ID(9): true} }}
		during(t, open(o), time.Minute)
		must.True(t, find(t, l.profiles(), api.KPICPU).Cold)

		during(t, open(o), 10*time.Minute+time.Second)
		got := l.profiles()
		for name, want := range map[string][2]float64{
			api.KPIErrorRate: {0.0005, 0.002}, api.KPILatencyP50: {0.025, 0.035}, api.KPILatencyP99: {0.08, 0.12},
			api.KPICPU: {0.19, 0.21}, api.KPIMemory: {99 << 20, 101 << 20}, api.KPIRequests: {7, 9}, api.KPIRestarts: {0, 0},
		} {
			b := find(t, got, name)
			must.Between(t, want[0], b.Mean, want[1], must.Sprint(name))
			must.False(t, b.Cold)
			must.GreaterEq(t, 100, b.Samples)
			must.LessEq(t, b.P99, b.P50)
			must.LessEq(t, b.P99, b.P90)
		}
		hours := find(t, got, api.KPICPU).Hours
		must.Len(t, 168, hours)
		must.NotNil(t, hours[stats.HourOfWeek(time.Now())])
		must.Less(t, 8<<10, len(find(t, got, api.KPILatencyP99).Sketch))
		must.Eq(t, "", log.Take(), must.Sprint("both sources answered all the time"))
	})
}

func TestProfiler_PrefersAQueryForAGauge(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, l := kpitest.New(4), &ledger{}
		q := kpi.Queries{CPU: `cpu{$instances}`} // the model answers with its request counters
		p := open(parts{Metrics: m, Stats: m, Fleet: m, Recorder: l, Queries: q})
		during(t, p, time.Minute+time.Second)
		b := find(t, l.profiles(), api.KPICPU)
		must.Eq(t, "prometheus", b.Source)
		must.Greater(t, 10, b.Mean)
	})
}

func TestProfiler_OutlivesSources(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, l, log := kpitest.New(3), &ledger{}, &logtest.Book{}
		m.Away = errors.New("connection refused")
		p := open(parts{Logger: slog.New(slog.NewTextHandler(log, nil)), Metrics: m, Stats: m, Fleet: m, Recorder: l})
		during(t, p, time.Minute+time.Second)
		must.StrContains(t, log.Take(), "ask prometheus: connection refused")
		must.Positive(t, find(t, l.profiles(), api.KPICPU).Samples)
		m.Away = nil
		during(t, p, time.Minute+time.Second)
		must.Positive(t, find(t, l.profiles(), api.KPIRequests).Samples)
		must.Eq(t, "", log.Take())

		m.StatsAway = errors.New("no path to node")
		during(t, p, time.Minute+time.Second)
		must.StrContains(t, log.Take(), "ask nomad-stats: no path to node")
	})
}

func TestProfiler_LearnsCountsAndLatenciesOfOnesOwn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, l := kpitest.New(10), &ledger{}
		o := parts{Metrics: m, Fleet: m, Recorder: l, Profiles: l.profiles, Queries: kpitest.OwnQueries()}
		during(t, open(o), 5*time.Minute)
		during(t, open(o), 5*time.Minute+time.Second) // goes on from the record
		for name, want := range map[string][2]float64{"checkout_failures": {0.0005, 0.002}, "checkout_p90": {0.05, 0.065}} {
			b := find(t, l.profiles(), name)
			must.Between(t, want[0], b.Mean, want[1], must.Sprint(name))
			must.False(t, b.Cold)
			must.GreaterEq(t, 100, b.Samples)
		}
	})
}

func TestProfiler_LearnsKillsForLackOfMemory(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, l := kpitest.New(2), &ledger{}
		p := open(parts{Stats: m, Fleet: m, Recorder: l})
		at := time.Now()
		for i := range int64(5) {
			m.Instances[kpitest.ID(0)].Kills = append(m.Instances[kpitest.ID(0)].Kills, at.Add(time.Duration(i+1)*7*time.Second).UnixNano())
		}
		during(t, p, time.Minute+time.Second)
		must.Eq(t, 0, find(t, l.profiles(), api.KPIOOMKills).Mean) // all were there at the first look
		must.Eq(t, api.KPICount, find(t, l.profiles(), api.KPIOOMKills).Kind)
	})
}

func TestRestore_LeavesOutADamagedRecord(t *testing.T) {
	p := open(parts{Profiles: func() []api.Profile {
		return []api.Profile{{Target: kpitest.Shop(), KPIs: []api.Baseline{{KPI: api.KPICPU, Sketch: []byte("x")}, {KPI: "unknown"}}}}
	}})
	must.Len(t, 0, p.baselines.Profiles()[0].KPIs)
}

// BenchmarkProfileIngest feeds rounds of a fleet of 100 targets with ten
// instances each; a sample is one series of one round. x_sketch is what one costs
// over what it costs to add one value to a sketch, which takes its turn after
// each round.
func BenchmarkProfileIngest(b *testing.B) {
	m := kpitest.New(0)
	m.Targets = nil
	for t := range 100 {
		ref := api.TargetRef{Namespace: "default", Job: fmt.Sprintf("job-%d", t), Group: "web"}
		m.Targets = append(m.Targets, api.Target{TargetRef: ref, Count: 10})
		for i := range 10 {
			m.Add(ref, t*10+i)
		}
	}
	p := open(parts{Metrics: m, Fleet: m})
	seen := func(round int) map[string]*kpi.Counters {
		out := make(map[string]*kpi.Counters, 1000)
		for i := range 1000 {
			c := &kpi.Counters{Requests: float64(40 * round), Upper: kpitest.Bounds()}
			for k := range 16 {
				c.Buckets = append(c.Buckets, float64(40*round)*float64(k+1)/16)
			}
			out[kpitest.ID(i)] = c
		}
		return out
	}
	one, two := kpi.Reading{Counters: seen(1)}, kpi.Reading{Counters: seen(2)}
	catalogue := kpi.NewReader(m, nil, kpi.Queries{}).Catalogue()
	const perRound = 1000 * 18
	now := began()
	heap := func() float64 {
		var m runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&m)
		return float64(m.HeapAlloc)
	}
	before := heap()
	var instances [][]string
	for t := range m.Targets {
		instances = append(instances, kpitest.IDs(t*10, t*10+10))
	}
	bare := stats.NewSketch()
	var ours, theirs time.Duration
	for b.Loop() {
		now = now.Add(5 * time.Second)
		one.At, two.At = now.Add(-5*time.Second), now
		start := time.Now()
		for t, target := range m.Targets {
			for _, sample := range two.Grown(one, catalogue, target.TargetRef, instances[t]) {
				p.baselines.Learn(sample)
			}
		}
		ours += time.Since(start)
		b.StopTimer()
		start = time.Now()
		for i := range perRound {
			_ = bare.Add(float64(i%1000)/1000, 1) // values that it takes
		}
		theirs += time.Since(start)
		b.StartTimer()
	}
	b.ReportMetric(float64(ours.Nanoseconds())/float64(b.N)/perRound, "ns/sample")
	b.ReportMetric(ours.Seconds()/theirs.Seconds(), "x_sketch")
	kpis, recorded := 0, 0
	for _, profile := range p.baselines.Profiles() {
		raw, err := json.Marshal(profile)
		must.NoError(b, err)
		kpis, recorded = kpis+len(profile.KPIs), recorded+len(raw)
	}
	b.ReportMetric(float64(recorded)/float64(kpis), "recorded-bytes/kpi")
	b.ReportMetric((heap()-before)/float64(kpis), "heap-bytes/kpi")
	for _, alive := range []any{p, m, one, two} {
		runtime.KeepAlive(alive)
	}
	b.ReportMetric(float64(recorded)/float64(len(m.Targets)), "recorded-bytes/target")
}
