package blame

import (
	"fmt"
	"slices"
	"time"

	"github.com/oakumhq/oakum/api"
)

// ballot is what a vote goes by: the rollouts under way, what each of them may
// have hurt, and which instances got worse.
type ballot struct {
	rollouts []api.Rollout // each with a stage and its newest verdict
	changes  []Change      // one for each rollout
	reach    []map[api.TargetRef]bool
	faults   []Fault
	at       time.Time
}

// newBallot puts all rollouts on one ballot. Open may contain r, whose verdict is
// the newest.
func newBallot(r api.Rollout, open []api.Rollout, around func(api.Rollout) []api.Target) ballot {
	b := ballot{rollouts: []api.Rollout{r}, at: r.Verdict.At}
	for _, other := range open {
		if other.ID != r.ID && Begun(other) {
			b.rollouts = append(b.rollouts, other)
		}
	}
	worse := map[api.TargetRef]time.Time{} // since when, by the rollout that saw it first
	for _, x := range b.rollouts {
		b.faults = append(b.faults, faultsOf(x)...)
		for _, e := range Named(x) {
			if at, ok := worse[e.Target]; !ok || e.Since.Before(at) {
				worse[e.Target] = e.Since
			}
		}
	}
	for _, x := range b.rollouts {
		b.add(x, around(x), worse)
	}
	return b
}

// add counts a rollout's patched instances and its neighbours as its reach. A
// neighbour that got worse is a fault of all its instances, unless the verdict of its
// own rollout has faults.
func (b *ballot) add(x api.Rollout, around []api.Target, worse map[api.TargetRef]time.Time) {
	c := Change{ID: x.ID}
	for _, s := range x.Stages {
		c.Began = append(c.Began, s.Began)
	}
	for _, in := range x.Instances {
		if in.Build == api.BuildPatched {
			c.Reach = append(c.Reach, in.ID)
		}
	}
	reach := map[api.TargetRef]bool{x.Target: true}
	for _, t := range around {
		reach[t.TargetRef] = true
		instances := b.instances(t)
		c.Reach = append(c.Reach, instances...)
		if at, ok := worse[t.TargetRef]; ok && !b.faulty(t.TargetRef) {
			delete(worse, t.TargetRef) // the next rollout must not count it again
			for _, id := range instances {
				b.faults = append(b.faults, Fault{Instance: id, At: at})
			}
		}
	}
	b.changes, b.reach = append(b.changes, c), append(b.reach, reach)
}

// faulty reports whether a rollout is under way on a target, and its verdict has faults.
func (b *ballot) faulty(ref api.TargetRef) bool {
	x := On(b.rollouts, ref)
	return x != nil && len(faultsOf(*x)) > 0
}

// instances names the instances of a target. One without a rollout is well or not
// as a whole, so its instances have made-up names.
func (b *ballot) instances(t api.Target) []string {
	var ids []string
	if r := On(b.rollouts, t.TargetRef); r != nil {
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

// explain votes on which of the rollouts with a target in their reach explains
// what got worse there, best first.
func (b *ballot) explain(ref api.TargetRef) []api.Blame {
	var near []Change
	targets := map[string]api.TargetRef{}
	for i, c := range b.changes {
		if b.reach[i][ref] {
			near, targets[c.ID] = append(near, c), b.rollouts[i].Target
		}
	}
	var out []api.Blame
	for _, v := range Explain(near, b.faults, b.at) {
		if v.Score > 0 {
			out = append(out, api.Blame{Rollout: v.ID, Target: targets[v.ID], Score: v.Score, Share: v.Spatial, Faults: v.Faults})
		}
	}
	return out
}

// faultsOf are the faults of a rollout's target: of all its instances when both
// arms got worse, else of the patched ones when they are judged bad.
func faultsOf(r api.Rollout) []Fault {
	if r.Verdict == nil {
		return nil
	}
	first := firstWorse(*r.Verdict)
	var faults []Fault
	for _, in := range r.Instances {
		switch {
		case first != nil:
			faults = append(faults, Fault{Instance: in.ID, At: first.Worse})
		case r.Verdict.Kind == api.VerdictAbort && in.Build == api.BuildPatched:
			faults = append(faults, Fault{Instance: in.ID, At: r.Verdict.At})
		}
	}
	return faults
}

// Begun reports whether a rollout is under way and has a stage.
func Begun(r api.Rollout) bool { return r.UnderWay() && len(r.Stages) > 0 }

// On is the rollout that is under way on a target and has a stage; nil when there
// is none.
func On(rollouts []api.Rollout, ref api.TargetRef) *api.Rollout {
	i := slices.IndexFunc(rollouts, func(r api.Rollout) bool { return r.Target == ref && Begun(r) })
	if i < 0 {
		return nil
	}
	return &rollouts[i]
}
