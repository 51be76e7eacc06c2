package service

import (
	"time"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/internal/planner"
)

// bake forecasts how long the first stage of every planned target will be
// judged, by target. The forecast of a target without a profile says that
// nothing is known.
func (s *Service) bake(plan api.Plan, now time.Time) map[string]api.BakeTime {
	out := map[string]api.BakeTime{}
	for _, wave := range plan.Waves {
		at := now
		if wave.Opens.After(now) {
			at = wave.Opens
		}
		if wave.Starts.After(at) {
			at = wave.Starts
		}
		for _, t := range wave.Targets {
			if !t.Decision.Judge.Enabled || t.Target.Launch != "" {
				continue
			}
			profile, ok := s.store.Profile(t.Target.TargetRef)
			if !ok {
				profile = api.Profile{Target: t.Target.TargetRef}
			}
			canary, stable := planner.FirstStage(t)
			out[t.Target.String()] = s.opt.Forecast(profile, t.Decision.Judge, canary, stable, at)
		}
	}
	return out
}
