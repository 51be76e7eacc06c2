package server

import (
	"encoding/json"
	"time"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/internal/profiler"
)

// bake forecasts how long the first stage of every planned target will be
// judged, by target. Targets that nothing was learned of yet say so.
func (c *control) bake(plan api.Plan, now time.Time) map[string]api.BakeTime {
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
			if !t.Decision.Judge.Enabled {
				continue
			}
			profile, ok := c.store.Profile(t.Target.TargetRef)
			if !ok {
				profile = api.Profile{Target: t.Target.TargetRef}
			}
			canary, stable := firstStage(t)
			out[t.Target.String()] = profiler.Bake(profile, t.Decision.Judge, canary, stable, at)
		}
	}
	return out
}

// firstStage is how many instances are patched and not in the first stage: by the
// strategy's stages, or all of them beside the former ones.
func firstStage(t api.PlannedTarget) (canary, stable int) {
	var config struct {
		Stages []int `json:"stages"`
	}
	n := max(t.Target.Count, 1)
	if json.Unmarshal(t.Decision.Strategy.Config, &config) != nil || len(config.Stages) == 0 {
		return n, n
	}
	canary = min(max((n*config.Stages[0]+99)/100, 1), n)
	return canary, n - canary
}
