package fleet

import (
	"cmp"
	"slices"
	"time"
)

// The scheduler's reconciliation of one group, as a decision: what is there and
// what is wanted in, what has to be done out.

// Why the scheduler stops an allocation, as Nomad says it in Alloc.Description.
const (
	StopNotNeeded   = "alloc not needed due to job update"
	StopUpdating    = "alloc is being updated due to job update"
	StopMigrating   = "alloc is being migrated"
	StopLost        = "alloc is lost since its node is down"
	StopRescheduled = "alloc was rescheduled because it failed"
)

// situation is the state of a group when an evaluation begins.
type situation struct {
	job        *Job
	group      *Group      // of job; nil when it has none of this name, or is stopped
	allocs     []*Alloc    // current ones of the group
	deployment *Deployment // of this version of the job; nil when there is none
	now        time.Time
}

// stopping is an allocation that has to stop, and why.
type stopping struct {
	alloc *Alloc
	why   string
}

// placement is an allocation that has to be placed.
type placement struct {
	job         *Job // version
	group       string
	slot        int
	canary      bool
	previous    *Alloc // what it replaces; nil when there is none
	stops       string // why previous stops once there is a place; empty when it has stopped already
	rescheduled bool
	node        *Node  // the only one that will do; nil means any
	older       bool   // in the version that ran before the canaries
	counts      string // ID of that version's deployment
}

// changes is what has to be done about a group.
type changes struct {
	stop        []stopping
	place       []placement // in order
	inPlace     []*Alloc
	destructive int       // instances that have to be replaced, those of place included
	replaced    int       // of those, how many this evaluation replaces
	canaries    int       // that are placed
	migrated    int       // that are placed
	ignore      int       // instances that stay as they are
	later       time.Time // when a failed one may be replaced; zero means none waits
	total       int       // for a new deployment
	complete    bool      // the deployment has nothing left to do
}

// sorted holds a group's allocations by what the scheduler does with them.
type sorted struct {
	situation
	state                          *DeploymentGroup // nil when there is none
	out                            changes
	rest, canaries, migrate        []*Alloc
	lost, retry, fresh             []*Alloc
	destructive                    []*Alloc
	paused, failed, canarying, ask bool
}

// decide is the reconciliation.
func decide(in situation) changes {
	if in.group == nil {
		var out changes
		for _, a := range in.allocs {
			out.stop = append(out.stop, stopping{a, StopNotNeeded})
		}
		return out
	}
	s := &sorted{situation: in}
	if d := in.deployment; d != nil {
		s.state = d.Groups[in.group.Name]
		s.paused, s.failed = d.Status == DeployPaused, d.Status == DeployFailed
	}
	s.canarying = s.state != nil && s.state.unpromoted()
	s.sort()
	s.shrink()
	s.update()
	if s.canarying {
		s.rest = without(s.rest, s.canaries)
	}
	s.canary()
	s.fill()
	s.finish()
	return s.out
}

// sort divides the allocations into lists, and stops the canaries of another
// deployment, of a failed one, and of lost or drained nodes.
func (s *sorted) sort() {
	for _, a := range s.allocs {
		ours := s.deployment != nil && a.Deployment == s.deployment.ID
		tainted := a.Node.Status == NodeDown || a.migrate
		switch {
		case a.Canary && (!ours || s.failed):
			s.out.stop = append(s.out.stop, stopping{a, StopNotNeeded})
		case a.Canary && a.Node.Status == NodeDown:
			s.out.stop = append(s.out.stop, stopping{a, StopLost})
		case a.Canary && a.migrate:
			s.out.stop = append(s.out.stop, stopping{a, StopMigrating})
		case a.Client == ClientComplete: // of a batch job
			s.rest = append(s.rest, a)
		case a.Node.Status == NodeDown:
			s.lost = append(s.lost, a)
			s.out.stop = append(s.out.stop, stopping{a, StopLost})
		case a.migrate:
			s.migrate = append(s.migrate, a)
		case a.Client == ClientFailed && s.retries(a):
			s.retry = append(s.retry, a)
		default:
			s.rest = append(s.rest, a)
		}
		if a.Canary && ours && !s.failed && !tainted {
			s.canaries = append(s.canaries, a)
		}
	}
}

// retries reports whether a failed allocation is replaced now. It notes when
// one will be.
func (s *sorted) retries(a *Alloc) bool {
	if a.retry.IsZero() {
		return false
	}
	if a.retry.After(s.now) {
		if s.out.later.IsZero() || a.retry.Before(s.out.later) {
			s.out.later = a.retry
		}
		return false
	}
	return true
}

// shrink stops the allocations beyond the group's count: first failed ones, then
// those with the name of a promoted canary, then those that migrate, then the
// highest slots.
func (s *sorted) shrink() {
	base, retry := s.rest, s.retry
	if s.canarying {
		base, retry = without(base, s.canaries), without(retry, s.canaries)
	}
	list := slices.Concat(base, s.migrate, retry)
	remove := len(list) - s.group.Count
	if remove <= 0 {
		return
	}
	promoted := map[int]bool{}
	if s.state != nil && !s.canarying {
		for _, a := range base {
			if slices.Contains(s.state.PlacedCanaries, a.ID) {
				promoted[a.Slot] = true
			}
		}
	}
	rank := func(a *Alloc) int {
		switch {
		case a.Client == ClientFailed:
			return 0
		case promoted[a.Slot] && !slices.Contains(s.state.PlacedCanaries, a.ID):
			return 1
		case a.migrate:
			return 2
		}
		return 3
	}
	slices.SortStableFunc(list, func(a, b *Alloc) int { return cmp.Or(cmp.Compare(rank(a), rank(b)), b.Slot-a.Slot) })
	gone := list[:remove]
	for _, a := range gone {
		s.out.stop = append(s.out.stop, stopping{a, StopNotNeeded})
	}
	s.rest, s.migrate, s.retry = without(s.rest, gone), without(s.migrate, gone), without(s.retry, gone)
}

// update decides which allocations stay, which get the new version in place, and
// which are replaced.
func (s *sorted) update() {
	for _, a := range s.rest {
		switch {
		case a.Job == s.job || (a.Client == ClientComplete && s.job.Type != TypeService):
			s.out.ignore++
			if a.Job == s.job {
				s.fresh = append(s.fresh, a)
			}
		case a.Group.Spec != s.group.Spec:
			s.destructive = append(s.destructive, a)
		case a.ended(): // failed, and not to be replaced yet
			s.out.ignore++
		default:
			s.out.inPlace = append(s.out.inPlace, a)
		}
	}
	slices.SortStableFunc(s.destructive, bySlot)
	s.out.destructive = len(s.destructive)
	s.out.total = len(s.destructive) + len(s.out.inPlace)
}

// canary places canaries when allocations have to be replaced.
func (s *sorted) canary() {
	if !s.group.deploys(s.job.Type) {
		return
	}
	promoted := s.state != nil && s.state.Promoted
	want := s.group.Update.Canary
	if s.ask = len(s.destructive) > 0 && len(s.canaries) < want && !promoted; !s.ask {
		return
	}
	s.canarying = true
	if s.paused || s.failed {
		return
	}
	used := map[int]bool{}
	for _, a := range s.canaries {
		used[a.Slot] = true
	}
	free := func(slot int) bool { return !used[slot] }
	add := func(slot int) {
		used[slot] = true
		s.out.place = append(s.out.place, placement{job: s.job, group: s.group.Name, slot: slot, canary: true})
		s.out.canaries++
	}
	need := want - len(s.canaries)
	for _, a := range s.destructive {
		if s.out.canaries < need && free(a.Slot) {
			add(a.Slot)
		}
	}
	for slot := s.group.Count; s.out.canaries < need; slot++ {
		if free(slot) {
			add(slot)
		}
	}
}

// limit is how many instances may be replaced now: max_parallel, less the
// deployment's instances that nobody has marked as healthy.
func (s *sorted) limit() int {
	if !s.group.deploys(s.job.Type) {
		return len(s.destructive) + len(s.migrate)
	}
	n := s.group.Update.MaxParallel
	for _, a := range s.rest {
		switch {
		case s.deployment == nil || a.Deployment != s.deployment.ID:
		case a.Health == HealthBad:
			return 0
		case a.Health == HealthUnknown:
			n--
		}
	}
	return max(0, n)
}

// fill replaces lost and failed allocations, places missing ones, and replaces
// those of another specification up to the limit. While the deployment is paused,
// has failed or waits for a promotion, it only keeps up the number of instances
// that there were.
func (s *sorted) fill() {
	open := !s.paused && !s.failed && !s.canarying
	limit := s.limit()
	var place []placement
	for _, a := range s.retry {
		part := s.failed && a.Deployment == s.deployment.ID
		if open || !part {
			p := s.replacement(a, StopRescheduled)
			p.rescheduled = true
			place = append(place, p)
		} else {
			s.out.ignore++
		}
	}
	have := len(s.rest) + len(s.migrate) + len(s.retry)
	for _, a := range s.lost {
		if have >= s.group.Count {
			break
		}
		have++
		place = append(place, s.replacement(a, ""))
	}
	if open {
		used := map[int]bool{}
		for _, a := range slices.Concat(s.rest, s.migrate, s.retry, s.lost) {
			used[a.Slot] = true
		}
		for slot := 0; have < s.group.Count; slot++ {
			if !used[slot] {
				have++
				place = append(place, placement{job: s.job, group: s.group.Name, slot: slot})
			}
		}
		limit -= min(len(place), limit)
	}
	s.out.total += len(place)
	s.out.place = append(s.out.place, place...)
	if open {
		for _, a := range s.destructive[:min(limit, len(s.destructive))] {
			s.out.place = append(s.out.place, s.replacement(a, StopUpdating))
			s.out.replaced++
		}
	}
	s.out.ignore += len(s.destructive) - s.out.replaced
	for _, a := range s.migrate {
		s.out.place = append(s.out.place, s.replacement(a, StopMigrating))
		s.out.migrated++
	}
}

// replacement is what comes in the place of an allocation.
func (s *sorted) replacement(a *Alloc, why string) placement {
	return placement{
		job: s.job, group: s.group.Name, slot: a.Slot, canary: a.Canary, previous: a, stops: why,
		older: s.canarying && !a.Canary && why != StopUpdating,
	}
}

// finish says whether the deployment is through.
func (s *sorted) finish() {
	quiet := len(s.destructive)+len(s.out.inPlace)+len(s.out.place)+len(s.retry) == 0 && s.out.later.IsZero() && !s.ask
	s.out.complete = quiet && (s.state == nil ||
		(s.state.Healthy >= max(s.state.DesiredTotal, s.state.DesiredCanaries) && !s.state.unpromoted()))
}

// without is list less those in drop.
func without(list, drop []*Alloc) []*Alloc {
	if len(drop) == 0 {
		return list
	}
	var out []*Alloc
	for _, a := range list {
		if !slices.Contains(drop, a) {
			out = append(out, a)
		}
	}
	return out
}
