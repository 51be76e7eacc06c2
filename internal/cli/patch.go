package cli

import (
	"context"
	"fmt"
	"io"
	"strings"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/api/client"
	"github.com/oakumhq/oakum/internal/cli/input"
	"github.com/oakumhq/oakum/internal/cli/view"
	"github.com/oakumhq/oakum/policies"
)

func patchValidate(e *env) *command {
	c := newCommand("patch validate", many("FILE"), "Check patch files", `
Checks patch files without a server, with the files that they read with file(),
and shows what each changes and how its fix is proven.`).prints()
	c.run = func(_ context.Context, args []string) error {
		patches, err := input.Each(args, func(path string) (api.Patch, error) {
			file, err := input.WithFiles(path, e.Stdin)
			if err != nil {
				return api.Patch{}, err
			}
			p, diags := policies.ParsePatch(file)
			if wrong := policies.DiagnosticsError(diags, []api.SourceFile{file}); wrong != nil {
				return p, wrong
			}
			return p, nil
		})
		if err != nil {
			return err
		}
		return e.show(c.out, patches, func(w io.Writer) {
			for _, p := range patches {
				view.Patch(w, p)
			}
		})
	}
	return c
}

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
		err = e.show(c.out, receipt, func(w io.Writer) { view.Plan(w, receipt, *why, e.Now()) })
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
			err = e.show(c.out, receipt, func(w io.Writer) { view.Receipt(w, receipt, e.Now()) })
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
	file, err := input.WithFiles(path, e.Stdin)
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

func patchList(e *env) *command {
	c := newCommand("patch list", none(), "List the submitted patches", `Lists all patches that were submitted, by name.`).
		remote().reads().filters(`severity == "critical"`).prints()
	c.run = listing(e, c, (*client.Client).Patches, "No patches.",
		[]string{"Name", "Severity", "Fixes", "Submitted", "By"},
		func(p api.Patch) []string {
			return []string{p.Name, string(p.Severity), strings.Join(p.Fixes, ","), view.Stamp(p.SubmittedAt), p.SubmittedBy}
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
			view.Fields(w, "Patch", p.Name, "Description", p.Description, "Severity", string(p.Severity),
				"Fixes", strings.Join(p.Fixes, ", "), "Digest", p.Digest, "Submitted", view.Stamp(p.SubmittedAt), "By", p.SubmittedBy)
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
			return []string{q.Patch, q.Target.String(), view.Stamp(q.Since), q.Rollout, q.Reason}
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
