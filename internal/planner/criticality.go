package planner

import (
	"cmp"
	"slices"
	"time"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/policies"
)

// CriticalityOf returns the graph's view of a target. All are the views of all
// services, sorted by name. A target with several services has the view of the one
// with the largest blast radius, and each flag that any of them has. It is the zero
// value when the graph knows none of its services.
func CriticalityOf(target api.Target, all []api.Criticality) api.Criticality {
	var out api.Criticality
	found := 0
	for _, name := range target.Services {
		at, ok := slices.BinarySearchFunc(all, name, func(c api.Criticality, n string) int { return cmp.Compare(c.Service, n) })
		if !ok {
			continue
		}
		if found++; found == 1 {
			out = all[at]
			continue
		}
		out = worse(out, all[at])
	}
	return out
}

// worse takes the service with the larger blast radius, then score, and adds the
// flags and the names of the other.
func worse(a, b api.Criticality) api.Criticality {
	if cmp.Or(cmp.Compare(a.BlastRadius, b.BlastRadius), cmp.Compare(a.Score, b.Score)) < 0 {
		a, b = b, a
	}
	a.BlastRadiusMax = max(a.BlastRadiusMax, b.BlastRadiusMax)
	a.SinglePoint = a.SinglePoint || b.SinglePoint
	a.SingleInstance = a.SingleInstance || b.SingleInstance
	a.Dominates = union(a.Dominates, b.Dominates)
	a.Dependants = union(a.Dependants, b.Dependants)
	a.SharedNodesWith = union(a.SharedNodesWith, b.SharedNodesWith)
	return a
}

func union(a, b []string) []string {
	out := append(slices.Clone(a), b...)
	slices.Sort(out)
	return slices.Compact(out)
}

// Views returns what the policies say about which targets are critical, and
// why, sorted by reference.
func Views(library *policies.Library, targets []api.Target, graph api.Graph, now time.Time) []api.TargetView {
	in := Input{Targets: targets, Graph: graph, Sources: graph.Sources}
	session := library.Session(api.Patch{}, clusterFacts(in), now)
	out := make([]api.TargetView, 0, len(targets))
	for _, t := range targets {
		critical, why, err := session.Critical(t, CriticalityOf(t, graph.Criticality))
		if err != nil {
			// In doubt a target is treated with care.
			critical, why = true, "can't be decided: "+api.AsError(err).Message
		}
		out = append(out, api.TargetView{Target: t, Critical: critical, Why: why})
	}
	slices.SortFunc(out, func(a, b api.TargetView) int { return a.Target.Compare(b.Target.TargetRef) })
	return out
}
