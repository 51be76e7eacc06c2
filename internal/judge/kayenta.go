package judge

import (
	"fmt"
	"math"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/internal/judge/kayenta"
	"github.com/oakumhq/oakum/internal/stats"
)

const (
	// kayentaFrom is how many points of each arm it takes to abort: with fewer
	// than five the test is far from its level.
	kayentaFrom = 5
	// kayentaPoints is how many it takes to promote: Kayenta's own advice.
	kayentaPoints = 50
	// kayentaMost bounds the series, and with them the state. Older points go.
	kayentaMost = 720
)

// seriesModel keeps one value per look and arm, as Kayenta has them: the rate of a
// count, the quantile of a latency, the value of a gauge.
type seriesModel struct {
	Canary stats.Vector  `json:"canary,omitempty"`
	Stable stats.Vector  `json:"stable,omitempty"`
	Class  kayenta.Class `json:"class,omitempty"`
	Reason string        `json:"reason,omitempty"`
}

func (m *seriesModel) observe(kpi KPI, pair Pair, _ float64) {
	canary, stable := point(kpi, pair.Canary), point(kpi, pair.Stable)
	if math.IsNaN(canary) || math.IsNaN(stable) {
		return
	}
	m.Canary, m.Stable = append(m.Canary, canary), append(m.Stable, stable)
	if len(m.Canary) > kayentaMost {
		m.Canary, m.Stable = m.Canary[1:], m.Stable[1:]
	}
}

// point is the value of a measure, NaN when nothing happened.
func point(kpi KPI, m Measure) float64 {
	switch {
	case kpi.Quantile > 0 && m.requests() > 0:
		return Quantile(m.Upper, m.Counts, kpi.Quantile)
	case kpi.Quantile > 0:
		return math.NaN()
	case m.Exposure > 0:
		return m.Events / m.Exposure
	case m.Exposure == 0 && m.Events == 0 && kpi.Kind == api.KPIGauge:
		return m.Value
	}
	return math.NaN()
}

// evidence is none: Kayenta has no notion of it.
func (m *seriesModel) evidence() (abort, promote float64) { return 0, 0 }

func (m *seriesModel) most() (abort, promote float64) { return 0, 0 }

func (m *seriesModel) figures(KPI) (stable, canary, exposure float64) {
	return kayenta.Summarise(m.Stable).Mean, kayenta.Summarise(m.Canary).Mean, float64(len(m.Canary))
}

func (m *seriesModel) reference() Reference { return Reference{} }

// score judges all KPIs by Kayenta's rules: a KPI whose canary is higher, and
// whose ratio of means is above abort_above, fails; the score is the share of the
// KPIs, by their weights, that pass. Below 50 it aborts; from fifty looks on, 75
// promotes; in between it goes on to the end of max_duration. The margins
// promote_below, false_alarm and miss play no part, and nothing is promised of how
// often the judge is wrong.
func (b *Bank) score() {
	points := math.MaxInt
	weights := map[string]float64{}
	metrics := make([]kayenta.Metric, len(b.state.KPIs))
	for i, e := range b.state.KPIs {
		rules := kayenta.Defaults()
		rules.Direction, rules.AllowedIncrease = kayenta.Increase, e.Spec.AbortAbove
		result := rules.Classify(e.Series.Stable, e.Series.Canary)
		stable, canary, _ := e.Series.figures(e.KPI)
		if result.Class == kayenta.High && canary-stable <= e.Spec.IgnoreBelow {
			result = kayenta.Result{Class: kayenta.Pass, Reason: "the difference is to be ignored"}
		}
		e.Series.Class, e.Series.Reason = result.Class, result.Reason
		points = min(points, len(e.Series.Canary))
		weights[e.KPI.Name] = 100 * e.Weight
		metrics[i] = kayenta.Metric{Name: e.KPI.Name, Class: result.Class, Groups: []string{e.KPI.Name}}
	}
	total := 0.0
	for _, e := range b.state.KPIs {
		total += weights[e.KPI.Name]
	}
	for name := range weights {
		weights[name] *= 100 / total
	}
	summary, _ := kayenta.Score(metrics, weights)
	for _, e := range b.state.KPIs {
		e.Aborted = e.Aborted || points >= kayentaFrom && summary < kayenta.MarginalScore && e.Series.Class == kayenta.High
		e.Promoted = points >= kayentaPoints && summary >= kayenta.PassScore
	}
}

// sentence describes a KPI that is judged by Kayenta's rules.
func (m *seriesModel) sentence(name, values string) string {
	if m.Class == "" {
		return fmt.Sprintf("%s has no points yet", name)
	}
	return fmt.Sprintf("%s of the canary is %s by Kayenta's rules (%s; %s; %d points)", name, m.Class, values, m.Reason, len(m.Canary))
}
