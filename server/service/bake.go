package service

import (
	"encoding/json"
	"time"

	"github.com/oakumhq/oakum/api"
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
			canary, stable := firstStage(t)
			out[t.Target.String()] = s.opt.Forecast(profile, t.Decision.Judge, canary, stable, at)
		}
	}
	return out
}

// firstStage is how many instances are patched in the first stage, and how many
// are not: by the strategy's stages, or, for a strategy without stages, all of
// them beside as many former ones.
func firstStage(t api.PlannedTarget) (canary, stable int) {
	var config struct {
		Stages []int `json:"stages"`
	}
	n := max(t.Target.Count, 1)
	if json.Unmarshal(t.Decision.Strategy.Config, &config) != nil || len(config.Stages) == 0 {
		return n, n
	}
	canary = min(max(api.CeilPercent(config.Stages[0], n), 1), n)
	return canary, n - canary
}
