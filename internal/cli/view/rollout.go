package view

import (
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/oakumhq/oakum/api"
)

// barWidth is the width of the instance bar when there are more instances than
// characters.
const barWidth = 40

// Progress is one line that changes whenever a person would want to know.
func Progress(r api.Rollout) string {
	parts := []string{string(r.Status)}
	if stage := lastStage(r); stage != nil && !r.Status.Ended() {
		patched, healthy := patchedOf(r)
		parts = append(parts, fmt.Sprintf("stage %d: %s, %d of %d patched, %d healthy",
			stage.Number, share(stage.Percent), patched, stage.Instances, healthy))
	}
	if r.Reason != "" && !slices.ContainsFunc(r.Holds, func(h api.Hold) bool { return h.Reason == r.Reason }) {
		parts = append(parts, r.Reason)
	}
	for _, h := range r.Holds {
		parts = append(parts, "waits for "+h.Source+": "+h.Reason)
	}
	return strings.Join(parts, " · ")
}

func lastStage(r api.Rollout) *api.Stage {
	if len(r.Stages) == 0 {
		return nil
	}
	return &r.Stages[len(r.Stages)-1]
}

// patchedOf counts the instances that run the patch, and the healthy of them.
func patchedOf(r api.Rollout) (patched, healthy int) {
	for _, i := range r.Instances {
		if i.Build == api.BuildPatched {
			patched++
			if i.Health == api.Healthy {
				healthy++
			}
		}
	}
	return patched, healthy
}

// Rollout is the whole view of one rollout, with the address of its web page.
func Rollout(w io.Writer, r api.Rollout, page string, now time.Time) {
	status := string(r.Status) + ", for " + Age(now, r.Since)
	if r.Status.Ended() && !r.Ended.IsZero() {
		status = string(r.Status) + ", at " + Stamp(r.Ended)
	}
	critical := "no"
	if r.Decision.Critical {
		critical = "yes"
	}
	submitted := Stamp(r.Created)
	if r.SubmittedBy != "" {
		submitted += " by " + r.SubmittedBy
	}
	former := ""
	if r.Former != nil {
		former = fmt.Sprintf("job version %d, %s", r.Former.Version, Count(r.Former.Count, "instance"))
	}
	start := ""
	if r.Quiet != nil && r.Former == nil {
		start = r.Quiet.Reason
	}
	Fields(w, "Rollout", r.ID, "Patch", r.Patch+" ("+Short(r.PatchDigest)+")", "Target", r.Target.String(), "Status", status,
		"Reason", r.Reason, "Critical", critical, "Strategy", strategyText(r.Decision.Strategy), "Former", former,
		"Start", start, "Simulation", simulationOf(r), "Submitted", submitted, "Approvals", approvals(r.Approvals),
		"Doubt", doubtText(r), "Can go back", canGoBack(r, now), "Since its end", aftermath(r.Aftermath), "Drift", drift(r), "Fault", fault(r), "Page", page)
	holds(w, r.Holds, now)
	stages(w, r)
	instances(w, r)
	verdict(w, r, now)
	if r.Effect != nil {
		fmt.Fprintf(w, "\nUnder way: %s, intended %s ago\n", effectText(*r.Effect), Age(now, r.Effect.Intended))
	}
	if len(r.Decision.Because) > 0 {
		fmt.Fprintln(w, "\nDecided because:")
		because(w, r.Decision)
	}
}

// canGoBack says until when a complete rollout may be taken back; empty when it may not.
func canGoBack(r api.Rollout, now time.Time) string {
	if r.Status != api.RolloutComplete || !r.Restorable.After(now) {
		return ""
	}
	text := "until " + Stamp(r.Restorable) + ": oakum rollout rollback " + r.ID
	if r.Decision.Rollback.Automatic {
		text += "; by itself if the target gets worse"
	}
	return text
}

// aftermath says what the KPIs of a target have shown since the end of its rollout.
func aftermath(a *api.Aftermath) string {
	switch {
	case a == nil:
		return ""
	case a.Since.IsZero():
		return "well, as of " + Stamp(a.Well)
	case a.Else == "":
		return "worse since " + Stamp(a.Since) + ": " + a.Reason
	}
	return "worse since " + Stamp(a.Since) + ": " + a.Reason + "; not taken back by itself: " + a.Else
}

// drift says what became of a patch since its rollout.
func drift(r api.Rollout) string {
	if r.Drift == nil {
		return ""
	}
	return "since " + Stamp(r.Drift.At) + ": " + r.Drift.Reason
}

// fault says whether the fault is gone that the patch of a complete rollout is to fix.
func fault(r api.Rollout) string {
	if r.Proof == nil {
		return ""
	}
	return assessmentText(r.Proof.Status) + ", as of " + Stamp(r.Proof.At) + ": " + r.Proof.Reason
}

// assessmentText is the answer of an assessment in words.
func assessmentText(s api.AssessmentStatus) string { return strings.ReplaceAll(string(s), "_", " ") }

// Events lists events of the record, oldest first.
func Events(w io.Writer, events []api.Event) {
	t := NewTable("Time", "Event", "What")
	for _, ev := range events {
		t.Add(Stamp(ev.At), ev.Type, ev.Text)
	}
	t.Print(w, "")
}

// share is the share of a target that a stage patches.
func share(percent int) string {
	if percent == 0 {
		return "one first"
	}
	return strconv.Itoa(percent) + " %"
}

// simulationOf names the simulation of a rollout, and what follows where it could not
// decide.
func simulationOf(r api.Rollout) string {
	if r.Undecided == nil {
		return r.Simulation
	}
	return strings.TrimPrefix(r.Simulation+", inconclusive: "+undecidedText(r.Undecided.Follows)+"; "+r.Undecided.Reason, ", ")
}

// undecidedText is what follows an inconclusive simulation, in few words.
func undecidedText(follows string) string {
	switch follows {
	case api.InconclusiveApprove:
		return "a person approves"
	case api.InconclusiveHold:
		return "it holds"
	case api.InconclusiveOneFirst:
		return "one instance first"
	}
	return follows
}

// doubtText says why Oakum asked for an approval, and how the doubt ended.
func doubtText(r api.Rollout) string {
	d := r.Decision.Doubt
	switch {
	case d == nil:
		return ""
	case d.Lapse != nil:
		return d.String() + "; lapsed at " + Stamp(d.Lapse.At) + ": " + d.Lapse.Reason
	case r.Status == api.RolloutAwaitingApproval:
		return d.String() + "; lapses when the graph is whole and the policies do not ask"
	}
	return d.String()
}

func approvals(all []api.Approval) string {
	var words []string
	for _, a := range all {
		words = append(words, a.By+" at "+Stamp(a.At))
	}
	return strings.Join(words, ", ")
}

// effectText says what an effect does to the world.
func effectText(eff api.Effect) string {
	switch eff.Kind {
	case api.EffectSimulate:
		return "trying the patch on twins"
	case api.EffectTag:
		return "tagging the former job version"
	case api.EffectStage:
		return fmt.Sprintf("patching the instances of stage %d", eff.Stage)
	case api.EffectSettle:
		return fmt.Sprintf("ending the deployment of stage %d, so that the job can be scaled", eff.Stage)
	case api.EffectPromote:
		return "taking the former instances away"
	case api.EffectFinish:
		return "marking the deployment healthy"
	case api.EffectRollback:
		return "returning every instance to the former version"
	case api.EffectUnpace:
		return "restoring the job's update block"
	}
	return string(eff.Kind)
}

func holds(w io.Writer, holds []api.Hold, now time.Time) {
	if len(holds) == 0 {
		return
	}
	fmt.Fprintln(w, "\nWaiting:")
	t := NewTable("For", "Since", "Because")
	for _, h := range holds {
		t.Add(h.Source, Age(now, h.Since)+" ago", h.Reason)
	}
	t.PrintWithin(w, "  ", tableWidth)
}

func stages(w io.Writer, r api.Rollout) {
	if len(r.Stages) == 0 {
		return
	}
	fmt.Fprintln(w, "\nStages:")
	t := NewTable("Stage", "Share", "Instances", "Mode", "Healthy after", "Judged after", "Verdict")
	for _, s := range r.Stages {
		ready, judged, verdict := "", "", ""
		if !s.Ready.IsZero() {
			ready = Span(s.Ready.Sub(s.Began))
			if !s.Judged.IsZero() {
				judged = Span(s.Judged.Sub(s.Ready))
			}
		}
		if s.Verdict != nil {
			verdict = string(s.Verdict.Kind)
		}
		if s.Promoted {
			verdict += ", former instances taken away"
		}
		t.Add(strconv.Itoa(s.Number), share(s.Percent), strconv.Itoa(s.Instances),
			strings.ReplaceAll(string(s.Mode), "_", " "), ready, judged, verdict)
	}
	t.PrintWithin(w, "  ", tableWidth)
}

// instances draws one sign per instance: # patched and healthy, + patched
// and not yet, ! patched and unhealthy, . former, x former and unhealthy,
// ? foreign.
func instances(w io.Writer, r api.Rollout) {
	if len(r.Instances) == 0 {
		return
	}
	order := []string{"#", "+", "!", ".", "x", "?"}
	counts := map[string]int{}
	for _, i := range r.Instances {
		counts[sign(i)]++
	}
	total := len(r.Instances)
	var bar strings.Builder
	for _, s := range order {
		n := counts[s]
		if total > barWidth && n > 0 {
			n = max(1, n*barWidth/total)
		}
		bar.WriteString(strings.Repeat(s, n))
	}
	fmt.Fprintf(w, "\nInstances: [%s]  %s\n", bar.String(), tally(r))
	for _, i := range r.Instances {
		if i.Health == api.Unhealthy {
			fmt.Fprintf(w, "  %s (%s) is unhealthy: %s\n", Short(i.ID), i.Build, i.Because)
		}
	}
}

// tally counts the instances: the patched ones, and the former ones where it goes back to
// them or nothing is patched.
func tally(r api.Rollout) string {
	patched, healthy := patchedOf(r)
	text := fmt.Sprintf("%d of %d patched (#)", patched, len(r.Instances))
	if patched > 0 {
		text += fmt.Sprintf(", %d of those healthy", healthy)
		if r.Status != api.RolloutRollingBack {
			return text
		}
	}
	former, well := 0, 0
	for _, i := range r.Instances {
		if i.Build != api.BuildFormer {
			continue
		}
		if former++; i.Health == api.Healthy {
			well++
		}
	}
	return text + fmt.Sprintf(", %d of %d former healthy", well, former)
}

func sign(i api.Instance) string {
	switch i.Build {
	case api.BuildPatched:
		switch i.Health {
		case api.Healthy:
			return "#"
		case api.Unhealthy:
			return "!"
		case api.Pending:
			return "+"
		}
		return "+"
	case api.BuildForeign:
		return "?"
	case api.BuildFormer:
	}
	if i.Health == api.Unhealthy {
		return "x"
	}
	return "."
}

func verdict(w io.Writer, r api.Rollout, now time.Time) {
	v := r.Verdict
	if v == nil {
		return
	}
	fmt.Fprintf(w, "\nVerdict: %s, after %s, %s ago\n", v.Kind, Count(v.Looks, "look"), Age(now, v.At))
	if v.Reason != "" {
		fmt.Fprintf(w, "  %s\n", v.Reason)
	}
	kpis(w, v.KPIs, "Stable", "Canary", promoteNeeded(r.Decision.Judge))
	blame(w, v.Blame)
	neighbours(w, *v, now)
}

// neighbours shows what got worse at targets that are not patched.
func neighbours(w io.Writer, v api.Verdict, now time.Time) {
	if len(v.Neighbours) == 0 {
		return
	}
	fmt.Fprintln(w, "\nWorse than usual at neighbours:")
	t := NewTable("Target", "KPI", "Usual", "Now", "For")
	for _, n := range v.Neighbours {
		since := Age(now, n.Since)
		if n.Seen.Before(v.At) && !n.Seen.IsZero() {
			since += ", last seen " + Age(now, n.Seen) + " ago"
		}
		if n.Earlier {
			since += ", from before the first stage"
		}
		t.Add(n.Target.String(), n.KPI, Amount(n.Before, n.Unit), Amount(n.Value, n.Unit), since)
	}
	t.PrintWithin(w, "  ", tableWidth)
}

// blame shows which of several rollouts explains what got worse.
func blame(w io.Writer, blame []api.Blame) {
	if len(blame) == 0 {
		return
	}
	fmt.Fprintln(w, "\nWhat got worse is explained by, best first:")
	t := NewTable("Rollout", "Target", "Of what it reached")
	for _, b := range blame {
		t.Add(b.Rollout, b.Target.String(), fmt.Sprintf("%.0f %% got worse", b.Share*100))
	}
	t.PrintWithin(w, "  ", tableWidth)
}

// kpis shows every KPI with its evidence: powers of ten, and how many are needed. How
// many promote is not known where needed is 0.
func kpis(w io.Writer, kpis []api.KPIEffect, before, after string, needed float64) {
	if len(kpis) == 0 {
		return
	}
	t := NewTable("KPI", before, after, "Ratio", "Says", "Abort 10^", "Promote 10^")
	for _, k := range kpis {
		if k.Missing {
			t.Add(k.KPI, "-", "-", "-", "no data", "-", "-")
			continue
		}
		ratio := "-"
		if k.Ratio > 0 {
			ratio = fmt.Sprintf("%.2fx", k.Ratio)
		}
		says, abort, promote := string(k.Kind), fmt.Sprintf("%.1f of %.1f", k.Evidence, k.Needed), fmt.Sprintf("%.1f", k.Promote)
		if needed > 0 {
			promote += fmt.Sprintf(" of %.1f", needed)
		}
		if k.Unjudged {
			says, abort, promote = "not judged", "-", "-"
		}
		t.Add(k.KPI, Amount(k.Stable, k.Unit), Amount(k.Canary, k.Unit), ratio, says, abort, promote)
	}
	t.PrintWithin(w, "  ", tableWidth)
}

// Rollouts is the list of rollouts, or says that there are none. The reasons
// are cut, so that its lines have at most width characters.
func Rollouts(w io.Writer, all []api.Rollout, none string, width int, now time.Time) {
	if len(all) == 0 {
		fmt.Fprintln(w, none)
		return
	}
	t := NewTable("ID", "Patch", "Target", "Status", "For", "Reason")
	for _, r := range all {
		t.Add(r.ID, r.Patch, r.Target.String(), string(r.Status), Age(now, r.Since), r.Reason)
	}
	t.Within(width)
	t.Print(w, "")
}
