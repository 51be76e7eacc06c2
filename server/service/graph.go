package service

import (
	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/internal/graph"
	"github.com/oakumhq/oakum/internal/planner"
)

// Graph returns the graph as people see it: with criticality, the confidence of
// every edge now, and of every target whether the policies call it critical.
func (s *Service) Graph() api.Graph {
	g, targets := s.graph.Current()
	now := s.now()
	g.Edges = graph.Age(g.Edges, now, s.opt.HalfLife)
	library, err := s.policies.Library()
	if err != nil {
		s.log.Warn("rate targets", "error", err)
		return g
	}
	g.Targets = planner.Views(library, targets, g, now)
	return g
}

// Impact says what would suffer without a service. It reports false when the
// graph does not know the service.
func (s *Service) Impact(service string) (api.GraphImpact, bool) { return s.graph.Impact(service) }

// Without says what would suffer if a node, a rack or a volume were lost. It
// reports false when no service stands there.
func (s *Service) Without(place string) (api.GraphWithout, bool) { return s.graph.Without(place) }
