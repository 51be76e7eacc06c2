package profiler

import (
	"context"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/shoenig/test/must"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/internal/judge"
)

// TestUnevenInstancesTakeAGaugeOutOfJudgement has machines that differ for good:
// the negative control says so, and what it says survives a restart.
func TestUnevenInstancesTakeAGaugeOutOfJudgement(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 9))
	p := New(Options{Metrics: newModel(0), Stats: newModel(0)})
	learn := func(hours int, uneven float64) {
		at := began()
		for i := range hours * 720 {
			values := make([]float64, 4)
			for k := range values {
				values[k] = 0.2 + 0.01*rng.NormFloat64()
				if k < 2 {
					values[k] += uneven
				}
			}
			p.learnGauge(shop(), api.KPICPU, sourceStats, values, at.Add(time.Duration(i)*5*time.Second))
		}
	}
	r := Request{Target: shop(), Spec: spec(), Canary: ids(0, 1), Stable: ids(1, 4), Now: began()}

	learn(4, 0)
	_, _, without := p.judged(r, nil)
	must.Eq(t, "", without)
	learn(4, 0.1)
	_, judgedBy, without := p.judged(r, nil)
	must.StrContains(t, without, "cpu (equal instances were called different in ")
	must.Len(t, 2, judgedBy.KPIs)

	b := find(t, p.Profiles(), api.KPICPU)
	must.Positive(t, b.ControlAlarms)
	must.NotEq(t, "", b.Distrust)
	again := New(Options{Profiles: func() []api.Profile { return p.Profiles() }})
	again.load()
	must.Eq(t, b.Distrust, find(t, again.Profiles(), api.KPICPU).Distrust)
}

func TestBakeTimeComesFromTheProfile(t *testing.T) {
	p := New(Options{})
	at := began()
	bake := p.Bake(shop(), spec(), 1, 9, at)
	must.Len(t, 3, bake.Unknown)
	for i := range 500 {
		now := at.Add(time.Duration(i) * 5 * time.Second)
		p.mu.Lock()
		p.series(shop(), api.KPIRequests, sourceMetrics, now).learn(8, now)
		s := p.series(shop(), api.KPIErrorRate, sourceMetrics, now)
		s.learn(0.001, now)
		s.learnCounts(0.4, 400, now)
		p.mu.Unlock()
		p.learnGauge(shop(), api.KPICPU, sourceStats, []float64{0.2, 0.2 + 0.01*float64(i%3), 0.19, 0.21}, now)
	}
	bake = p.Bake(shop(), spec(), 1, 9, at)
	must.Eq(t, []string{"latency_p90"}, bake.Unknown)
	must.Between(t, 15*time.Second, bake.Expected.D(), 2*time.Minute)
	must.StrContains(t, bake.String(), "at today's traffic; at most 5 min")
}

// pressure answers one query with a value per instance.
type pressure struct {
	t      *testing.T
	rng    *rand.Rand
	canary float64
}

func (m pressure) Query(_ context.Context, promql string, _ time.Time) ([]Sample, error) {
	if !strings.HasPrefix(promql, "rate(psi_io_waiting{alloc_id") {
		return nil, nil
	}
	var out []Sample
	for i, id := range ids(0, 4) {
		v := 0.05 + 0.003*m.rng.NormFloat64()
		if i == 0 {
			v *= m.canary
		}
		out = append(out, Sample{Labels: map[string]string{"alloc_id": id}, Value: v})
	}
	return out, nil
}

// TestAnyQueryIsAKPI judges the pressure on I/O, which the policy names a query
// for, without and with a profile of it.
func TestAnyQueryIsAKPI(t *testing.T) {
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
		q := KPIQueries{Own: map[string]OwnQuery{own.KPI: {Query: own.Query, Unit: "share"}}}
		p := New(Options{Metrics: m, Queries: q})
		if c.learned {
			for i := range 200 {
				values := make([]float64, 3)
				for k := range values {
					values[k] = 0.05 + 0.003*m.rng.NormFloat64()
				}
				p.learnGauge(shop(), own.KPI, sourceMetrics, values, began().Add(time.Duration(i)*5*time.Second))
			}
			again := New(Options{Metrics: m, Queries: q, Profiles: p.Profiles})
			again.load()
			p = again
		}
		r := Request{Target: shop(), Spec: spec(), Canary: ids(0, 1), Stable: ids(1, 4), Started: began()}
		r.Spec.KPIs = []api.KPISpec{own}
		var v api.Verdict
		var looks int
		for looks = range c.looks {
			r.Now = began().Add(time.Duration(looks) * 5 * time.Second)
			verdict, state, err := p.Judge(t.Context(), r)
			must.NoError(t, err)
			if v, r.State = verdict, &state; v.Kind != api.VerdictContinue {
				break
			}
		}
		must.Eq(t, c.want, v.Kind, must.Sprintf("%s after %d looks: %s", name, looks, v.Reason))
	}
	p := New(Options{Metrics: pressure{t: t, rng: rand.New(rand.NewPCG(3, 3))}})
	r := Request{Target: shop(), Spec: spec(), Canary: ids(0, 1), Stable: ids(1, 4), Now: began()}
	r.Spec.KPIs = []api.KPISpec{{KPI: "io_pressure", AbortAbove: 1.2, PromoteBelow: 2}}
	_, _, err := p.Judge(t.Context(), r)
	must.ErrorContains(t, err, "io_pressure: not a known KPI")
}

// TestSlowBurstsWidenTheEvidence has instances of which one at a time is slow for
// an interval: the profile learns that its requests do not count each by itself.
func TestSlowBurstsWidenTheEvidence(t *testing.T) {
	upper := []float64{0.01, 0.1, 1}
	learn := func(burst float64) float64 {
		rng := rand.New(rand.NewPCG(2, 8))
		s := newSeries(judge.KPI{Name: api.KPILatencyP99, Kind: api.KPILatency, Quantile: 0.99}, sourceMetrics)
		for i := range 400 {
			var round []increment
			for k := range 4 {
				slow := 0.0
				for range 100 {
					if rng.Float64() < 0.05 {
						slow++
					}
				}
				if k == i%4 {
					slow += burst
				}
				round = append(round, increment{Requests: 100, Upper: upper, Counts: []float64{50, 50 - slow, slow, 0}})
			}
			s.learnSlow(round)
			s.learnBuckets(upper, []float64{200, 180, 20, 0})
		}
		return s.dispersion.Factor()
	}
	must.Less(t, 1.2, learn(0))
	must.Greater(t, 5, learn(20))
}
