package cli

import (
	"context"
	"fmt"
	"html/template"
	"io"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/api/client"
)

// verdictReport is one judged stage of a rollout.
type verdictReport struct {
	Rollout string        `json:"rollout"`
	Patch   string        `json:"patch"`
	Target  string        `json:"target"`
	Stage   int           `json:"stage"`
	Percent int           `json:"percent"`
	Began   time.Time     `json:"began"`
	Took    api.Duration  `json:"took"` // from when the stage was healthy to the verdict
	Judge   api.JudgeSpec `json:"judge"`
	Verdict api.Verdict   `json:"verdict"`
	// Simulation is the sandbox run that came before all stages, in a report of
	// its own without a stage; its verdict holds the twins' KPIs.
	Simulation *api.Simulation `json:"simulation,omitempty"`
}

func rolloutReport(e *env) *command {
	c := newCommand("rollout report", one("ID"), "Report the verdicts of a rollout", `
Reports the simulation and each judged stage of a rollout: for every KPI the value
on the former and on the patched instances (the control and the patched twin),
their ratio with its 95 percent limits, and the evidence with what was needed. ID
may be the beginning of an ID.

With -html, one self-contained page with plots is printed, for a ticket or an
archive.`).remote().reads().prints()
	page := c.flags.Bool("html", false, "Print an HTML page.")
	c.run = c.asks(e, func(ctx context.Context, cl *client.Client, args []string) error {
		r, err := findRollout(ctx, cl, args[0], c.query())
		if err != nil {
			return err
		}
		reports := reportsOf(r)
		if r.Simulation != "" {
			s, _, err := cl.Simulation(ctx, r.Simulation, c.query())
			if err != nil && !api.IsCode(err, api.CodeNotFound) {
				return err
			}
			if s.Impact != nil {
				reports = append([]verdictReport{simulationReport(r, s)}, reports...)
			}
		}
		if *page {
			return printReportPage(e.Stdout, r, reports)
		}
		return e.show(c.out, reports, func(w io.Writer) { printReports(w, r, reports) })
	})
	return c
}

// reportsOf collects the stages that have a verdict, the present one included.
func reportsOf(r api.Rollout) []verdictReport {
	reports := []verdictReport{}
	for i, s := range r.Stages {
		v := s.Verdict
		if v == nil && i == len(r.Stages)-1 {
			v = r.Verdict
		}
		if v == nil {
			continue
		}
		report := verdictReport{Rollout: r.ID, Patch: r.Patch, Target: r.Target.String(), Stage: s.Number, Percent: s.Percent,
			Began: s.Began, Judge: r.Decision.Judge, Verdict: *v}
		if !s.Ready.IsZero() && v.At.After(s.Ready) {
			report.Took = api.Duration(v.At.Sub(s.Ready))
		}
		reports = append(reports, report)
	}
	return reports
}

// simulationReport tells a simulation as if it were a stage.
func simulationReport(r api.Rollout, s api.Simulation) verdictReport {
	kind := api.VerdictContinue // the stages judge again
	if s.Impact.Negative {
		kind = api.VerdictAbort
	}
	return verdictReport{
		Rollout: r.ID, Patch: r.Patch, Target: r.Target.String(), Began: s.Started, Took: api.Duration(s.Ended.Sub(s.Started)),
		Judge: r.Decision.Judge, Simulation: &s,
		Verdict: api.Verdict{Kind: kind, At: s.Ended, Reason: s.Impact.Reason, KPIs: s.Impact.KPIs},
	}
}

// judged is false when there is no stage among the reports.
func judged(reports []verdictReport) bool {
	return slices.ContainsFunc(reports, func(p verdictReport) bool { return p.Simulation == nil })
}

func printReports(w io.Writer, r api.Rollout, reports []verdictReport) {
	fields(w, "Rollout", r.ID, "Patch", r.Patch, "Target", r.Target.String(), "Status", string(r.Status))
	if !judged(reports) {
		fmt.Fprintln(w, "\nNo stage was judged.")
	}
	for _, p := range reports {
		if s := p.Simulation; s != nil {
			fmt.Fprintf(w, "\nSimulation %s: %s after %s and %d requests to each twin\n%s\n\n", s.ID, s.Status,
				p.Took.D().Round(time.Second), s.Impact.Requests, p.Verdict.Reason)
		} else {
			printStage(w, p)
		}
		printReport(w, p)
	}
}

func printStage(w io.Writer, p verdictReport) {
	fmt.Fprintf(w, "\nStage %d (%d %%): %s after %s and %d looks\n%s\n\n", p.Stage, p.Percent, p.Verdict.Kind,
		p.Took.D().Round(time.Second), p.Verdict.Looks, p.Verdict.Reason)
}

func printReport(w io.Writer, p verdictReport) {
	t := newTable("KPI", "Verdict", "Former", "Patched", "Ratio", "95 % limits", "Abort 10^", "Promote 10^")
	for _, k := range p.Verdict.KPIs {
		if k.Missing {
			t.add(k.KPI, "no data", "-", "-", "-", "-", "-", "-")
			continue
		}
		ratio := "-"
		if k.Ratio > 0 {
			ratio = fmt.Sprintf("%.3gx", k.Ratio)
		}
		kind, abort, promote := string(k.Kind), fmt.Sprintf("%.1f of %.1f", k.Evidence, k.Needed),
			fmt.Sprintf("%.1f of %.1f", k.Promote, promoteNeeded(p.Judge))
		if k.Unjudged {
			kind, abort, promote = "not judged", "-", "-"
		}
		t.add(k.KPI, kind, amount(k.Stable, k.Unit), amount(k.Canary, k.Unit), ratio, limits(k), abort, promote)
	}
	t.print(w, "  ")
}

func limits(k api.KPIEffect) string {
	switch {
	case k.High > 0:
		return fmt.Sprintf("%.3g to %.3g", k.Low, k.High)
	case k.Low > 0:
		return fmt.Sprintf("from %.3g", k.Low)
	}
	return "-"
}

// promoteNeeded is the decimal logarithm of the evidence that promotes.
func promoteNeeded(j api.JudgeSpec) float64 {
	if j.Miss <= 0 || j.Miss >= 1 {
		return 0
	}
	return -math.Log10(j.Miss)
}

const (
	// plotWidth is that of a plot in pixels; its middle is a ratio of one, its ends
	// are plotReach and its inverse.
	plotWidth = 320.0
	plotReach = 8.0
)

// place is where a ratio stands in a plot, from 0 to plotWidth.
func place(ratio float64) float64 {
	x := math.Log(min(max(ratio, 1/plotReach), plotReach)) / math.Log(plotReach)
	return math.Round((x+1)/2*plotWidth*10) / 10
}

// bar is how long a bar of evidence is, from 0 to plotWidth.
func bar(evidence, needed float64) float64 {
	if needed <= 0 {
		return 0
	}
	return math.Round(min(max(evidence/needed, 0), 1)*plotWidth*10) / 10
}

// plotted is a KPI with the coordinates of its plots.
type plotted struct {
	api.KPIEffect
	Former, Patched, Limits  string
	Has                      bool // there is a ratio
	From, At, To             float64
	Width                    float64
	One, AbortAt, PromoteAt  float64
	AbortBar, PromoteBar     float64
	PromoteNeeded            string
	AbortMargin, PromoteWant string
}

func plot(k api.KPIEffect, j api.JudgeSpec) plotted {
	p := plotted{KPIEffect: k, Former: amount(k.Stable, k.Unit), Patched: amount(k.Canary, k.Unit), Limits: limits(k),
		Has: k.Ratio > 0, At: place(k.Ratio), From: place(k.Low), To: plotWidth, Width: plotWidth, One: place(1),
		AbortBar: bar(k.Evidence, k.Needed), PromoteBar: bar(k.Promote, promoteNeeded(j)),
		PromoteNeeded: strconv.FormatFloat(promoteNeeded(j), 'f', 1, 64)}
	if k.High > 0 {
		p.To = place(k.High)
	}
	for _, s := range j.KPIs {
		if s.KPI == k.KPI {
			p.AbortAt, p.PromoteAt = place(s.AbortAbove), place(s.PromoteBelow)
			p.AbortMargin, p.PromoteWant = fmt.Sprintf("%gx", s.AbortAbove), fmt.Sprintf("%gx", s.PromoteBelow)
		}
	}
	return p
}

func printReportPage(w io.Writer, r api.Rollout, reports []verdictReport) error {
	page, err := template.New("report").Funcs(template.FuncMap{
		"plot":  plot,
		"stamp": stamp,
		"span":  func(d api.Duration) string { return d.D().Round(time.Second).String() },
	}).Parse(strings.TrimSpace(reportPage))
	if err != nil {
		return fmt.Errorf("read the page's template: %w", err)
	}
	if err := page.Execute(w, map[string]any{"Rollout": r, "Reports": reports, "Judged": judged(reports)}); err != nil {
		return fmt.Errorf("write the page: %w", err)
	}
	return nil
}

// reportPage needs nothing from elsewhere: no script, no font, no picture.
const reportPage = `
<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"/><title>Rollout {{.Rollout.ID}}</title>
<style>
body{font:15px/1.5 system-ui,sans-serif;max-width:70rem;margin:2rem auto;padding:0 1rem;color:#222;background:#fff}
table{border-collapse:collapse;width:100%}td,th{text-align:left;padding:.4rem .6rem;border-bottom:1px solid #ddd;vertical-align:top}
.abort{color:#a40000}.promote{color:#1a6b2f}.continue,.inconclusive{color:#7a5a00}
svg{display:block}small{color:#666}
</style></head><body>
<h1>{{.Rollout.Patch}} on {{.Rollout.Target}}</h1>
<p>Rollout {{.Rollout.ID}}, <b>{{.Rollout.Status}}</b>: {{.Rollout.Reason}}</p>
{{- range .Reports}}{{$judge := .Judge}}
{{- if .Simulation}}
<h2>Simulation: <span class="{{.Verdict.Kind}}">{{.Simulation.Status}}</span></h2>
<p>{{.Verdict.Reason}}</p>
<p><small>{{stamp .Verdict.At}}, after {{span .Took}} and {{.Simulation.Impact.Requests}} requests to each twin</small></p>
{{- else}}
<h2>Stage {{.Stage}}, {{.Percent}} %: <span class="{{.Verdict.Kind}}">{{.Verdict.Kind}}</span></h2>
<p>{{.Verdict.Reason}}</p>
<p><small>{{stamp .Verdict.At}}, after {{span .Took}} and {{.Verdict.Looks}} looks</small></p>
{{- end}}
<table><tr><th>KPI</th><th>Former</th><th>Patched</th><th>Ratio with 95 % limits, and margins</th><th>Evidence</th></tr>
{{- range .Verdict.KPIs}}{{with plot . $judge}}
<tr><td><b>{{.KPI}}</b><br/><span class="{{.Kind}}">{{if .Missing}}no data{{else if .Unjudged}}not judged{{else}}{{.Kind}}{{end}}</span></td><td>{{.Former}}</td><td>{{.Patched}}</td>
<td>{{if .Has}}<svg width="{{.Width}}" height="34" role="img" aria-label="ratio {{printf "%.3g" .Ratio}}, limits {{.Limits}}">
<line x1="0" y1="17" x2="{{.Width}}" y2="17" stroke="#ccc"/><line x1="{{.One}}" y1="4" x2="{{.One}}" y2="30" stroke="#999"/>
{{if .AbortMargin}}<line x1="{{.AbortAt}}" y1="4" x2="{{.AbortAt}}" y2="30" stroke="#a40000" stroke-dasharray="3 2"/><line x1="{{.PromoteAt}}" y1="4" x2="{{.PromoteAt}}" y2="30" stroke="#1a6b2f" stroke-dasharray="3 2"/>{{end}}
<line x1="{{.From}}" y1="17" x2="{{.To}}" y2="17" stroke="#2a5db0" stroke-width="5"/><circle cx="{{.At}}" cy="17" r="6" fill="#2a5db0"/></svg>
{{printf "%.3g" .Ratio}}x, {{.Limits}}<br/><small>{{if .AbortMargin}}aborts above {{.AbortMargin}} (red), promotes below {{.PromoteWant}} (green){{end}}</small>{{else}}no ratio{{end}}</td>
<td>{{if not .Unjudged}}<svg width="{{.Width}}" height="34" role="img" aria-label="evidence">
<rect x="0" y="4" width="{{.Width}}" height="10" fill="#eee"/><rect x="0" y="4" width="{{.AbortBar}}" height="10" fill="#a40000"/>
<rect x="0" y="20" width="{{.Width}}" height="10" fill="#eee"/><rect x="0" y="20" width="{{.PromoteBar}}" height="10" fill="#1a6b2f"/></svg>
<small>abort 10^{{printf "%.1f" .Evidence}} of 10^{{printf "%.1f" .Needed}}, promote 10^{{printf "%.1f" .Promote}} of 10^{{.PromoteNeeded}}</small><br/>{{end}}{{.Reason}}</td></tr>
{{- end}}{{end}}
</table>
{{- end}}
{{- if not .Judged}}<p>No stage was judged.</p>{{end}}
</body></html>
`
