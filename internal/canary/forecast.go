package canary

import (
	"math"
	"time"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/internal/judge"
	"github.com/oakumhq/oakum/internal/kpi"
)

// Forecast says how long a stage will be judged until a healthy canary is promoted, at
// the traffic that its target usually has at the hour.
func Forecast(known kpi.Catalogue, history History, s Stage) api.BakeTime {
	return judge.Bake(s.Spec, described(known, history, s), traffic(history.Rate(s.Target, s.At), s.Canary, s.Stable))
}

// described are the KPIs of a stage with their history.
func described(known kpi.Catalogue, history History, s Stage) []judge.KPI {
	var kpis []judge.KPI
	for _, want := range s.Spec.KPIs {
		if k, ok := known.Known(want); ok {
			kpis = append(kpis, s.describe(history, k))
		}
	}
	return kpis
}

// doubtFrom is the evidence against a canary, a factor of two, from which on nothing is
// said any more about when it will be promoted.
const doubtFrom = 0.3

// left forecasts how much longer an undecided stage takes if the canary is as healthy as
// it should be, from the evidence that each KPI still lacks and the traffic that the
// canary has had so far. It is empty for a canary that looks bad.
func (j *Judge) left(r Request, started time.Time, v api.Verdict) string {
	elapsed := r.Now.Sub(started)
	if elapsed <= 0 || r.Spec.Method == api.JudgeKayenta {
		return ""
	}
	lacking := map[string]float64{}
	seen := 0.0
	for _, k := range v.KPIs {
		if k.Evidence > doubtFrom || k.Missing {
			return ""
		}
		if k.KPI == api.KPIErrorRate {
			seen = k.Exposure
		}
		if k.Kind == api.VerdictContinue {
			lacking[k.KPI] = math.Log(1/r.Spec.Miss) - k.Promote*math.Ln10
		}
	}
	s := r.stage()
	canary, stable := s.read()
	rate := j.history.Rate(r.Target, r.Now)
	if seen > 0 && canary > 0 {
		rate = seen / elapsed.Seconds() / float64(canary)
	}
	s.Spec.MinDuration = max(s.Spec.MinDuration-api.Duration(elapsed), 0)
	s.Spec.MaxDuration = max(s.Spec.MaxDuration-api.Duration(elapsed), 0)
	longest := api.BakeTime{Most: s.Spec.MaxDuration}
	for _, want := range r.Spec.KPIs {
		need, ok := lacking[want.KPI]
		if !ok {
			continue
		}
		one := s
		one.Spec.KPIs, one.Spec.Miss = []api.KPISpec{want}, math.Exp(-max(need, 0.01))
		bake := judge.Bake(one.Spec, described(j.reader.Catalogue(), j.history, one), traffic(rate, canary, stable))
		if bake.Expected <= 0 {
			return "" // nothing is known of it, and it may take longest
		}
		if bake.Expected > longest.Expected {
			longest = bake
		}
	}
	if longest.Expected <= 0 {
		return ""
	}
	return longest.Left()
}
