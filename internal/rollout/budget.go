package rollout

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/oakumhq/oakum/api"
)

// A budget counts everything that is down, whatever took it: the patch, a node, a drain, a
// deployment of somebody else. A stage takes what is left of it.

// load is how much of a target is away, and how much may be.
type load struct {
	allowed int            // instances that may be away at once; 0 means that there is no limit
	limit   string         // whose limit that is
	count   int            // instances that the group wants
	down    int            // of those, not healthy or not there, or asked for and not shown yet
	forgave int            // of those, down before the rollout, which the limit does not count
	patched int            // patched instances that are not healthy, or not shown yet
	next    []api.Instance // not patched, in the order in which Nomad replaces them
	because string         // what the first of them that is down says
}

// loadOf counts a view. An instance that was asked for and that Nomad does not show yet is
// away too. A budget counts what was down before the rollout as well. The job's own
// max_parallel does not, since Nomad's own updates go on beside it.
func loadOf(r api.Rollout, v JobView) load {
	t, asked := v.Tally(), kept(r)
	if last := lastStage(r); last != nil && r.Effect == nil {
		asked = last.Asked
	}
	late := max(0, asked-t.Patched)
	l := load{
		allowed: mayBeAway(r, v), limit: "the budget", count: v.Count,
		down: Unhealthy(v) + late, patched: t.Patched + late - t.PatchedHealthy,
	}
	if Allowed(r.Decision.Budget, r.Former.Count) == 0 {
		l.limit, l.forgave = "the job's max_parallel", r.Former.Unhealthy
	} else if v.Lost > 0 {
		l.down, l.count, l.because = l.down+v.Lost, l.count+v.Lost, fmt.Sprintf(": %d of them are lost with their nodes", v.Lost)
	}
	for _, in := range v.Instances {
		if in.Build == api.BuildPatched || in.Canary {
			continue
		}
		if in.Health != api.Healthy && l.because == "" {
			l.because = ": " + in.Name + ": " + in.Because
		}
		if v.Early[in.ID] {
			in.Health = api.Healthy // it serves: to take it away costs as much
		}
		l.next = append(l.next, in)
	}
	if n := missing(v); n > 0 && l.because == "" {
		l.because = ": " + unplaced(n, v)
	}
	inOrder(l.next, v.PerNode)
	return l
}

// inOrder sorts instances in the order in which Nomad replaces them. Of a job with one on
// each node nobody knows it, so that the healthy ones go first in it.
func inOrder(list []api.Instance, perNode bool) {
	last := func(in api.Instance) int {
		if perNode && in.Health != api.Healthy {
			return 1
		}
		return 0
	}
	slices.SortStableFunc(list, func(a, b api.Instance) int {
		return cmp.Or(cmp.Compare(last(a), last(b)), cmp.Compare(slot(a), slot(b)))
	})
}

// takes is how many of the next instances may go. One that is down takes nothing away,
// and yet no more patched ones are on their way at once than may be away.
func (l load) takes() int {
	if l.allowed == 0 {
		return len(l.next)
	}
	room, n := l.allowed-max(l.patched, l.down-l.forgave), 0
	for _, in := range l.next[:max(0, min(l.allowed-l.patched, len(l.next)))] {
		if in.Health == api.Healthy {
			if room <= 0 {
				break
			}
			room--
		}
		n++
	}
	return n
}

// full says why no instance may go now; empty when one may.
func (l load) full() string {
	switch {
	case l.allowed == 0, l.takes() > 0:
		return ""
	case l.patched >= l.allowed:
		return fmt.Sprintf("%d patched instances are not healthy and %s is %d", l.patched, l.limit, l.allowed)
	case len(l.next) == 0:
		return ""
	}
	before := ""
	if l.forgave > 0 {
		before = fmt.Sprintf(", %d of them before the rollout,", l.forgave)
	}
	return fmt.Sprintf("%d of %d instances are not healthy%s and %s is %d%s", l.down, l.count, before, l.limit, l.allowed, l.because)
}

// Crowded is the hold of an open stage effect that would take more instances than may be
// away at once, as a view shows it; nil when they may go. Something else may have gone down
// since the effect was intended.
func Crowded(r api.Rollout, v JobView) *api.Hold {
	if r.Effect == nil || r.Effect.Kind != api.EffectStage || r.Stages[r.Effect.Stage-1].Mode != api.StageInPlace || endsCanaries(r) {
		return nil
	}
	l, size := loadOf(r, v), StageSize(r, v)
	switch takes := l.takes(); {
	case takes >= min(size, len(l.next)):
		return nil
	case takes > 0:
		return &api.Hold{Source: sourceBudget, Reason: fmt.Sprintf("stage %d takes %d more instances, %d of %d are not healthy and %s is %d%s",
			r.Effect.Stage, size, l.down, l.count, l.limit, l.allowed, l.because)}
	}
	return &api.Hold{Source: sourceBudget, Reason: l.full()}
}

// crowded is the hold of a stage that has begun and goes on once there is room. What waits
// for patched instances alone is held against the deadline instead.
func (m *machine) crowded(v JobView) []api.Hold {
	last, want := lastStage(m.Rollout), m.wanted()
	if last == nil || last.Mode != api.StageInPlace || v.Build != api.BuildPatched || want == 0 || want >= last.Instances || v.Tally().PatchedHealthy < want {
		return nil
	}
	l := loadOf(m.Rollout, v)
	if why := l.full(); why != "" && l.patched < l.allowed {
		return []api.Hold{{Source: sourceBudget, Reason: why}}
	}
	return nil
}

// full says why the budget has no room for another instance of a stage; empty means that
// it has. The number of healthy instances alone does not decide: a former instance that died
// and came back patched can stand in for one that is still away.
func (m *machine) full(o Observation, mode api.StageMode) string {
	if mode != api.StageInPlace {
		return ""
	}
	return loadOf(m.Rollout, *o.Job).full()
}

// batch opens the effect that moves as many instances as the budget lets be away at
// once. Canaries beside the former instances take nothing away, so they go together. Nor
// does what is left where nothing but missing instances is: those come back patched.
func (m *machine) batch(o Observation, s *api.Stage) {
	want := s.Instances
	if s.Mode == api.StageInPlace {
		if l := loadOf(m.Rollout, *o.Job); len(l.next) > 0 {
			want = min(want, o.Job.Tally().PatchedHealthy+l.patched+l.takes())
		}
	}
	s.Asked = want
	s.Deadline, m.Spans.Batch = m.now.Add(deadline(m.Rollout, *o.Job)), 0 // each batch has its time
	share := fmt.Sprintf(" (%d %%)", s.Percent)
	if s.Percent == 0 {
		share = ", one first" + m.undecidedNote()
	}
	m.enter(api.RolloutRunning, "stage %d: %d of %d instances to the patch%s", s.Number, want, m.Former.Count, share)
	m.intend(api.Effect{Kind: api.EffectStage, Stage: s.Number, Want: want, Expect: o.Job.ModifyIndex})
}

// Allowed is how many of count instances may be away at once, at least 1; 0 means
// that there is no limit. The smaller of the budget's two limits wins.
func Allowed(b api.BudgetSpec, count int) int {
	allowed := b.Instances
	if b.InstancesPercent > 0 {
		if byShare := api.CeilPercent(b.InstancesPercent, count); allowed == 0 || byShare < allowed {
			allowed = byShare
		}
	}
	return allowed
}
