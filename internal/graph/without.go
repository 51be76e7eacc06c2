package graph

import (
	"slices"
	"strings"

	"github.com/oakumhq/oakum/api"
)

// Without lists what the loss of a node, a rack or a volume would affect. place is
// a node's name, "rack/" with a rack's name, or a volume as services list it. It
// returns false when no service is in that place.
func (a *Analysis) Without(place string) (api.GraphWithout, bool) {
	out := api.GraphWithout{Place: place, Down: []string{}, Weakened: []api.LostInstance{}, Certain: []string{}, Possible: []string{}, CutOff: []string{}}
	down := make(map[int32]bool)
	var starts []int32
	known := false
	for v, s := range a.services {
		left, there := leftWithout(s, place)
		switch {
		case !there:
			continue
		case left == 0:
			down[int32(v)] = true
			starts = append(starts, int32(v))
			out.Down = append(out.Down, s.Name)
		default:
			out.Weakened = append(out.Weakened, api.LostInstance{Service: s.Name, Left: left})
		}
		known = true
	}
	if !known {
		return api.GraphWithout{}, false
	}
	lost := func(pair [2]int32) bool {
		return slices.ContainsFunc(a.via[pair], func(g int32) bool { return down[g] })
	}
	sure := make(map[int32]bool)
	for _, v := range a.affected(a.certain, starts, lost, api.EdgeState.Certain) {
		sure[v] = true
		if !down[v] {
			out.Certain = append(out.Certain, a.names[v])
		}
	}
	for _, v := range a.affected(a.possible, starts, lost, api.EdgeState.Possible) {
		if !down[v] && !sure[v] {
			out.Possible = append(out.Possible, a.names[v])
		}
	}
	whole, rest := a.fromEntries(nil, nil), a.fromEntries(down, lost)
	for v, is := range whole {
		if is && !rest[v] && !down[int32(v)] {
			out.CutOff = append(out.CutOff, a.names[v])
		}
	}
	return out, true
}

// affected lists the services that depend on one of the starts or on a lost edge.
func (a *Analysis) affected(g *digraph, starts []int32, lost func(pair [2]int32) bool, counts func(api.EdgeState) bool) []int32 {
	all := slices.Clone(starts)
	for pair := range a.via {
		if counts(a.states[pair]) && lost(pair) {
			all = append(all, pair[0])
		}
	}
	return reachAll(g.in, all, -1)
}

// rackPrefix is the prefix of a place that is a rack.
const rackPrefix = "rack/"

// leftWithout reports whether a service is in a place, and how many other places
// of that kind it has.
func leftWithout(s api.Service, place string) (left int, there bool) {
	if slices.Contains(s.Volumes, place) {
		return 0, true // what needs a volume cannot do without it
	}
	list, name := s.Nodes, place
	if rack, ok := strings.CutPrefix(place, rackPrefix); ok {
		list, name = s.Racks, rack
	}
	if !slices.Contains(list, name) {
		return 0, false
	}
	return len(list) - 1, true
}

// Places lists where services stand: nodes, racks and volumes, sorted.
func Places(services []api.Service) []string {
	var out []string
	for _, s := range services {
		out = append(out, s.Nodes...)
		for _, r := range s.Racks {
			out = append(out, rackPrefix+r)
		}
		out = append(out, s.Volumes...)
	}
	slices.Sort(out)
	return slices.Compact(out)
}
