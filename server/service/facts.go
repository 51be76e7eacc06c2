package service

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/internal/rehearsal"
)

// Facts are what is known of the fleet, for rehearsals elsewhere.
func (s *Service) Facts(ctx context.Context) (api.FleetFacts, error) {
	targets, err := s.opt.Fleet.Targets(ctx)
	if err != nil {
		return api.FleetFacts{}, fmt.Errorf("list targets: %w", err)
	}
	own := s.opt.Facts
	facts := factsOf(s.store, targets)
	facts.Oakum, facts.At, facts.Metrics = s.opt.Version, s.now().Truncate(time.Second), own.Metrics
	facts.Sampling, facts.Tick = api.Duration(own.Sampling), api.Duration(own.Tick)
	facts.Plugins = own.Plugins()
	for i := range facts.Plugins {
		facts.Plugins[i].Path = ""
	}
	return facts, nil
}

// factsOf are the facts that the state holds about targets. They leave out
// whatever could be secret (the text of jobs, the scripts and variables of
// patches) and whatever is large (the evidence of edges, the sketches of single
// hours).
func factsOf(store Store, targets []api.Target) api.FleetFacts {
	targets = slices.SortedFunc(slices.Values(targets), func(a, b api.Target) int { return a.Compare(b.TargetRef) })
	simulations := store.Simulations()
	facts := api.FleetFacts{
		Format: api.FleetFactsFormat, Targets: targets, Graph: withoutEvidence(store.Graph()), Quarantines: store.Quarantines(),
		Healthy: rehearsal.HealthTimes(store.Rollouts(), simulations), Trials: rehearsal.Trials(simulations),
	}
	for _, p := range store.Policies() {
		facts.Policies = append(facts.Policies, p.File)
	}
	known := map[api.TargetRef]bool{}
	for _, t := range targets {
		known[t.TargetRef] = true
	}
	for _, p := range store.Profiles() {
		if known[p.Target] {
			facts.Profiles = append(facts.Profiles, withoutHours(p))
		}
	}
	for _, r := range store.OpenRollouts() {
		facts.Open = append(facts.Open, api.Rollout{
			ID: r.ID, Plan: r.Plan, Patch: r.Patch, Target: r.Target, Wave: r.Wave, Status: r.Status, Since: r.Since, Created: r.Created,
		})
	}
	return facts
}

// withoutEvidence is a graph without its evidence, its criticality and its targets.
func withoutEvidence(g api.Graph) api.Graph {
	edges := make([]api.Edge, len(g.Edges))
	for i, e := range g.Edges {
		edges[i] = api.Edge{From: e.From, To: e.To, State: e.State, Via: e.Via}
	}
	return api.Graph{Index: g.Index, At: g.At, Services: g.Services, Edges: edges, Sources: g.Sources}
}

// withoutHours is a profile without the sketches of single hours. The means of the
// hours stay.
func withoutHours(p api.Profile) api.Profile {
	p.KPIs = slices.Clone(p.KPIs)
	for i := range p.KPIs {
		p.KPIs[i].HourSketches, p.KPIs[i].Usual = nil, nil
	}
	return p
}
