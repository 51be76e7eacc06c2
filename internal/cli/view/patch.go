package view

import (
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/internal/inventory"
)

// Receipt shows a submitted patch: its plan, and how to follow its rollouts, by commands
// and on the web page of a server.
func Receipt(w io.Writer, r api.PatchReceipt, server string, now time.Time) {
	Plan(w, r, false, now)
	if len(r.Rollouts) == 0 {
		return
	}
	if r.Brake != nil {
		fmt.Fprintln(w, "\nThe rollouts wait until the brake is off.")
	}
	fmt.Fprintf(w, "\nStarted %s:\n", Count(len(r.Rollouts), "rollout"))
	for _, id := range r.Rollouts {
		fmt.Fprintf(w, "  oakum rollout status -watch %s\n", id)
	}
	page := RolloutPage(server, r.Rollouts[0])
	if len(r.Rollouts) > 1 {
		page = server + "/ui/rollouts"
	}
	fmt.Fprintf(w, "  %s\n", page)
}

// RolloutPage is the address of a rollout's web page.
func RolloutPage(server, id string) string { return server + "/ui/rollout/" + url.PathEscape(id) }

// PatchStatus shows where a patch is in force.
func PatchStatus(w io.Writer, s api.PatchStatus, now time.Time) {
	if len(s.Targets) == 0 {
		fmt.Fprintln(w, "The patch had a rollout for no target.")
		return
	}
	t := NewTable("Target", "In force", "Rollout", "Status", "Fault", "Can go back", "Reason")
	for _, p := range s.Targets {
		back := "no"
		if p.Status == api.RolloutComplete && p.Restorable.After(now) {
			back = "until " + Stamp(p.Restorable)
			if p.Automatic {
				back += ", by itself if it gets worse"
			}
		}
		reason := p.Reason
		if a := p.Aftermath; a != nil && !a.Since.IsZero() {
			reason += "; " + aftermath(a)
		}
		fault := "-"
		if p.Proof != nil {
			fault = assessmentText(p.Proof.Status)
		}
		t.Add(p.Target.String(), inForce(p.Force), p.Rollout, string(p.Status), fault, back, reason)
	}
	t.PrintWithin(w, "", tableWidth)
}

// inForce is a force in a word.
func inForce(f api.PatchForce) string {
	switch f {
	case api.ForceWhole:
		return "yes"
	case api.ForceNone:
		return "no"
	case api.ForcePartly, api.ForceGone, api.ForceUnknown:
	}
	return string(f)
}

// Patch shows what a patch file changes, and how its fix is proven.
func Patch(w io.Writer, p api.Patch) {
	fmt.Fprintf(w, "%s: valid\n", p.File.Name)
	for _, a := range p.Apply {
		line := fmt.Sprintf("%s in task %s", a.Kind, a.Task)
		switch a.Kind {
		case api.ApplyImage:
			line = fmt.Sprintf("image %s in task %s", a.Image, a.Task)
			if a.Source != "" {
				line = fmt.Sprintf("image %s, sha256:%s, in task %s", a.Source, a.Digest, a.Task)
			}
		case api.ApplyScript:
			line = fmt.Sprintf("script of %d bytes in task %s", len(a.Script), a.Task)
		case api.ApplyJob:
		}
		if a.Reboot {
			line += ", then a new kernel"
		}
		fmt.Fprintf(w, "  %s\n", line)
		for _, f := range a.Payloads {
			fmt.Fprintf(w, "    payload %s: %s, %s\n", f.Name, f.Source, f.Checksum)
		}
		if v := a.Verify; v != nil {
			fmt.Fprintf(w, "    proven by %q%s\n", v.Command, expects(v.Expect))
		}
	}
	for _, a := range p.Affects {
		fmt.Fprintf(w, "  affected: %s\n", affectedText(a))
	}
}

// affectedText writes which packages have the fault.
func affectedText(a api.Affected) string {
	text := a.Ecosystem + " package " + a.Package
	if a.Package == "" {
		text = a.Ecosystem + " packages of source package " + a.Source
	}
	for _, part := range []struct{ word, of string }{{" of ", a.Release}, {" for ", a.Arch}} {
		if part.of != "" {
			text += part.word + part.of
		}
	}
	return text + ": " + inventory.Describe(a)
}

// expects is what the output of a command must hold, as the end of a sentence.
func expects(text string) string {
	if text == "" {
		return ""
	}
	return fmt.Sprintf(" with %q in its output", text)
}

// Plan shows which targets a patch goes to, in which order, how and when, and
// which are left out. With why, it shows which line of which policy decided what.
func Plan(w io.Writer, r api.PatchReceipt, why bool, now time.Time) {
	if r.Brake != nil {
		Braked(w, *r.Brake, now)
	}
	Fields(w, "Patch", r.Patch.Name, "Severity", string(r.Patch.Severity), "Fixes", strings.Join(r.Patch.Fixes, ", "),
		"Digest", Short(r.Patch.Digest), "Order", r.Plan.Order, "Missing", strings.Join(r.Plan.Weak, "; "),
		"Failing", failing(r.Plan.Sources), "In doubt", inDoubt(r.Plan))
	if len(r.Plan.Waves) > 0 {
		fmt.Fprintln(w)
		t := NewTable("Wave", "Target", "Instances", "Critical", "Simulate", "Strategy", "Starts")
		for _, wave := range r.Plan.Waves {
			for _, p := range wave.Targets {
				instances, strategy := strconv.Itoa(p.Target.Count), strategyText(p.Decision.Strategy)
				if p.Target.Launch != "" {
					instances, strategy = "none", "next run"
				}
				t.Add(strconv.Itoa(wave.Number), p.Target.String(), instances, YesNo(p.Decision.Critical),
					simulates(&p.Decision), strategy, opens(wave, now))
			}
		}
		t.PrintWithin(w, "", tableWidth)
		nextRuns(w, r.Plan)
		toApprove(w, r.Plan)
		lowLoad(w, r)
		firstStage(w, r)
		unjudged(w, r.Plan)
	}
	exposure(w, r.Plan)
	goesBack(w, r.Plan)
	nothingToDo(w, r.Plan.NothingToDo)
	if r.Untried > 0 {
		fmt.Fprintln(w, "\n"+Wrap(fmt.Sprintf("Nomad was not asked about %s, for lack of time: it says whether it takes the patched job when the turn comes.", Count(r.Untried, "target")), tableWidth))
	}
	dryRuns(w, r.DryRuns)
	if len(r.Plan.Refusals) > 0 {
		fmt.Fprintln(w, "\nLeft out:")
		t := NewTable("Target", "Reason")
		for _, refusal := range r.Plan.Refusals {
			t.Add(refusal.Target.String(), refusal.Reason)
		}
		t.PrintWithin(w, "  ", tableWidth)
	}
	if !why {
		return
	}
	for _, wave := range r.Plan.Waves {
		for _, p := range wave.Targets {
			fmt.Fprintf(w, "\nDecided for %s because:\n", p.Target)
			because(w, p.Decision)
		}
	}
}

// goesBack says which targets a patch is taken back from by itself after its end.
func goesBack(w io.Writer, plan api.Plan) {
	for _, wave := range plan.Waves {
		for i := range wave.Targets {
			p := &wave.Targets[i]
			d := p.Decision
			if !d.Rollback.Automatic || d.Rollback.Window == 0 {
				continue
			}
			text := fmt.Sprintf("%s goes back by itself if it gets worse within %s of its end.", p.Target, Span(d.Rollback.Window.D()))
			if !d.Judge.Enabled || len(d.Judge.KPIs) == 0 {
				text = fmt.Sprintf("%s does not go back by itself after its end, whatever rollback.automatic says: no KPI of it is judged.", p.Target)
			}
			fmt.Fprintln(w, "\n"+Wrap(text, tableWidth))
		}
	}
}

// nextRuns says which targets have no instances that could be patched and judged.
func nextRuns(w io.Writer, plan api.Plan) {
	t := NewTable("Target", "Job")
	some := false
	for _, wave := range plan.Waves {
		for _, p := range wave.Targets {
			if p.Target.Launch != "" {
				some = true
				t.Add(p.Target.String(), string(p.Target.Launch))
			}
		}
	}
	if some {
		fmt.Fprintln(w, "\n"+Wrap("These have runs and no instances: their next run gets the patch, no run under way is touched, and none is judged.", tableWidth))
		t.PrintWithin(w, "  ", tableWidth)
	}
}

// dryRuns shows what Nomad's scheduler says beforehand of some targets.
func dryRuns(w io.Writer, said []api.DryRun) {
	room, warns := NewTable("Target", "Reason"), NewTable("Target", "Warning")
	full, warned := 0, 0
	for _, d := range said {
		if d.NoRoom != "" {
			full++
			room.Add(d.Target.String(), d.NoRoom)
		}
		for _, text := range d.Warnings {
			warned++
			warns.Add(d.Target.String(), text)
		}
	}
	if full > 0 {
		fmt.Fprintln(w, "\nNomad has no room now for the first patched instance; these wait for it in their turn:")
		room.PrintWithin(w, "  ", tableWidth)
	}
	if warned > 0 {
		fmt.Fprintln(w, "\nNomad warns:")
		warns.PrintWithin(w, "  ", tableWidth)
	}
}

// simulates says whether a patch is tried on twins, and what follows where they can't
// decide.
func simulates(d *api.Decision) string {
	if !d.Simulate.Required {
		return YesNo(false)
	}
	return "yes, undecided: " + undecidedText(d.Inconclusive())
}

// failing are the sources that began to fail and do not count as away yet: the plan
// is made as if they answered.
func failing(sources []api.SourceStatus) string {
	var words []string
	for _, s := range sources {
		if s.State() == api.SourceFailing {
			words = append(words, s.String()+"; not away yet, so it makes no doubt")
		}
	}
	return strings.Join(words, "; ")
}

// inDoubt says for how many targets Oakum asks for an approval because sources are
// missing.
func inDoubt(p api.Plan) string {
	n := 0
	for _, wave := range p.Waves {
		for _, t := range wave.Targets {
			if t.Decision.InDoubt() {
				n++
			}
		}
	}
	if n == 0 {
		return ""
	}
	return Count(n, "critical target") + " to be approved because of what is missing, until the graph is whole"
}

// toApprove prints which targets wait for people before they start, and for whom.
func toApprove(w io.Writer, p api.Plan) {
	t := NewTable("Target", "Consents", "From")
	for _, wave := range p.Waves {
		for _, planned := range wave.Targets {
			if ask := planned.Decision.Approval; ask.Count > 0 {
				t.Add(planned.Target.String(), strconv.Itoa(ask.Count), cmp.Or(ask.From, "anybody who may approve"))
			}
		}
	}
	if len(t.rows) > 1 { // the first one is the head
		fmt.Fprintln(w, "\nTo be approved:")
		t.PrintWithin(w, "  ", tableWidth)
	}
}

// lowLoad prints which targets wait for an hour of low load, and which should wait
// and do not.
func lowLoad(w io.Writer, r api.PatchReceipt) {
	t := NewTable("Target", "Start")
	for _, wave := range r.Plan.Waves {
		for _, p := range wave.Targets {
			if p.Quiet != nil {
				t.Add(p.Target.String(), p.Quiet.Reason)
			}
		}
	}
	if len(t.rows) > 1 { // the first one is the head
		fmt.Fprintln(w, "\nLow load:")
		t.PrintWithin(w, "  ", tableWidth)
	}
}

// bakeMost is how many targets' forecasts are printed; -json has all.
const bakeMost = 20

// firstStage prints how long the first stage of each target will be judged.
func firstStage(w io.Writer, r api.PatchReceipt) {
	if len(r.Bake) == 0 {
		return
	}
	fmt.Fprintln(w, "\nFirst stage:")
	t := NewTable("Target", "Judgement")
	for i, name := range slices.Sorted(maps.Keys(r.Bake)) {
		if i == bakeMost {
			t.Add(fmt.Sprintf("%d more", len(r.Bake)-bakeMost), "")
			break
		}
		t.Add(name, r.Bake[name].String())
	}
	t.PrintWithin(w, "  ", tableWidth)
}

// unjudged prints what green gets of the traffic of each service before it is judged.
func unjudged(w io.Writer, p api.Plan) {
	t, left := NewTable("Target", "Before the first verdict"), 0
	for _, wave := range p.Waves {
		for _, planned := range wave.Targets {
			for _, g := range planned.Green {
				if len(t.rows) > bakeMost { // the first one is the head
					left++
					continue
				}
				t.Add(planned.Target.String(), g.String()+reaches(g))
			}
		}
	}
	if len(t.rows) == 1 {
		return
	}
	if left > 0 {
		t.Add(fmt.Sprintf("%d more", left), "")
	}
	fmt.Fprintln(w, "\nTraffic, which nothing switches between the patched set and the former one:")
	t.PrintWithin(w, "  ", tableWidth)
}

// reaches says whom the traffic comes from, as the end of a sentence.
func reaches(g api.GreenShare) string {
	if g.Dependants == 0 {
		return ""
	}
	return ", which reaches " + Count(g.Dependants, "dependant")
}

func opens(wave api.Wave, now time.Time) string {
	if wave.Starts.After(now) {
		return Stamp(wave.Starts)
	}
	if wave.Opens.IsZero() || !wave.Opens.After(now) {
		if wave.Number > 1 {
			return "after wave " + strconv.Itoa(wave.Number-1)
		}
		return "now"
	}
	return Stamp(wave.Opens)
}

// strategyText writes a strategy with its configuration as a policy would.
func strategyText(s api.StrategySpec) string {
	var config map[string]json.RawMessage
	if json.Unmarshal(s.Config, &config) != nil || len(config) == 0 {
		return s.Name
	}
	var words []string
	for _, name := range slices.Sorted(maps.Keys(config)) {
		words = append(words, name+" = "+strings.ReplaceAll(string(config[name]), ",", ", "))
	}
	return s.Name + " (" + strings.Join(words, ", ") + ")"
}

func because(w io.Writer, d api.Decision) {
	t := NewTable("What", "Policy", "Where", "Reason")
	for _, b := range d.Because {
		t.Add(b.Field, b.Policy, b.Range, b.Reason)
	}
	t.PrintWithin(w, "  ", tableWidth)
	for _, weak := range d.Weaknesses {
		fmt.Fprintf(w, "  weakened by: %s\n", weak)
	}
}
