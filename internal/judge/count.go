package judge

import (
	"math"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/internal/stats"
)

// referenceMiss is the chance that a limit of a reference is wrong, for a canary without
// a stable arm: once in 200 times.
const referenceMiss = 0.005

// freshRequests is how many stable requests make a better reference than the history,
// which may be of another day. It is enough to bound a rate of one percent to about a
// factor of two.
const freshRequests = 1000

// countModel judges events out of exposures.
type countModel struct {
	Canary  sums          `json:"canary"`
	Stable  sums          `json:"stable"`
	Worse   *stats.Ratio  `json:"worse,omitempty"`
	Better  *stats.Ratio  `json:"better,omitempty"`
	WorseBy *stats.Margin `json:"worse_by,omitempty"`
	BetterB *stats.Margin `json:"better_by,omitempty"`
	Alone   *aloneRate    `json:"alone,omitempty"`
	Carried Reference     `json:"carried,omitzero"`
}

type sums struct {
	Events   float64 `json:"events"`
	Exposure float64 `json:"exposure"`
}

func (s *sums) add(events, exposure float64) { s.Events += events; s.Exposure += exposure }

func (s sums) rate() float64 {
	if s.Exposure == 0 {
		return 0
	}
	return s.Events / s.Exposure
}

// aloneRate judges a rate against fixed bounds in both directions.
type aloneRate struct {
	Worse  stats.Rate `json:"worse"`
	Better stats.Rate `json:"better"`
}

func (a *aloneRate) observe(events, exposure, dispersion float64) {
	a.Worse.Observe(events, exposure, dispersion)
	a.Better.Observe(events, exposure, dispersion)
}

func newCount(kpi KPI, spec api.KPISpec, alone bool) *countModel {
	m := &countModel{Carried: kpi.Reference}
	if alone {
		low, high := stats.RateBounds(kpi.Reference.Events, kpi.Reference.Exposure, referenceMiss)
		if !math.IsInf(high, 0) {
			m.Alone = &aloneRate{
				stats.NewRate(spec.Margins().AbortLimit(high+kpi.Drift), stats.Worse),
				stats.NewRate(spec.Margins().PromoteLimit(low), stats.Better),
			}
		}
		return m
	}
	worse := stats.NewRatio(spec.AbortAbove, stats.Worse, 0)
	better := stats.NewRatio(spec.PromoteBelow, stats.Better, 1)
	m.Worse, m.Better = &worse, &better
	if spec.IgnoreBelow > 0 {
		worseBy := stats.NewMargin(spec.IgnoreBelow, stats.Worse)
		m.WorseBy = &worseBy
	}
	if well := max(spec.IgnoreBelow, kpi.Resolution); well > 0 {
		betterBy := stats.NewMargin(well, stats.Better)
		m.BetterB = &betterBy
	}
	return m
}

func (m *countModel) observe(kpi KPI, pair Pair, _ float64) {
	m.Canary.add(pair.Canary.Events, pair.Canary.Exposure)
	if m.Worse == nil {
		if m.Alone != nil {
			m.Alone.observe(pair.Canary.Events, pair.Canary.Exposure, kpi.Dispersion)
		}
		return
	}
	m.Stable.add(pair.Stable.Events, pair.Stable.Exposure)
	block := stats.Block{
		CanaryEvents: pair.Canary.Events, CanaryExposure: pair.Canary.Exposure,
		StableEvents: pair.Stable.Events, StableExposure: pair.Stable.Exposure,
	}
	m.Worse.Observe(block, kpi.Dispersion)
	m.Better.Observe(block, kpi.Dispersion)
	if m.WorseBy != nil {
		m.WorseBy.Observe(block, kpi.Dispersion)
	}
	if m.BetterB != nil {
		m.BetterB.Observe(block, kpi.Dispersion)
	}
}

// evidence combines the two margins. To abort, the rate must exceed both margins, so that
// the weaker evidence counts. To promote, it must be below one of them. The hypothesis to
// refute is then that both are exceeded. Each of the two e-processes is valid for it, and
// so is their mean.
func (m *countModel) evidence() (abort, promote float64) {
	switch {
	case m.Worse == nil && m.Alone == nil:
		return 0, 0
	case m.Worse == nil:
		return m.Alone.Worse.LogE(), m.Alone.Better.LogE()
	}
	abort, promote = m.Worse.LogE(), m.Better.LogE()
	if m.WorseBy != nil {
		abort = min(abort, m.WorseBy.LogE())
	}
	if m.BetterB != nil {
		promote = stats.LogMeanExp(promote, m.BetterB.LogE())
	}
	return abort, promote
}

func (m *countModel) most() (abort, promote float64) {
	switch {
	case m.Worse == nil && m.Alone == nil:
		return 0, 0
	case m.Worse == nil:
		return m.Alone.Worse.Most(), m.Alone.Better.Most()
	}
	abort, promote = m.Worse.Most(), m.Better.Most()
	if m.WorseBy != nil {
		abort = min(abort, m.WorseBy.Most())
	}
	if m.BetterB != nil {
		promote = max(promote, m.BetterB.Most())
	}
	return abort, promote
}

func (m *countModel) figures(KPI) (stable, canary, exposure float64) {
	stable = m.Stable.rate()
	if m.Worse == nil {
		stable = sums{m.Carried.Events, m.Carried.Exposure}.rate()
	}
	return stable, m.Canary.rate(), m.Canary.Exposure
}

func (m *countModel) reference() Reference {
	if m.Stable.Exposure >= freshRequests {
		return Reference{Events: m.Stable.Events, Exposure: m.Stable.Exposure}
	}
	return Reference{Events: m.Carried.Events + m.Stable.Events, Exposure: m.Carried.Exposure + m.Stable.Exposure}
}
