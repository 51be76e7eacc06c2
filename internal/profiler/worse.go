package profiler

import (
	"slices"
	"time"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/internal/judge"
	"github.com/oakumhq/oakum/internal/stats"
)

const (
	// noiseMiss is how rarely the noise of a healthy target may look worse, at one look,
	// in each of the two ways that a figure is held against it. DESIGN.md has what that
	// comes to in an hour of looks.
	noiseMiss = 1e-6
	// baseMiss is how rarely the true rate may be beyond the limit that the baseline
	// gives: the confidence that the judge asks of a baseline too.
	baseMiss = 0.005
)

// LastMinute lists what the last minute of a target shows of KPIs, in the order of the
// margins, with the figure of the baseline. Of a KPI that is clearly worse than its
// baseline, Since and Earlier say since when, as far as these baselines have seen, and
// whether that was before began; of any other, Since is zero. A KPI of which nothing can
// be said is not listed: its baseline is cold, the judge distrusts it, or there is no
// recent sample, or too few.
func (b *Baselines) LastMinute(ref api.TargetRef, began, now time.Time, margins []api.KPISpec) []api.NeighbourEffect {
	b.mu.Lock()
	defer b.mu.Unlock()
	var out []api.NeighbourEffect
	for _, spec := range margins {
		k, base := b.named(ref, spec.KPI)
		if base == nil || base.cold() || base.control.Distrust() != "" {
			continue
		}
		w := base.recent.window()
		if now.Sub(w.at) >= b.window() {
			continue
		}
		value, before, ok := base.figures(k, w)
		if !ok {
			continue
		}
		e := api.NeighbourEffect{Target: ref, KPI: spec.KPI, Unit: k.Unit, Value: value, Before: before, Exposure: w.exposed(k)}
		if base.worse(k, spec, w) {
			e.Since, e.Earlier = base.onset(k, spec, w.at, began)
		}
		out = append(out, e)
	}
	return out
}

// named is the KPI of a name and its baseline, nil when nothing was learned of it. The
// caller holds the lock.
func (b *Baselines) named(ref api.TargetRef, name string) (judge.KPI, *baseline) {
	if k, ok := judge.Known(name); ok {
		return k, b.of(ref, k)
	}
	base := b.of(ref, judge.KPI{Name: name})
	if base == nil {
		return judge.KPI{}, nil
	}
	return base.kpi, base
}

// figures are what a minute and the baseline have for a KPI, in its unit. It is false
// when either has too little.
func (b *baseline) figures(k judge.KPI, w moment) (value, before float64, ok bool) {
	value, ok = figure(k, w)
	if !ok {
		return 0, 0, false
	}
	before, ok = b.usual(k, w.at)
	return value, before, ok
}

// worse reports whether a minute is clearly worse than the baseline. It must be worse by
// more than the margins, by more than minutes differ among each other, and by more events
// than chance brings.
func (b *baseline) worse(k judge.KPI, spec api.KPISpec, w moment) bool {
	value, before, ok := b.figures(k, w)
	limit := spec.Margins().PromoteLimit(before)
	if !ok || value <= limit || b.scaled(value) <= b.scaled(before)+b.recent.windows.next(0, noiseMiss) {
		return false
	}
	return b.beyond(k, limit, w)
}

// beyond reports whether a minute has more events than chance brings at the rate of the
// limit, and at the highest rate that the baseline is compatible with. The events of a
// latency are the requests above the limit.
func (b *baseline) beyond(k judge.KPI, limit float64, w moment) bool {
	r := b.referenceAt(w.at)
	var events, exposure, base, seen float64
	switch k.Kind {
	case api.KPIGauge:
		return true
	case api.KPICount:
		events, exposure, base, seen = w.events, w.exposure, r.Events, r.Exposure
	case api.KPILatency:
		events, exposure = above(w.buckets.Upper, w.buckets.Counts, limit)
		base, seen = above(r.Upper, r.Counts, limit)
		limit = 1 - k.Quantile
	}
	d := b.dispersion.Factor()
	_, high := stats.RateBounds(base/d, seen/d, baseMiss)
	low, _ := stats.RateBounds(events/d, exposure/d, noiseMiss)
	return low > max(limit, high)
}

// above counts the requests in buckets that lie above a limit altogether, and all.
func above(upper, counts []float64, limit float64) (slow, all float64) {
	for i, c := range counts {
		all += c
		if i > 0 && upper[i-1] >= limit {
			slow += c
		}
	}
	return slow, all
}

// onset is since when a KPI that is worse now has been worse without a break, and whether
// it was worse already when a rollout began. Nobody knows of the time before the kept
// minutes: then onset is the first of them.
func (b *baseline) onset(k judge.KPI, spec api.KPISpec, since, began time.Time) (time.Time, bool) {
	for _, w := range slices.Backward(b.recent.past) {
		if !b.worse(k, spec, w) {
			return since, false
		}
		since = w.at
		if !w.at.After(began) {
			return since, true
		}
	}
	return since, false
}
