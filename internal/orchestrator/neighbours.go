package orchestrator

import (
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/internal/profiler/judge"
)

// Surroundings tells what is around a rollout's target, and how it fares.
type Surroundings interface {
	// Around lists the targets that an edge joins to one, its callers first.
	Around(ref api.TargetRef) []api.Target
	// Worse lists the KPIs of a target that are clearly worse now than its
	// baseline, by the margins given. Each says since when, and whether that was
	// before began.
	Worse(ref api.TargetRef, began, now time.Time, margins []api.KPISpec) []api.NeighbourEffect
}

// heed completes a verdict with what got worse at the neighbours that have no
// rollout of their own, and takes a promotion back while this rollout explains
// that best.
func (o *Orchestrator) heed(r api.Rollout, v api.Verdict) api.Verdict {
	if o.Surroundings == nil || len(r.Stages) == 0 {
		return v
	}
	open := o.Store.OpenRollouts()
	v.Neighbours = o.hear(r, v.At, open)
	return heed(r, v, open, o.Surroundings.Around)
}

// hear asks for the fault signals of the neighbours. Those with a rollout under
// way are heard by its verdicts.
func (o *Orchestrator) hear(r api.Rollout, now time.Time, open []api.Rollout) []api.NeighbourEffect {
	known := lastNeighbours(r)
	margins := marginsOf(r, o.Margins)
	var out []api.NeighbourEffect
	for _, t := range alone(o.Surroundings.Around(r.Target), open) {
		for _, e := range o.Surroundings.Worse(t.TargetRef, r.Stages[0].Began, now, margins) {
			// A former leader may have seen it earlier.
			i := slices.IndexFunc(known, func(k api.NeighbourEffect) bool { return k.Target == e.Target && k.KPI == e.KPI })
			if i >= 0 {
				e.Earlier = e.Earlier || known[i].Earlier
				if known[i].Since.Before(e.Since) {
					e.Since = known[i].Since
				}
			}
			out = append(out, e)
		}
	}
	return out
}

// lastNeighbours is what the newest verdict of a rollout heard.
func lastNeighbours(r api.Rollout) []api.NeighbourEffect {
	if r.Verdict != nil {
		return r.Verdict.Neighbours
	}
	for _, s := range slices.Backward(r.Stages) {
		if s.Verdict != nil {
			return s.Verdict.Neighbours
		}
	}
	return nil
}

// marginsOf are those of the rollout's own policy, and others for what it does not
// judge. Latencies are one KPI here, whatever the quantile.
func marginsOf(r api.Rollout, others []api.KPISpec) []api.KPISpec {
	out := slices.Clone(r.Decision.Judge.KPIs)
	for _, other := range others {
		_, latency := api.KPIQuantile(other.KPI)
		if !slices.ContainsFunc(r.Decision.Judge.KPIs, func(own api.KPISpec) bool {
			_, too := api.KPIQuantile(own.KPI)
			return own.KPI == other.KPI || (latency && too)
		}) {
			out = append(out, other)
		}
	}
	return out
}

// alone are the targets without a rollout under way.
func alone(targets []api.Target, open []api.Rollout) []api.Target {
	return slices.DeleteFunc(slices.Clone(targets), func(t api.Target) bool {
		return slices.ContainsFunc(open, func(r api.Rollout) bool { return r.Target == t.TargetRef && begun(r) })
	})
}

// begun reports whether a rollout is under way and has a stage.
func begun(r api.Rollout) bool { return r.UnderWay() && len(r.Stages) > 0 }

// heed is the rule; open may contain r. What was worse before the first stage
// began is not this rollout's doing. Of several rollouts that reach a neighbour,
// the one that explains best what got worse waits, and the others go on.
func heed(r api.Rollout, v api.Verdict, open []api.Rollout, around func(api.TargetRef) []api.Target) api.Verdict {
	news := slices.DeleteFunc(slices.Clone(v.Neighbours), func(e api.NeighbourEffect) bool { return e.Earlier })
	if len(news) == 0 {
		return v
	}
	r.Verdict = &v
	since := map[api.TargetRef]time.Time{}
	var near []api.Rollout
	var faults []judge.Fault
	for _, x := range append(slices.DeleteFunc(slices.Clone(open), func(x api.Rollout) bool { return x.ID == r.ID || !begun(x) }), r) {
		near = append(near, x)
		found, _, _ := faultsOf(x)
		faults = append(faults, found...)
		for _, e := range lastNeighbours(x) { // somebody else may have heard it earlier
			if at, ok := since[e.Target]; !ok || e.Since.Before(at) {
				since[e.Target] = e.Since
			}
		}
	}
	changes := map[string]judge.Change{}
	sick := map[string]time.Time{}
	for _, x := range near {
		c := judge.Change{ID: x.ID, Reached: map[string]time.Time{}}
		for _, in := range x.Instances {
			if in.Build == api.BuildPatched {
				c.Reached[in.ID] = x.Stages[0].Began
			}
		}
		for _, t := range alone(around(x.Target), open) {
			at, bad := since[t.TargetRef]
			for i := range max(1, t.Count) {
				c.Reached[member(t.TargetRef, i)] = x.Stages[0].Began
				if bad {
					sick[member(t.TargetRef, i)] = at
				}
			}
		}
		changes[x.ID] = c
	}
	for _, id := range slices.Sorted(maps.Keys(sick)) {
		faults = append(faults, judge.Fault{Instance: id, At: sick[id]})
	}
	for _, e := range news {
		var reach []judge.Change
		for _, x := range near {
			if c := changes[x.ID]; !c.Reached[member(e.Target, 0)].IsZero() {
				reach = append(reach, c)
			}
		}
		if best := judge.Explain(reach, faults, v.At); len(best) > 0 && best[0].ID == r.ID && best[0].Score > 0 {
			return await(r, v, e)
		}
	}
	return v
}

// member names an instance of a neighbour; which one it is does not matter.
func member(ref api.TargetRef, i int) string { return fmt.Sprintf("%s#%d", ref, i) }

// await takes a promotion back until the neighbour is well again. One that has been
// ill for as long as a stage may be judged is for the policy: one that fell ill at
// the end of the stage has that time too.
func await(r api.Rollout, v api.Verdict, e api.NeighbourEffect) api.Verdict {
	if v.Kind != api.VerdictPromote && v.Kind != api.VerdictContinue {
		return v
	}
	worse := fmt.Sprintf("%s of its neighbour %s is worse than before (%s against %s, since %s), which this rollout explains best",
		e.KPI, e.Target, judge.Format(e.Value, e.Unit), judge.Format(e.Before, e.Unit), e.Since.UTC().Format("15:04:05 MST"))
	most := r.Decision.Judge.MaxDuration.D()
	ill := e.Since
	if ready := r.Stages[len(r.Stages)-1].Ready; ready.After(ill) {
		ill = ready
	}
	if v.Kind == api.VerdictPromote && most > 0 && v.At.Sub(ill) >= most {
		v.Kind = api.VerdictInconclusive
		v.Reason = fmt.Sprintf("%s, and that is not over within %s; %s", worse, most, v.Reason)
		return v
	}
	v.Kind = api.VerdictContinue
	v.Reason = fmt.Sprintf("%s; waits until it is over; %s", worse, v.Reason)
	return v
}
