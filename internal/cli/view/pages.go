package view

// The pages need nothing from elsewhere: no script, no font, no picture.
const (
	pageParts = `
{{define "head"}}<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"/><title>{{.}}</title>
<style>
body{font:15px/1.5 system-ui,sans-serif;max-width:70rem;margin:2rem auto;padding:0 1rem;color:#222;background:#fff}
table{border-collapse:collapse;width:100%}td,th{text-align:left;padding:.4rem .6rem;border-bottom:1px solid #ddd;vertical-align:top}
.abort,.reject,.rejected,.failed{color:#a40000}.promote,.pass,.passed{color:#1a6b2f}.continue,.inconclusive{color:#7a5a00}
svg{display:block}small,figcaption{color:#666}pre{background:#f6f6f6;padding:.6rem;overflow:auto}
figure{display:inline-block;margin:0 1rem 1rem 0}
</style></head><body>
{{end}}

{{define "kpis"}}{{$judge := .Judge}}
<table><tr><th>KPI</th><th>{{.Former}}</th><th>Patched</th><th>Ratio with 95 % limits, and margins</th><th>Evidence</th></tr>
{{- range .KPIs}}{{with plot . $judge}}
<tr><td><b>{{.KPI}}</b><br/><span class="{{.Kind}}">{{if .Missing}}no data{{else if .Unjudged}}not judged{{else}}{{.Kind}}{{end}}</span></td><td>{{.Former}}</td><td>{{.Patched}}</td>
<td>{{if .Has}}<svg width="{{.Width}}" height="34" role="img" aria-label="ratio {{printf "%.3g" .Ratio}}, limits {{.Limits}}">
<line x1="0" y1="17" x2="{{.Width}}" y2="17" stroke="#ccc"/><line x1="{{.One}}" y1="4" x2="{{.One}}" y2="30" stroke="#999"/>
{{if .AbortMargin}}<line x1="{{.AbortAt}}" y1="4" x2="{{.AbortAt}}" y2="30" stroke="#a40000" stroke-dasharray="3 2"/><line x1="{{.PromoteAt}}" y1="4" x2="{{.PromoteAt}}" y2="30" stroke="#1a6b2f" stroke-dasharray="3 2"/>{{end}}
{{if .Bounded}}<line x1="{{.From}}" y1="17" x2="{{.To}}" y2="17" stroke="#2a5db0" stroke-width="5"/>{{end}}<circle cx="{{.At}}" cy="17" r="6" fill="#2a5db0"/></svg>
{{printf "%.3g" .Ratio}}x{{if .Bounded}}, {{.Limits}}{{end}}<br/><small>{{if .AbortMargin}}aborts above {{.AbortMargin}} (red), promotes below {{.PromoteWant}} (green){{end}}</small>{{else}}no ratio{{end}}</td>
<td>{{if not .Unjudged}}<svg width="{{.Width}}" height="34" role="img" aria-label="evidence">
<rect x="0" y="4" width="{{.Width}}" height="10" fill="#eee"/><rect x="0" y="4" width="{{.AbortBar}}" height="10" fill="#a40000"/>
<rect x="0" y="20" width="{{.Width}}" height="10" fill="#eee"/><rect x="0" y="20" width="{{.PromoteBar}}" height="10" fill="#1a6b2f"/></svg>
<small>abort 10^{{printf "%.1f" .Evidence}} of 10^{{printf "%.1f" .Needed}}, promote 10^{{printf "%.1f" .Promote}} of 10^{{.PromoteNeeded}}</small><br/>{{end}}{{.Reason}}</td></tr>
{{- end}}{{end}}
</table>
{{end}}
`

	rolloutPage = `
{{- template "head" .Title}}
<h1>{{.Rollout.Patch}} on {{.Rollout.Target}}</h1>
<p>Rollout {{.Rollout.ID}}, <b>{{.Rollout.Status}}</b>: {{.Rollout.Reason}}</p>
{{- range .Reports}}
{{- if .Simulation}}
<h2>Simulation: <span class="{{.Simulation.Status}}">{{.Simulation.Status}}</span></h2>
<p>{{.Verdict.Reason}}</p>
<p><small>{{stamp .Verdict.At}}, after {{span .Took}} and {{.Simulation.Impact.Requests}} requests to each twin</small></p>
{{- else}}
<h2>Stage {{.Stage}}, {{.Share}}: <span class="{{.Verdict.Kind}}">{{.Verdict.Kind}}</span></h2>
<p>{{.Verdict.Reason}}</p>
<p><small>{{stamp .Verdict.At}}, after {{span .Took}} and {{.Verdict.Looks}} looks</small></p>
{{- end}}
{{template "kpis" judged .Verdict.KPIs .Judge "Former"}}
{{- end}}
{{- if not .Judged}}<p>No stage was judged.</p>{{end}}
</body></html>
`

	simulationPage = `
{{- template "head" .Title}}
{{- with .Simulation}}
<h1>{{.Patch}} on {{.Target}}</h1>
<p>Simulation {{.ID}}, <b class="{{.Status}}">{{.Status}}</b>{{if .Rollout}}, of rollout {{.Rollout}}{{end}}{{if .By}}, asked for by {{.By}}{{end}}{{if and .Reason (ne .Reason (printf "asked for by %s" .By))}}: {{.Reason}}{{end}}</p>
{{if .Progress}}<p>{{progress .Progress}}</p>{{end}}
<p><small>{{stamp .Started}}{{if not .Ended.IsZero}} to {{stamp .Ended}}{{end}}</small></p>
{{- end}}
{{- with .Simulation.Impact}}
{{- if gt (len .Reasons) 1}}<ol>{{range .Reasons}}<li>{{.}}</li>{{end}}</ol>{{end}}
<p>{{.Requests}} requests to each twin{{if .Pairs}}, pairs of boots: {{.Pairs}}{{end}}.</p>
{{template "kpis" judged .KPIs $.Judge "Control"}}
{{- if .Power}}<h2>What this run could have seen</h2>
<p>A change of this size is found 95 times of 100.</p>
<table><tr><th>KPI</th><th>Patched ÷ control</th></tr>{{range .Power}}<tr><td>{{.KPI}}</td><td>{{printf "%.3g" .Ratio}}x</td></tr>{{end}}</table>{{end}}
{{- if .Series}}<h2>Both arms</h2>
<p><small>Grey: control. Blue: patched.</small></p>
{{range .Series}}{{with curves .}}<figure><svg width="{{.Width}}" height="{{.Height}}" role="img" aria-label="{{.KPI}} of pair {{.Pair}}">
<rect x="0" y="0" width="{{.Width}}" height="{{.Height}}" fill="#fafafa" stroke="#ddd"/>
{{range .Control}}<polyline points="{{.}}" fill="none" stroke="#888" stroke-width="1.5" stroke-linecap="round"/>{{end}}
{{range .Treatment}}<polyline points="{{.}}" fill="none" stroke="#2a5db0" stroke-width="1.5" stroke-linecap="round"/>{{end}}</svg>
<figcaption>{{.KPI}}, pair {{.Pair}}: {{.Low}} to {{.High}} in {{.Took}}</figcaption></figure>
{{end}}{{end}}{{end}}
{{- if .Proofs}}<h2>Proof of the fix</h2>
<table><tr><th>Command</th><th>In the</th><th></th><th>Output</th></tr>{{range .Proofs}}<tr><td><code>{{.Command}}</code></td><td>{{.Where}}</td><td class="{{if .OK}}pass{{else}}reject{{end}}">{{if .OK}}proved{{else}}not proved{{end}}</td><td><pre>{{.Output}}</pre></td></tr>{{end}}</table>{{end}}
{{- if .Revert}}<h2>The way back</h2>
<p>{{revert .Revert}}</p>{{end}}
{{- if .Packages}}<h2>Packages</h2>
<table><tr><th>Package</th><th>Before</th><th>After</th></tr>{{range .Packages}}<tr><td>{{.Name}}</td><td>{{.Before}}</td><td>{{.After}}</td></tr>{{end}}</table>{{end}}
{{- if .Twins}}<h2>Twins</h2>
<table><tr><th>Role</th><th>Pair</th><th>Image</th><th>SHA-256</th><th>Healthy after</th></tr>{{range .Twins}}<tr><td>{{.Role}}</td><td>{{if .Pair}}{{.Pair}}{{end}}</td><td>{{.Image}}</td><td>{{short .ImageDigest}}</td><td>{{.HealthyAfter}}</td></tr>{{end}}</table>
{{range .Twins}}{{if .Console}}<details><summary>Console of the {{.Role}}{{if .Pair}}, pair {{.Pair}}{{end}}</summary><pre>{{.Console}}</pre></details>{{end}}{{end}}{{end}}
{{- else}}<p>{{unmeasured $.Simulation}}</p>
{{- end}}
</body></html>
`
)
