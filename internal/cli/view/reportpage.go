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
	Bounded                  bool // it has limits
	From, At, To             float64
	Width                    float64
	One, AbortAt, PromoteAt  float64
	AbortBar, PromoteBar     float64
	PromoteNeeded            string
	AbortMargin, PromoteWant string
}

func plot(k api.KPIEffect, j api.JudgeSpec) plotted {
	p := plotted{KPIEffect: k, Former: Amount(k.Stable, k.Unit), Patched: Amount(k.Canary, k.Unit), Limits: limits(k),
		Has: k.Ratio > 0, Bounded: k.Low > 0 || k.High > 0, At: position(k.Ratio), From: position(k.Low), To: plotWidth, Width: plotWidth, One: position(1),
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

// ReportPage writes the reports of a rollout as one HTML page with plots.
func ReportPage(w io.Writer, r api.Rollout, reports []StageReport) error {
	return page(w, rolloutPage, map[string]any{
		"Title": "Rollout " + r.ID, "Rollout": r, "Reports": reports, "Judged": anyStage(reports),
	})
}

// SimulationPage writes the report of a simulation as one HTML page with plots of both
// arms. The judge is the one that the simulation's verdict follows.
func SimulationPage(w io.Writer, s api.Simulation, judge api.JudgeSpec) error {
	return page(w, simulationPage, map[string]any{"Title": "Simulation " + s.ID, "Simulation": s, "Judge": judge})
}

// page executes a page's template with the parts that pages share.
func page(w io.Writer, text string, data any) error {
	t, err := template.New("page").Funcs(template.FuncMap{
		"plot":     plot,
		"curves":   curves,
		"progress": SimulationProgress, "revert": Revert, "unmeasured": unmeasured,
		"stamp":  Stamp,
		"amount": Amount,
		"short":  Short,
		"span":   func(d api.Duration) string { return d.D().Round(time.Second).String() },
		"judged": func(kpis []api.KPIEffect, j api.JudgeSpec, former string) map[string]any {
			return map[string]any{"KPIs": kpis, "Judge": j, "Former": former}
		},
	}).Parse(strings.TrimSpace(pageParts + text))
	if err != nil {
		return fmt.Errorf("read the page's template: %w", err)
	}
	if err := t.Execute(w, data); err != nil {
		return fmt.Errorf("write the page: %w", err)
	}
	return nil
}
