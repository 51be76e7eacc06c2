package orchestrator

import (
	"fmt"
	"slices"
	"time"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/internal/judge"
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

// hear asks for what got worse at the neighbours.
func (o *Orchestrator) hear(r api.Rollout, now time.Time, open []api.Rollout) []api.NeighbourEffect {
	known, margins, began := lastNeighbours(r), marginsOf(r, o.Margins), r.Stages[0].Began
	var out []api.NeighbourEffect
	for _, t := range o.Surroundings.Around(r.Target) {
		for _, e := range o.worse(t.TargetRef, began, now, margins, open) {
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

// worse is what got worse at one neighbour: by its rollout's verdict while it is
// being patched too, since then its profile learns nothing; else by that.
func (o *Orchestrator) worse(ref api.TargetRef, began, now time.Time, margins []api.KPISpec, open []api.Rollout) []api.NeighbourEffect {
	if x := on(open, ref); x != nil {
		return bothWorse(*x, began, now)
	}
	return o.Surroundings.Worse(ref, began, now, margins)
}

// bothWorse is what the newest verdict of a neighbour's rollout says got worse at
// its patched and former instances alike, unless it is too old to be said of now.
func bothWorse(x api.Rollout, began, now time.Time) []api.NeighbourEffect {
	if x.Verdict == nil || now.Sub(x.Verdict.At) > max(time.Minute, 2*x.Decision.Judge.Interval.D()) {
		return nil
	}
	var out []api.NeighbourEffect
	for _, k := range x.Verdict.KPIs {
		if !k.Worse.IsZero() {
			out = append(out, api.NeighbourEffect{
				Target: x.Target, KPI: k.KPI, Unit: k.Unit, Value: k.Stable, Before: *k.Before, Since: k.Worse, Earlier: k.Worse.Before(began),
			})
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
