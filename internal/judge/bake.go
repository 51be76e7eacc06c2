package judge

import (
	"fmt"
	"math"
	"strings"
	"time"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/internal/stats"
)

// Traffic is the expected traffic of a stage.
type Traffic struct {
	Canary float64 // requests per second to all patched instances
	Stable float64 // to all former ones
}

const (
	// bakeCost is the mean time to promote a healthy canary in units of the least
	// time that any judge needs, from the benchmarks.
	bakeCost = 1.15
	// bakeCold is how many looks a gauge takes without history.
	bakeCold = 25
)

// Bake forecasts how long a stage takes until a healthy canary is promoted: the
// least time that the margins, the base rate and the traffic allow, times what
// this judge needs more. It is the mean; a judgement may take several times as
// long. A KPI for which nothing is known can't be forecast and is named.
func Bake(spec api.JudgeSpec, kpis []KPI, traffic Traffic) api.BakeTime {
	out := api.BakeTime{Most: spec.MaxDuration}
	if spec.Method == api.JudgeKayenta {
		out.Expected = api.Duration(kayentaPoints * spec.Interval.D())
		out.Reason = fmt.Sprintf("%d points of each arm", kayentaPoints)
		return bounded(out, spec)
	}
	interval := max(spec.Interval.D().Seconds(), 1)
	var unknown []string
	longest := 0.0
	for _, want := range spec.KPIs {
		for _, kpi := range kpis {
			if kpi.Name != want.KPI {
				continue
			}
			seconds, why := bakeOne(kpi, want, math.Log(1/spec.Miss), traffic, interval)
			if math.IsNaN(seconds) {
				unknown = append(unknown, kpi.Name)
				continue
			}
			if seconds >= longest {
				longest, out.Slowest, out.Reason = seconds, kpi.Name, why
			}
		}
	}
	out.Unknown = unknown
	if out.Slowest == "" {
		out.Reason = "nothing is known yet of " + strings.Join(unknown, ", ")
		return out
	}
	// The first look only sets the counters; a decision falls on a look.
	seconds := math.Ceil(bakeCost*longest/interval+1) * interval
	out.Expected = api.Duration(min(seconds, 1e9) * float64(time.Second))
	return bounded(out, spec)
}

// bounded holds a forecast against both limits. A forecast below the least time of the
// policy is that time. A forecast beyond the most says that it is late.
func bounded(b api.BakeTime, spec api.JudgeSpec) api.BakeTime {
	least := spec.MinDuration
	if b.Most > 0 {
		least = min(least, b.Most)
	}
	if least > b.Expected {
		b.Expected, b.Slowest, b.Reason = least, "", fmt.Sprintf("no stage is judged for less than %s", spec.MinDuration)
	}
	b.Late = b.Most > 0 && b.Expected > b.Most
	return b
}

// bakeOne is the least mean time for one KPI in seconds, infinite when no time is
// enough, NaN when nothing is known.
func bakeOne(kpi KPI, spec api.KPISpec, evidence float64, t Traffic, interval float64) (float64, string) {
	dispersion := max(kpi.Dispersion, 1)
	switch kpi.Kind {
	case api.KPICount:
		r := kpi.Reference
		if r.Exposure <= 0 || t.Canary <= 0 {
			return math.NaN(), ""
		}
		base := r.Events / r.Exposure
		relative := math.Inf(1)
		if base > 0 {
			relative = stats.WaldRatio(t.Canary*base, t.Stable*base, 1, spec.PromoteBelow, math.Exp(-evidence))
		}
		seconds := relative
		if spec.IgnoreBelow > 0 {
			// Both margins share the evidence, which costs a factor of two.
			absolute := (evidence + math.Ln2) / stats.MarginInformation(base, spec.IgnoreBelow, t.Canary, t.Stable)
			seconds = min(relative*(evidence+math.Ln2)/evidence, absolute)
		}
		return seconds * dispersion, fmt.Sprintf("%.3g requests a second with %s errors", t.Canary, Format(base, UnitShare))
	case api.KPILatency:
		if t.Canary <= 0 || !Placeable(kpi, kpi.Reference.Counts) {
			return math.NaN(), ""
		}
		m := newLatency(kpi, spec, false)
		m.Upper = m.Carried.Upper
		m.placeBetter(kpi)
		if m.Better == nil {
			return math.Inf(1), "the histogram has no bucket that the margin fits"
		}
		n := total(m.Carried.Counts)
		stable, canary := Above(m.Upper, m.Carried.Counts, m.Better.Stable)/n, tail(m.Upper, m.Carried.Counts, m.Better.Canary)/n
		ratio := max(canary/stable, 1e-6)
		return stats.WaldRatio(t.Canary*stable, t.Stable*stable, ratio, 1, math.Exp(-evidence)) * dispersion,
			fmt.Sprintf("%.3g requests a second", t.Canary)
	case api.KPIGauge:
	}
	if kpi.Reference.N < 2 {
		return math.NaN(), ""
	}
	if !kpi.PhiKnown || kpi.Noise.N == 0 {
		return bakeCold * interval, "no history of how instances differ"
	}
	margin := spec.Margins().PromoteLimit(kpi.Reference.Mean) - kpi.Reference.Mean
	variance := kpi.Noise.Canary + spec.PromoteBelow*spec.PromoteBelow*kpi.Noise.Stable
	effect := margin * margin / max(variance, 1e-12*margin*margin) * (1 - kpi.Phi) / (1 + kpi.Phi)
	// Two evidences share a promotion. A canary that begins as it goes on is promoted by
	// the first, which has the larger weight and needs that much more. A t test grows by
	// ln(1+effect^2)/2 a look, and needs a few to begin.
	evidence -= math.Log1p(-laterShare)
	looks := max(2*(evidence+1)/math.Log1p(effect), 3)
	return looks * interval, fmt.Sprintf("%.0f looks", looks)
}
