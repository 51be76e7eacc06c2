package mapper

import (
	"slices"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/internal/graph"
)

// foldScraped takes out services that are only further ports of a target, such as that
// of an exporter beside the service: nobody is known to call them, they call nobody, and
// every target that they belong to has another service that does either. What shares a
// node with them shares it with that other service as well. One that is called one day
// is in the graph from then on.
func (r *recorded) foldScraped() {
	used := make(map[string]bool)
	for pair, e := range r.edges {
		if e.State != api.EdgeShared {
			used[pair.From], used[pair.To] = true, true
		}
	}
	others := make(map[api.TargetRef]bool) // targets with a service that is used
	for name, s := range r.services {
		if used[name] {
			for _, ref := range s.Targets {
				others[ref] = true
			}
		}
	}
	folded := make(map[string]bool)
	for name, s := range r.services {
		if s.Kind == "" && !used[name] && len(s.Targets) > 0 &&
			!slices.ContainsFunc(s.Targets, func(ref api.TargetRef) bool { return !others[ref] }) {
			folded[name] = true
		}
	}
	for name := range folded {
		delete(r.services, name)
	}
	for pair := range r.edges {
		if folded[pair.From] || folded[pair.To] {
			delete(r.edges, graph.Pair{From: pair.From, To: pair.To})
		}
	}
}
