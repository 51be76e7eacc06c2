package canary

import (
	"context"
	"math"
	"math/rand/v2"
	"sort"
	"strings"
	"testing"
	"time"

	"github.com/shoenig/test/must"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/internal/judge"
	"github.com/oakumhq/oakum/internal/kpi"
	"github.com/oakumhq/oakum/internal/kpi/kpitest"
	"github.com/oakumhq/oakum/internal/profiler"
)

// TestJudged_LeavesOutAGaugeOfUnevenInstances has machines that differ for good:
// the negative control says so, and what it says survives a restart.
func TestJudged_LeavesOutAGaugeOfUnevenInstances(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 9))
	reader, baselines := kpi.NewReader(kpitest.New(0), kpitest.New(0), kpi.Queries{}), profiler.Restore(nil, 0, nil)
	learn := func(hours int, uneven float64) {
		at := began()
		for i := range hours * 720 {
			cpu := make([]float64, 4)
			for k := range cpu {
				cpu[k] = 0.2 + 0.01*rng.NormFloat64()
				if k < 2 {
					cpu[k] += uneven
				}
			}
			baselines.Learn(values(api.KPICPU, at.Add(time.Duration(i)*5*time.Second), cpu...))
		}
	}
	r := Request{Target: kpitest.Shop(), Spec: spec(), Canary: kpitest.IDs(0, 1), Stable: kpitest.IDs(1, 4), Now: began()}

	learn(4, 0)
	_, _, without := Judged(reader.Catalogue(), baselines, r.stage(), nil)
	must.Eq(t, "", without)
	learn(4, 0.1)
	_, judgedBy, without := Judged(reader.Catalogue(), baselines, r.stage(), nil)
	must.StrContains(t, without, "cpu (equal instances were called different in ")
	must.Len(t, 2, judgedBy.KPIs)

	b := only(t, baselines.Profiles())
	must.Positive(t, b.ControlAlarms)
	must.NotEq(t, "", b.Distrust)
	must.Eq(t, b.Distrust, only(t, profiler.Restore(baselines.Profiles(), 0, nil).Profiles()).Distrust)
}

// only is the one baseline that there is.
func only(t *testing.T, profiles []api.Profile) api.Baseline {
	t.Helper()
	must.Len(t, 1, profiles)
	must.Len(t, 1, profiles[0].KPIs)
	return profiles[0].KPIs[0]
}

// pressure answers one query with a value per instance.
type pressure struct {
	t      *testing.T
	rng    *rand.Rand
	canary float64
}

func (m pressure) Query(_ context.Context, promql string, _ time.Time) ([]kpi.Series, error) {
	if !strings.HasPrefix(promql, "rate(psi_io_waiting{alloc_id") {
		return nil, nil
	}
	var out []kpi.Series
	for i, id := range kpitest.IDs(0, 4) {
		v := 0.05 + 0.003*m.rng.NormFloat64()
		if i == 0 {
			v *= m.canary
		}
		out = append(out, kpi.Series{Labels: map[string]string{"alloc_id": id}, Value: v})
	}
	return out, nil
}

// TestJudge_TakesAnyQueryForAKPI judges the pressure on I/O, which the policy names a query
// for, without and with a profile of it.
func TestJudge_TakesAnyQueryForAKPI(t *testing.T) {
	own := api.KPISpec{KPI: "io_pressure", Query: "rate(psi_io_waiting{$instances}[30s])", AbortAbove: 1.2, PromoteBelow: 2}
	for name, c := range map[string]struct {
		canary  float64
		learned bool
		want    api.VerdictKind
		looks   int
	}{
		"healthy":             {1, false, api.VerdictPromote, 60},
		"three times as much": {3, false, api.VerdictAbort, 60},
		"with a profile":      {3, true, api.VerdictAbort, 12},
	} {
		m := pressure{t: t, rng: rand.New(rand.NewPCG(3, 3)), canary: c.canary}
		q := kpi.Queries{Own: map[string]kpi.OwnQuery{own.KPI: {Query: own.Query, Unit: "share"}}}
		reader := kpi.NewReader(m, nil, q)
		k, _ := reader.Catalogue().Known(own)
		baselines := profiler.Restore(nil, 0, nil)
		if c.learned {
			for i := range 200 {
				share := make([]float64, 3)
				for k := range share {
					share[k] = 0.05 + 0.003*m.rng.NormFloat64()
				}
				at := began().Add(time.Duration(i) * 5 * time.Second)
				baselines.Learn(kpi.Sample{Target: kpitest.Shop(), KPI: k, Source: kpi.SourceMetrics, At: at, Values: share})
			}
			baselines = profiler.Restore(baselines.Profiles(), 0, nil)
		}
		p := New(reader, baselines)
		r := Request{Target: kpitest.Shop(), Spec: spec(), Canary: kpitest.IDs(0, 1), Stable: kpitest.IDs(1, 4), Started: began()}
		r.Spec.KPIs = []api.KPISpec{own}
		var v api.Verdict
		var looks int
		for looks = range c.looks {
			r.Now = began().Add(time.Duration(looks) * 5 * time.Second)
			verdict, state, err := p.Look(t.Context(), r)
			must.NoError(t, err)
			if v, r.State = verdict, &state; v.Kind != api.VerdictContinue {
				break
			}
		}
		must.Eq(t, c.want, v.Kind, must.Sprintf("%s after %d looks: %s", name, looks, v.Reason))
	}
	p := reading(pressure{t: t, rng: rand.New(rand.NewPCG(3, 3))}, nil, kpi.Queries{})
	r := Request{Target: kpitest.Shop(), Spec: spec(), Canary: kpitest.IDs(0, 1), Stable: kpitest.IDs(1, 4), Now: began()}
	r.Spec.KPIs = []api.KPISpec{{KPI: "io_pressure", AbortAbove: 1.2, PromoteBelow: 2}}
	_, _, err := p.Look(t.Context(), r)
	must.ErrorContains(t, err, "io_pressure: not a known KPI")
}

// TestStage_ComparesLatenciesWhereTheyAreNow has a service that was slow for long and
// is not any more. With a stable arm, that is what counts; without one, the
// reference is what the canary is held against, and a minute is too little for that.
func TestStage_ComparesLatenciesWhereTheyAreNow(t *testing.T) {
	baselines, rng, now := profiler.Restore(nil, 0, nil), rand.New(rand.NewPCG(1, 2)), began()
	p99, _ := judge.Known(api.KPILatencyP99)
	for i := range 12 * 10 {
		level := 10.0
		if i >= 12*9 {
			level = 1
		}
		now = now.Add(5 * time.Second)
		in := kpi.Increment{Requests: 150, Upper: kpitest.Bounds(), Counts: make([]float64, len(kpitest.Bounds())+1)}
		for range int(in.Requests) {
			in.Counts[sort.SearchFloat64s(in.Upper, 0.03*level*math.Exp(0.5*rng.NormFloat64()))]++
		}
		baselines.Learn(kpi.Sample{Target: kpitest.Shop(), KPI: p99, At: now, Seconds: 5, Counted: &kpi.Counted{Sum: in}})
	}
	p90, _ := judge.Known("latency_p90")
	reference := func(stable int, at time.Time) float64 {
		r := Stage{Target: kpitest.Shop(), Spec: spec(), Canary: 1, Stable: stable, At: at}.describe(baselines, p90).Reference
		return judge.Quantile(r.Upper, r.Counts, p90.Quantile)
	}
	must.Less(t, 0.1, reference(1, now))
	must.Greater(t, 0.3, reference(0, now))
	must.Greater(t, 0.3, reference(1, now.Add(time.Minute)), must.Sprint("the minute is over"))
}
