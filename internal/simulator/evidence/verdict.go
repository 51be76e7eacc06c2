package evidence

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/internal/judge"
	"github.com/oakumhq/oakum/internal/stats"
)

// needed is the natural logarithm of the evidence that rejects by a KPI.
func (p *Panel) needed(i int) float64 {
	return math.Log(1 / (judge.Weights(p.spec.KPIs)[i] * p.spec.FalseAlarm))
}

// pass is the decimal logarithm of the evidence of the looks that acquits a KPI. One
// without a difference between boots has only the looks, and the whole miss for them.
func (p *Panel) pass(i int) float64 {
	if p.replicates[i] == nil {
		return stats.Log10(math.Log(1 / p.policy.Miss))
	}
	return stats.Log10(math.Log(1 / p.spec.Miss))
}

// effects are the KPIs that the policy judges by, with the evidence of the looks and of
// the pairs.
func (p *Panel) effects(now time.Time) []api.KPIEffect {
	list := slices.Clone(p.bank.Verdict(now).KPIs)
	for i := range list {
		k := &list[i]
		k.Reason = aboutTwins(k.Reason)
		// For the judge a KPI is missing when the last look did not have it. A
		// simulation calls it missing when no look had it.
		if k.Missing = k.Missing && k.Exposure == 0; !k.Missing && k.Kind == api.VerdictContinue && k.Promote >= p.pass(i) && k.Evidence < k.Needed/2 {
			k.Kind = api.VerdictPromote
		}
		if p.replicates[i] == nil && !k.Missing && k.Kind == api.VerdictContinue {
			k.Reason = undecided(k.KPI, *k, k.Promote, p.pass(i))
		}
		if r := p.replicates[i]; r != nil {
			r.effect(k, stats.Log10(math.Log(1/(missOfPairs*p.policy.Miss))))
		}
		if k.Kind == api.VerdictAbort && p.kpis[i].Kind == api.KPILatency {
			k.Reason += ", " + p.medians()
		}
	}
	return list
}

// Aborted reports whether the looks have proven a KPI worse than its margin. Between two
// ends of pairs nothing else changes.
func (p *Panel) Aborted() bool { return p.bank.Aborted() }

// Rejected reports whether a KPI is proven worse than its margin.
func (p *Panel) Rejected(now time.Time) bool {
	return slices.ContainsFunc(p.effects(now), func(k api.KPIEffect) bool { return k.Kind == api.VerdictAbort })
}

// Decided reports whether each KPI is proven worse or well.
func (p *Panel) Decided(now time.Time) bool {
	return !slices.ContainsFunc(p.effects(now), func(k api.KPIEffect) bool { return k.Kind != api.VerdictAbort && k.Kind != api.VerdictPromote })
}

// Looks are the KPIs as the looks alone show them. It is nil before the first pair.
func (p *Panel) Looks(now time.Time) []api.KPIEffect {
	if p.bank == nil {
		return nil
	}
	return p.bank.Verdict(now).KPIs
}

// medians writes the median latency of both twins, so that a person sees more than the
// tail: the mean over the pairs.
func (p *Panel) medians() string {
	var c, t []float64
	for _, f := range p.median {
		c, t = append(c, f.control), append(t, f.treatment)
	}
	if f, ok := latencyFigure(p.now.control, p.now.treatment, 0.5); ok && len(c) == 0 {
		c, t = append(c, f.control), append(t, f.treatment)
	}
	if len(c) == 0 {
		return "median unknown"
	}
	return fmt.Sprintf("median %s against %s", judge.Format(mean(t), judge.UnitSeconds), judge.Format(mean(c), judge.UnitSeconds))
}

// Conclude turns the evidence into an impact. Doubts are why the run as a whole says
// nothing for the patch; they make every impact inconclusive that is not a rejection.
func (p *Panel) Conclude(now time.Time, doubts []string) api.Impact {
	impact := api.Impact{Verdict: api.SimulationPass, Requests: p.sent, KPIs: p.effects(now), Power: p.power(), Series: p.series.points()}
	var worse, open []string
	for i := range impact.KPIs {
		switch k := &impact.KPIs[i]; {
		case k.Kind == api.VerdictAbort:
			worse = append(worse, k.Reason)
		case k.Kind == api.VerdictPromote:
		case k.Missing && p.unmeasured(k) != "":
			k.Kind = api.VerdictInconclusive
			open = append(open, fmt.Sprintf("%s was not measured (%s)", k.KPI, p.unmeasured(k)))
		default:
			k.Kind = api.VerdictInconclusive
			open = append(open, k.Reason)
		}
	}
	slices.SortStableFunc(worse, func(a, b string) int { return p.order(impact.KPIs, a) - p.order(impact.KPIs, b) })
	switch seen := fmt.Sprintf("%d requests to each twin (%s)", p.sent, figures(impact.KPIs)); {
	case len(worse) > 0:
		impact.Verdict, impact.Negative, impact.Reasons = api.SimulationReject, true, worse
		impact.Reason = worse[0]
	case len(doubts)+len(open) > 0:
		impact.Verdict, impact.Reasons = api.SimulationUndecided, slices.Concat(doubts, open)
		impact.Reason = fmt.Sprintf("undecided after %s: %s", seen, strings.Join(impact.Reasons, "; "))
	default:
		impact.Reason = "nothing got worse beyond its margin in " + seen
		impact.Reasons = p.limits()
		for _, l := range impact.Reasons {
			impact.Reason += "; " + l
		}
	}
	return p.complete(impact)
}

// order is the rank of a reason to reject: the strongest evidence comes first.
func (p *Panel) order(kpis []api.KPIEffect, reason string) int {
	ranked := slices.Clone(kpis)
	slices.SortStableFunc(ranked, func(a, b api.KPIEffect) int {
		switch d := (b.Evidence - b.Needed) - (a.Evidence - a.Needed); {
		case d > 0:
			return 1
		case d < 0:
			return -1
		}
		return 0
	})
	return slices.IndexFunc(ranked, func(k api.KPIEffect) bool { return k.Reason == reason })
}

// limits are what a pass does not say.
func (p *Panel) limits() []string {
	var out []string
	for i, r := range p.replicates {
		if k := p.kpis[i]; r == nil && k.Kind == api.KPICount && k.Resolution > p.spec.KPIs[i].IgnoreBelow {
			out = append(out, fmt.Sprintf("%s was judged to within %s: %d requests show no less", k.Name, judge.Format(k.Resolution, k.Unit), p.sent))
		}
		if r != nil && r.upTo() != "" && r.worse.N > 0 {
			out = append(out, fmt.Sprintf("%s was judged up to %s: a pair of boots has %d requests to show", p.kpis[i].Name, quantileName(r.quantile), p.sent/int(r.worse.N)))
		}
	}
	return out
}

// unmeasured says why a KPI could not be measured, or "" when that is not known.
func (p *Panel) unmeasured(k *api.KPIEffect) string {
	if _, disk := diskKPI(k.KPI); disk {
		return p.disks.missing()
	}
	return ""
}

// complete adds the KPIs that the policy does not judge by, and those that could not be
// measured.
func (p *Panel) complete(impact api.Impact) api.Impact {
	var names []string
	for _, k := range diskKPIs() {
		names = append(names, k.Name)
		if !slices.ContainsFunc(p.kpis, func(judged judge.KPI) bool { return judged.Name == k.Name }) {
			impact.KPIs = append(impact.KPIs, p.disks.effect(k))
		}
	}
	impact.KPIs = append(impact.KPIs, p.unjudged()...)
	if len(p.left) > 0 {
		impact.Reason += "; not measured in a sandbox: " + strings.Join(p.left, ", ")
	}
	if why := p.disks.missing(); why != "" {
		impact.Reason += fmt.Sprintf("; not measured: %s (%s)", strings.Join(names, ", "), why)
	}
	return impact
}

// figures lists both twins' values.
func figures(kpis []api.KPIEffect) string {
	parts := make([]string, 0, len(kpis))
	for _, k := range kpis {
		if k.Missing {
			parts = append(parts, k.KPI+" missing")
			continue
		}
		parts = append(parts, fmt.Sprintf("%s %s against %s", k.KPI, judge.Format(k.Canary, k.Unit), judge.Format(k.Stable, k.Unit)))
	}
	return strings.Join(parts, ", ")
}

// aboutTwins turns the judge's sentence about canaries into one about twins.
func aboutTwins(reason string) string {
	return strings.NewReplacer(
		"of the canary is worse than stable", "of the patched twin is worse than the control's",
		"of the canary", "of the patched twin",
		"x stable", "x the control's",
		"canary:", "patched twin:",
		"stable:", "control:",
		"to promote", "to pass",
		"to abort", "to reject",
	).Replace(reason)
}
