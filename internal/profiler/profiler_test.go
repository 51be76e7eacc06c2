package profiler

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"runtime"
	"testing"
	"testing/synctest"
	"time"

	"github.com/shoenig/test/must"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/internal/stats"
)

// during runs a profiler for a while in a bubble, the look at its end included.
func during(t *testing.T, p *Profiler, d time.Duration) {
	t.Helper()
	// Whether a look at the very moment that cuts it off is one, is luck.
	ctx, cancel := context.WithTimeout(t.Context(), d+time.Millisecond)
	defer cancel()
	must.ErrorIs(t, p.Run(ctx), context.DeadlineExceeded)
}

func find(t *testing.T, profiles []api.Profile, kpi string) api.Baseline {
	t.Helper()
	must.Len(t, 1, profiles)
	for _, b := range profiles[0].KPIs {
		if b.KPI == kpi {
			return b
		}
	}
	t.Fatalf("no baseline of %s in %v", kpi, profiles[0].KPIs)
	return api.Baseline{}
}

func TestRunLearnsAndRecords(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newModel(10)
		m.instances[id(9)].errors = 1 // patched, and not to be learned from
		p := New(Options{Metrics: m, Stats: m, Fleet: m, Recorder: m, Profiles: m.profiles,
			Excluded: func() map[string]bool { return map[string]bool{id(9): true} }})
		during(t, p, time.Minute)
		must.True(t, find(t, m.profiles(), api.KPICPU).Cold)

		during(t, New(Options{Metrics: m, Stats: m, Fleet: m, Recorder: m, Profiles: m.profiles,
			Excluded: func() map[string]bool { return map[string]bool{id(9): true} }}), 10*time.Minute+time.Second)
		got := m.profiles()
		for kpi, want := range map[string][2]float64{
			api.KPIErrorRate: {0.0005, 0.002}, api.KPILatencyP50: {0.025, 0.035}, api.KPILatencyP99: {0.08, 0.12},
			api.KPICPU: {0.19, 0.21}, api.KPIMemory: {99 << 20, 101 << 20}, api.KPIRequests: {7, 9}, api.KPIRestarts: {0, 0},
		} {
			b := find(t, got, kpi)
			must.Between(t, want[0], b.Mean, want[1], must.Sprint(kpi))
			must.False(t, b.Cold)
			must.GreaterEq(t, 100, b.Samples)
			must.LessEq(t, b.P99, b.P50)
			must.LessEq(t, b.P99, b.P90)
		}
		hours := find(t, got, api.KPICPU).Hours
		must.Len(t, 168, hours)
		must.NotNil(t, hours[stats.HourOfWeek(time.Now())])
		must.Less(t, 8<<10, len(find(t, got, api.KPILatencyP99).Sketch))
		for _, s := range p.Sources() {
			must.True(t, s.OK)
		}
	})
}

func TestBaselineStandsInForTheStableArm(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newModel(10)
		p := New(Options{Metrics: m, Stats: m, Fleet: m, Recorder: m})
		during(t, p, 10*time.Minute)
		var state *api.JudgeState
		start := time.Now()
		v := api.Verdict{Kind: api.VerdictContinue}
		for look := 0; v.Kind == api.VerdictContinue && look < 55; look++ {
			r := request(0)
			r.Canary, r.Stable, r.State, r.Started = ids(0, 10), nil, state, start
			r.Now = start.Add(time.Duration(look) * 5 * time.Second)
			got, s, err := p.Judge(t.Context(), r)
			must.NoError(t, err)
			v, state = got, &s
		}
		must.Eq(t, api.VerdictPromote, v.Kind, must.Sprint(v.Reason))
	})
}

func TestGaugesByQuery(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newModel(4)
		q := KPIQueries{CPU: `cpu{$instances}`} // the model answers with its request counters
		p := New(Options{Metrics: m, Stats: m, Fleet: m, Recorder: m, Queries: q})
		during(t, p, time.Minute+time.Second)
		b := find(t, m.profiles(), api.KPICPU)
		must.Eq(t, "prometheus", b.Source)
		must.Greater(t, 10, b.Mean)
	})
}

func TestRunOutlivesSources(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newModel(3)
		m.away = errors.New("connection refused")
		p := New(Options{Metrics: m, Stats: m, Fleet: m, Recorder: m})
		during(t, p, time.Minute+time.Second)
		must.Eq(t, "connection refused", p.Sources()[1].Error)
		must.Positive(t, find(t, m.profiles(), api.KPICPU).Samples)
		m.away = nil
		during(t, p, time.Minute+time.Second)
		must.Positive(t, find(t, m.profiles(), api.KPIRequests).Samples)
		must.True(t, p.Sources()[1].OK)
	})
}

func TestDamagedRecordIsLeftOut(t *testing.T) {
	p := New(Options{Profiles: func() []api.Profile {
		return []api.Profile{{Target: shop(), KPIs: []api.Baseline{{KPI: api.KPICPU, Sketch: []byte("x")}, {KPI: "unknown"}}}}
	}})
	p.load()
	must.Len(t, 0, p.Profiles()[0].KPIs)
}

func TestExpandKeepsStrangersOut(t *testing.T) {
	q := DefaultQueries()
	must.Eq(t, `sum by (alloc_id) (http_requests_total{alloc_id!=""})`, q.expand(q.Requests, nil))
	must.Eq(t, `sum by (alloc_id) (http_requests_total{alloc_id=~"0a-1|b"})`, q.expand(q.Requests, []string{"0a-1", `"} or vector(1) #`, "b"}))
}

// BenchmarkProfileIngest feeds rounds of a fleet of 100 targets with ten
// instances each; a sample is one series of one round. x_sketch is what one costs
// over what it costs to add one value to a sketch, which takes its turn after
// each round.
func BenchmarkProfileIngest(b *testing.B) {
	m := newModel(0)
	m.targets = nil
	for t := range 100 {
		ref := api.TargetRef{Namespace: "default", Job: fmt.Sprintf("job-%d", t), Group: "web"}
		m.targets = append(m.targets, api.Target{TargetRef: ref, Count: 10})
		for i := range 10 {
			m.add(ref, t*10+i)
		}
	}
	p := New(Options{Metrics: m, Fleet: m})
	seen := func(round int) map[string]*counters {
		out := make(map[string]*counters, 1000)
		for i := range 1000 {
			c := &counters{Requests: float64(40 * round), Upper: bounds()}
			for k := range 16 {
				c.Buckets = append(c.Buckets, float64(40*round)*float64(k+1)/16)
			}
			out[id(i)] = c
		}
		return out
	}
	one, two := seen(1), seen(2)
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
	for t := range m.targets {
		instances = append(instances, ids(t*10, t*10+10))
	}
	bare := stats.NewSketch()
	var ours, theirs time.Duration
	for b.Loop() {
		now = now.Add(5 * time.Second)
		start := time.Now()
		for t, target := range m.targets {
			p.learnCounters(target.TargetRef, instances[t], one, two, 5, now)
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
	for _, profile := range p.Profiles() {
		raw, err := json.Marshal(profile)
		must.NoError(b, err)
		kpis, recorded = kpis+len(profile.KPIs), recorded+len(raw)
	}
	b.ReportMetric(float64(recorded)/float64(kpis), "recorded-bytes/kpi")
	b.ReportMetric((heap()-before)/float64(kpis), "heap-bytes/kpi")
	for _, alive := range []any{p, m, one, two} {
		runtime.KeepAlive(alive)
	}
	b.ReportMetric(float64(recorded)/float64(len(m.targets)), "recorded-bytes/target")
}
