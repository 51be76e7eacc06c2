package view

import (
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"github.com/oakumhq/oakum/api"
)

// Simulation shows what a simulation measured on its twins.
func Simulation(w io.Writer, s api.Simulation) {
	simulationFields(w, s)
	if s.Impact == nil {
		return
	}
	fmt.Fprintln(w, "\nImpact:")
	kpis(w, s.Impact.KPIs, "Control", "Treatment", 0)
	twins(w, s.Impact.Twins)
}

func simulationFields(w io.Writer, s api.Simulation) {
	took := ""
	if !s.Ended.IsZero() {
		took = Span(s.Ended.Sub(s.Started))
	}
	reason := s.Reason
	if reason == "" && s.Impact != nil {
		reason = s.Impact.Reason
	}
	requests := ""
	if s.Impact != nil && s.Impact.Requests > 0 {
		requests = fmt.Sprintf("%d to each twin", s.Impact.Requests)
	}
	Fields(w, "Simulation", s.ID, "Patch", s.Patch, "Target", s.Target.String(), "Rollout", s.Rollout, "Asked for by", s.By,
		"Cancelled by", s.CancelledBy, "Status", string(s.Status), "Reason", reason, "Progress", SimulationProgress(s.Progress), "Not removed", notRemoved(s), "Same as", sameAs(s),
		"Started", Stamp(s.Started), "Took", took, "Requests", requests)
}

// sameAs is the simulation that measured what this one says; it is empty when it did so
// itself.
func sameAs(s api.Simulation) string {
	if s.Impact == nil {
		return ""
	}
	return s.Impact.SameAs
}

// notRemoved says what an ended simulation still owns; it is empty when that is nothing.
func notRemoved(s api.Simulation) string {
	if s.Status == api.SimulationRunning || len(s.Owned) == 0 {
		return ""
	}
	names := make([]string, 0, len(s.Owned))
	for _, o := range s.Owned {
		names = append(names, o.Kind+" "+o.Name)
	}
	text := strings.Join(names, ", ")
	if s.Unremoved != "" {
		text += " (" + s.Unremoved + ")"
	}
	return text
}

func twins(w io.Writer, all []api.Twin) {
	if len(all) == 0 {
		return
	}
	fmt.Fprintln(w, "\nTwins:")
	t := NewTable("Role", "Pair", "Job", "Image", "SHA-256", "Healthy after")
	for _, twin := range all {
		t.Add(twin.Role, pairNumber(twin.Pair), twin.Job, twin.Image, Short(twin.ImageDigest), Span(time.Duration(twin.HealthyAfter)))
	}
	t.PrintWithin(w, "  ", tableWidth)
}

func pairNumber(n int) string {
	if n == 0 {
		return "-"
	}
	return strconv.Itoa(n)
}

// SimulationProgress says how far a simulation is; it is empty without a progress.
func SimulationProgress(p *api.SimulationProgress) string {
	if p == nil {
		return ""
	}
	text := p.Phase
	if p.Position > 0 {
		text += fmt.Sprintf(", number %d in the queue", p.Position)
	}
	if p.Waits != "" {
		text += ", waits for the verdict of " + p.Waits
	}
	if p.Pairs > 1 && p.Pair > 0 {
		text += fmt.Sprintf(", pair %d of %d", p.Pair, p.Pairs)
	}
	if p.Requests > 0 {
		text += fmt.Sprintf(", %d requests answered by each twin", p.Requests)
	}
	var evidence strings.Builder
	for _, k := range p.KPIs {
		if !k.Missing && !k.Unjudged {
			fmt.Fprintf(&evidence, ", %s 10^%.1f of 10^%.1f", k.KPI, k.Evidence, k.Needed)
		}
	}
	text += evidence.String()
	if p.Left > 0 {
		text += ", about " + Span(p.Left.D()) + " left"
	}
	return text
}

// unmeasured is what stands in place of the figures of a simulation.
func unmeasured(s api.Simulation) string {
	if s.Status == api.SimulationRunning {
		return "It still runs; what it measures is told when it ends."
	}
	return "Nothing was measured."
}

// SimulationReport shows all that a simulation found out.
func SimulationReport(w io.Writer, s api.Simulation, judge api.JudgeSpec) {
	simulationFields(w, s)
	i := s.Impact
	if i == nil {
		fmt.Fprintf(w, "\n%s\n", unmeasured(s))
		return
	}
	if len(i.Reasons) > 1 {
		fmt.Fprintln(w, "\nReasons:")
		for n, reason := range i.Reasons {
			fmt.Fprintf(w, "  %d. %s\n", n+1, reason)
		}
	}
	fmt.Fprintln(w, "\nEvidence:")
	stageKPIs(w, StageReport{Judge: judge, Verdict: api.Verdict{KPIs: i.KPIs}})
	if len(i.Power) > 0 {
		fmt.Fprintln(w, "\nChanges that this run finds 95 times of 100:")
		t := NewTable("KPI", "Patched ÷ control")
		for _, p := range i.Power {
			t.Add(p.KPI, fmt.Sprintf("%.3gx", p.Ratio))
		}
		t.Print(w, "  ")
	}
	if len(i.Proofs) > 0 {
		fmt.Fprintln(w, "\nProof of the fix:")
		t := NewTable("Command", "In the", "", "Output")
		for _, p := range i.Proofs {
			says := "not proved"
			if p.OK {
				says = "proved"
			}
			t.Add(p.Command, p.Where, says, lastLine(p.Output))
		}
		t.Print(w, "  ")
	}
	if i.Revert != nil {
		fmt.Fprintf(w, "\nRevert: %s\n", Revert(i.Revert))
	}
	if len(i.Packages) > 0 {
		fmt.Fprintln(w, "\nPackages:")
		t := NewTable("Package", "Before", "After")
		for _, p := range i.Packages {
			t.Add(p.Name, p.Before, p.After)
		}
		t.Print(w, "  ")
	}
	twins(w, i.Twins)
}

// Revert says what became of the rehearsal of a revert.
func Revert(r *api.Revert) string {
	data := strings.Join(r.Data, ", ")
	asked := fmt.Sprintf("%d of %d requests answered well", r.Requests-r.Failures, r.Requests)
	switch r.Outcome {
	case api.RevertServes:
		return fmt.Sprintf("the former version serves on the data that the patched one left (%s; %s)", data, asked)
	case api.RevertFails:
		return fmt.Sprintf("the former version does not serve on the data that the patched one left (%s; %s): %s", data, asked, r.Reason)
	case api.RevertUndecided:
		return fmt.Sprintf("the former version hardly serves on the data that the patched one left (%s; %s): %s", data, asked, r.Reason)
	case api.RevertUntried:
		return "not rehearsed: " + r.Reason
	case api.RevertNothing:
	}
	return r.Reason
}

func lastLine(text string) string {
	text = strings.TrimSpace(text)
	return text[strings.LastIndexByte(text, '\n')+1:]
}
