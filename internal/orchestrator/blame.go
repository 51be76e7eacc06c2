package orchestrator

import (
	"fmt"
	"time"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/internal/profiler/judge"
)

// kindBlame is the transition with which the verdict first says that another
// rollout explains what got worse, or a further one.
const kindBlame = "blame"

// attribute completes a verdict with the vote on which of the rollouts under way
// in this neighbourhood explains what got worse. Beside that it only ever takes a
// promotion back:
//
//   - An abort stays one: the rollout's own patched instances are worse than the
//     former ones, whoever else is in trouble.
//   - A rollout whose patched and former instances alike got worse, and which
//     another explains better, goes on being judged until that one has ended.
//   - A rollout that explains best what got worse at its neighbours is
//     inconclusive, so that the policy or a person decides what becomes of it.
func (o *Orchestrator) attribute(r api.Rollout, v api.Verdict) api.Verdict {
	var open []api.Rollout
	if o.Adjacent != nil {
		open = o.Store.OpenRollouts()
	}
	return attribute(r, v, open, o.Adjacent)
}

// attribute is the rule; open may contain r.
func attribute(r api.Rollout, v api.Verdict, open []api.Rollout, adjacent func(a, b api.TargetRef) bool) api.Verdict {
	v = worsening(r, v)
	r.Verdict = &v
	near := []api.Rollout{r}
	for _, other := range open {
		if other.ID != r.ID && begun(other) && adjacent(r.Target, other.Target) {
			near = append(near, other)
		}
	}
	if len(near) == 1 {
		return v
	}
	var faults []judge.Fault
	worst := map[string]api.KPIEffect{} // by rollout: a KPI of which both arms got worse
	for _, x := range near {
		found, kpi, both := faultsOf(x)
		faults = append(faults, found...)
		if both {
			worst[x.ID] = kpi
		}
	}
	ids := map[string]api.Rollout{}
	var changes []judge.Change
	for _, x := range near {
		ids[x.ID] = x
		changes = append(changes, judge.Change{ID: x.ID, Reached: reach(x, near, adjacent)})
	}
	for _, b := range judge.Explain(changes, faults, v.At) {
		if b.Score > 0 {
			v.Blame = append(v.Blame, api.Blame{Rollout: b.ID, Target: ids[b.ID].Target, Score: b.Score, Share: b.Spatial, Faults: b.Faults})
		}
	}
	return conclude(r, v, worst)
}

// conclude applies the vote to the verdict.
func conclude(r api.Rollout, v api.Verdict, worst map[string]api.KPIEffect) api.Verdict {
	if len(v.Blame) == 0 {
		return v
	}
	best := v.Blame[0]
	own, both := worst[r.ID]
	switch {
	case best.Rollout != r.ID && v.Kind == api.VerdictAbort:
		v.Reason += fmt.Sprintf("; rollout %s of %s explains what got worse around it better, but the patched instances are worse than the former ones",
			best.Rollout, best.Target)
	case best.Rollout != r.ID && both:
		if v.Kind == api.VerdictPromote {
			v.Kind = api.VerdictContinue
		}
		v.Reason = fmt.Sprintf("%s, which rollout %s of %s explains better; waits until that has ended; %s", bothText(own), best.Rollout, best.Target, v.Reason)
	case best.Rollout == r.ID && v.Kind != api.VerdictAbort:
		for _, b := range v.Blame[1:] {
			if kpi, ok := worst[b.Rollout]; ok {
				if v.Kind == api.VerdictPromote {
					v.Kind = api.VerdictInconclusive
				}
				v.Reason = fmt.Sprintf("at its neighbour %s %s, which this rollout explains best; %s", b.Target, bothText(kpi), v.Reason)
				break
			}
		}
	}
	return v
}

func bothText(k api.KPIEffect) string {
	return fmt.Sprintf("%s of patched and former instances alike is worse than before (%s and %s against %s)", k.KPI,
		judge.Format(k.Canary, k.Unit), judge.Format(k.Stable, k.Unit), judge.Format(*k.Before, k.Unit))
}

// worsening notes on each KPI since when both arms are worse than before: that of
// the verdict before this one, when they were worse then already. A figure is
// worse when it is beyond what a canary would not be promoted with.
func worsening(r api.Rollout, v api.Verdict) api.Verdict {
	since := map[string]time.Time{}
	for i := range r.Stages {
		note(since, r.Stages[i].Verdict)
	}
	note(since, r.Verdict)
	kpis := make([]api.KPIEffect, len(v.KPIs))
	for i, k := range v.KPIs {
		k.Worse = time.Time{}
		if spec, ok := specOf(r, k.KPI); ok && !k.Missing && k.Before != nil {
			limit := max(*k.Before*spec.PromoteBelow, *k.Before+spec.IgnoreBelow)
			if k.Canary > limit && k.Stable > limit {
				k.Worse = v.At
				if t := since[k.KPI]; !t.IsZero() {
					k.Worse = t
				}
			}
		}
		kpis[i] = k
	}
	if len(kpis) > 0 {
		v.KPIs = kpis
	}
	return v
}

// note keeps since when the KPIs of a verdict are worse.
func note(since map[string]time.Time, v *api.Verdict) {
	if v == nil {
		return
	}
	for _, k := range v.KPIs {
		since[k.KPI] = k.Worse
	}
}

func specOf(r api.Rollout, kpi string) (api.KPISpec, bool) {
	for _, s := range r.Decision.Judge.KPIs {
		if s.KPI == kpi {
			return s, true
		}
	}
	return api.KPISpec{}, false
}

// faultsOf are the fault signals of a rollout's target: of all its instances when
// both arms got worse, else of the patched ones when they are judged bad.
func faultsOf(r api.Rollout) (faults []judge.Fault, worst api.KPIEffect, both bool) {
	if r.Verdict == nil {
		return nil, worst, false
	}
	for _, k := range r.Verdict.KPIs {
		if !k.Worse.IsZero() && (!both || k.Worse.Before(worst.Worse)) {
			worst, both = k, true
		}
	}
	for _, in := range r.Instances {
		switch {
		case both:
			faults = append(faults, judge.Fault{Instance: in.ID, At: worst.Worse})
		case r.Verdict.Kind == api.VerdictAbort && in.Build == api.BuildPatched:
			faults = append(faults, judge.Fault{Instance: in.ID, At: r.Verdict.At})
		}
	}
	return faults, worst, both
}

// reach is when a rollout reached which instances: its patched ones, and all of
// its neighbours among the rollouts that are looked at, from its first stage on.
func reach(x api.Rollout, near []api.Rollout, adjacent func(a, b api.TargetRef) bool) map[string]time.Time {
	out := map[string]time.Time{}
	began := x.Stages[0].Began
	for _, other := range near {
		if other.ID != x.ID && !adjacent(x.Target, other.Target) {
			continue
		}
		for _, in := range other.Instances {
			if other.ID != x.ID || in.Build == api.BuildPatched {
				out[in.ID] = began
			}
		}
	}
	return out
}

// blamed is the rollout that a verdict blames, when it is another.
func blamed(r api.Rollout) string {
	if r.Verdict == nil || len(r.Verdict.Blame) == 0 || r.Verdict.Blame[0].Rollout == r.ID {
		return ""
	}
	return r.Verdict.Blame[0].Rollout
}
