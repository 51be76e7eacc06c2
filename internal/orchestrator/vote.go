package orchestrator

import (
	"fmt"
	"slices"
	"time"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/internal/judge"
)

// ballot is what a vote goes by: the rollouts that are under way, what each of
// them reached, and which instances of that got worse.
type ballot struct {
	rollouts []api.Rollout // each with a stage and its newest verdict
	changes  []judge.Change
	reached  []map[api.TargetRef]bool // by rollout: its own target and those around
	faults   []judge.Fault
	at       time.Time
}

// newBallot looks at all rollouts; open may contain r, whose verdict is the newest.
func newBallot(r api.Rollout, open []api.Rollout, around func(api.TargetRef) []api.Target) ballot {
	b := ballot{rollouts: []api.Rollout{r}, at: r.Verdict.At}
	for _, other := range open {
		if other.ID != r.ID && begun(other) {
			b.rollouts = append(b.rollouts, other)
		}
	}
	worse := map[api.TargetRef]time.Time{}
	for _, x := range b.rollouts {
		b.faults = append(b.faults, faultsOf(x)...)
		for _, e := range lastNeighbours(x) { // whoever saw it first is right
			if at, ok := worse[e.Target]; !ok || e.Since.Before(at) {
				worse[e.Target] = e.Since
			}
		}
	}
	counted := map[api.TargetRef]bool{}
	for _, x := range b.rollouts {
		c := judge.Change{ID: x.ID}
		for _, s := range x.Stages {
			c.Began = append(c.Began, s.Began)
		}
		for _, in := range x.Instances {
			if in.Build == api.BuildPatched {
				c.Reached = append(c.Reached, in.ID)
			}
		}
		reached := map[api.TargetRef]bool{x.Target: true}
		for _, t := range around(x.Target) {
			reached[t.TargetRef] = true
			instances := b.instances(t)
			c.Reached = append(c.Reached, instances...)
			if at, ok := worse[t.TargetRef]; ok && !counted[t.TargetRef] && on(b.rollouts, t.TargetRef) == nil {
				counted[t.TargetRef] = true
				for _, id := range instances {
					b.faults = append(b.faults, judge.Fault{Instance: id, At: at})
				}
			}
		}
		b.changes, b.reached = append(b.changes, c), append(b.reached, reached)
	}
	return b
}

// on is the rollout that is under way on a target; nil when none is.
func on(rollouts []api.Rollout, ref api.TargetRef) *api.Rollout {
	i := slices.IndexFunc(rollouts, func(r api.Rollout) bool { return r.Target == ref && begun(r) })
	if i < 0 {
		return nil
	}
	return &rollouts[i]
}

// instances names those of a target. Which is which does not matter where it has
// no rollout: it is well or not as a whole.
func (b *ballot) instances(t api.Target) []string {
	var ids []string
	if r := on(b.rollouts, t.TargetRef); r != nil {
		for _, in := range r.Instances {
			ids = append(ids, in.ID)
		}
		return ids
	}
	for i := range max(1, t.Count) {
		ids = append(ids, fmt.Sprintf("%s#%d", t.TargetRef, i))
	}
	return ids
}

// explain votes on which of the rollouts that reach a target explains what got
// worse there, best first.
func (b *ballot) explain(ref api.TargetRef) []api.Blame {
	var near []judge.Change
	targets := map[string]api.TargetRef{}
	for i, c := range b.changes {
		if b.reached[i][ref] {
			near, targets[c.ID] = append(near, c), b.rollouts[i].Target
		}
	}
	var votes []api.Blame
	for _, v := range judge.Explain(near, b.faults, b.at) {
		if v.Score > 0 {
			votes = append(votes, api.Blame{Rollout: v.ID, Target: targets[v.ID], Score: v.Score, Share: v.Spatial, Faults: v.Faults})
		}
	}
	return votes
}

// faultsOf are the fault signals of a rollout's target: of all its instances when
// both arms got worse, else of the patched ones when they are judged bad.
func faultsOf(r api.Rollout) []judge.Fault {
	if r.Verdict == nil {
		return nil
	}
	first := firstWorse(r)
	var faults []judge.Fault
	for _, in := range r.Instances {
		switch {
		case first != nil:
			faults = append(faults, judge.Fault{Instance: in.ID, At: first.Worse})
		case r.Verdict.Kind == api.VerdictAbort && in.Build == api.BuildPatched:
			faults = append(faults, judge.Fault{Instance: in.ID, At: r.Verdict.At})
		}
	}
	return faults
}

// firstWorse is the KPI of which both arms got worse first; nil when none did.
func firstWorse(r api.Rollout) *api.KPIEffect {
	var first *api.KPIEffect
	for i, k := range r.Verdict.KPIs {
		if !k.Worse.IsZero() && (first == nil || k.Worse.Before(first.Worse)) {
			first = &r.Verdict.KPIs[i]
		}
	}
	return first
}

// begun reports whether a rollout is under way and has a stage.
func begun(r api.Rollout) bool { return r.UnderWay() && len(r.Stages) > 0 }
