package rehearsal

import (
	"slices"
	"time"

	"github.com/oakumhq/oakum/api"
)

// Forecast says of a report when each wave starts and ends by the clock, and in which the
// target goes. Its wave is 0 where the plan leaves the target out.
func Forecast(r api.Rehearsal, target api.TargetRef) api.Forecast {
	out := api.Forecast{
		Patch: r.Patch, Target: target, At: r.At, Seeds: r.Seeds, Waves: []api.ForecastWave{}, People: r.People, Assumptions: r.Assumptions,
		Ends: moment(r.At, r.Ends),
	}
	for _, w := range r.Waves {
		if slices.Contains(w.Targets, target) {
			out.Wave = w.Number
		}
		out.Waves = append(out.Waves, api.ForecastWave{
			Number: w.Number, Targets: w.Targets, Instances: w.Instances, Waits: w.Waits,
			Starts: moment(r.At, w.Starts), Ends: moment(r.At, w.Ends),
		})
	}
	for _, refusal := range r.Refusals {
		if refusal.Target == target {
			out.LeftOut = refusal.Reason
		}
	}
	return out
}

// moment is a span since the plan began as times.
func moment(at time.Time, s api.Spread) api.Moment {
	if s.Seeds == 0 {
		return api.Moment{}
	}
	return api.Moment{P50: at.Add(s.Median.D()), P90: at.Add(s.P90.D()), Seeds: s.Seeds}
}
