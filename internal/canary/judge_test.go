package canary

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/shoenig/test/must"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/internal/judge"
	"github.com/oakumhq/oakum/internal/kpi"
	"github.com/oakumhq/oakum/internal/kpi/kpitest"
	"github.com/oakumhq/oakum/internal/profiler"
)

func began() time.Time { return time.Date(2026, 3, 2, 10, 0, 0, 0, time.UTC) }

func spec() api.JudgeSpec {
	return api.JudgeSpec{Enabled: true, FalseAlarm: 0.01, Miss: 0.05, Interval: api.Duration(5 * time.Second),
		MaxDuration: api.Duration(5 * time.Minute), OnInconclusive: "hold", KPIs: []api.KPISpec{
			{KPI: api.KPIErrorRate, AbortAbove: 1.1, PromoteBelow: 2, IgnoreBelow: 0.02},
			{KPI: "latency_p90", AbortAbove: 1.1, PromoteBelow: 1.3, IgnoreBelow: 0.005},
			{KPI: api.KPICPU, AbortAbove: 1.2, PromoteBelow: 1.5},
		}}
}

// of is a judge that nothing was learned for.
func of(m *kpitest.Fleet) *Judge { return reading(m, m, kpi.Queries{}) }

// reading is a judge with these sources that nothing was learned for.
func reading(metrics kpi.Metrics, usage kpi.Stats, queries kpi.Queries) *Judge {
	return New(kpi.NewReader(metrics, usage, queries), profiler.Restore(nil, 0, nil))
}

// after is a judge of a fleet that a profiler has learned for a while, in a bubble.
func after(t *testing.T, m *kpitest.Fleet, d time.Duration) *Judge {
	t.Helper()
	reader, baselines := kpi.NewReader(m, m, kpi.Queries{}), profiler.Restore(nil, 0, nil)
	ctx, cancel := context.WithTimeout(t.Context(), d+time.Millisecond)
	defer cancel()
	learning := profiler.New(profiler.Options{Baselines: baselines, Sampler: kpi.NewSampler(reader, m, nil, nil)})
	must.ErrorIs(t, learning.Run(ctx), context.DeadlineExceeded)
	return New(reader, baselines)
}

// values are a sample of a gauge, of some instances.
func values(name string, at time.Time, values ...float64) kpi.Sample {
	k, _ := judge.Known(name)
	return kpi.Sample{Target: kpitest.Shop(), KPI: k, Source: kpi.SourceStats, At: at, Values: values}
}

// share is a sample of a count.
func share(name string, at time.Time, events, exposure float64) kpi.Sample {
	k, _ := judge.Known(name)
	return kpi.Sample{Target: kpitest.Shop(), KPI: k, Source: kpi.SourceMetrics, At: at, Counted: &kpi.Counted{Sum: kpi.Increment{Errors: events, Requests: exposure}}}
}

func request(look int) Request {
	return Request{Target: kpitest.Shop(), Spec: spec(), Stage: 1, Canary: kpitest.IDs(0, 1), Stable: kpitest.IDs(1, 10),
		Started: began(), Now: began().Add(time.Duration(look) * 5 * time.Second)}
}

// judged looks until there is a verdict; each look has a profiler that knows
// nothing but the state.
func judged(t *testing.T, m *kpitest.Fleet, base Request, most int) (api.Verdict, api.JudgeState) {
	t.Helper()
	var state *api.JudgeState
	if base.State != nil {
		state = base.State
	}
	for look := range most {
		r := base
		r.Now, r.State = base.Started.Add(time.Duration(look)*5*time.Second), state
		v, next, err := of(m).Look(context.Background(), r)
		must.NoError(t, err)
		state = &next
		if v.Kind != api.VerdictContinue || look == most-1 {
			return v, next
		}
	}
	return api.Verdict{}, api.JudgeState{}
}

func TestJudge_Look(t *testing.T) {
	cases := map[string]struct {
		change func(*kpitest.Instance)
		want   api.VerdictKind
		says   string
	}{
		"healthy":       {func(*kpitest.Instance) {}, api.VerdictPromote, "within its margin"},
		"errors":        {func(i *kpitest.Instance) { i.Errors = 0.3 }, api.VerdictAbort, "error_rate of the canary is"},
		"slow":          {func(i *kpitest.Instance) { i.Slow = 2.5 }, api.VerdictAbort, "latency_p90 of the canary is"},
		"busy":          {func(i *kpitest.Instance) { i.CPU = 0.6 }, api.VerdictAbort, "cpu of the canary is"},
		"without users": {func(i *kpitest.Instance) { i.RPS = 0 }, api.VerdictInconclusive, "no decision within 5m0s"},
		"silent":        {func(i *kpitest.Instance) { i.Silent = true }, api.VerdictInconclusive, "is missing (canary: no series of 00000000)"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			m := kpitest.New(10)
			c.change(m.Instances[kpitest.ID(0)])
			v, _ := judged(t, m, request(0), 70)
			t.Log(v.Reason)
			must.Eq(t, c.want, v.Kind, must.Sprint(v.Reason))
			must.StrContains(t, v.Reason, c.says)
			must.Len(t, 3, v.KPIs)
		})
	}
}

func TestJudge_GoesOnAfterARestart(t *testing.T) {
	one, two := kpitest.New(10), kpitest.New(10)
	one.Instances[kpitest.ID(0)].Slow, two.Instances[kpitest.ID(0)].Slow = 1.3, 1.3
	kept := of(one)
	var a, b *api.JudgeState
	for look := range 40 {
		r, q := request(look), request(look)
		r.State, q.State = a, b
		v, s, err := kept.Look(context.Background(), r)
		must.NoError(t, err)
		w, u, err := of(two).Look(context.Background(), q)
		must.NoError(t, err)
		must.Eq(t, v, w)
		must.Eq(t, string(s.Bank), string(u.Bank))
		a, b = &s, &u
	}
	t.Logf("%d bytes of state", len(a.Bank))
	must.Less(t, 32<<10, len(a.Bank))
}

func TestJudge_ReportsASourceThatIsAway(t *testing.T) {
	m := kpitest.New(10)
	p := of(m)
	_, s, err := p.Look(context.Background(), request(0))
	must.NoError(t, err)
	m.Away = errors.New("connection refused")
	r := request(1)
	r.State = &s
	_, _, err = p.Look(context.Background(), r)
	must.ErrorContains(t, err, "ask prometheus: connection refused")
	must.True(t, api.IsCode(err, api.CodeUnavailable))

	m.Away, m.StatsAway = nil, errors.New("no path to node")
	_, _, err = p.Look(context.Background(), r)
	must.ErrorContains(t, err, "ask nomad-stats: no path to node")
}

func TestJudge_DropsTheLookOfACounterReset(t *testing.T) {
	m := kpitest.New(10)
	var state *api.JudgeState
	for look := range 4 {
		r := request(look)
		r.State = state
		if look == 2 {
			m.Instances[kpitest.ID(0)].Reset()
		}
		v, s, err := of(m).Look(context.Background(), r)
		must.NoError(t, err)
		state = &s
		if look == 2 {
			must.True(t, v.KPIs[0].Missing)
			must.StrContains(t, v.KPIs[0].Reason, "was reset of 00000000")
		}
		if look == 3 {
			must.False(t, v.KPIs[0].Missing)
			must.Less(t, 105, v.KPIs[0].Exposure, must.Sprint("two looks of about forty requests counted"))
		}
	}
}

func TestJudge_HoldsForOneSilentCanaryOfThree(t *testing.T) {
	m := kpitest.New(10)
	m.Instances[kpitest.ID(2)].Silent = true
	r := request(0)
	r.Canary, r.Stable = kpitest.IDs(0, 3), kpitest.IDs(3, 10)
	v, _ := judged(t, m, r, 50)
	must.Eq(t, api.VerdictContinue, v.Kind, must.Sprint(v.Reason))
	must.StrContains(t, v.Reason, "no series of 00000002")
}

func TestJudge_ComparesTheLastStageWithTheStagesBefore(t *testing.T) {
	m := kpitest.New(10)
	v, state := judged(t, m, request(0), 70)
	must.Eq(t, api.VerdictPromote, v.Kind)
	last := request(0)
	last.Stage, last.State, last.Canary, last.Stable = 2, &state, kpitest.IDs(0, 10), nil
	last.Started = began().Add(10 * time.Minute)
	v, _ = judged(t, m, last, 60)
	must.Eq(t, api.VerdictPromote, v.Kind, must.Sprint(v.Reason))

	for i := range 10 {
		m.Instances[kpitest.ID(i)].Errors = 0.2
	}
	last.Started = began().Add(30 * time.Minute)
	v, _ = judged(t, m, last, 60)
	must.Eq(t, api.VerdictAbort, v.Kind, must.Sprint(v.Reason))

	last.State = nil // no stage before and no baseline
	v, _ = judged(t, m, last, 60)
	must.Eq(t, api.VerdictContinue, v.Kind, must.Sprint(v.Reason))
}

func TestJudge_LeavesOutKPIsWithoutASource(t *testing.T) {
	m := kpitest.New(10)
	p := reading(nil, m, kpi.Queries{})
	var state *api.JudgeState
	var v api.Verdict
	for look := range 40 {
		r := request(look)
		r.State = state
		got, s, err := p.Look(context.Background(), r)
		must.NoError(t, err)
		v, state = got, &s
	}
	must.Eq(t, api.VerdictPromote, v.Kind, must.Sprint(v.Reason))
	must.StrContains(t, v.Reason, "not judged: error_rate (prometheus is not configured), latency_p90 (prometheus is not configured)")

	v, _, err := reading(nil, nil, kpi.Queries{}).Look(context.Background(), request(0))
	must.NoError(t, err)
	must.Eq(t, api.VerdictInconclusive, v.Kind)
}

func TestJudge_Refuses(t *testing.T) {
	m := kpitest.New(2)
	r := request(0)
	r.Spec.KPIs[0].KPI = "happiness"
	_, _, err := of(m).Look(context.Background(), r)
	must.ErrorContains(t, err, "judge.kpi.happiness: not a known KPI")

	r = request(0)
	r.State = &api.JudgeState{Stage: 1, Bank: []byte(`{"bank":{}}`)}
	_, _, err = of(m).Look(context.Background(), r)
	must.ErrorContains(t, err, "read judge state")

	r = request(0)
	r.Canary, r.Stable = nil, nil
	_, _, err = of(m).Look(context.Background(), r)
	must.ErrorContains(t, err, "no healthy instance")

	r = request(0)
	r.Spec.Enabled = false
	v, _, err := of(m).Look(context.Background(), r)
	must.NoError(t, err)
	must.Eq(t, api.VerdictPromote, v.Kind)
}

func TestJudge_ComparesWithTheBaselineWithoutAStableArm(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := kpitest.New(10)
		p := after(t, m, 10*time.Minute)
		var state *api.JudgeState
		start := time.Now()
		v := api.Verdict{Kind: api.VerdictContinue}
		for look := 0; v.Kind == api.VerdictContinue && look < 55; look++ {
			r := request(0)
			r.Canary, r.Stable, r.State, r.Started = kpitest.IDs(0, 10), nil, state, start
			r.Now = start.Add(time.Duration(look) * 5 * time.Second)
			got, s, err := p.Look(t.Context(), r)
			must.NoError(t, err)
			v, state = got, &s
		}
		must.Eq(t, api.VerdictPromote, v.Kind, must.Sprint(v.Reason))
	})
}
