package cli

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/api/client"
)

func patchPlan(e *env) *command {
	c := newCommand("patch plan", one("FILE"), "Show what a patch would do", `
Shows which targets the patch would go to, in which order, with which strategy
and when, and which targets it may not go to. Nothing is changed.

The exit code is 2 when the patch may not go to any target.`).remote().prints()
	why := c.flags.Bool("why", false, "Show which line of which policy decided each part.")
	c.run = func(ctx context.Context, args []string) error {
		receipt, err := e.sendPatch(ctx, c, args[0], (*client.Client).PlanPatch)
		if err != nil {
			return err
		}
		err = e.show(c.out, receipt, func(w io.Writer) { e.printPlan(w, receipt, *why) })
		if err == nil && len(receipt.Plan.Waves) == 0 {
			return no("The patch may not go to any target.")
		}
		return err
	}
	return c
}

func patchSubmit(e *env) *command {
	c := newCommand("patch submit", one("FILE"), "Submit a patch", `
Submits a patch: Oakum plans it and starts a rollout for each target. Files that
the patch reads with file() are looked for beside it and sent along.

With -wait the command follows the rollouts until all have ended. The exit
code is 2 when the patch may go to no target, or when a rollout that was
waited for did not complete.`).remote().prints()
	wait := c.flags.Bool("wait", false, "Wait until every rollout of the patch has ended.")
	c.run = func(ctx context.Context, args []string) error {
		receipt, err := e.sendPatch(ctx, c, args[0], (*client.Client).SubmitPatch)
		if err != nil {
			return err
		}
		if !*wait || !c.out.machine() {
			err = e.show(c.out, receipt, func(w io.Writer) { e.printReceipt(w, receipt) })
		}
		if err == nil && len(receipt.Rollouts) == 0 {
			return no("The patch may not go to any target.")
		}
		if err != nil || !*wait {
			return err
		}
		return e.waitAll(ctx, c, receipt.Rollouts)
	}
	return c
}

// sendPatch reads a patch file with what it refers to, and gives it to send.
func (e *env) sendPatch(
	ctx context.Context, c *command, path string,
	send func(*client.Client, context.Context, api.SourceFile) (api.PatchReceipt, error),
) (api.PatchReceipt, error) {
	file, err := e.readPatch(path)
	if err != nil {
		return api.PatchReceipt{}, err
	}
	cl, err := c.dial(e)
	if err != nil {
		return api.PatchReceipt{}, err
	}
	defer cl.Close()
	return send(cl, ctx, file)
}

func (e *env) printReceipt(w io.Writer, r api.PatchReceipt) {
	e.printPlan(w, r, false)
	if len(r.Rollouts) == 0 {
		return
	}
	fmt.Fprintf(w, "\nStarted %s:\n", count(len(r.Rollouts), "rollout"))
	for _, id := range r.Rollouts {
		fmt.Fprintf(w, "  oakum rollout status -watch %s\n", id)
	}
}

func (e *env) printPlan(w io.Writer, r api.PatchReceipt, why bool) {
	fields(w, "Patch", r.Patch.Name, "Severity", string(r.Patch.Severity), "Fixes", strings.Join(r.Patch.Fixes, ", "),
		"Digest", short(r.Patch.Digest), "Order", r.Plan.Order, "Missing", strings.Join(r.Plan.Weak, "; "),
		"Failing", failing(r.Plan.Sources), "In doubt", inDoubt(r.Plan))
	if len(r.Plan.Waves) > 0 {
		fmt.Fprintln(w)
		t := newTable("Wave", "Target", "Instances", "Critical", "Simulate", "Strategy", "Starts")
		for _, wave := range r.Plan.Waves {
			for _, p := range wave.Targets {
				t.add(strconv.Itoa(wave.Number), p.Target.String(), strconv.Itoa(p.Target.Count), yesNo(p.Decision.Critical),
					yesNo(p.Decision.Simulate.Required), strategyText(p.Decision.Strategy), e.opens(wave))
			}
		}
		t.print(w, "")
		printQuiet(w, r)
		printBake(w, r)
	}
	if r.Untried > 0 {
		fmt.Fprintf(w, "\nNomad was not asked about %s, for lack of time: it says whether it takes the patched job when the turn comes.\n", count(r.Untried, "target"))
	}
	if len(r.Plan.Refusals) > 0 {
		fmt.Fprintln(w, "\nLeft out:")
		t := newTable("Target", "Reason")
		for _, refusal := range r.Plan.Refusals {
			t.add(refusal.Target.String(), refusal.Reason)
		}
		t.print(w, "  ")
	}
	if !why {
		return
	}
	for _, wave := range r.Plan.Waves {
		for _, p := range wave.Targets {
			fmt.Fprintf(w, "\nDecided for %s because:\n", p.Target)
			printBecause(w, p.Decision)
		}
	}
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

// inDoubt tells of how many targets an approval is asked for because of what is
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
	return count(n, "critical target") + " to be approved because of what is missing, until the graph is whole"
}

// printQuiet tells which targets wait for an hour of low load, and which should
// and do not.
func printQuiet(w io.Writer, r api.PatchReceipt) {
	t := newTable("Target", "Start")
	for _, wave := range r.Plan.Waves {
		for _, p := range wave.Targets {
			if p.Quiet != nil {
				t.add(p.Target.String(), p.Quiet.Reason)
			}
		}
	}
	if len(t.rows) > 1 { // the first one is the head
		fmt.Fprintln(w, "\nLow load:")
		t.print(w, "  ")
	}
}

// bakeMost is how many targets' forecasts are printed; -json has all.
const bakeMost = 20

// printBake tells how long the first stage of each target will be judged.
func printBake(w io.Writer, r api.PatchReceipt) {
	if len(r.Bake) == 0 {
		return
	}
	fmt.Fprintln(w, "\nFirst stage:")
	t := newTable("Target", "Judgement")
	for i, name := range slices.Sorted(maps.Keys(r.Bake)) {
		if i == bakeMost {
			t.add(fmt.Sprintf("%d more", len(r.Bake)-bakeMost), "")
			break
		}
		t.add(name, r.Bake[name].String())
	}
	t.print(w, "  ")
}

func (e *env) opens(wave api.Wave) string {
	if wave.Starts.After(e.Now()) {
		return stamp(wave.Starts)
	}
	if wave.Opens.IsZero() || !wave.Opens.After(e.Now()) {
		if wave.Number > 1 {
			return "after wave " + strconv.Itoa(wave.Number-1)
		}
		return "now"
	}
	return stamp(wave.Opens)
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

func printBecause(w io.Writer, d api.Decision) {
	t := newTable("What", "Policy", "Where", "Reason")
	for _, b := range d.Because {
		t.add(b.Field, b.Policy, b.Range, b.Reason)
	}
	t.print(w, "  ")
	for _, weak := range d.Weaknesses {
		fmt.Fprintf(w, "  weakened by: %s\n", weak)
	}
}

func patchList(e *env) *command {
	c := newCommand("patch list", none(), "List the submitted patches", `Lists all patches that were submitted, by name.`).
		remote().reads().filters(`severity == "critical"`).prints()
	c.run = listing(e, c, (*client.Client).Patches, "No patches.",
		[]string{"Name", "Severity", "Fixes", "Submitted", "By"},
		func(p api.Patch) []string {
			return []string{p.Name, string(p.Severity), strings.Join(p.Fixes, ","), stamp(p.SubmittedAt), p.SubmittedBy}
		})
	return c
}

func patchRead(e *env) *command {
	c := newCommand("patch read", one("NAME"), "Show one patch", `Shows a submitted patch, with its file as it came.`).
		remote().reads().prints()
	c.run = c.asks(e, func(ctx context.Context, cl *client.Client, args []string) error {
		p, _, err := cl.Patch(ctx, args[0], c.query())
		if err != nil {
			return err
		}
		return e.show(c.out, p, func(w io.Writer) {
			fields(w, "Patch", p.Name, "Description", p.Description, "Severity", string(p.Severity),
				"Fixes", strings.Join(p.Fixes, ", "), "Digest", p.Digest, "Submitted", stamp(p.SubmittedAt), "By", p.SubmittedBy)
			fmt.Fprintf(w, "\n%s", p.File.Text)
		})
	})
	return c
}

func patchQuarantines(e *env) *command {
	c := newCommand("patch quarantines", none(), "List what may not be tried again", `
Lists the patches that were rolled back or rejected, with the target that they
may not go to again until someone lifts the quarantine.`).remote().reads().prints()
	c.run = listing(e, c, (*client.Client).Quarantines, "Nothing is in quarantine.",
		[]string{"Patch", "Target", "Since", "Rollout", "Reason"},
		func(q api.Quarantine) []string {
			return []string{q.Patch, q.Target.String(), stamp(q.Since), q.Rollout, q.Reason}
		})
	return c
}

func patchLift(e *env) *command {
	c := newCommand("patch lift-quarantine", two("PATCH", "TARGET"), "Let a patch be tried again", `
Lifts the quarantine of a patch on one target, so that the next submission may
go there again. TARGET is namespace/job/group; job/group means namespace
default.`).remote()
	c.run = func(ctx context.Context, args []string) error {
		target, err := api.ParseTargetRef(args[1])
		if err != nil {
			return err
		}
		cl, err := c.dial(e)
		if err != nil {
			return err
		}
		defer cl.Close()
		if err := cl.LiftQuarantine(ctx, args[0], target); err != nil {
			return err
		}
		e.printf("%s may go to %s again.\n", args[0], target)
		return nil
	}
	return c
}
