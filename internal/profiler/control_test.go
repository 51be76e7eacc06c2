package profiler

import (
	"math/rand/v2"
	"testing"
	"time"

	"github.com/shoenig/test/must"

	"github.com/oakumhq/oakum/api"
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
		s.learnCounts(0.4, 400)
		p.mu.Unlock()
		p.learnGauge(shop(), api.KPICPU, sourceStats, []float64{0.2, 0.2 + 0.01*float64(i%3), 0.19, 0.21}, now)
	}
	bake = p.Bake(shop(), spec(), 1, 9, at)
	must.Eq(t, []string{"latency_p90"}, bake.Unknown)
	must.Between(t, 15*time.Second, bake.Expected.D(), 2*time.Minute)
	must.StrContains(t, bake.String(), "at today's traffic; at most 5 min")
}
