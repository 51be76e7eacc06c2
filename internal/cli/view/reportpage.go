package view

import (
	"fmt"
	"html/template"
	"io"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/oakumhq/oakum/api"
)

const (
	// plotWidth is that of a plot in pixels; its middle is a ratio of one, its ends
	// are plotReach and its inverse.
	plotWidth = 320.0
	plotReach = 8.0
)

// position is where a ratio stands in a plot, from 0 to plotWidth.
func position(ratio float64) float64 {
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
	p := plotted{KPIEffect: k, Former: Amount(k.Stable, k.Unit), Patched: Amount(k.Canary, k.Unit), Limits: limits(k),
		Has: k.Ratio > 0, At: position(k.Ratio), From: position(k.Low), To: plotWidth, Width: plotWidth, One: position(1),
		AbortBar: bar(k.Evidence, k.Needed), PromoteBar: bar(k.Promote, promoteNeeded(j)),
		PromoteNeeded: strconv.FormatFloat(promoteNeeded(j), 'f', 1, 64)}
	if k.High > 0 {
		p.To = position(k.High)
	}
	for _, s := range j.KPIs {
		if s.KPI == k.KPI {
			p.AbortAt, p.PromoteAt = position(s.AbortAbove), position(s.PromoteBelow)
			p.AbortMargin, p.PromoteWant = fmt.Sprintf("%gx", s.AbortAbove), fmt.Sprintf("%gx", s.PromoteBelow)
		}
	}
	return p
}

// ReportPage writes the reports as one HTML page with plots.
func ReportPage(w io.Writer, r api.Rollout, reports []StageReport) error {
	page, err := template.New("report").Funcs(template.FuncMap{
		"plot":  plot,
		"stamp": Stamp,
		"span":  func(d api.Duration) string { return d.D().Round(time.Second).String() },
	}).Parse(strings.TrimSpace(reportPage))
	if err != nil {
		return fmt.Errorf("read the page's template: %w", err)
	}
	if err := page.Execute(w, map[string]any{"Rollout": r, "Reports": reports, "Judged": anyStage(reports)}); err != nil {
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
