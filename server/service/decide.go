package service

import (
	"slices"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/internal/planner"
)

// Sources are the statuses of the graph's sources in the record. Those of which
// this leader has recorded no answer yet are marked as unread; while this
// server does not lead, that is every one.
func (s *Service) Sources() []api.SourceStatus {
	term := s.current()
	if term == nil {
		recorded := s.store.Sources()
		for i := range recorded {
			recorded[i].Unread = true
		}
		return recorded
	}
	unread := term.Unread() // before the record is read: whatever has been read by then is in the record
	return markUnread(s.store.Sources(), unread)
}

// markUnread marks the sources of the given names. A source that the record
// does not have yet is added.
func markUnread(recorded []api.SourceStatus, unread []string) []api.SourceStatus {
	for _, name := range unread {
		i := slices.IndexFunc(recorded, func(s api.SourceStatus) bool { return s.Name == name })
		if i < 0 {
			recorded = append(recorded, api.SourceStatus{Name: name})
			i = len(recorded) - 1
		}
		recorded[i].Unread = true
	}
	return recorded
}

// Redecide asks the policies in force once more about a rollout, now that its
// simulation has shown the patch's impact.
func (s *Service) Redecide(r api.Rollout, impact api.Impact) (api.Decision, error) {
	planned, ok := s.store.Planned(r.Plan, r.Target)
	if !ok {
		return api.Decision{}, api.Errorf(api.CodeInternal, "rollout %s is not in its plan %s", r.ID, r.Plan)
	}
	in, err := s.input(r)
	if err != nil {
		return api.Decision{}, err
	}
	in.Sources = s.Sources()
	return planner.Redecide(in, planned, r.Decision, impact)
}

// Calendar returns the windows and freezes that the policies in force have for a rollout,
// in an otherwise empty decision.
func (s *Service) Calendar(r api.Rollout) (api.Decision, error) {
	library, err := s.policies.Library()
	if err != nil {
		return api.Decision{}, err
	}
	if !library.HasCalendar() {
		return api.Decision{Target: r.Target}, nil // most fleets have none, and every rollout asks each second
	}
	planned, ok := s.store.Planned(r.Plan, r.Target)
	if !ok {
		return api.Decision{}, api.Errorf(api.CodeInternal, "rollout %s is not in its plan %s", r.ID, r.Plan)
	}
	impact, err := s.impact(r)
	if err != nil {
		return api.Decision{}, err
	}
	in, err := s.input(r)
	if err != nil {
		return api.Decision{}, err
	}
	in.Sources = s.Sources()
	if !library.CalendarReadsInstalled() {
		in.Installed = nil // inventories are large, and every rollout asks each second
	}
	return planner.Calendar(in, planned, r.Decision, impact)
}

// impact is what the simulation of a rollout showed; nil without one.
func (s *Service) impact(r api.Rollout) (*api.Impact, error) {
	if r.Simulation == "" {
		return nil, nil //nolint:nilnil // no impact is an answer, and what policies see before a simulation
	}
	sim, ok := s.store.Simulation(r.Simulation)
	if !ok || sim.Impact == nil {
		return nil, api.Errorf(api.CodeConflict, "decide on %s anew: what simulation %s showed is not known any more; abort the rollout and submit its patch again", r.Target, r.Simulation)
	}
	return sim.Impact, nil
}

// Reconsider makes the decision of a rollout anew that waits for an approval
// which was asked for in doubt. The error says why the doubt stands; it has code
// unavailable while the graph is not whole.
func (s *Service) Reconsider(r api.Rollout) (api.Decision, error) {
	sources := s.Sources()
	if err := planner.NotWhole(sources); err != nil { // asked first: the rest costs more
		return api.Decision{}, err
	}
	impact, err := s.impact(r)
	if err != nil {
		return api.Decision{}, err
	}
	in, err := s.input(r)
	if err != nil {
		return api.Decision{}, err
	}
	in.Sources = sources
	return planner.Reconsider(in, r, impact)
}

// input is what the planner needs to decide about one rollout again. It rates no
// target. Every rollout of a large plan asks when a doubt ends or its simulation
// does, so all that they have in common is shared: the graph, its targets, and
// where the other rollouts are.
func (s *Service) input(r api.Rollout) (planner.Input, error) {
	library, err := s.policies.Library()
	if err != nil {
		return planner.Input{}, err
	}
	in := planner.Input{Library: library, Open: s.store.Outlines(r.Plan), Now: s.now()}
	in.Patch, _ = s.store.Patch(r.Patch)
	in.Graph, in.Targets = s.graph.Current()
	if library.ReadsInstalled() {
		in.Installed = s.installedIn(r)
	}
	return in, nil
}
