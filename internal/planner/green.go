package planner

import (
	"encoding/json"
	"slices"

	"github.com/oakumhq/oakum/api"
	greens "github.com/oakumhq/oakum/policies/green"
)

// FirstStage is how many instances are patched in the first stage of a planned target, and
// how many former ones are there beside them. A strategy that says no stages starts all at
// once, beside as many former ones: nobody knows more of one that is a plugin.
func FirstStage(t api.PlannedTarget) (patched, former int) {
	patched, besides := firstStage(&t)
	former = max(t.Target.Count, 1)
	if !besides {
		former -= patched
	}
	return patched, former
}

// firstStage also reports whether no former instance goes.
func firstStage(t *api.PlannedTarget) (patched int, besides bool) {
	var config struct {
		Stages []int `json:"stages"`
	}
	n := max(t.Target.Count, 1)
	if json.Unmarshal(t.Decision.Strategy.Config, &config) != nil || len(config.Stages) == 0 {
		return n, true
	}
	return min(max(api.CeilPercent(config.Stages[0], n), 1), n), t.Decision.Strategy.Name == greens.Strategy
}

// green is what the first stage of a target gets of the traffic of each of its services
// before it is judged; nil where it stands in the place of former instances.
func green(t *api.PlannedTarget, graph api.Graph, serving greens.Serving) []api.GreenShare {
	patched, besides := firstStage(t)
	if !besides {
		return nil
	}
	out := greens.Shares(t.Target, patched, serving)
	for i := range out {
		of := api.Target{Services: []string{out[i].Service}}
		out[i].Dependants = CriticalityOf(of, graph.Criticality).BlastRadius
	}
	return out
}

// serving counts the instances that targets want of each service, in one namespace of Nomad.
// Instances that Nomad does not run don't count, nor do those of other namespaces: so green
// never gets more than is told. It is reckoned when it is asked for first.
func serving(targets []api.Target) greens.Serving {
	type key struct{ namespace, service string }
	var counts map[key]int
	return func(namespace, service string) int {
		if counts == nil {
			counts = map[key]int{}
			seen := make(map[api.TargetRef]bool, len(targets))
			for _, t := range targets {
				if seen[t.TargetRef] {
					continue
				}
				seen[t.TargetRef] = true
				for _, name := range slices.Compact(slices.Sorted(slices.Values(t.Services))) {
					counts[key{t.Namespace, name}] += t.Count
				}
			}
		}
		return counts[key{namespace, service}]
	}
}
