package planner

import (
	"cmp"
	"slices"
	"time"

	"github.com/oakumhq/oakum/api"
)

// waves orders the targets and packs them.
func waves(graph api.Graph, chosen []candidate) []api.Wave {
	var out []api.Wave
	for _, kind := range phases() {
		var phase []candidate
		for _, c := range chosen {
			if phaseOf(&c.PlannedTarget) == kind {
				phase = append(phase, c)
			}
		}
		if len(phase) == 0 {
			continue
		}
		for _, members := range newSchedule(graph, phase).pack() {
			wave := api.Wave{Number: len(out) + 1, Opens: phase[members[0]].opens}
			for _, m := range members {
				wave.Targets = append(wave.Targets, phase[m].PlannedTarget)
			}
			slices.SortFunc(wave.Targets, func(a, b api.PlannedTarget) int { return a.Target.Compare(b.Target.TargetRef) })
			out = append(out, wave)
		}
	}
	return out
}

// phase is a group of targets that goes before the next one.
type phase int

const (
	exposedPhase phase = iota // most exposed first; edges order nothing
	calleesPhase              // edges order the other way round
	callersPhase
	ordinaryPhase
	criticalPhase
)

func phases() []phase {
	return []phase{exposedPhase, calleesPhase, callersPhase, ordinaryPhase, criticalPhase}
}

func phaseOf(t *api.PlannedTarget) phase {
	switch {
	case exposedFirst(t):
		return exposedPhase
	case t.Decision.Order == api.OrderCalleesFirst:
		return calleesPhase
	case t.Decision.Order == api.OrderCallersFirst:
		return callersPhase
	case t.Decision.Critical:
		return criticalPhase
	}
	return ordinaryPhase
}

// schedule packs the targets of one phase. Its groups are the groups of the order:
// each goes after its predecessors.
type schedule struct {
	targets    []candidate
	groups     order
	neighbours [][]int32 // by service: services joined by a possible edge
	services   [][]int32 // by target
	tails      []int     // by target: waves from its own one to the end, at least
	degrees    []int     // by target: its neighbours, where its group has to be split
	longest    int       // waves in all, at least
}

func newSchedule(graph api.Graph, targets []candidate) *schedule {
	s := &schedule{targets: targets}
	index := make(map[string]int32, len(graph.Services))
	number := func(name string) int32 {
		n, ok := index[name]
		if !ok {
			n = int32(len(index)) // a fleet has far fewer than 2³¹ services
			index[name] = n
		}
		return n
	}
	s.services = make([][]int32, len(targets))
	for i, t := range targets {
		for _, name := range t.Target.Services {
			s.services[i] = append(s.services[i], number(name))
		}
	}
	kind := phaseOf(&targets[0].PlannedTarget)
	var certain, possible [][2]int32
	for _, e := range graph.Edges {
		if e.From == e.To || !e.State.Possible() {
			continue
		}
		pair := [2]int32{number(e.From), number(e.To)}
		possible = append(possible, pair)
		if !e.State.Certain() {
			continue
		}
		switch kind {
		case exposedPhase: // edges say who excludes whom, and no order
		case calleesPhase:
			certain = append(certain, [2]int32{pair[1], pair[0]})
		case callersPhase, ordinaryPhase, criticalPhase:
			certain = append(certain, pair)
		}
	}
	s.neighbours = make([][]int32, len(index))
	for _, p := range possible {
		s.neighbours[p[0]] = append(s.neighbours[p[0]], p[1])
		s.neighbours[p[1]] = append(s.neighbours[p[1]], p[0])
	}
	s.groups = newOrder(len(index), certain, s.services)
	split := s.splits()
	s.groups.setTails(split)
	s.tails = make([]int, len(targets))
	s.degrees = make([]int, len(targets))
	for i := range targets {
		g := s.groups.of[i]
		if split[g] {
			for _, service := range s.services[i] {
				s.degrees[i] += len(s.neighbours[service])
			}
		}
		s.tails[i] = s.groups.behind[g] + 1
		s.longest = max(s.longest, s.groups.tails[g])
	}
	return s
}

// splits finds the groups that need two waves at least, since two of their
// targets exclude each other.
func (s *schedule) splits() map[int32]bool {
	out := map[int32]bool{}
	stamps := newStamps(len(s.neighbours))
	for g, members := range s.groups.members {
		if len(members) < 2 {
			continue
		}
		for _, t := range members {
			exclusive := s.targets[t].Decision.Budget.Neighbours == "exclusive"
			if s.conflicts(t, g+1, exclusive, stamps) {
				out[int32(g)] = true
				break
			}
			for _, service := range s.services[t] {
				stamps.put(service, g+1, exclusive)
			}
		}
	}
	return out
}

// before compares two targets that are ready: the one that goes first is less.
func (s *schedule) before(a, b int) int {
	ta, tb := &s.targets[a], &s.targets[b]
	return cmp.Or(
		-cmp.Compare(s.tails[a], s.tails[b]),
		-cmp.Compare(ta.exposed(), tb.exposed()),
		-cmp.Compare(s.degrees[a], s.degrees[b]), // a circle needs fewer waves when its hubs go first
		cmp.Compare(ta.Criticality.BlastRadius, tb.Criticality.BlastRadius),
		cmp.Compare(ta.Criticality.Score, tb.Criticality.Score),
		ta.Target.Compare(tb.Target.TargetRef),
	)
}

// pack fills one wave after the other. Each wave takes at least one target, so
// that it ends.
func (s *schedule) pack() [][]int {
	var out [][]int
	stamps := newStamps(len(s.neighbours))
	ready := s.groups.start()
	slices.SortFunc(ready, s.before)
	for len(ready) > 0 {
		wave, rest := s.fill(ready, len(out)+1, stamps)
		var released []int
		for _, t := range wave {
			released = append(released, s.groups.finish(t)...)
		}
		slices.SortFunc(released, s.before)
		ready = merge(rest, released, s.before)
		out = append(out, wave)
	}
	return out
}

// fill takes the ready targets that fit into one wave, in their order.
func (s *schedule) fill(ready []int, number int, stamps *stamps) (wave, rest []int) {
	opens := s.earliest(ready)
	room := 0 // 0: no limit yet
	for i, t := range ready {
		c := &s.targets[t]
		if room > 0 && len(wave) >= room {
			return wave, append(rest, ready[i:]...)
		}
		limit := c.Decision.Budget.Targets
		exclusive := c.Decision.Budget.Neighbours == "exclusive"
		fits := c.opens.Equal(opens) && (limit == 0 || len(wave) < limit) && !s.conflicts(t, number, exclusive, stamps)
		if !fits {
			rest = append(rest, t)
			continue
		}
		wave = append(wave, t)
		if limit > 0 && (room == 0 || limit < room) {
			room = limit
		}
		for _, service := range s.services[t] {
			stamps.put(service, number, exclusive)
		}
	}
	return wave, rest
}

// earliest is the first opening time of all; zero means at once.
func (s *schedule) earliest(ready []int) time.Time {
	first := s.targets[ready[0]].opens
	for _, t := range ready {
		if o := s.targets[t].opens; o.Before(first) {
			first = o
		}
	}
	return first
}

// conflicts reports whether a neighbour of the target is in the wave already
// and one of the two excludes neighbours.
func (s *schedule) conflicts(target, number int, exclusive bool, stamps *stamps) bool {
	for _, service := range s.services[target] {
		for _, n := range s.neighbours[service] {
			if stamps.exclusive[n] == number || exclusive && stamps.any[n] == number {
				return true
			}
		}
	}
	return false
}

// stamps remember, by service, the last wave that held a target of it.
type stamps struct {
	any       []int
	exclusive []int // only targets that exclude their neighbours
}

func newStamps(services int) *stamps {
	return &stamps{any: make([]int, services), exclusive: make([]int, services)}
}

func (s *stamps) put(service int32, wave int, exclusive bool) {
	s.any[service] = wave
	if exclusive {
		s.exclusive[service] = wave
	}
}

// merge joins two sorted lists.
func merge(a, b []int, compare func(a, b int) int) []int {
	out := make([]int, 0, len(a)+len(b))
	for len(a) > 0 && len(b) > 0 {
		if compare(a[0], b[0]) <= 0 {
			out, a = append(out, a[0]), a[1:]
		} else {
			out, b = append(out, b[0]), b[1:]
		}
	}
	return append(append(out, a...), b...)
}

// bound is a number of waves that no order of this phase can go below. Its longest
// chain is one such number. Every length of a chain gives another: the waves that
// the targets with at least that many waves behind them take within the budget.
func (s *schedule) bound() int {
	capacity := 0
	for _, t := range s.targets {
		// The largest budget bounds every wave.
		if limit := t.Decision.Budget.Targets; limit == 0 {
			capacity = len(s.targets)
		} else {
			capacity = max(capacity, limit)
		}
	}
	counts := make([]int, s.longest+1)
	for _, tail := range s.tails {
		counts[tail]++
	}
	best, above := s.longest, 0
	for tail := s.longest; tail >= 1; tail-- {
		above += counts[tail]
		if above > 0 {
			best = max(best, (above+capacity-1)/capacity+tail-1)
		}
	}
	return best
}

// Bound returns a number of waves that no plan with these targets in these
// phases can go below.
func Bound(graph api.Graph, plan api.Plan) int {
	sum := 0
	for _, kind := range phases() {
		var phase []candidate
		for _, w := range plan.Waves {
			for _, t := range w.Targets {
				if phaseOf(&t) == kind {
					phase = append(phase, candidate{PlannedTarget: t})
				}
			}
		}
		if len(phase) > 0 {
			sum += newSchedule(graph, phase).bound()
		}
	}
	return sum
}
