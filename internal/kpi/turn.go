package kpi

import (
	"slices"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/internal/graph"
)

const (
	// instancesPerRound is about how many instances one round reads: the 18 series of
	// each come to about five megabytes of answers. A larger fleet takes turns. The
	// targets that are asked for first have turns of their own, so that a round reads
	// twice as many at most.
	instancesPerRound = 2_000
	// statsPerRound is how many allocations are asked for their usage in one round.
	// Each costs two requests to Nomad, which are passed on to a client.
	statsPerRound = 200
	// statsPerTarget is how many allocations of one target are asked for their usage in
	// one round: eight give the mean to about a third of one instance's deviation.
	statsPerTarget = 8
)

// turns goes round a list of targets, and takes as many at a time as make up a round.
type turns struct {
	next api.TargetRef // where the turn after the present one begins
	from api.TargetRef // where the present one began
	left int           // rounds of the present turn
}

// take returns the targets whose turn it is, for so many rounds in a row: all of them
// when they fit.
func (t *turns) take(all []visit, rounds int) []visit {
	if instancesOf(all) <= instancesPerRound {
		return all
	}
	if t.left == 0 {
		t.from, t.left = t.next, rounds
	}
	t.left--
	at, _ := slices.BinarySearchFunc(all, t.from, func(v visit, ref api.TargetRef) int { return v.target.Compare(ref) })
	var out []visit
	for count := 0; len(out) < len(all); at++ {
		v := all[at%len(all)]
		if count > 0 && count+len(v.ids) > instancesPerRound { // a turn of targets without instances would be none
			break
		}
		out, count = append(out, v), count+len(v.ids)
	}
	t.next = all[at%len(all)].target.TargetRef
	return out
}

// visit is a target in one round, with its instances that count, sorted.
type visit struct {
	target api.Target
	ids    []string
}

// instancesOf is how many instances some targets have together.
func instancesOf(visits []visit) int {
	n := 0
	for _, v := range visits {
		n += len(v.ids)
	}
	return n
}

// visits lists the targets of a round, and the instances to ask for. No instances mean
// the whole fleet.
func (s *Sampler) visits(layout graph.Layout, excluded map[string]bool, ask Ask) (out []visit, ids []string) {
	healthy := make(map[api.TargetRef][]string, len(layout.Targets))
	for _, in := range layout.Instances {
		if in.Healthy && !excluded[in.ID] {
			healthy[in.Target] = append(healthy[in.Target], in.ID)
		}
	}
	var near, far []visit
	for _, t := range layout.Targets {
		v := visit{target: t, ids: healthy[t.TargetRef]}
		slices.Sort(v.ids)
		if ask.First[t.TargetRef] {
			near = append(near, v)
		} else {
			far = append(far, v)
		}
	}
	out = append(s.near.take(near, ask.Turn), s.far.take(far, ask.Turn)...)
	if len(out) == len(near)+len(far) {
		return out, nil
	}
	for _, v := range out {
		ids = append(ids, v.ids...)
	}
	return out, ids
}

// asked lists the allocations of a target that are asked for their usage, as far as the
// round has requests left. Of a large target it lists others each time.
func (s *Sampler) asked(ids []string) []string {
	if len(ids) > statsPerTarget {
		from := s.turn * statsPerTarget % len(ids)
		ids = append(slices.Clone(ids[from:]), ids[:from]...)[:statsPerTarget]
	}
	ids = ids[:min(len(ids), s.statsLeft)]
	s.statsLeft -= len(ids)
	return ids
}

// forget drops the usage of allocations that are gone.
func (s *Sampler) forget(layout graph.Layout) {
	if len(s.used) <= 2*len(layout.Instances) {
		return
	}
	alive := make(map[string]bool, len(layout.Instances))
	for _, in := range layout.Instances {
		alive[in.ID] = true
	}
	for id := range s.used {
		if !alive[id] {
			delete(s.used, id)
		}
	}
}
