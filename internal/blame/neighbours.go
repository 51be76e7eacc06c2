package blame

import (
	"slices"
	"time"

	"github.com/oakumhq/oakum/api"
)

// Neighbours puts together what got worse at the targets around a rollout's, in
// their order. A neighbour whose own rollout is under way is known by its newest
// verdict, since its profile learns nothing meanwhile. Any other one is known by
// its baseline: measured are, by target, the KPIs that are clearly worse than it.
func Neighbours(r api.Rollout, now time.Time, open []api.Rollout, around []api.Target, measured map[api.TargetRef][]api.NeighbourEffect) []api.NeighbourEffect {
	known := lastNeighbours(r)
	var out []api.NeighbourEffect
	for _, t := range around {
		effects := measured[t.TargetRef]
		if x := On(open, t.TargetRef); x != nil {
			effects = bothWorse(*x, r.Stages[0].Began, now)
		}
		for _, e := range effects {
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

// bothWorse are the KPIs that got worse at a neighbour's patched and former
// instances alike, by the newest verdict of its rollout. A verdict that is older
// than two intervals says nothing of now.
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

// lastNeighbours are the neighbours that the newest verdict of a rollout names.
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

// Margins are the limits by which neighbours of a rollout are held against their
// baselines: the rollout's own, and others for the KPIs that its policy does not
// judge. Latencies are one KPI here, whatever the quantile.
func Margins(r api.Rollout, others []api.KPISpec) []api.KPISpec {
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
