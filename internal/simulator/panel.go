package simulator

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/internal/judge"
	"github.com/oakumhq/oakum/internal/twin"
)

// suspicion is the evidence, as a decimal logarithm, from which on a KPI beyond
// its margin makes an impact negative although the time was too short for a
// verdict.
const suspicion = 1

// panel is the judge with those of the policy's KPIs that a sandbox can measure.
type panel struct {
	spec     api.JudgeSpec
	kpis     []judge.KPI
	left     []string // KPIs of the policy that a sandbox can't measure
	duration time.Duration
	bank     *judge.Bank
	began    time.Time
	// All latencies, so that a person sees the median too. The judge's figure is
	// about the tail.
	control, treatment []float64
	disks              disks
}

// newPanel chooses the KPIs. It returns an error if none is left.
func newPanel(r Request) (*panel, error) {
	p := &panel{spec: r.Judge, duration: cmp.Or(r.Spec.Duration.D(), durationDefault)}
	p.spec.KPIs = nil
	p.spec.MinDuration, p.spec.MaxDuration = 0, api.Duration(p.duration)
	for _, k := range r.Judge.KPIs {
		kpi, ok := known(k.KPI)
		if !ok {
			p.left = append(p.left, k.KPI)
			continue
		}
		p.kpis = append(p.kpis, kpi)
		p.spec.KPIs = append(p.spec.KPIs, k)
	}
	if len(p.kpis) == 0 {
		return nil, api.Errorf(api.CodeInvalid, "the policy judges by no KPI that a sandbox can measure (error_rate, latency_pN, cpu, memory, io_operations, io_bytes)")
	}
	return p, judge.Check(p.spec)
}

// usual gives the judge the control's latencies in the warm-up.
func (p *panel) usual(latencies []float64) {
	m := judge.Samples(latencies)
	if !m.Present {
		return
	}
	for i := range p.kpis {
		if p.kpis[i].Kind == api.KPILatency {
			p.kpis[i].Reference = judge.Reference{Upper: m.Upper, Counts: m.Counts}
		}
	}
}

// begin starts the judgement.
func (p *panel) begin(now time.Time) error {
	bank, err := judge.New(p.spec, p.kpis, judge.Stage{Started: now})
	if err != nil {
		return wrap(err, "judge the twins")
	}
	p.bank, p.began = bank, now
	return nil
}

// look gives the judge one interval of both twins.
func (p *panel) look(now time.Time, took time.Duration, control, treatment taken) {
	look := judge.Look{At: now, Seconds: took.Seconds(), KPIs: make(map[string]judge.Pair)}
	for _, k := range p.kpis {
		pair := judge.Pair{Canary: measureOf(k, treatment), Stable: measureOf(k, control)}
		if pair.Canary.Present && pair.Stable.Present {
			look.KPIs[k.Name] = pair
		}
	}
	p.bank.Observe(look)
	p.control = append(p.control, control.latencies...)
	p.treatment = append(p.treatment, treatment.latencies...)
	p.disks.add(control.disk, treatment.disk)
}

// median writes the median latency of both twins.
func (p *panel) median() string {
	middle := func(list []float64) string {
		if len(list) == 0 {
			return "none"
		}
		sorted := slices.Sorted(slices.Values(list))
		return judge.Format(sorted[len(sorted)/2], judge.UnitSeconds)
	}
	return fmt.Sprintf("median %s against %s", middle(p.treatment), middle(p.control))
}

// measureOf returns the measure of a KPI in one interval of one twin. It is absent
// when the interval has no measurement of the KPI.
func measureOf(k judge.KPI, t taken) judge.Measure {
	mean := func(value func(twin.Usage) float64) judge.Measure {
		if len(t.usage) == 0 {
			return judge.Measure{}
		}
		sum := 0.0
		for _, u := range t.usage {
			sum += value(u)
		}
		return judge.Gauge(sum / float64(len(t.usage)))
	}
	switch {
	case k.Kind == api.KPILatency:
		if t.requests == 0 {
			return judge.Measure{}
		}
		return judge.Samples(t.latencies)
	case k.Name == api.KPIErrorRate:
		if t.requests == 0 {
			return judge.Measure{}
		}
		return judge.Count(float64(t.errors), float64(t.requests))
	case k.Name == api.KPICPU:
		return mean(func(u twin.Usage) float64 { return u.CPUCores })
	case k.Name == api.KPIMemory:
		return mean(func(u twin.Usage) float64 { return u.Memory })
	case k.Name == api.KPIIOOperations || k.Name == api.KPIIOBytes:
		return t.disk.rate(k.Name)
	}
	return judge.Measure{}
}

func (p *panel) aborted(now time.Time) bool { return p.bank.Verdict(now).Kind == api.VerdictAbort }

// conclude turns the verdict into an impact.
func (p *panel) conclude(now time.Time, requests int) api.Impact {
	v := p.bank.Verdict(now)
	impact := api.Impact{Requests: requests, KPIs: slices.Clone(v.KPIs)}
	var open, suspect []string
	for i := range impact.KPIs {
		k := &impact.KPIs[i]
		k.Reason = aboutTwins(k.Reason)
		// For the judge a KPI is missing when the last look did not have it. A
		// simulation calls it missing when no look had it.
		k.Missing = k.Missing && k.Exposure == 0
		if k.Kind == api.VerdictAbort && strings.HasPrefix(k.KPI, "latency_") {
			reason := k.Reason
			k.Reason += ", " + p.median()
			v.Reason = strings.Replace(aboutTwins(v.Reason), reason, k.Reason, 1)
		}
		if _, disk := diskKPI(k.KPI); disk && k.Missing {
			continue // complete reports both, with the reason
		}
		if k.Kind == api.VerdictContinue || k.Kind == api.VerdictInconclusive {
			open = append(open, k.KPI)
			if p.suspect(*k) {
				suspect = append(suspect, fmt.Sprintf("%s is %s against %s", k.KPI, judge.Format(k.Canary, k.Unit), judge.Format(k.Stable, k.Unit)))
			}
		}
	}
	switch {
	case v.Kind == api.VerdictAbort:
		impact.Negative, impact.Reason = true, aboutTwins(v.Reason)
	case len(suspect) > 0:
		impact.Negative = true
		impact.Reason = fmt.Sprintf("the patched twin looks worse than the control (%s) after %d requests each",
			strings.Join(suspect, ", "), requests)
	default:
		impact.Reason = fmt.Sprintf("nothing got worse beyond its margin in %d requests to each twin (%s)", requests, figures(impact.KPIs))
		if len(open) > 0 {
			impact.Reason += "; too few to acquit: " + strings.Join(open, ", ")
		}
	}
	if len(p.left) > 0 {
		impact.Reason += "; not measured in a sandbox: " + strings.Join(p.left, ", ")
	}
	return p.complete(impact)
}

// complete adds the KPIs that the policy does not judge by, and the KPIs that
// could not be measured.
func (p *panel) complete(impact api.Impact) api.Impact {
	var names []string
	for _, k := range diskKPIs() {
		names = append(names, k.Name)
		if !slices.ContainsFunc(p.kpis, func(judged judge.KPI) bool { return judged.Name == k.Name }) {
			impact.KPIs = append(impact.KPIs, p.disks.effect(k))
		}
	}
	if why := p.disks.missing(); why != "" {
		impact.Reason += fmt.Sprintf("; not measured: %s (%s)", strings.Join(names, ", "), why)
	}
	return impact
}

// suspect reports whether an undecided KPI makes the impact negative all the same.
func (p *panel) suspect(k api.KPIEffect) bool {
	i := slices.IndexFunc(p.spec.KPIs, func(s api.KPISpec) bool { return s.KPI == k.KPI })
	if i < 0 || k.Missing {
		return false
	}
	s := p.spec.KPIs[i]
	return k.Canary > s.Margins().PromoteLimit(k.Stable) && k.Evidence >= suspicion
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
	).Replace(reason)
}
