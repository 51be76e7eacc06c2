package patching

import (
	"context"
	"fmt"
	"io"
	"strings"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/api/client"
	"github.com/oakumhq/oakum/internal/cli/command"
	"github.com/oakumhq/oakum/internal/cli/input"
	"github.com/oakumhq/oakum/internal/cli/view"
	"github.com/oakumhq/oakum/policies"
)

func patchValidate(e *command.Env) *command.Command {
	c := command.New("patch validate", command.Many("FILE"), "Check patch files", `
Checks patch files without a server, with the files that they read with file(),
and shows what each changes and how its fix is proven.`).Prints()
	c.Run = func(_ context.Context, args []string) error {
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
		return e.Show(c.Out, patches, func(w io.Writer) {
			for _, p := range patches {
				view.Patch(w, p)
			}
		})
	}
	return c
}

func patchPlan(e *command.Env) *command.Command {
	c := command.New("patch plan", command.One("FILE"), "Show what a patch would do", `
Shows which targets the patch would go to, in which order, with which strategy
and when, and which targets it may not go to. Nothing is changed.

The exit code is 2 when the patch may not go to any target.`).Remote().Prints()
	why := c.Flags.Bool("why", false, "Show which line of which policy decided each part.")
	drawing := c.Flags.String("svg", "", "Draw the exposure that is left after each wave into this `file`, too.")
	c.Run = func(ctx context.Context, args []string) error {
		receipt, err := sendPatch(ctx, e, c, args[0], (*client.Client).PlanPatch)
		if err != nil {
			return err
		}
		if *drawing != "" {
			if err := input.Replace(*drawing, func(w io.Writer) error { return view.ExposureCurve(w, receipt.Plan) }); err != nil {
				return err
			}
		}
		err = e.Show(c.Out, receipt, func(w io.Writer) { view.Plan(w, receipt, *why, e.Now()) })
		if err == nil && len(receipt.Plan.Waves) == 0 {
			return command.No("The patch may not go to any target.")
		}
		return err
	}
	return c
}

func patchSubmit(e *command.Env) *command.Command {
	c := command.New("patch submit", command.One("FILE"), "Submit a patch", `
Submits a patch: Oakum plans it and starts a rollout for each target. Files that
the patch reads with file() are looked for beside it and sent along.

With -wait the command follows the rollouts until all have ended. The exit
code is 2 when the patch may go to no target, or when a rollout that was
waited for did not complete.`).Remote().Prints()
	wait := c.Flags.Bool("wait", false, "Wait until every rollout of the patch has ended.")
	c.Run = func(ctx context.Context, args []string) error {
		receipt, err := sendPatch(ctx, e, c, args[0], (*client.Client).SubmitPatch)
		if err != nil {
			return err
		}
		if !*wait || !c.Out.Machine() {
			err = e.Show(c.Out, receipt, func(w io.Writer) { view.Receipt(w, receipt, c.Address(e), e.Now()) })
		}
		if err == nil && len(receipt.Rollouts) == 0 {
			return command.No("The patch may not go to any target.")
		}
		if err != nil || !*wait {
			return err
		}
		return waitAll(ctx, e, c, receipt.Rollouts)
	}
	return c
}

// sendPatch reads a patch file with what it refers to, and gives it to send.
func sendPatch(
	ctx context.Context, e *command.Env, c *command.Command, path string,
	send func(*client.Client, context.Context, api.SourceFile) (api.PatchReceipt, error),
) (api.PatchReceipt, error) {
	file, err := input.WithFiles(path, e.Stdin)
	if err != nil {
		return api.PatchReceipt{}, err
	}
	cl, err := c.Dial(e)
	if err != nil {
		return api.PatchReceipt{}, err
	}
	defer cl.Close()
	return send(cl, ctx, file)
}

func patchList(e *command.Env) *command.Command {
	c := command.New("patch list", command.None(), "List the submitted patches", `Lists all patches that were submitted, by name.`).
		Remote().Reads().Filters(`severity == "critical"`).Prints()
	c.Run = command.Listing(e, c, (*client.Client).Patches, "No patches.",
		[]string{"Name", "Severity", "Fixes", "Submitted", "By"},
		func(p api.Patch) []string {
			return []string{p.Name, string(p.Severity), strings.Join(p.Fixes, ","), view.Stamp(p.SubmittedAt), p.SubmittedBy}
		})
	return c
}

func patchRead(e *command.Env) *command.Command {
	c := command.New("patch read", command.One("NAME"), "Show one patch", `Shows a submitted patch, with its file as it came.`).
		Remote().Reads().Prints()
	c.Run = c.Asks(e, func(ctx context.Context, cl *client.Client, args []string) error {
		p, _, err := cl.Patch(ctx, args[0], c.Query())
		if err != nil {
			return err
		}
		return e.Show(c.Out, p, func(w io.Writer) {
			view.Fields(w, "Patch", p.Name, "Description", p.Description, "Severity", string(p.Severity),
				"Fixes", strings.Join(p.Fixes, ", "), "Digest", p.Digest, "Submitted", view.Stamp(p.SubmittedAt), "By", p.SubmittedBy)
			fmt.Fprintf(w, "\n%s", p.File.Text)
		})
	})
	return c
}

func patchStatus(e *command.Env) *command.Command {
	c := command.New("patch status", command.One("NAME"), "Show where a patch is in force", `
Shows for each target that a patch had a rollout for whether it runs the patch now, as
Nomad has the job and its instances, whatever became of the rollout since: somebody may
have registered the former version again.

The exit code is 2 when a target does not run the patch, or not with every instance.`).Remote().Reads().Prints()
	c.Run = c.Asks(e, func(ctx context.Context, cl *client.Client, args []string) error {
		status, err := cl.PatchStatus(ctx, args[0], c.Query())
		if err != nil {
			return err
		}
		if err := e.Show(c.Out, status, func(w io.Writer) { view.PatchStatus(w, status, e.Now()) }); err != nil {
			return err
		}
		not, affected := 0, 0
		for _, t := range status.Targets {
			if t.Force != api.ForceWhole {
				not++
			}
			if t.Proof != nil && t.Proof.Status == api.AssessmentAffected {
				affected++
			}
		}
		if not > 0 {
			return command.No("The patch is not in force on %d of %s.", not, view.Count(len(status.Targets), "target"))
		}
		if affected > 0 {
			return command.No("After the patch, its fault is still on %d of %s.", affected, view.Count(len(status.Targets), "target"))
		}
		return nil
	})
	return c
}

func patchQuarantines(e *command.Env) *command.Command {
	c := command.New("patch quarantines", command.None(), "List what may not be tried again", `
Lists the patches that were rolled back or rejected, with the target that they
may not go to again until someone lifts the quarantine.`).Remote().Reads().Prints()
	c.Run = command.Listing(e, c, (*client.Client).Quarantines, "Nothing is in quarantine.",
		[]string{"Patch", "Target", "Since", "Rollout", "Reason"},
		func(q api.Quarantine) []string {
			return []string{q.Patch, q.Target.String(), view.Stamp(q.Since), q.Rollout, q.Reason}
		})
	return c
}

func patchLift(e *command.Env) *command.Command {
	c := command.New("patch lift-quarantine", command.Two("PATCH", "TARGET"), "Let a patch be tried again", `
Lifts the quarantine of a patch on one target, so that the next submission may
go there again. TARGET is namespace/job/group; job/group means namespace
default.`).Remote()
	c.Run = func(ctx context.Context, args []string) error {
		target, err := api.ParseTargetRef(args[1])
		if err != nil {
			return err
		}
		cl, err := c.Dial(e)
		if err != nil {
			return err
		}
		defer cl.Close()
		if err := cl.LiftQuarantine(ctx, args[0], target); err != nil {
			return err
		}
		e.Printf("%s may go to %s again.\n", args[0], target)
		return nil
	}
	return c
}
