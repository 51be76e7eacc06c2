package profiler

import (
	"slices"
	"time"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/internal/graph"
)

const (
	// instancesPerRound is about how many instances one round looks at: the 18
	// series of each come to about five megabytes of answers. Fleets that are
	// larger take turns; what is next to a rollout has turns of its own, so that a
	// round looks at twice as many at most.
	instancesPerRound = 2_000
	// turnRounds is how long a target's turn lasts, in rounds: increments begin with
	// the second, and a minute and one sample close a window.
	turnRounds = recentSamples + 2
	// statsPerRound is how many allocations are asked for their usage in one round,
	// and twice as many requests to Nomad, each passed on to a client.
	statsPerRound = 200
)

// turns goes round a list of targets, as many at a time as make up a round.
type turns struct {
	next api.TargetRef // where the turn after the present one begins
	from api.TargetRef // where the present one began
	left int           // rounds of the present turn
}

// take returns the targets whose turn it is: all of them when they fit.
func (t *turns) take(all []visit) []visit {
	count := 0
	for _, v := range all {
		count += len(v.ids)
	}
	if count <= instancesPerRound {
		return all
	}
	if t.left == 0 {
		t.from, t.left = t.next, turnRounds
	}
	t.left--
	at, _ := slices.BinarySearchFunc(all, t.from, func(v visit, ref api.TargetRef) int { return v.target.Compare(ref) })
	var out []visit
	for count = 0; len(out) < len(all); at++ {
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

// visits lists the targets of a round, and the instances to ask for: none means
// those of the whole fleet. The targets that a rollout is beside come first.
func (r *round) visits(layout graph.Layout, excluded map[string]bool, beside map[api.TargetRef]time.Time) (out []visit, ids []string) {
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
		if beside[t.TargetRef].IsZero() {
			far = append(far, v)
		} else {
			near = append(near, v)
		}
	}
	out = append(r.near.take(near), r.far.take(far)...)
	if len(out) == len(near)+len(far) {
		return out, nil
	}
	for _, v := range out {
		ids = append(ids, v.ids...)
	}
	return out, ids
}

// asked lists the allocations of a target that are asked for their usage, out of
// those that a round has left: of a large target others each time.
func (r *round) asked(ids []string) []string {
	if len(ids) > statsPerTarget {
		from := r.turn * statsPerTarget % len(ids)
		ids = append(slices.Clone(ids[from:]), ids[:from]...)[:statsPerTarget]
	}
	ids = ids[:min(len(ids), r.statsLeft)]
	r.statsLeft -= len(ids)
	return ids
}

// forget drops what is known of allocations that are gone.
func (r *round) forget(layout graph.Layout) {
	if len(r.usage) <= 2*len(layout.Instances) {
		return
	}
	alive := make(map[string]bool, len(layout.Instances))
	for _, in := range layout.Instances {
		alive[in.ID] = true
	}
	for id := range r.usage {
		if !alive[id] {
			delete(r.usage, id)
		}
	}
}
