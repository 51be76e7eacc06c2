package evidence

import (
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/internal/judge"
	"github.com/oakumhq/oakum/internal/stats"
)

// A pair of boots is one replicate: whatever two machines of one image differ in from
// their boot on shows in every look of the pair, and looks do not make it smaller.
const (
	// beyondLeast is how many requests of one pair lie beyond the quantile that a
	// latency is compared at. With fewer, its estimate is that of single requests.
	beyondLeast = 50
	// gaugeLeast is how many looks a pair needs before its mean and its noise say
	// anything.
	gaugeLeast = 4
	// phiUsual is the autocorrelation that differences of two gauges usually have at most
	// from look to look, and phiTrust how many looks that counts for. A few looks say
	// little about it.
	phiUsual = 0.1
	phiTrust = 20
	// lowestShare bounds the quotient of a figure and its limit, where the figure is
	// nearly nothing.
	lowestShare = 0.01
)

// replicate is the evidence about one KPI by pairs of boots: each pair gives one value.
type replicate struct {
	kpi      judge.KPI
	margins  api.Margins
	spreads  spreads
	quantile float64          // of a latency, at which pairs are compared
	worse    stats.Replicates // of the log of treatment ÷ limit of the abort
	better   stats.Replicates // of the log of limit of the promotion ÷ treatment
	sampling float64          // sum of the variances that the pairs had within them
	values   []float64        // of the pairs, those of worse
}

// newReplicate is nil for a KPI without a difference between boots: its events of all
// pairs are counted together.
func newReplicate(kpi judge.KPI, spec api.KPISpec, pairs int, requests float64, former []api.BootSpread) *replicate {
	if bootSpread(kpi) == 0 {
		return nil
	}
	r := &replicate{kpi: kpi, margins: spec.Margins(), spreads: newSpreads(kpi, former), quantile: visibleQuantile(kpi.Quantile, requests)}
	r.worse.Planned, r.better.Planned = pairs, pairs
	return r
}

// visibleQuantile is the highest quantile, up to a KPI's own, beyond which a pair of so
// many requests has enough of them. It is the median at least.
func visibleQuantile(own, requests float64) float64 {
	best := min(own, 0.5)
	for _, q := range []float64{0.75, 0.9, 0.95, 0.99, 0.999, own} {
		if q <= own && q > best && math.Round(requests*(1-q)) >= beyondLeast {
			best = q
		}
	}
	return best
}

// figure is what one KPI was in one pair. Deviation is the standard error of the
// difference of treatment and control, in the KPI's unit.
type figure struct{ control, treatment, deviation float64 }

// observe takes the figures of one pair.
func (r *replicate) observe(f figure) {
	abort, promote := r.margins.AbortLimit(f.control), r.margins.PromoteLimit(f.control)
	for _, v := range []float64{abort, promote, f.treatment, f.deviation} {
		if math.IsNaN(v) || math.IsInf(v, 0) {
			return
		}
	}
	if abort <= 0 || promote <= 0 {
		return // nothing to compare with
	}
	r.sampling += math.Pow(f.deviation/max(f.treatment, abort), 2)
	worse := math.Log(max(f.treatment, lowestShare*abort) / abort)
	r.values = append(r.values, worse)
	spread := r.known()
	r.worse.Observe(worse, spread)
	r.better.Observe(math.Log(promote/max(f.treatment, lowestShare*promote)), spread)
}

// known is the spread of one pair's value.
func (r *replicate) known() stats.Spread { return r.spreads.of(r.values, r.within()) }

// within is the variance that a pair's value has from its looks and requests alone.
func (r *replicate) within() float64 { return r.sampling / float64(max(len(r.values), 1)) }

// unlike are the factors that the judge's looks leave to the difference of boots. In
// none of the pairs is that difference larger, but with the given chances.
func unlike(spread float64, pairs int, abort, promote float64) judge.Unlike {
	if spread == 0 {
		return judge.Unlike{}
	}
	s := stats.Spread{Variance: spread * spread, Trust: bootTrust}
	return judge.Unlike{
		Abort:   math.Exp(spread * s.Beyond(abort/float64(pairs))),
		Promote: math.Exp(spread * s.Beyond(promote/float64(pairs))),
	}
}

// latencyFigure compares a quantile of two lists of latencies.
func latencyFigure(control, treatment []float64, quantile float64) (figure, bool) {
	c, cError, known := quantileOf(control, quantile)
	t, tError, alsoKnown := quantileOf(treatment, quantile)
	return figure{c, t, math.Hypot(cError, tError)}, known && alsoKnown
}

// quantileOf is a quantile of a list and its standard error, by the order statistics one
// binomial deviation to both sides (Conover, Practical Nonparametric Statistics, 3.2).
func quantileOf(list []float64, quantile float64) (value, deviation float64, known bool) {
	n := float64(len(list))
	if n*(1-quantile) < 2 || n*quantile < 2 {
		return 0, 0, false
	}
	sorted := slices.Sorted(slices.Values(list))
	at := func(q float64) float64 { return sorted[int(min(max(math.Round(q*n-0.5), 0), n-1))] }
	step := math.Sqrt(quantile * (1 - quantile) / n)
	return at(quantile), (at(quantile+step) - at(quantile-step)) / 2, true
}

// gaugeFigure compares the means of two gauges that were read at the same looks. What
// both have in common cancels in the difference, and its autocorrelation is taken into
// account.
func gaugeFigure(control, treatment []float64) (figure, bool) {
	if len(control) < gaugeLeast || len(control) != len(treatment) {
		return figure{}, false
	}
	f := figure{control: mean(control), treatment: mean(treatment)}
	ratio := 1.0
	if f.control > 0 {
		ratio = f.treatment / f.control
	}
	var differences stats.Series
	for i := range control {
		differences.Observe(treatment[i] - ratio*control[i])
	}
	share := differences.N / (differences.N + phiTrust)
	phi := share*differences.Autocorrelation() + (1-share)*phiUsual
	f.deviation = math.Sqrt(differences.Variance() / differences.N * (1 + phi) / (1 - phi))
	return f, true
}

func mean(list []float64) float64 {
	sum := 0.0
	for _, v := range list {
		sum += v
	}
	return sum / float64(len(list))
}

// effect adds the evidence of the pairs to what the judge's looks say of the KPI. Where
// the looks reject by themselves, their reason stays, and so does the evidence that it
// has the figure of. The evidences that reject and pass are decimal logarithms.
func (r *replicate) effect(k *api.KPIEffect, pass float64) {
	if r.worse.N == 0 {
		return
	}
	worse, better := stats.Log10(r.worse.LogE()), stats.Log10(r.better.LogE())
	decided := k.Kind == api.VerdictAbort || k.Kind == api.VerdictPromote
	k.Promote = max(k.Promote, better)
	if k.Kind != api.VerdictAbort {
		k.Evidence = max(k.Evidence, worse)
	}
	switch {
	case k.Kind != api.VerdictAbort && worse >= k.Needed:
		k.Kind = api.VerdictAbort
		k.Reason = fmt.Sprintf("%s of the patched twin is %.2fx the control's (%s against %s) over %s, evidence 10^%.1f of 10^%.1f needed",
			r.name(), k.Ratio, judge.Format(k.Canary, k.Unit), judge.Format(k.Stable, k.Unit), CountOf(int(r.worse.N), "pair"), k.Evidence, k.Needed)
	case !decided && !k.Missing && better >= pass && worse < k.Needed/2:
		k.Kind = api.VerdictPromote
		k.Reason = fmt.Sprintf("%s of the patched twin is within its margin (%s against %s)%s",
			k.KPI, judge.Format(k.Canary, k.Unit), judge.Format(k.Stable, k.Unit), r.upTo())
	case k.Kind != api.VerdictAbort && k.Kind != api.VerdictPromote && !k.Missing:
		k.Reason = undecided(r.name(), *k, better, pass)
	}
}

// undecided says how far a KPI is from being decided. Promote and pass are the decimal
// logarithms of the evidence that acquits, as it is and as it must be.
func undecided(name string, k api.KPIEffect, promote, pass float64) string {
	return fmt.Sprintf("%s needs more evidence (%s against %s; 10^%.1f of 10^%.1f to pass, 10^%.1f of 10^%.1f to reject)",
		name, judge.Format(k.Canary, k.Unit), judge.Format(k.Stable, k.Unit), promote, pass, k.Evidence, k.Needed)
}

// name is the KPI, at the quantile that is compared.
func (r *replicate) name() string {
	if r.quantile == r.kpi.Quantile {
		return r.kpi.Name
	}
	return r.kpi.Name + " (" + quantileName(r.quantile) + ")"
}

// upTo says up to which quantile a latency has been judged, when it is not its own.
func (r *replicate) upTo() string {
	if r.quantile == r.kpi.Quantile {
		return ""
	}
	return ", judged up to " + quantileName(r.quantile)
}

func quantileName(q float64) string {
	return "p" + strings.TrimPrefix(fmt.Sprintf("%g", math.Round(q*1e5)/1e3), "0.")
}

// CountOf writes a number of things, "one pair" or "3 pairs".
func CountOf(n int, what string) string {
	if n == 1 {
		return "one " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}
