package profiler

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/shoenig/test/must"

	"github.com/oakumhq/oakum/api"
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

func of(m *model) *Profiler {
	return New(Options{Metrics: m, Stats: m, Fleet: m, Recorder: m})
}

func request(look int) Request {
	return Request{Target: shop(), Spec: spec(), Stage: 1, Canary: ids(0, 1), Stable: ids(1, 10),
		Started: began(), Now: began().Add(time.Duration(look) * 5 * time.Second)}
}

// judged looks until there is a verdict; each look has a profiler that knows
// nothing but the state.
func judged(t *testing.T, m *model, base Request, most int) (api.Verdict, api.JudgeState) {
	t.Helper()
	var state *api.JudgeState
	if base.State != nil {
		state = base.State
	}
	for look := range most {
		r := base
		r.Now, r.State = base.Started.Add(time.Duration(look)*5*time.Second), state
		v, next, err := of(m).Judge(context.Background(), r)
		must.NoError(t, err)
		state = &next
		if v.Kind != api.VerdictContinue || look == most-1 {
			return v, next
		}
	}
	return api.Verdict{}, api.JudgeState{}
}

func TestJudge(t *testing.T) {
	cases := map[string]struct {
		change func(*instance)
		want   api.VerdictKind
		says   string
	}{
		"healthy":       {func(*instance) {}, api.VerdictPromote, "within its margin"},
		"errors":        {func(i *instance) { i.errors = 0.3 }, api.VerdictAbort, "error_rate of the canary is"},
		"slow":          {func(i *instance) { i.slow = 2.5 }, api.VerdictAbort, "latency_p90 of the canary is"},
		"busy":          {func(i *instance) { i.cpu = 0.6 }, api.VerdictAbort, "cpu of the canary is"},
		"without users": {func(i *instance) { i.rps = 0 }, api.VerdictInconclusive, "no decision within 5m0s"},
		"silent":        {func(i *instance) { i.silent = true }, api.VerdictInconclusive, "is missing (canary: no series of 00000000)"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			m := newModel(10)
			c.change(m.instances[id(0)])
			v, _ := judged(t, m, request(0), 70)
			t.Log(v.Reason)
			must.Eq(t, c.want, v.Kind, must.Sprint(v.Reason))
			must.StrContains(t, v.Reason, c.says)
			must.Len(t, 3, v.KPIs)
		})
	}
}

func TestJudgeAfterARestartIsTheSame(t *testing.T) {
	one, two := newModel(10), newModel(10)
	one.instances[id(0)].slow, two.instances[id(0)].slow = 1.3, 1.3
	kept := of(one)
	var a, b *api.JudgeState
	for look := range 40 {
		r, q := request(look), request(look)
		r.State, q.State = a, b
		v, s, err := kept.Judge(context.Background(), r)
		must.NoError(t, err)
		w, u, err := of(two).Judge(context.Background(), q)
		must.NoError(t, err)
		must.Eq(t, v, w)
		must.Eq(t, string(s.Bank), string(u.Bank))
		a, b = &s, &u
	}
	t.Logf("%d bytes of state", len(a.Bank))
	must.Less(t, 32<<10, len(a.Bank))
}

func TestSourceAwayIsAnError(t *testing.T) {
	m := newModel(10)
	p := of(m)
	_, s, err := p.Judge(context.Background(), request(0))
	must.NoError(t, err)
	m.away = errors.New("connection refused")
	r := request(1)
	r.State = &s
	_, _, err = p.Judge(context.Background(), r)
	must.ErrorContains(t, err, "ask prometheus: connection refused")
	must.True(t, api.IsCode(err, api.CodeUnavailable))
	sources := p.Sources()
	must.Len(t, 2, sources)
	must.Eq(t, "prometheus", sources[1].Name)
	must.False(t, sources[1].OK)

	m.away, m.statsAway = nil, errors.New("no path to node")
	_, _, err = p.Judge(context.Background(), r)
	must.ErrorContains(t, err, "ask nomad-stats: no path to node")
}

func TestCounterResetDropsOneLook(t *testing.T) {
	m := newModel(10)
	var state *api.JudgeState
	for look := range 4 {
		r := request(look)
		r.State = state
		if look == 2 {
			m.instances[id(0)].reset()
		}
		v, s, err := of(m).Judge(context.Background(), r)
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

func TestOneSilentCanaryOfThreeBlocksPromotion(t *testing.T) {
	m := newModel(10)
	m.instances[id(2)].silent = true
	r := request(0)
	r.Canary, r.Stable = ids(0, 3), ids(3, 10)
	v, _ := judged(t, m, r, 50)
	must.Eq(t, api.VerdictContinue, v.Kind, must.Sprint(v.Reason))
	must.StrContains(t, v.Reason, "no series of 00000002")
}

func TestLastStageUsesTheStagesBefore(t *testing.T) {
	m := newModel(10)
	v, state := judged(t, m, request(0), 70)
	must.Eq(t, api.VerdictPromote, v.Kind)
	last := request(0)
	last.Stage, last.State, last.Canary, last.Stable = 2, &state, ids(0, 10), nil
	last.Started = began().Add(10 * time.Minute)
	v, _ = judged(t, m, last, 60)
	must.Eq(t, api.VerdictPromote, v.Kind, must.Sprint(v.Reason))

	for i := range 10 {
		m.instances[id(i)].errors = 0.2
	}
	last.Started = began().Add(30 * time.Minute)
	v, _ = judged(t, m, last, 60)
	must.Eq(t, api.VerdictAbort, v.Kind, must.Sprint(v.Reason))

	last.State = nil // no stage before and no baseline
	v, _ = judged(t, m, last, 60)
	must.Eq(t, api.VerdictContinue, v.Kind, must.Sprint(v.Reason))
}

func TestWithoutASourceItsKPIsAreNotJudged(t *testing.T) {
	m := newModel(10)
	p := New(Options{Stats: m, Fleet: m})
	var state *api.JudgeState
	var v api.Verdict
	for look := range 40 {
		r := request(look)
		r.State = state
		got, s, err := p.Judge(context.Background(), r)
		must.NoError(t, err)
		v, state = got, &s
	}
	must.Eq(t, api.VerdictPromote, v.Kind, must.Sprint(v.Reason))
	must.StrContains(t, v.Reason, "not judged: error_rate (prometheus is not configured), latency_p90 (prometheus is not configured)")

	v, _, err := New(Options{Fleet: m}).Judge(context.Background(), request(0))
	must.NoError(t, err)
	must.Eq(t, api.VerdictInconclusive, v.Kind)
}

func TestJudgeRefuses(t *testing.T) {
	m := newModel(2)
	r := request(0)
	r.Spec.KPIs[0].KPI = "happiness"
	_, _, err := of(m).Judge(context.Background(), r)
	must.ErrorContains(t, err, "judge.kpi.happiness: not a known KPI")

	r = request(0)
	r.State = &api.JudgeState{Stage: 1, Bank: []byte(`{"bank":{}}`)}
	_, _, err = of(m).Judge(context.Background(), r)
	must.ErrorContains(t, err, "read judge state")

	r = request(0)
	r.Canary, r.Stable = nil, nil
	_, _, err = of(m).Judge(context.Background(), r)
	must.ErrorContains(t, err, "no healthy instance")

	r = request(0)
	r.Spec.Enabled = false
	v, _, err := of(m).Judge(context.Background(), r)
	must.NoError(t, err)
	must.Eq(t, api.VerdictPromote, v.Kind)
}
