package patching

import (
	"context"
	"io"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/api/client"
	"github.com/oakumhq/oakum/internal/cli/command"
	"github.com/oakumhq/oakum/internal/cli/view"
)

func brakeOn(e *command.Env) *command.Command {
	c := command.New("brake on", command.None(), "Let nothing go forward", `
Puts the brake on: from now on no rollout begins anything that goes forward, be it a
simulation, a stage, a switch or its end. What is in flight is verified to its end,
stages that are out are judged, and rollbacks go. Patches may still be submitted; they
wait. The brake stays on, whoever leads, until somebody takes it off.

    $ oakum brake on -reason="checkout is slow, incident 4711"`).Remote().Prints()
	want := api.BrakeRequest{On: true}
	c.Flags.StringVar(&want.Reason, "reason", "", "Why the brake is put on, as a `text` for whoever finds it on. Required.")
	return setsBrake(e, c, &want)
}

func brakeOff(e *command.Env) *command.Command {
	c := command.New("brake off", command.None(), "Take the brake off", `
Takes the brake off: every rollout goes on from where it was held. The time in which
the brake was on does not count towards the deadlines of stages.`).Remote().Prints()
	return setsBrake(e, c, &api.BrakeRequest{})
}

func setsBrake(e *command.Env, c *command.Command, want *api.BrakeRequest) *command.Command {
	c.Run = c.Asks(e, func(ctx context.Context, cl *client.Client, _ []string) error {
		if want.On && want.Reason == "" {
			return command.Usage("brake on needs a -reason for whoever finds the brake on")
		}
		b, err := cl.SetBrake(ctx, *want)
		if err != nil {
			return err
		}
		return e.Show(c.Out, b, func(w io.Writer) { view.Brake(w, b, e.Now()) })
	})
	return c
}

func brakeStatus(e *command.Env) *command.Command {
	c := command.New("brake status", command.None(), "Show whether the brake is on", `
Shows whether the brake is on, since when, by whom and why.

The exit code is 2 while the brake is on.`).Remote().Reads().Prints()
	c.Run = c.Asks(e, func(ctx context.Context, cl *client.Client, _ []string) error {
		b, _, err := cl.Brake(ctx, c.Query())
		if err != nil {
			return err
		}
		err = e.Show(c.Out, b, func(w io.Writer) { view.Brake(w, b, e.Now()) })
		if err == nil && b.On {
			return command.No("")
		}
		return err
	})
	return c
}

// brakeFirst shows a brake that is on above what a person asked for, unless nobody says
// whether it is on, as a server of a former version does not.
func brakeFirst(ctx context.Context, e *command.Env, cl *client.Client, c *command.Command) {
	if c.Out.Machine() {
		return
	}
	if b, _, err := cl.Brake(ctx, c.Query()); err == nil && b.On {
		view.Braked(e.Stdout, b, e.Now())
	}
}
