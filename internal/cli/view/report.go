package view

import (
	"fmt"
	"io"
	"math"
	"slices"
	"time"

	"github.com/oakumhq/oakum/api"
)

// StageReport is one judged stage of a rollout.
type StageReport struct {
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

// ReportsOf collects the stages that have a verdict, the present one included.
func ReportsOf(r api.Rollout) []StageReport {
	reports := []StageReport{}
	for i, s := range r.Stages {
		v := s.Verdict
		if v == nil && i == len(r.Stages)-1 {
			v = r.Verdict
		}
		if v == nil {
			continue
		}
		report := StageReport{Rollout: r.ID, Patch: r.Patch, Target: r.Target.String(), Stage: s.Number, Percent: s.Percent,
			Began: s.Began, Judge: r.Decision.Judge, Verdict: *v}
		if !s.Ready.IsZero() && v.At.After(s.Ready) {
			report.Took = api.Duration(v.At.Sub(s.Ready))
		}
		reports = append(reports, report)
	}
	return reports
}

// Share is the share of the target that the stage patches.
func (p StageReport) Share() string { return share(p.Percent) }

// ReportOfSimulation makes the report of a simulation in the form of a stage's
// report.
func ReportOfSimulation(r api.Rollout, s api.Simulation) StageReport {
	kind := api.VerdictContinue // the stages judge again
	switch s.Impact.Says() {
	case api.SimulationReject:
		kind = api.VerdictAbort
	case api.SimulationUndecided:
		kind = api.VerdictInconclusive
	case api.SimulationPass:
	}
	return StageReport{
		Rollout: r.ID, Patch: r.Patch, Target: r.Target.String(), Began: s.Started, Took: api.Duration(s.Ended.Sub(s.Started)),
		Judge: r.Decision.Judge, Simulation: &s,
		Verdict: api.Verdict{Kind: kind, At: s.Ended, Reason: s.Impact.Reason, KPIs: s.Impact.KPIs},
	}
}

// anyStage is false when there is no stage among the reports.
func anyStage(reports []StageReport) bool {
	return slices.ContainsFunc(reports, func(p StageReport) bool { return p.Simulation == nil })
}

// Report shows each judged stage with its KPIs.
func Report(w io.Writer, r api.Rollout, reports []StageReport) {
	Fields(w, "Rollout", r.ID, "Patch", r.Patch, "Target", r.Target.String(), "Status", string(r.Status))
	if !anyStage(reports) {
		fmt.Fprintln(w, "\nNo stage was judged.")
	}
	for _, p := range reports {
		if s := p.Simulation; s != nil {
			fmt.Fprintf(w, "\nSimulation %s: %s after %s and %d requests to each twin\n%s\n\n", s.ID, s.Status,
				p.Took.D().Round(time.Second), s.Impact.Requests, p.Verdict.Reason)
		} else {
			stageHead(w, p)
		}
		stageKPIs(w, p)
	}
}

func stageHead(w io.Writer, p StageReport) {
	fmt.Fprintf(w, "\nStage %d (%s): %s after %s and %d looks\n%s\n\n", p.Stage, p.Share(), p.Verdict.Kind,
		p.Took.D().Round(time.Second), p.Verdict.Looks, p.Verdict.Reason)
}

func stageKPIs(w io.Writer, p StageReport) {
	t := NewTable("KPI", "Verdict", "Former", "Patched", "Ratio", "95 % limits", "Abort 10^", "Promote 10^")
	for _, k := range p.Verdict.KPIs {
		if k.Missing {
			t.Add(k.KPI, "no data", "-", "-", "-", "-", "-", "-")
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
		t.Add(k.KPI, kind, Amount(k.Stable, k.Unit), Amount(k.Canary, k.Unit), ratio, limits(k), abort, promote)
	}
	t.Print(w, "  ")
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
