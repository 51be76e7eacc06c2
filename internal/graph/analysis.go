package graph

import (
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/oakumhq/oakum/api"
)

const (
	// maxListed bounds the lists Dependants and Dominates of one service. A
	// person can read that many, and the ratings of 20,000 services stay small.
	// Impact lists all.
	maxListed = 64
	// maxShared bounds SharedNodesWith of one service.
	maxShared = 16
	// halfRadius is the blast radius that earns half of its weight in a score.
	// The share is r ÷ (r + halfRadius), so it does not depend on the size of the
	// application.
	halfRadius = 4
)

// The largest value of each part of a score. Together they are 1.
const (
	weightRadius   = 0.40
	weightPossible = 0.10
	weightDominate = 0.25
	weightInstance = 0.15
	weightNode     = 0.10
	weightRack     = 0.05 // instead of weightNode: a rack is lost less often than a node
)

// Analysis is a graph with the effect of the loss of each service. Update keeps it
// up to date. Several goroutines must not use it while one updates it.
type Analysis struct {
	names    []string // sorted; the position is the id
	ids      map[string]int32
	services []api.Service // by id
	states   map[[2]int32]api.EdgeState

	certain, possible           *digraph
	certainParts, possibleParts components
	certainRadii, possibleRadii *radii
	entry                       []bool
	tree                        dominators
	dominated                   []int32   // how many each one dominates
	dominatedFirst              [][]int32 // the first of them
	dependants                  [][]int32 // component → the first nodes of its row, one more than is listed
	nodes                       int       // how many nodes there are
	shared                      [][]int32 // the first services on the same nodes
	listed                      []bool    // services that are not only named by an edge

	rated []api.Criticality // by id

	via      map[[2]int32][]int32  // edge → gateways that all of its traffic runs through
	gateways map[int32]bool        // those of via
	losses   map[int32]gatewayLoss // what the loss of each means
	racks    int                   // how many racks there are
}

// Analyse rates every service. A service that only an edge names is rated as one
// without instances. The order of the input does not matter.
func Analyse(services []api.Service, edges []api.Edge) *Analysis {
	a := &Analysis{}
	a.number(services, edges)
	a.states = make(map[[2]int32]api.EdgeState, len(edges))
	for _, e := range edges {
		if e.From != e.To {
			a.states[[2]int32{a.ids[e.From], a.ids[e.To]}] = e.State
		}
	}
	a.through(edges)
	a.compute()
	return a
}

// number gives every service a number.
func (a *Analysis) number(services []api.Service, edges []api.Edge) {
	names := make([]string, 0, len(services)+2*len(edges))
	for _, s := range services {
		names = append(names, s.Name)
	}
	known := make(map[string]struct{}, len(services))
	for _, name := range names {
		known[name] = struct{}{}
	}
	for _, e := range edges {
		for _, name := range append([]string{e.From, e.To}, e.Via...) {
			if _, ok := known[name]; !ok {
				known[name] = struct{}{}
				names = append(names, name)
			}
		}
	}
	slices.Sort(names)
	a.names = slices.Compact(names)
	a.ids = make(map[string]int32, len(a.names))
	for i, name := range a.names {
		a.ids[name] = int32(i)
	}
	a.services = make([]api.Service, len(a.names))
	for i, name := range a.names {
		a.services[i].Name = name
	}
	a.listed = make([]bool, len(a.names))
	for _, s := range services {
		a.services[a.ids[s.Name]] = s
		a.listed[a.ids[s.Name]] = true
	}
}

// compute computes everything from the states of the edges.
func (a *Analysis) compute() {
	n := len(a.names)
	certain, possible := make([][2]int32, 0, len(a.states)), make([][2]int32, 0, len(a.states))
	for pair, state := range a.states {
		if state.Certain() {
			certain = append(certain, pair)
		}
		if state.Possible() {
			possible = append(possible, pair)
		}
	}
	a.certain, a.possible = newDigraph(n, certain), newDigraph(n, possible)
	a.certainParts, a.possibleParts = condense(a.certain), condense(a.possible)

	a.dependants = make([][]int32, len(a.certainParts.members))
	a.certainRadii = spread(a.certain, a.certainParts, func(k int32, offset int, row []uint64) {
		if len(a.dependants[k]) <= maxListed {
			a.dependants[k] = firstBits(a.dependants[k], row, offset, -1, maxListed+1)
		}
	})
	a.possibleRadii = spread(a.possible, a.possibleParts, nil)
	a.entry = entries(a.possible, a.possibleParts)
	for v := range a.entry {
		a.entry[v] = a.entry[v] && !a.inBetween(int32(v))
	}
	a.dominate()
	a.gatewayLosses()
	a.shared, a.nodes = shareNodes(a.services)
	a.racks = countRacks(a.services)
	a.rated = make([]api.Criticality, n)
	for v := range int32(n) {
		a.rated[v] = a.rate(v)
	}
}

func (a *Analysis) dominate() {
	a.tree = dominate(a.certain, a.entry)
	a.dominated, a.dominatedFirst = a.tree.listings(maxListed)
}

// entries marks the members of every component that no node outside of it calls.
func entries(g *digraph, c components) []bool {
	entry := make([]bool, g.size())
	for k := range c.members {
		if calledFromOutside(g, c, int32(k)) {
			continue
		}
		for _, v := range c.members[k] {
			entry[v] = true
		}
	}
	return entry
}

// inBetween reports whether a service is only a gateway of other edges. Such a
// service is no entry: the requests come from the callers of those edges.
func (a *Analysis) inBetween(v int32) bool {
	return a.gateways[v] && len(a.possible.out[v]) == 0
}

func calledFromOutside(g *digraph, c components, k int32) bool {
	for _, v := range c.members[k] {
		for _, u := range g.in[v] {
			if c.of[u] != k {
				return true
			}
		}
	}
	return false
}

// rate computes the criticality of one service.
func (a *Analysis) rate(v int32) api.Criticality {
	part := a.certainParts.of[v]
	s := a.services[v]
	c := api.Criticality{
		Service:         a.names[v],
		BlastRadius:     int(a.certainRadii.size[part]) - 1,
		BlastRadiusMax:  int(a.possibleRadii.size[a.possibleParts.of[v]]) - 1,
		Dependants:      a.list(a.dependants[part], v),
		Dominates:       a.list(a.dominatedFirst[v], v),
		SingleInstance:  s.Instances == 1,
		Component:       int(a.certainParts.members[part][0]) + 1,
		SharedNodesWith: a.list(a.shared[v], v),
	}
	dominated := int(a.dominated[v])
	if g, ok := a.losses[v]; ok {
		c.BlastRadius, c.BlastRadiusMax = len(g.certain), len(g.possible)
		c.Dependants, c.Dominates = a.list(g.certain, v), a.list(g.dominated, v)
		dominated = len(g.dominated)
	}
	alone := c.SingleInstance && c.BlastRadius > 0
	c.SinglePoint = dominated > 0 || alone
	c.Parts = a.parts(v, c, dominated, alone)
	for _, p := range c.Parts {
		c.Score += p.Value
	}
	c.Score = round(c.Score)
	return c
}

// parts are the parts of a score that are not zero.
func (a *Analysis) parts(v int32, c api.Criticality, dominated int, alone bool) []api.Part {
	parts := make([]api.Part, 0, 3)
	if r := c.BlastRadius; r > 0 {
		parts = append(parts, api.Part{Name: "blast_radius", Value: saturate(weightRadius, r),
			Reason: fmt.Sprintf("%s on it, directly or through others", plural(r, "service depends", "services depend"))})
	}
	if more := c.BlastRadiusMax - c.BlastRadius; more > 0 {
		parts = append(parts, api.Part{Name: "possible_radius", Value: saturate(weightPossible, more),
			Reason: fmt.Sprintf("%s on it as declared, without traffic as proof", plural(more, "more may depend", "more may depend"))})
	}
	if dominated > 0 {
		parts = append(parts, api.Part{Name: "single_point", Value: weightDominate,
			Reason: fmt.Sprintf("every path to %s runs through it", behind(c, dominated))})
	}
	if alone {
		parts = append(parts, api.Part{Name: "single_instance", Value: weightInstance, Reason: "it has one instance, and others depend on it"})
	}
	return append(parts, a.onePlace(v, c)...)
}

// onePlace is the part for a service whose instances are all on one node or in one
// rack.
func (a *Analysis) onePlace(v int32, c api.Criticality) []api.Part {
	s := a.services[v]
	switch {
	case s.Instances < 2 || c.BlastRadius == 0:
		return nil
	case a.nodes > 1 && len(s.Nodes) == 1:
		return []api.Part{{Name: "single_node", Value: weightNode, Reason: fmt.Sprintf("its %d instances all run on node %s", s.Instances, s.Nodes[0])}}
	case a.racks > 1 && len(s.Racks) == 1:
		return []api.Part{{Name: "single_rack", Value: weightRack, Reason: fmt.Sprintf("its %d instances all stand in rack %s", s.Instances, s.Racks[0])}}
	}
	return nil
}

// countRacks counts the racks that services stand in.
func countRacks(services []api.Service) int {
	seen := make(map[string]struct{})
	for _, s := range services {
		for _, r := range s.Racks {
			seen[r] = struct{}{}
		}
	}
	return len(seen)
}

// behind names the services that one dominates. It counts them when there are more
// than three.
func behind(c api.Criticality, count int) string {
	if count > 3 {
		return fmt.Sprintf("%d services", count)
	}
	return strings.Join(c.Dominates, ", ")
}

// list turns ids into at most maxListed names, without self.
func (a *Analysis) list(ids []int32, self int32) []string {
	if len(ids) == 0 || (len(ids) == 1 && ids[0] == self) {
		return nil
	}
	names := make([]string, 0, min(len(ids), maxListed))
	for _, id := range ids {
		if id != self && len(names) < maxListed {
			names = append(names, a.names[id])
		}
	}
	return names
}

func saturate(weight float64, r int) float64 {
	return round(weight * float64(r) / float64(r+halfRadius))
}

// round rounds to four digits, so that the printed parts add up to the printed
// score.
func round(x float64) float64 { return math.Round(x*1e4) / 1e4 }

func plural(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, many)
}

// Criticality returns the rating of every service, sorted by name. The caller
// must not change what the slices in it hold.
func (a *Analysis) Criticality() []api.Criticality { return slices.Clone(a.rated) }

// Service returns the rating of one service.
func (a *Analysis) Service(name string) (api.Criticality, bool) {
	v, ok := a.ids[name]
	if !ok {
		return api.Criticality{}, false
	}
	return a.rated[v], true
}

// Impact lists the services that the loss of one affects: its dependants over
// certain edges, and further ones over possible edges.
func (a *Analysis) Impact(name string) (api.GraphImpact, bool) {
	v, ok := a.ids[name]
	if !ok {
		return api.GraphImpact{}, false
	}
	impact := api.GraphImpact{Service: name, Certain: []string{}, Possible: []string{}, Criticality: a.rated[v]}
	certain, possible := reach(a.certain.in, v), reach(a.possible.in, v)
	if g, ok := a.losses[v]; ok {
		certain, possible = g.certain, g.possible
	}
	sure := make(map[int32]bool)
	for _, u := range certain {
		sure[u] = true
		impact.Certain = append(impact.Certain, a.names[u])
	}
	for _, u := range possible {
		if !sure[u] {
			impact.Possible = append(impact.Possible, a.names[u])
		}
	}
	return impact, true
}

// Neighbours lists the services that a possible edge joins to one, in either
// direction.
func (a *Analysis) Neighbours(name string) []string {
	v, ok := a.ids[name]
	if !ok {
		return nil
	}
	ids := slices.Concat(a.possible.out[v], a.possible.in[v])
	slices.Sort(ids)
	ids = slices.Compact(ids)
	names := make([]string, len(ids))
	for i, id := range ids {
		names[i] = a.names[id]
	}
	return names
}

// Chained lists the services that depend on one, and those that it depends on, directly or
// through others, over certain edges.
func (a *Analysis) Chained(name string) []string {
	v, ok := a.ids[name]
	if !ok {
		return nil
	}
	ids := slices.Concat(reach(a.certain.in, v), reach(a.certain.out, v))
	slices.Sort(ids)
	ids = slices.Compact(ids)
	names := make([]string, len(ids))
	for i, id := range ids {
		names[i] = a.names[id]
	}
	return names
}

// Around lists the targets of the services that a possible edge joins to one: the
// callers' targets first, then the callees'. Each is listed once, sorted by its
// service's name.
func (a *Analysis) Around(name string) []api.TargetRef {
	v, ok := a.ids[name]
	if !ok {
		return nil
	}
	var refs []api.TargetRef
	for _, side := range [][]int32{a.possible.in[v], a.possible.out[v]} {
		for _, id := range slices.Sorted(slices.Values(side)) { // ids are in the order of the names
			for _, ref := range a.services[id].Targets {
				if !slices.Contains(refs, ref) {
					refs = append(refs, ref)
				}
			}
		}
	}
	return refs
}

// Depends lists the targets of the services that one depends on, directly or through others,
// and those of the services that depend on it, over possible edges.
func (a *Analysis) Depends(name string) (callees, callers []api.TargetRef) {
	v, ok := a.ids[name]
	if !ok {
		return nil, nil
	}
	targets := func(ids []int32) (refs []api.TargetRef) {
		for _, id := range ids {
			refs = append(refs, a.services[id].Targets...)
		}
		return refs
	}
	return targets(reach(a.possible.out, v)), targets(reach(a.possible.in, v))
}

// Entries lists the services that are entries, sorted.
func (a *Analysis) Entries() []string {
	var names []string
	for v, is := range a.entry {
		if is {
			names = append(names, a.names[v])
		}
	}
	return names
}

// shareNodes lists for each service the first services that have an instance on
// one of its nodes, and counts the nodes. With a single node the lists are empty,
// since sharing it says nothing.
func shareNodes(services []api.Service) (shared [][]int32, nodes int) {
	ids := make(map[string]int32)
	var on [][]int32 // node → services, ascending
	at := make([][]int32, len(services))
	for v, s := range services {
		at[v] = make([]int32, 0, len(s.Nodes))
		for _, name := range s.Nodes {
			id, ok := ids[name]
			if !ok {
				id = int32(len(on))
				ids[name] = id
				on = append(on, nil)
			}
			if len(on[id]) <= maxShared { // the first ones without oneself are among these
				on[id] = append(on[id], int32(v))
			}
			at[v] = append(at[v], id)
		}
	}
	shared = make([][]int32, len(services))
	if len(on) < 2 {
		return shared, len(on)
	}
	var first [maxShared]int32
	for v := range services {
		n := 0
		for _, node := range at[v] {
			n = insertShared(&first, n, on[node], int32(v))
		}
		shared[v] = slices.Clone(first[:n])
	}
	return shared, len(on)
}

// insertShared inserts an ascending list, without skip, into the first n members
// of another one. It returns the new number of members, which are unique.
func insertShared(first *[maxShared]int32, n int, list []int32, skip int32) int {
	for _, id := range list {
		if n == maxShared && id >= first[n-1] {
			break
		}
		at, found := slices.BinarySearch(first[:n], id)
		if found || id == skip {
			continue
		}
		n = min(n+1, maxShared)
		copy(first[at+1:n], first[at:n-1])
		first[at] = id
	}
	return n
}
