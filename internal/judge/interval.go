package judge

import (
	"math"

	"github.com/oakumhq/oakum/internal/stats"
)

const (
	// intervalMiss is the chance that an end of an effect's interval is wrong, and
	// intervalZ is its normal quantile. The interval is for people and for one look.
	// The decision rests on the evidence alone.
	intervalMiss = 0.025
	intervalZ    = 1.96
)

// interval is the ratio of canary to stable with 95 percent limits; high is
// infinite where there is none, and both are 0 when nothing is known.
func (m *countModel) interval(kpi KPI) (low, high float64) {
	b := stats.Block{CanaryEvents: m.Canary.Events, CanaryExposure: m.Canary.Exposure,
		StableEvents: m.Stable.Events, StableExposure: m.Stable.Exposure}
	if m.Worse == nil {
		b.StableEvents, b.StableExposure = m.Carried.Events, m.Carried.Exposure
	}
	if b.CanaryExposure <= 0 || b.StableExposure <= 0 || b.CanaryEvents+b.StableEvents == 0 {
		return 0, 0
	}
	d := max(kpi.Dispersion, 1)
	b.CanaryEvents, b.StableEvents = b.CanaryEvents/d, b.StableEvents/d
	return stats.RatioBounds(b, intervalMiss)
}

func (m *latencyModel) interval(kpi KPI) (low, high float64) {
	upper, counts := m.Upper, m.Stable
	if m.Alone {
		upper, counts = m.Carried.Upper, m.Carried.Counts
	}
	n, k := total(m.Canary), total(counts)
	if n == 0 || k == 0 || len(upper) == 0 {
		return 0, 0
	}
	ends := func(upper, counts []float64, n float64) (float64, float64) {
		q, d := kpi.Quantile, max(kpi.Dispersion, 1)
		// Both arms err by a bit less, so that the ratio errs by 95 percent.
		e := intervalZ / math.Sqrt2 * math.Sqrt(q*(1-q)*d/n)
		return Quantile(upper, counts, max(q-e, 0)), Quantile(upper, counts, min(q+e, 1))
	}
	canaryLow, canaryHigh := ends(m.Upper, m.Canary, n)
	stableLow, stableHigh := ends(upper, counts, k)
	if stableLow <= 0 || stableHigh <= 0 {
		return 0, 0
	}
	return canaryLow / stableHigh, canaryHigh / stableLow
}

func (m *gaugeModel) interval(kpi KPI) (low, high float64) {
	stable, _, _ := m.figures(kpi)
	mean, deviation := m.Worse.Interval()
	if stable <= 0 || deviation == 0 {
		return 0, 0
	}
	margin := m.AbortLimit(stable + m.slack()) // what the differences are from
	return max((margin+mean-intervalZ*deviation)/stable, 0), (margin + mean + intervalZ*deviation) / stable
}

func (m *seriesModel) interval(KPI) (low, high float64) { return 0, 0 }
