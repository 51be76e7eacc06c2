package canary

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/shoenig/test/must"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/internal/kpi"
	"github.com/oakumhq/oakum/internal/kpi/kpitest"
	"github.com/oakumhq/oakum/internal/profiler"
)

func TestJudge_SaysHowLongAnUndecidedStageTakes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := kpitest.New(10)
		p := after(t, m, 10*time.Minute)
		start := time.Now()
		var state *api.JudgeState
		var reasons []string
		for look := range 55 {
			r := request(0)
			r.Started, r.Now, r.State = start, start.Add(time.Duration(look)*5*time.Second), state
			v, s, err := p.Look(t.Context(), r)
			must.NoError(t, err)
			state = &s
			if v.Kind != api.VerdictContinue {
				must.StrNotContains(t, v.Reason, "promotes after")
				break
			}
			reasons = append(reasons, v.Reason)
			for _, k := range v.KPIs {
				must.NotNil(t, k.Before, must.Sprint(k.KPI)) // ten minutes are a baseline
			}
		}
		must.SliceNotEmpty(t, reasons)
		must.StrContains(t, reasons[len(reasons)-1], " more at today's traffic; at most ")
	})
}

func TestJudge_ForecastsNothingForACanaryThatLooksBad(t *testing.T) {
	p := reading(nil, nil, kpi.Queries{})
	r := request(10)
	v := api.Verdict{Kind: api.VerdictContinue, KPIs: []api.KPIEffect{{KPI: api.KPIErrorRate, Kind: api.VerdictContinue, Evidence: 1}}}
	must.Eq(t, "", p.left(r, began(), v))
}

func TestJudge_ForecastsLessTimeWithMoreEvidence(t *testing.T) {
	baselines := profiler.Restore(nil, 0, nil)
	for i := range 500 {
		baselines.Learn(values(api.KPICPU, began(), 0.2, 0.2+0.03*float64(i%3), 0.19, 0.21))
	}
	p := New(kpi.NewReader(nil, nil, kpi.Queries{}), baselines)
	r := request(10)
	r.Spec.KPIs = r.Spec.KPIs[2:]
	r.Spec.Interval = api.Duration(time.Second)
	at := func(promote float64) string {
		return p.left(r, began(), api.Verdict{KPIs: []api.KPIEffect{{KPI: api.KPICPU, Kind: api.VerdictContinue, Promote: promote}}})
	}
	must.Eq(t, "promotes after about 6 s more at today's traffic; at most 4 min more", at(-1))
	must.Eq(t, "promotes after about 5 s more at today's traffic; at most 4 min more", at(1.2))
}

func TestJudge_LeavesOutBeforeWhileTheBaselineIsCold(t *testing.T) {
	baselines := profiler.Restore(nil, 0, nil)
	baselines.Learn(values(api.KPICPU, began(), 0.2, 0.2))
	p := New(kpi.NewReader(nil, nil, kpi.Queries{}), baselines)
	kpis := []api.KPIEffect{{KPI: api.KPICPU}, {KPI: "nobody_knows"}}
	p.before(kpitest.Shop(), kpis, began())
	must.Nil(t, kpis[0].Before)
	must.Nil(t, kpis[1].Before)
}

func TestForecast_ComesFromTheProfile(t *testing.T) {
	known, baselines := kpi.NewReader(nil, nil, kpi.Queries{}).Catalogue(), profiler.Restore(nil, 0, nil)
	at := began()
	stage := Stage{Target: kpitest.Shop(), Spec: spec(), Canary: 1, Stable: 9, At: at}
	bake := Forecast(known, baselines, stage)
	must.Len(t, 3, bake.Unknown)
	for i := range 500 {
		now := at.Add(time.Duration(i) * 5 * time.Second)
		baselines.Learn(values(api.KPIRequests, now, 8))
		baselines.Learn(share(api.KPIErrorRate, now, 0.4, 400))
		baselines.Learn(values(api.KPICPU, now, 0.2, 0.2+0.01*float64(i%3), 0.19, 0.21))
	}
	bake = Forecast(known, baselines, stage)
	must.Eq(t, []string{"latency_p90"}, bake.Unknown)
	must.Between(t, 15*time.Second, bake.Expected.D(), 2*time.Minute)
	must.StrContains(t, bake.String(), "at today's traffic; at most 5 min")
}

// TestForecast_KnowsKPIsOfOnesOwn has a gauge that only the configuration of the server
// has a query for: its profile is enough.
func TestForecast_KnowsKPIsOfOnesOwn(t *testing.T) {
	reader := kpi.NewReader(nil, nil, kpi.Queries{Own: map[string]kpi.OwnQuery{"queue": {Query: "queue", Unit: "jobs"}}})
	k, ok := reader.Catalogue().Known(api.KPISpec{KPI: "queue"})
	must.True(t, ok)
	baselines := profiler.Restore(nil, 0, nil)
	for i := range 500 {
		at := began().Add(time.Duration(i) * 5 * time.Second)
		baselines.Learn(kpi.Sample{Target: kpitest.Shop(), KPI: k, Source: kpi.SourceMetrics, At: at, Values: []float64{5, 5 + 0.2*float64(i%3), 4.8, 5.1}})
	}
	profile := baselines.Profiles()[0]
	s := Stage{Target: kpitest.Shop(), Spec: spec(), Canary: 1, Stable: 9, At: began()}
	s.Spec.KPIs = []api.KPISpec{{KPI: "queue", AbortAbove: 1.2, PromoteBelow: 1.5}}
	bake := Forecast(kpi.Recorded(profile, true), profiler.Restore([]api.Profile{profile}, 0, nil), s)
	must.Eq(t, "queue", bake.Slowest)
	must.Between(t, 5*time.Second, bake.Expected.D(), time.Minute)
}
