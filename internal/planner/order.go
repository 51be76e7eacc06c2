package planner

import (
	"slices"

	"github.com/oakumhq/oakum/internal/graph"
)

// order says which targets go before which. Every service has two nodes, one
// before its targets and one after them. An edge leads from the node after a
// dependant's targets to the node before the targets of the service that it
// depends on. Services without targets here pass the order on. Strongly connected
// nodes form a group, whose targets have no order among them.
type order struct {
	of      []int32   // by target: its group
	members [][]int   // by group: its targets
	next    [][]int32 // by group: the groups that wait for it, once per edge
	waits   []int     // by group: edges to groups that are not done
	open    []int     // by group: targets that are not done
	tails   []int     // by group: waves that it and the groups after it need, at least
	behind  []int     // by group: waves that the groups after it need, at least
}

// newOrder builds the order of targets from certain edges between services.
func newOrder(services int, certain [][2]int32, servicesOf [][]int32) order {
	targets := len(servicesOf)
	before := func(s int32) int32 { return int32(targets) + 2*s }
	after := func(s int32) int32 { return before(s) + 1 }
	edges := make([][]int32, targets+2*services)
	provided := make([]bool, services)
	link := func(from, to int32) { edges[from] = append(edges[from], to) }
	for t, list := range servicesOf {
		for _, s := range list {
			provided[s] = true
			link(before(s), int32(t))
			link(int32(t), after(s))
		}
	}
	for s := range provided {
		if !provided[s] {
			link(before(int32(s)), after(int32(s)))
		}
	}
	for _, e := range certain {
		link(after(e[0]), before(e[1]))
	}
	group, count := graph.Components(edges)
	o := order{
		of: group[:targets], members: make([][]int, count), next: make([][]int32, count),
		waits: make([]int, count), open: make([]int, count), tails: make([]int, count),
	}
	for t := range targets {
		o.members[group[t]] = append(o.members[group[t]], t)
		o.open[group[t]]++
	}
	for from, list := range edges {
		for _, to := range list {
			if group[from] != group[to] {
				o.next[group[from]] = append(o.next[group[from]], group[to])
				o.waits[group[to]]++
			}
		}
	}
	return o
}

// setTails counts the waves that have to follow each other. Groups in split
// need two waves, others with targets one.
func (o *order) setTails(split map[int32]bool) {
	o.behind = make([]int, len(o.tails))
	// A component has a larger number than the components that it leads to, so the
	// groups after a group are counted before it.
	for g := range o.tails {
		for _, n := range o.next[g] {
			o.behind[g] = max(o.behind[g], o.tails[n])
		}
		o.tails[g] = o.behind[g]
		if len(o.members[g]) > 0 {
			o.tails[g]++
		}
		if split[int32(g)] {
			o.tails[g]++
		}
	}
}

// start returns the targets that wait for nothing.
func (o *order) start() []int {
	var out []int
	for g, waits := range slices.Backward(o.waits) {
		// A release may bring the waits of further groups to zero, and then has
		// released them too.
		if waits == 0 {
			out = append(out, o.release(int32(g))...)
		}
	}
	return out
}

// release makes a group's targets ready. A group without targets releases the
// groups that wait for it.
func (o *order) release(group int32) []int {
	var out []int
	stack := []int32{group}
	for len(stack) > 0 {
		g := stack[len(stack)-1]
		stack = stack[:len(stack)-1]
		o.waits[g] = -1 // released
		if len(o.members[g]) > 0 {
			out = append(out, o.members[g]...)
			continue
		}
		for _, n := range o.next[g] {
			if o.waits[n]--; o.waits[n] == 0 {
				stack = append(stack, n)
			}
		}
	}
	return out
}

// finish marks a target as placed in a wave that is over, and returns the
// targets that become ready with it.
func (o *order) finish(target int) []int {
	g := o.of[target]
	if o.open[g]--; o.open[g] > 0 {
		return nil
	}
	var out []int
	for _, n := range o.next[g] {
		if o.waits[n]--; o.waits[n] == 0 {
			out = append(out, o.release(n)...)
		}
	}
	return out
}
