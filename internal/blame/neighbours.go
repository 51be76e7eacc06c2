package blame

import (
	"slices"
	"time"

	"github.com/oakumhq/oakum/api"
)

// Neighbours puts together what got worse at the targets around a rollout's, in
// their order. A neighbour whose own rollout is under way is known by its newest
// verdict, since its profile learns nothing meanwhile. Any other one is known by
// its last minute, by target: of the KPIs of which something can be said, those with
// a Since are clearly worse than their baseline.
//
// What the newest verdict of r names stays named, as it was last seen, until new
// figures show that it is well. A target that is not around is named no more.
func Neighbours(r api.Rollout, now time.Time, open []api.Rollout, around []api.Target, minutes map[api.TargetRef][]api.NeighbourEffect, margins []api.KPISpec) []api.NeighbourEffect {
	named := Named(r)
	var out []api.NeighbourEffect
	for _, t := range around {
		fresh := minutes[t.TargetRef]
		if x := On(open, t.TargetRef); x != nil {
			fresh = byVerdict(*x, r.Stages[0].Began, now)
		}
		for _, e := range fresh {
			if !e.Since.IsZero() {
				e.Seen = now
				out = append(out, asNamed(e, named))
			}
		}
		for _, was := range named {
			if was.Target == t.TargetRef && of(out, was) == nil && !well(was, of(fresh, was), margins) {
				out = append(out, was)
			}
		}
	}
	return out
}

// asNamed dates an effect as a verdict before named it: a former leader may have seen
// it earlier.
func asNamed(e api.NeighbourEffect, named []api.NeighbourEffect) api.NeighbourEffect {
	if was := of(named, e); was != nil {
		e.Earlier = e.Earlier || was.Earlier
		if was.Since.Before(e.Since) {
			e.Since = was.Since
		}
	}
	return e
}

// of is the effect on the same KPI of the same target; nil without one.
func of(list []api.NeighbourEffect, like api.NeighbourEffect) *api.NeighbourEffect {
	i := slices.IndexFunc(list, func(e api.NeighbourEffect) bool { return e.Target == like.Target && e.KPI == like.KPI })
	if i < 0 {
		return nil
	}
	return &list[i]
}

// well reports whether new figures of a KPI show that it is no longer worse. They must
// be within the limit of the baseline that it was worse than, also where they are not
// clearly beyond it; and be of half as many requests at least: of a neighbour that is
// hardly called any more, the few that succeed say nothing. Without new figures nobody
// knows.
func well(was api.NeighbourEffect, fresh *api.NeighbourEffect, margins []api.KPISpec) bool {
	i := slices.IndexFunc(margins, func(s api.KPISpec) bool { return s.KPI == was.KPI })
	if fresh == nil || i < 0 {
		return false
	}
	enough := fresh.Exposure == 0 || fresh.Exposure >= was.Exposure/2 // 0: its own rollout was judged for a minute
	return enough && fresh.Value <= margins[i].Margins().PromoteLimit(was.Before)
}

// byVerdict is what the newest verdict of a neighbour's rollout shows. The KPIs that got
// worse at its patched and former instances alike have a Since. Any other has the worse
// figure of both, once the stage has been judged for a minute. A verdict that is older
// than two intervals says nothing of now.
func byVerdict(x api.Rollout, began, now time.Time) []api.NeighbourEffect {
	if x.Verdict == nil || now.Sub(x.Verdict.At) > max(time.Minute, 2*x.Decision.Judge.Interval.D()) {
		return nil
	}
	judged := x.Verdict.At.Sub(x.Stages[len(x.Stages)-1].Ready)
	var out []api.NeighbourEffect
	for _, k := range x.Verdict.KPIs {
		e := api.NeighbourEffect{Target: x.Target, KPI: k.KPI, Unit: k.Unit}
		switch {
		case !k.Worse.IsZero():
			e.Value, e.Before, e.Since, e.Earlier = k.Stable, *k.Before, k.Worse, k.Worse.Before(began)
		case !k.Missing && k.Exposure > 0 && judged >= time.Minute:
			e.Value = max(k.Canary, k.Stable)
		default:
			continue
		}
		out = append(out, e)
	}
	return out
}

// Named are the neighbours that the newest verdict of a rollout names, as they were last
// seen to be worse.
func Named(r api.Rollout) []api.NeighbourEffect {
	v := r.Verdict
	for i := len(r.Stages) - 1; v == nil && i >= 0; i-- {
		v = r.Stages[i].Verdict
	}
	if v == nil {
		return nil
	}
	out := slices.Clone(v.Neighbours)
	for i := range out {
		if out[i].Seen.IsZero() { // a former server wrote it
			out[i].Seen = v.At
		}
	}
	return out
}

// Margins are the limits by which neighbours of a rollout are held against their
// baselines: the rollout's own, and others for the KPIs that its policy does not
// judge. Latencies are one KPI here, whatever the quantile. Of a KPI that only the
// policy of a neighbour judges, and that the rollout's newest verdict names, the limit
// is that of another latency, or else the baseline itself.
func Margins(r api.Rollout, others []api.KPISpec) []api.KPISpec {
	out := slices.Clone(r.Decision.Judge.KPIs)
	for _, other := range others {
		if like(out[:len(r.Decision.Judge.KPIs)], other.KPI) == nil {
			out = append(out, other)
		}
	}
	for _, e := range Named(r) {
		spec := api.KPISpec{PromoteBelow: 1}
		if have := like(out, e.KPI); have != nil {
			spec = *have
		}
		if spec.KPI != e.KPI {
			spec.KPI = e.KPI
			out = append(out, spec)
		}
	}
	return out
}

// like is the spec of a KPI, or else of another quantile of the same latency; nil
// without either.
func like(specs []api.KPISpec, kpi string) *api.KPISpec {
	_, latency := api.KPIQuantile(kpi)
	i := slices.IndexFunc(specs, func(s api.KPISpec) bool { return s.KPI == kpi })
	if i < 0 && latency {
		i = slices.IndexFunc(specs, func(s api.KPISpec) bool { _, too := api.KPIQuantile(s.KPI); return too })
	}
	if i < 0 {
		return nil
	}
	return &specs[i]
}
