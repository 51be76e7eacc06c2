package cli

import (
	"context"
	"io"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/api/client"
	"github.com/oakumhq/oakum/internal/cli/view"
)

func brakeOn(e *env) *command {
	c := newCommand("brake on", none(), "Let nothing go forward", `
Puts the brake on: from now on no rollout begins anything that goes forward, be it a
simulation, a stage, a switch or its end. What is in flight is verified to its end,
stages that are out are judged, and rollbacks go. Patches may still be submitted; they
wait. The brake stays on, whoever leads, until somebody takes it off.

    $ oakum brake on -reason="checkout is slow, incident 4711"`).remote().prints()
	want := api.BrakeRequest{On: true}
	c.flags.StringVar(&want.Reason, "reason", "", "Why the brake is put on, as a `text` for whoever finds it on. Required.")
	return e.setsBrake(c, &want)
}

func brakeOff(e *env) *command {
	c := newCommand("brake off", none(), "Take the brake off", `
Takes the brake off: every rollout goes on from where it was held. The time in which
the brake was on does not count towards the deadlines of stages.`).remote().prints()
	return e.setsBrake(c, &api.BrakeRequest{})
}

func (e *env) setsBrake(c *command, want *api.BrakeRequest) *command {
	c.run = c.asks(e, func(ctx context.Context, cl *client.Client, _ []string) error {
		if want.On && want.Reason == "" {
			return usage("brake on needs a -reason for whoever finds the brake on")
		}
		b, err := cl.SetBrake(ctx, *want)
		if err != nil {
			return err
		}
		return e.show(c.out, b, func(w io.Writer) { view.Brake(w, b, e.Now()) })
	})
	return c
}

func brakeStatus(e *env) *command {
	c := newCommand("brake status", none(), "Show whether the brake is on", `
Shows whether the brake is on, since when, by whom and why.

The exit code is 2 while the brake is on.`).remote().reads().prints()
	c.run = c.asks(e, func(ctx context.Context, cl *client.Client, _ []string) error {
		b, _, err := cl.Brake(ctx, c.query())
		if err != nil {
			return err
		}
		err = e.show(c.out, b, func(w io.Writer) { view.Brake(w, b, e.Now()) })
		if err == nil && b.On {
			return no("")
		}
		return err
	})
	return c
}

// brakeFirst shows a brake that is on above what a person asked for, unless nobody says
// whether it is on, as a server of a former version does not.
func (e *env) brakeFirst(ctx context.Context, cl *client.Client, c *command) {
	if c.out.machine() {
		return
	}
	if b, _, err := cl.Brake(ctx, c.query()); err == nil && b.On {
		view.Braked(e.Stdout, b, e.Now())
	}
}
