package evidence

import (
	"math"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/internal/stats"
)

// found is the share of the runs in which a change of the stated power is found.
const found = 0.95

// power is the smallest ratio of each judged KPI that a run like this one finds.
func (p *Panel) power() []api.Power {
	var out []api.Power
	for i, k := range p.kpis {
		needed := p.needed(i)
		ratio := math.Inf(1)
		if r := p.replicates[i]; r != nil {
			if f, ok := p.typical(i); ok && f.control > 0 {
				ratio = r.margins.AbortLimit(f.control) / f.control * math.Exp(r.worse.Visible(r.known(), int(r.worse.N), needed, found))
			}
		} else if p.requests > 0 && k.Kind == api.KPICount {
			ratio = countPower(p.spec.KPIs[i].Margins(), needed, float64(p.failures), float64(p.requests))
		}
		if !math.IsInf(ratio, 0) {
			out = append(out, api.Power{KPI: k.Name, Ratio: math.Round(ratio*1000) / 1000})
		}
	}
	return out
}

// typical is the figure of a KPI in the last pair.
func (p *Panel) typical(i int) (figure, bool) {
	if len(p.figures[i]) == 0 {
		return figure{}, false
	}
	return p.figures[i][len(p.figures[i])-1], true
}

// countPower is the ratio at which so many requests to each twin give evidence of at
// least logE in most runs. A control without events counts as one with one.
func countPower(m api.Margins, logE, events, requests float64) float64 {
	base := max(events, 1) / requests
	seen := func(rate float64) bool {
		mean := rate * requests
		block := stats.Block{
			CanaryEvents: max(mean-1.645*math.Sqrt(mean), 0), CanaryExposure: requests,
			StableEvents: events, StableExposure: requests,
		}
		ratio := stats.NewRatio(m.AbortAbove, stats.Worse, 0)
		ratio.Observe(block, 1)
		if m.IgnoreBelow == 0 {
			return ratio.LogE() >= logE
		}
		// In parts, as looks come: its alternatives follow the past.
		const parts = 20
		margin := stats.NewMargin(m.IgnoreBelow, stats.Worse)
		for range parts {
			margin.Observe(stats.Block{
				CanaryEvents: block.CanaryEvents / parts, CanaryExposure: requests / parts,
				StableEvents: events / parts, StableExposure: requests / parts,
			}, 1)
		}
		return min(ratio.LogE(), margin.LogE()) >= logE
	}
	if !seen(1) {
		return math.Inf(1)
	}
	from, to := base, 1.0
	for range 40 {
		if middle := math.Sqrt(from * to); seen(middle) {
			to = middle
		} else {
			from = middle
		}
	}
	return to / base
}
