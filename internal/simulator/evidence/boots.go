package evidence

import (
	"math"

	"gonum.org/v1/gonum/stat/distuv"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/internal/judge"
	"github.com/oakumhq/oakum/internal/stats"
)

const (
	// bootTrust is how many boots the known spreads count for: fewer than were measured,
	// since that was one image on one machine.
	bootTrust = 12
	// formerTrust is how many boots the former runs of a target count for at most, where
	// they say that boots differ by less than is known. A history that is not this run's
	// makes false alarms, the more the more it counts.
	formerTrust = 8
	// formerGuard is the same where they say that boots differ by more.
	formerGuard = 60
	// formerDoubt is the share of runs whose pairs differ less than the history says. Of
	// the others, a history that makes the spread smaller counts for nothing.
	formerDoubt = 0.75
	// spreadLeast is the smallest part of the known spread that a history makes of it.
	spreadLeast = 0.25
)

// bootSpread is by how much, as a logarithm, the figures of two machines differ that
// booted from the same image on the same node: one standard deviation. It is 0 for a
// KPI that has no such difference. docs/reference/simulation.md says how it was measured.
func bootSpread(kpi judge.KPI) float64 {
	switch {
	case kpi.Kind == api.KPILatency:
		return 0.04
	case kpi.Name == api.KPICPU:
		return 0.02
	case kpi.Name == api.KPIMemory:
		return 0.01
	case kpi.Name == api.KPIIOOperations || kpi.Name == api.KPIIOBytes:
		return 0.1
	}
	return 0
}

// spreads is what is known about the difference of two boots in one KPI before a run.
type spreads struct {
	known  float64          // bootSpread
	former []api.BootSpread // of the target
}

func newSpreads(kpi judge.KPI, former []api.BootSpread) spreads {
	s := spreads{known: bootSpread(kpi)}
	for _, f := range former {
		if f.KPI == kpi.Name && f.Freedom > 0 && f.Within >= 0 && !math.IsNaN(f.Variance) && !math.IsInf(f.Variance+f.Within+f.Freedom, 0) {
			s.former = append(s.former, f)
		}
	}
	return s
}

// pooled is the variance that boots make, by what is known of all and by the target's
// former runs. Within is the variance that a pair of this run has by itself. A run in
// which that was larger says less about boots, as the square of the variance, and a
// single estimate may be below zero.
func (s spreads) pooled(within float64) stats.Spread {
	known := s.known * s.known
	var freedom, sum float64
	for _, f := range s.former {
		narrower := (known + within) / (known + f.Within)
		part := f.Freedom * min(1, narrower*narrower)
		freedom += part
		sum += part * f.Variance
	}
	if freedom == 0 {
		return stats.Spread{Variance: known, Trust: bootTrust}
	}
	trust := min(freedom, formerTrust)
	if sum/freedom > known {
		trust = min(freedom, formerGuard)
	}
	variance := (bootTrust*known + trust*sum/freedom) / (bootTrust + trust)
	return stats.Spread{Variance: max(variance, known*spreadLeast*spreadLeast), Trust: bootTrust + trust}
}

// room is the spread that the judge's looks leave to the difference of boots: what is
// known, or more where the target's boots have differed by more.
func (s spreads) room() float64 { return max(s.known, math.Sqrt(s.pooled(0).Variance)) }

// of is the spread of one pair's value: that of boots, and that within a pair. A history
// makes it smaller only where the values of the run agree.
func (s spreads) of(values []float64, within float64) stats.Spread {
	known := stats.Spread{Variance: s.known*s.known + within, Trust: bootTrust}
	pooled := s.pooled(within)
	pooled.Variance += within
	if pooled.Variance >= known.Variance {
		return pooled
	}
	freedom := float64(len(values) - 1)
	if freedom < 1 || scatter(values, mean(values))/freedom > pooled.Variance*(distuv.F{D1: freedom, D2: pooled.Trust}).Quantile(formerDoubt) {
		return known
	}
	return pooled
}

// scatter is the sum of the squared deviations from a centre.
func scatter(values []float64, centre float64) float64 {
	sum := 0.0
	for _, v := range values {
		sum += (v - centre) * (v - centre)
	}
	return sum
}

// Boots is by how much the machines of this run differed from boot to boot, for the next
// runs of the target. Of pairs with a patch the scatter about their mean is taken; two
// controls are known to have none in common.
func (p *Panel) Boots(alike bool) []api.BootSpread {
	var out []api.BootSpread
	for i, r := range p.replicates {
		var values, variances []float64
		for _, f := range p.figures[i] {
			if f.control > 0 && f.treatment > 0 {
				values = append(values, math.Log(f.treatment/f.control))
				relative := f.deviation / f.treatment
				variances = append(variances, relative*relative)
			}
		}
		centre, freedom := 0.0, float64(len(values))
		if !alike {
			centre, freedom = mean(values), freedom-1
		}
		if r == nil || freedom < 1 {
			continue
		}
		within := mean(variances)
		out = append(out, api.BootSpread{
			KPI: p.kpis[i].Name, Variance: scatter(values, centre)/freedom - within, Within: within, Freedom: freedom,
		})
	}
	return out
}
