package rehearsal

import (
	"maps"
	"slices"
	"time"

	"github.com/oakumhq/oakum/api"
)

// seenMost is how many times of a target are kept. The newest ones say what it is
// like now.
const seenMost = 20

// HealthTimes returns how long each target's instances took to become healthy, the
// oldest first. It takes the times from recorded stages, one for each batch from
// its registration until all its instances are healthy, and from the twins of
// recorded simulations.
func HealthTimes(rollouts []api.Rollout, simulations []api.Simulation) []api.HealthTime {
	seen := map[api.TargetRef][]api.Duration{}
	for i := range simulations {
		s := &simulations[i]
		if s.Impact == nil {
			continue
		}
		for _, twin := range s.Impact.Twins {
			if twin.HealthyAfter > 0 {
				seen[s.Target] = append(seen[s.Target], twin.HealthyAfter)
			}
		}
	}
	for i := range rollouts {
		r := &rollouts[i]
		for _, stage := range r.Stages {
			seen[r.Target] = append(seen[r.Target], batches(r, stage)...)
		}
	}
	var out []api.HealthTime
	for _, ref := range sorted(seen) {
		out = append(out, api.HealthTime{Target: ref, Seen: newest(seen[ref])})
	}
	return out
}

// batches returns how long the batches of a stage took. A batch ends when the next
// one is registered; the last one ends when the stage is ready.
func batches(r *api.Rollout, stage api.Stage) []api.Duration {
	var began []time.Time
	for _, e := range r.Effects {
		if e.Kind == api.EffectStage && e.Stage == stage.Number && e.Status == api.EffectDone {
			began = append(began, e.Intended)
		}
	}
	var out []api.Duration
	for i, at := range began {
		end := stage.Ready
		if i+1 < len(began) {
			end = began[i+1]
		}
		if took := end.Sub(at); !end.IsZero() && took > 0 {
			out = append(out, api.Duration(took))
		}
	}
	return out
}

// Trials returns how long each target's simulations took, the oldest first. It
// counts simulations with a result.
func Trials(simulations []api.Simulation) []api.Trial {
	seen := map[api.TargetRef][]api.Duration{}
	for i := range simulations {
		s := &simulations[i]
		if s.Impact != nil && s.Ended.After(s.Started) {
			seen[s.Target] = append(seen[s.Target], api.Duration(s.Ended.Sub(s.Started)))
		}
	}
	var out []api.Trial
	for _, ref := range sorted(seen) {
		out = append(out, api.Trial{Target: ref, Seen: newest(seen[ref])})
	}
	return out
}

func newest(spans []api.Duration) []api.Duration { return spans[max(0, len(spans)-seenMost):] }

func sorted(seen map[api.TargetRef][]api.Duration) []api.TargetRef {
	return slices.SortedFunc(maps.Keys(seen), api.TargetRef.Compare)
}
