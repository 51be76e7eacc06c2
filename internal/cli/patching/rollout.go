package patching

import (
	"context"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/api/client"
	"github.com/oakumhq/oakum/internal/cli/command"
	"github.com/oakumhq/oakum/internal/cli/view"
)

func rolloutList(e *command.Env) *command.Command {
	c := command.New("rollout list", command.None(), "List rollouts", `Lists the rollouts, oldest first.`).
		Remote().Reads().Filters(`status == "running"`).Prints()
	open := c.Flags.Bool("open", false, "Leave out the rollouts that have ended.")
	c.Run = c.Asks(e, func(ctx context.Context, cl *client.Client, _ []string) error {
		all, _, err := cl.Rollouts(ctx, c.Query())
		if err != nil {
			return err
		}
		none := "No rollouts."
		if *open {
			all, none = openOnes(all), "No open rollouts."
		}
		brakeFirst(ctx, e, cl, c)
		return e.Show(c.Out, all, func(w io.Writer) { view.Rollouts(w, all, none, e.Width, e.Now()) })
	})
	return c
}

func openOnes(all []api.Rollout) []api.Rollout {
	out := []api.Rollout{}
	for _, r := range all {
		if !r.Status.Ended() {
			out = append(out, r)
		}
	}
	return out
}

func rolloutStatus(e *command.Env) *command.Command {
	c := command.New("rollout status", command.Opt("ID"), "Show where a rollout is, and why", `
Shows one rollout: its status with the reason, what it waits for and since when,
its stages, the last verdict with every KPI, and which line of which policy
decided what. ID may be the beginning of an ID. Without an ID, all open rollouts
are listed.

With -watch, each change is printed when it happens, until the rollout ends.

The exit code is 2 when the rollout has ended without being complete: rolled
back, rejected, failed or cancelled.`).Remote().Reads().Prints()
	watch := c.Flags.Bool("watch", false, "Follow the rollout until it ends.")
	c.Run = c.Asks(e, func(ctx context.Context, cl *client.Client, args []string) error {
		if len(args) == 0 {
			if *watch {
				return command.Usage("-watch needs the ID of a rollout")
			}
			all, _, err := cl.Rollouts(ctx, c.Query())
			if err != nil {
				return err
			}
			all = openOnes(all)
			brakeFirst(ctx, e, cl, c)
			return e.Show(c.Out, all, func(w io.Writer) { view.Rollouts(w, all, "No open rollouts.", e.Width, e.Now()) })
		}
		r, err := findRollout(ctx, cl, args[0], c.Query())
		if err != nil {
			return err
		}
		if *watch {
			if r, err = watchRollout(ctx, e, cl, c.Out, r); err != nil {
				return err
			}
		}
		if !r.Status.Ended() {
			brakeFirst(ctx, e, cl, c)
		}
		if err := e.Show(c.Out, r, func(w io.Writer) { view.Rollout(w, r, view.RolloutPage(c.Address(e), r.ID), e.Now()) }); err != nil {
			return err
		}
		return outcome(r)
	})
	return c
}

// outcome is the answer of no for a rollout that ended badly.
func outcome(r api.Rollout) error {
	if r.Status.Ended() && r.Status != api.RolloutComplete {
		return command.No("")
	}
	return nil
}

// findRollout reads a rollout by its ID or by the beginning of it.
func findRollout(ctx context.Context, cl *client.Client, id string, q client.Query) (api.Rollout, error) {
	return find(ctx, id, "rollouts", cl.Rollout, cl.Rollouts, func(r api.Rollout) string { return r.ID }, q)
}

// find reads one of many by its ID or by the beginning of it.
func find[T any](
	ctx context.Context, id, what string,
	read func(context.Context, string, client.Query) (T, client.Meta, error),
	list func(context.Context, client.Query) ([]T, client.Meta, error),
	idOf func(T) string, q client.Query,
) (T, error) {
	one, _, err := read(ctx, id, q)
	if !api.IsCode(err, api.CodeNotFound) {
		return one, err
	}
	all, _, listErr := list(ctx, q)
	if listErr != nil {
		return one, listErr
	}
	var found []string
	for _, candidate := range all {
		if strings.HasPrefix(strings.ToLower(idOf(candidate)), strings.ToLower(id)) {
			found = append(found, idOf(candidate))
			one = candidate
		}
	}
	switch len(found) {
	case 0:
		return one, err
	case 1:
		return one, nil
	}
	return one, &api.Error{
		Code: api.CodeInvalid, Message: fmt.Sprintf("%q is the beginning of %d %s", id, len(found), what), Details: found,
	}
}

// Following a rollout through bad days.
const (
	// watchWait is how long one look blocks at the server: short enough that a
	// server that went away without a word is noticed.
	watchWait = 30 * time.Second
	// patience is how long a watch goes on without an answer. An election takes
	// seconds, and a restart of a server less than a minute.
	patience = 2 * time.Minute
	// retryEvery is the pause between looks while nobody answers.
	retryEvery = time.Second
)

// watchRollout prints each change of a rollout until it has ended.
func watchRollout(ctx context.Context, e *command.Env, cl *client.Client, out *command.Output, r api.Rollout) (api.Rollout, error) {
	last, warned, index := "", "", r.ModifyIndex
	answered := e.Now()
	for {
		// A figure beyond the cut is no news.
		if line := view.Cut(view.Progress(r), e.Width-len("15:04:05  ")); line != last && !out.Machine() {
			e.Printf("%s  %s\n", e.Now().UTC().Format("15:04:05"), line)
			last = line
		}
		if r.Status.Ended() {
			return r, nil
		}
		next, meta, err := cl.Rollout(ctx, r.ID, client.Query{Index: index, Wait: watchWait})
		switch {
		case err == nil:
			if answered = e.Now(); meta.Index < index {
				index = 0 // the state was restored from a snapshot
			} else {
				index = meta.Index
			}
			r, warned = next, ""
		case !passing(err) || e.Now().Sub(answered) > patience:
			return r, err
		default:
			if line := api.AsError(err).Message; line != warned {
				e.Warnf("%s  %s; trying again\n", e.Now().UTC().Format("15:04:05"), line)
				warned = line
			}
			if err := pause(ctx, retryEvery); err != nil {
				return r, err
			}
		}
	}
}

// passing reports whether a failure may be over in a moment.
func passing(err error) bool {
	return api.IsCode(err, api.CodeNoLeader) || api.IsCode(err, api.CodeUnavailable) || api.IsCode(err, api.CodeTimeout)
}

func pause(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// waitAll follows rollouts one after the other. A rollout that ends early shows
// its end when its turn comes.
func waitAll(ctx context.Context, e *command.Env, c *command.Command, ids []string) error {
	cl, err := c.Dial(e)
	if err != nil {
		return err
	}
	defer cl.Close()
	ended := make([]api.Rollout, 0, len(ids))
	bad := 0
	for _, id := range ids {
		r, _, err := cl.Rollout(ctx, id, client.Query{})
		if err != nil {
			return err
		}
		if !c.Out.Machine() {
			e.Printf("\n%s on %s\n", r.Patch, r.Target)
		}
		if r, err = watchRollout(ctx, e, cl, c.Out, r); err != nil {
			return err
		}
		if r.Status != api.RolloutComplete {
			bad++
		}
		ended = append(ended, r)
	}
	if c.Out.Machine() {
		if err := e.Show(c.Out, ended, nil); err != nil {
			return err
		}
	}
	if bad > 0 {
		return command.No("%d of %s did not complete.", bad, view.Count(len(ids), "rollout"))
	}
	return nil
}

func rolloutHistory(e *command.Env) *command.Command {
	c := command.New("rollout history", command.One("ID"), "Show what happened to a rollout", `
Shows the events of one rollout, oldest first: every change of its status and
every change that it made to the world. Servers keep the last 10,000 events.`).Remote().Reads().Prints()
	c.Run = c.Asks(e, func(ctx context.Context, cl *client.Client, args []string) error {
		r, err := findRollout(ctx, cl, args[0], c.Query())
		if err != nil {
			return err
		}
		events, err := cl.Events(ctx, r.CreateIndex, "rollout:"+r.ID, "effect:"+r.ID)
		if err != nil {
			return err
		}
		return e.Show(c.Out, events, func(w io.Writer) { view.Events(w, events) })
	})
	return c
}

func rolloutApprove(e *command.Env) *command.Command {
	return action(e, "approve", "Consent to a rollout", `
Records your consent to a rollout that waits for approval. The policy says whose
consent counts, and how many are needed. Whoever submitted the patch can't consent to
it, unless the policy has self = true, and a person counts once, whatever token they
come with.`, "Consented to")
}

func rolloutUnapprove(e *command.Env) *command.Command {
	return action(e, "unapprove", "Take your consent back", `
Takes your consent to a rollout back, until the rollout begins to touch its job.
After that, pause it or roll it back.`, "No longer consented to")
}

func rolloutPause(e *command.Env) *command.Command {
	return action(e, "pause", "Stop a rollout where it is", `
Stops a rollout where it is. Patched instances stay patched; nothing further
happens until somebody resumes it or rolls it back.`, "Paused")
}

func rolloutResume(e *command.Env) *command.Command {
	return action(e, "resume", "Go on with a paused or holding rollout", `
Lets a rollout that was paused, or that holds because its judge was in doubt, go
on where it was. One that waits because the patch failed at a target which it is
joined to by dependencies begins in spite of that when its turn comes; what fails
later blocks it again.`, "Resumed")
}

func rolloutPromote(e *command.Env) *command.Command {
	return action(e, "promote", "Take the present stage for good", `
Takes the present stage for good without waiting for the judge. This overrules
the measurements; the record says who did it.`, "Promoted")
}

func rolloutAbort(e *command.Env) *command.Command {
	return action(e, "abort", "Give up a rollout", `
Gives up a rollout. If it has changed instances already, they are rolled back.
That says nothing against the patch, which may be submitted again.`, "Aborted")
}

func rolloutRollback(e *command.Env) *command.Command {
	return action(e, "rollback", "Return every instance to the former version", `
Returns every instance to the exact former version of the job: in steps within the
budget, or all at the same time where the policy has at_once. The patch is then
quarantined for the target, where the policy says so. A rollout that is complete can go
back for as long as the policy's rollback.window says, a day where it says nothing.`, "Rolling back")
}

func action(e *command.Env, name, synopsis, text, done string) *command.Command {
	c := command.New("rollout "+name, command.One("ID"), synopsis, text).Remote().Prints()
	note := c.Flags.String("note", "", "A `remark` for the record.")
	c.Run = c.Asks(e, func(ctx context.Context, cl *client.Client, args []string) error {
		found, err := findRollout(ctx, cl, args[0], client.Query{})
		if api.IsCode(err, api.CodePermissionDenied) || api.IsCode(err, api.CodeUnavailable) {
			// A caller who may act but not read has to give the whole ID, and so has one
			// whom a blocked audit log refuses reads, but no rollback.
			found, err = api.Rollout{ID: args[0]}, nil
		}
		if err != nil {
			return err
		}
		r, err := cl.RolloutAction(ctx, found.ID, name, *note)
		if err != nil {
			return err
		}
		return e.Show(c.Out, r, func(w io.Writer) {
			fmt.Fprintf(w, "%s %s of %s: now %s.\n", done, r.Patch, r.Target, r.Status)
			if name == "resume" || name == "promote" {
				b, _, _ := cl.Brake(ctx, client.Query{}) // off where nobody says
				view.StillHeld(w, b, found.Holds)
			}
		})
	})
	return c
}
