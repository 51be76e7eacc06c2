package judge

import (
	"fmt"
	"math"
	"strings"
	"time"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/internal/stats"
)

// Verdict is the joint result of all looks so far.
func (b *Bank) Verdict(now time.Time) api.Verdict {
	s := &b.state
	v := api.Verdict{Kind: api.VerdictPromote, At: now, Looks: s.Looks}
	after := now.Sub(s.Started).Round(time.Second)
	judged := now.Sub(s.Started) - s.Away.D()
	over := s.Spec.MaxDuration > 0 && judged >= s.Spec.MaxDuration.D()
	var worst *api.KPIEffect
	for _, e := range s.KPIs {
		effect := e.effect(s.Spec, over)
		if effect.Kind != api.VerdictPromote && v.Kind != api.VerdictAbort {
			v.Kind = effect.Kind
		}
		v.KPIs = append(v.KPIs, effect)
	}
	for i := range v.KPIs {
		if v.KPIs[i].Kind == v.Kind && (worst == nil || leads(v.Kind, v.KPIs[i], *worst)) {
			worst = &v.KPIs[i]
		}
	}
	switch v.Kind {
	case api.VerdictAbort:
		v.Reason = fmt.Sprintf("%s, after %s", worst.Reason, after)
	case api.VerdictPromote:
		parts := make([]string, len(v.KPIs))
		for i, k := range v.KPIs {
			parts[i] = fmt.Sprintf("%s %s against %s", k.KPI, Format(k.Canary, k.Unit), Format(k.Stable, k.Unit))
		}
		v.Reason = fmt.Sprintf("every KPI is within its margin (%s), after %s", strings.Join(parts, ", "), after)
		if least := s.Spec.MinDuration.D(); least > 0 && judged < least && !over {
			v.Kind = api.VerdictContinue
			v.Reason += fmt.Sprintf("; a stage is judged for %s at least", s.Spec.MinDuration)
		}
	case api.VerdictContinue:
		v.Reason = fmt.Sprintf("undecided so far: %s, after %s", worst.Reason, after)
	case api.VerdictInconclusive:
		v.Reason = fmt.Sprintf("no decision within %s: %s", s.Spec.MaxDuration, worst.Reason)
	}
	return v
}

// leads reports whether a explains a verdict better than b: the strongest
// evidence of an abort, else the KPI that is furthest from being promoted.
func leads(kind api.VerdictKind, a, b api.KPIEffect) bool {
	if kind == api.VerdictAbort {
		return a.Evidence-a.Needed > b.Evidence-b.Needed
	}
	if a.Missing != b.Missing {
		return a.Missing
	}
	return a.Promote < b.Promote
}

func (e *entry) effect(spec api.JudgeSpec, over bool) api.KPIEffect {
	abort, promote := e.model().evidence()
	stable, canary, exposure := e.model().figures(e.KPI)
	k := api.KPIEffect{
		KPI: e.KPI.Name, Kind: api.VerdictContinue, Unit: e.KPI.Unit,
		Stable: stable, Canary: canary, Exposure: exposure,
		Evidence: tidy(abort), Promote: tidy(promote),
		Needed:  tidy(math.Log(1 / (e.Weight * spec.FalseAlarm))),
		Missing: e.Missing != "",
	}
	if stable > 0 {
		k.Ratio = canary / stable
	}
	if low, high := e.model().interval(e.KPI); low <= high && !math.IsInf(low, 0) {
		k.Low = low
		if !math.IsInf(high, 0) {
			k.High = high
		}
	}
	switch {
	case e.Aborted:
		k.Kind = api.VerdictAbort
	case e.Promoted && !k.Missing:
		k.Kind = api.VerdictPromote
	case over:
		k.Kind = api.VerdictInconclusive
	}
	k.Reason = e.reason(k, tidy(math.Log(1/spec.Miss)))
	return k
}

func (e *entry) reason(k api.KPIEffect, promote float64) string {
	values := fmt.Sprintf("%s against %s", Format(k.Canary, k.Unit), Format(k.Stable, k.Unit))
	var text string
	switch {
	case e.Series != nil && !k.Missing:
		text = e.Series.sentence(k.KPI, values)
	case k.Kind == api.VerdictAbort && k.Ratio < e.Spec.AbortAbove && e.Latency != nil && e.Latency.Slower != nil:
		// The canary is slower elsewhere in the distribution than at the quantile.
		at, ours, theirs := e.Latency.Slower.worst(e.Latency.Upper, e.Latency.Canary, e.Latency.Stable)
		text = fmt.Sprintf("%s of the canary is worse than stable (%s of its requests took longer than %s, %s of the stable ones longer than %s), evidence 10^%.1f of 10^%.1f needed",
			k.KPI, Format(ours, UnitShare), Format(at.Canary, UnitSeconds), Format(theirs, UnitShare), Format(at.Stable, UnitSeconds), k.Evidence, k.Needed)
	case k.Kind == api.VerdictAbort && k.Ratio > 1:
		text = fmt.Sprintf("%s of the canary is %sx stable (%s), evidence 10^%.1f of 10^%.1f needed", k.KPI, ratioText(k.Ratio), values, k.Evidence, k.Needed)
	case k.Kind == api.VerdictAbort:
		text = fmt.Sprintf("%s of the canary is worse than stable (%s), evidence 10^%.1f of 10^%.1f needed", k.KPI, values, k.Evidence, k.Needed)
	case k.Missing:
		text = fmt.Sprintf("%s is missing (%s)", k.KPI, e.Missing)
	case k.Kind == api.VerdictPromote:
		text = fmt.Sprintf("%s of the canary is within its margin (%s)", k.KPI, values)
	default:
		text = fmt.Sprintf("%s needs more evidence (%s; 10^%.1f of 10^%.1f to promote, 10^%.1f of 10^%.1f to abort)",
			k.KPI, values, k.Promote, promote, k.Evidence, k.Needed)
	}
	if e.Dropped > 0 {
		text += fmt.Sprintf("; %d unusable looks dropped, the last for %s", e.Dropped, e.LastDrop)
	}
	return text
}

// ratioText writes a ratio with two digits, or all of those that a large one has before
// the point: 3.5, 44, 302.
func ratioText(ratio float64) string {
	if ratio < 10 {
		return fmt.Sprintf("%.2g", ratio)
	}
	return fmt.Sprintf("%.0f", ratio)
}

// tidy turns evidence into a decimal logarithm that JSON can carry.
func tidy(natural float64) float64 {
	return math.Round(min(max(stats.Log10(natural), -999), 999)*1000) / 1000
}

// Format writes a value with its unit for a person.
func Format(value float64, unit string) string {
	switch unit {
	case UnitShare:
		return fmt.Sprintf("%.3g %%", value*100)
	case UnitSeconds:
		switch {
		case value >= 1:
			return fmt.Sprintf("%.3g s", value)
		case value >= 1e-3:
			return fmt.Sprintf("%.3g ms", value*1e3)
		}
		return fmt.Sprintf("%.3g us", value*1e6)
	case UnitByteRate:
		return Format(value, UnitBytes) + "/s"
	case UnitBytes:
		switch {
		case value >= 1<<30:
			return fmt.Sprintf("%.3g GiB", value/(1<<30))
		case value >= 1<<20:
			return fmt.Sprintf("%.4g MiB", value/(1<<20))
		}
		return fmt.Sprintf("%.0f B", value)
	}
	return strings.TrimSpace(fmt.Sprintf("%.3g %s", value, unit))
}
