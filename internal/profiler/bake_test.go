package profiler

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/shoenig/test/must"

	"github.com/oakumhq/oakum/api"
)

func TestAnUndecidedStageTellsHowLongItStillTakes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newModel(10)
		p := New(Options{Metrics: m, Stats: m, Fleet: m, Recorder: m})
		during(t, p, 10*time.Minute)
		start := time.Now()
		var state *api.JudgeState
		var told []string
		for look := range 55 {
			r := request(0)
			r.Started, r.Now, r.State = start, start.Add(time.Duration(look)*5*time.Second), state
			v, s, err := p.Judge(t.Context(), r)
			must.NoError(t, err)
			state = &s
			if v.Kind != api.VerdictContinue {
				must.StrNotContains(t, v.Reason, "promotes after")
				break
			}
			told = append(told, v.Reason)
			for _, k := range v.KPIs {
				must.NotNil(t, k.Before, must.Sprint(k.KPI)) // ten minutes are a baseline
			}
		}
		must.SliceNotEmpty(t, told)
		must.StrContains(t, told[len(told)-1], " more at today's traffic; at most ")
	})
}

func TestACanaryThatLooksBadHasNoForecast(t *testing.T) {
	p := New(Options{})
	r := request(10)
	v := api.Verdict{Kind: api.VerdictContinue, KPIs: []api.KPIEffect{{KPI: api.KPIErrorRate, Kind: api.VerdictContinue, Evidence: 1}}}
	must.Eq(t, "", p.left(r, began(), v))
}

func TestLessEvidenceLackingTakesLessTime(t *testing.T) {
	p := New(Options{})
	for i := range 500 {
		p.learnGauge(shop(), api.KPICPU, sourceStats, []float64{0.2, 0.2 + 0.03*float64(i%3), 0.19, 0.21}, began())
	}
	r := request(10)
	r.Spec.KPIs = r.Spec.KPIs[2:]
	r.Spec.Interval = api.Duration(time.Second)
	at := func(promote float64) string {
		return p.left(r, began(), api.Verdict{KPIs: []api.KPIEffect{{KPI: api.KPICPU, Kind: api.VerdictContinue, Promote: promote}}})
	}
	must.Eq(t, "promotes after about 6 s more at today's traffic; at most 4 min more", at(-1))
	must.Eq(t, "promotes after about 5 s more at today's traffic; at most 4 min more", at(1.2))
}

func TestAColdBaselineSaysNothingOfBefore(t *testing.T) {
	p := New(Options{})
	p.learnGauge(shop(), api.KPICPU, sourceStats, []float64{0.2, 0.2}, began())
	kpis := []api.KPIEffect{{KPI: api.KPICPU}, {KPI: "nobody_knows"}}
	p.before(shop(), kpis, began())
	must.Nil(t, kpis[0].Before)
	must.Nil(t, kpis[1].Before)
}
