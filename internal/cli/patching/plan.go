package patching

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/api/client"
	"github.com/oakumhq/oakum/internal/cli/command"
	"github.com/oakumhq/oakum/internal/cli/view"
)

func planList(e *command.Env) *command.Command {
	c := command.New("plan list", command.None(), "List the plans of submitted patches", `
Lists the plans that were carried out, or are: one for each submission of a patch, the
oldest first, with what became of its rollouts.`).Remote().Reads().Prints()
	open := c.Flags.Bool("open", false, "Leave out the plans whose rollouts have all ended.")
	c.Run = c.Asks(e, func(ctx context.Context, cl *client.Client, _ []string) error {
		all, _, err := cl.Rollouts(ctx, c.Query())
		if err != nil {
			return err
		}
		plans, none := view.PlansOf(all), "No plans."
		if *open {
			plans, none = slices.DeleteFunc(plans, func(p api.PlanProgress) bool { return p.Open == 0 }), "No open plans."
		}
		return e.Show(c.Out, plans, func(w io.Writer) { view.Plans(w, plans, none, e.Now()) })
	})
	return c
}

func planRead(e *command.Env) *command.Command {
	c := command.New("plan read", command.One("PLAN"), "Show a plan and where its rollouts are", `
Shows the plan of one submission, as it was made, and where its rollouts are now.
PLAN is the ID of a plan or the beginning of it, or the name of a patch: its newest
plan.`).Remote().Reads().Prints()
	c.Run = c.Asks(e, func(ctx context.Context, cl *client.Client, args []string) error {
		found, rollouts, err := findPlan(ctx, cl, args[0], c.Query())
		if err != nil {
			return err
		}
		plan, _, err := cl.Plan(ctx, found.ID, c.Query())
		if err != nil {
			return err
		}
		state := api.PlanState{Plan: plan, Rollouts: slices.DeleteFunc(rollouts, func(r api.Rollout) bool { return r.Plan != found.ID })}
		return e.Show(c.Out, state, func(w io.Writer) { view.PlanState(w, state, e.Width, e.Now()) })
	})
	return c
}

func planAbort(e *command.Env) *command.Command {
	c := command.New("plan abort", command.One("PLAN"), "Give up every open rollout of a patch", `
Gives up all rollouts of a patch that have not ended, whichever of its plans they
belong to, the last wave first. Those that have changed instances are rolled back.
That says nothing against the patch, which may be submitted again. PLAN is as in
"oakum plan read".

A rollout that can't be given up does not keep the others from it; the exit code is
1 then.`).Remote().Prints()
	note := c.Flags.String("note", "", "A `remark` for the record.")
	c.Run = c.Asks(e, func(ctx context.Context, cl *client.Client, args []string) error {
		found, rollouts, err := findPlan(ctx, cl, args[0], client.Query{})
		if err != nil {
			return err
		}
		rollouts = openOnes(rollouts)
		// The last first, so that none begins in the place of one that ended.
		slices.SortStableFunc(rollouts, func(a, b api.Rollout) int { return b.Wave - a.Wave })
		done := make([]api.Rollout, 0, len(rollouts))
		var failed []error
		for _, r := range rollouts {
			now, err := cl.RolloutAction(ctx, r.ID, "abort", *note)
			if err != nil {
				failed = append(failed, fmt.Errorf("abort rollout %s of %s: %w", r.ID, r.Target, err))
				continue
			}
			done = append(done, now)
		}
		err = e.Show(c.Out, done, func(w io.Writer) {
			view.Rollouts(w, done, "No rollout of "+found.Patch+" was given up.", e.Width, e.Now())
		})
		return errors.Join(append(failed, err)...)
	})
	return c
}

func planContinue(e *command.Env) *command.Command {
	c := command.New("plan continue", command.One("PLAN"), "Go on with what is left of a patch", `
Submits a patch once more as the cluster has it, and starts a rollout for each target
that is left: those that run the patch have nothing to do, and those that are being
patched or are in quarantine are left out. PLAN is as in "oakum plan read".`+submits).Remote().Prints()
	return resubmits(e, c, nil)
}

func planRetry(e *command.Env) *command.Command {
	c := command.New("plan retry", command.One("PLAN"), "Try a patch again where it failed", `
Lifts the quarantines of a patch, and submits it once more as the cluster has it, as
"oakum plan continue" does: to the targets where it failed, was rejected or was rolled
back, and to those that it has not reached. PLAN is as in "oakum plan read". A
quarantine that was lifted stays so when the submission is then refused.`+submits).Remote().Prints()
	return resubmits(e, c, liftAll)
}

const submits = `

With -wait the command follows the new rollouts until all have ended. The exit code
is 2 when nothing is left, or when a rollout that was waited for did not complete.`

// resubmits gives a command the work of submitting a patch once more, after before, which
// is given what the submission would do and is nil for nothing.
func resubmits(e *command.Env, c *command.Command, before func(context.Context, *client.Client, api.PatchReceipt) (int, error)) *command.Command {
	wait := c.Flags.Bool("wait", false, "Wait until every new rollout has ended.")
	c.Run = c.Asks(e, func(ctx context.Context, cl *client.Client, args []string) error {
		found, _, err := findPlan(ctx, cl, args[0], client.Query{})
		if err != nil {
			return err
		}
		patch, would, err := again(ctx, cl, found)
		if err != nil {
			return err
		}
		lifted := 0
		if before != nil {
			if lifted, err = before(ctx, cl, would); err != nil {
				return err
			}
		}
		if len(would.Plan.Waves) == 0 && lifted == 0 {
			if err := e.Show(c.Out, would, func(w io.Writer) { view.Plan(w, would, false, e.Now()) }); err != nil {
				return err
			}
			return command.No("Nothing is left of the patch that could be done now.")
		}
		receipt, err := cl.SubmitPatch(ctx, patch.File)
		if err != nil {
			return err
		}
		if !*wait || !c.Out.Machine() {
			err = e.Show(c.Out, receipt, func(w io.Writer) { view.Receipt(w, receipt, c.Address(e), e.Now()) })
		}
		if err != nil || !*wait {
			return err
		}
		return waitAll(ctx, e, c, receipt.Rollouts)
	})
	return c
}

// again asks what a submission of a plan's patch would do now. The patch is the one that was
// planned: another may have been submitted by its name since, and a caller who does not see
// all of it would submit something else.
func again(ctx context.Context, cl *client.Client, plan api.PlanProgress) (api.Patch, api.PatchReceipt, error) {
	patch, _, err := cl.Patch(ctx, plan.Patch, client.Query{})
	if err != nil {
		return patch, api.PatchReceipt{}, err
	}
	if patch.Digest != plan.PatchDigest {
		return patch, api.PatchReceipt{}, api.Errorf(api.CodeConflict,
			"patch %s was submitted with other contents since plan %s: name the patch to go on with those", plan.Patch, plan.ID)
	}
	would, err := cl.PlanPatch(ctx, patch.File)
	if err == nil && would.Patch.Digest != patch.Digest {
		err = api.Errorf(api.CodePermissionDenied, "patch %s: this token does not see all of its file; submit the file itself", plan.Patch)
	}
	return patch, would, err
}

// liftAll lifts the quarantines of a patch on the targets that a submission leaves out. It
// reports how many those are.
func liftAll(ctx context.Context, cl *client.Client, would api.PatchReceipt) (int, error) {
	all, _, err := cl.Quarantines(ctx, client.Query{})
	if err != nil {
		return 0, err
	}
	lifted := 0
	for _, q := range all {
		leftOut := slices.ContainsFunc(would.Plan.Refusals, func(r api.Refusal) bool { return r.Target == q.Target })
		if q.Patch != would.Patch.Name || !leftOut {
			continue
		}
		if err := cl.LiftQuarantine(ctx, q.Patch, q.Target); err != nil {
			return lifted, fmt.Errorf("lift the quarantine on %s: %w", q.Target, err)
		}
		lifted++
	}
	return lifted, nil
}

// findPlan finds a plan by its ID, by the beginning of it, or by the name of a patch, whose
// newest one it is then. It returns all rollouts of that patch too.
func findPlan(ctx context.Context, cl *client.Client, name string, q client.Query) (api.PlanProgress, []api.Rollout, error) {
	if name == "" { // every ID begins with nothing
		return api.PlanProgress{}, nil, api.Errorf(api.CodeInvalid, "PLAN is empty: want the ID of a plan or the name of a patch")
	}
	all, _, err := cl.Rollouts(ctx, q)
	if err != nil {
		return api.PlanProgress{}, nil, err
	}
	var found []api.PlanProgress
	for _, p := range view.PlansOf(all) {
		switch {
		case p.Patch == name:
			found = []api.PlanProgress{p} // the newest comes last
		case p.ID == name || strings.HasPrefix(strings.ToLower(p.ID), strings.ToLower(name)):
			found = append(found, p)
		}
	}
	switch byName := slices.IndexFunc(found, func(p api.PlanProgress) bool { return p.Patch == name || p.ID == name }); {
	case len(found) == 0:
		return api.PlanProgress{}, nil, api.Errorf(api.CodeNotFound, "there is no plan or patch %q with rollouts", name)
	case byName >= 0:
		found = found[byName : byName+1]
	case len(found) > 1:
		return api.PlanProgress{}, nil, api.Errorf(api.CodeInvalid, "%q is the beginning of %d plans", name, len(found))
	}
	return found[0], slices.DeleteFunc(all, func(r api.Rollout) bool { return r.Patch != found[0].Patch }), nil
}
