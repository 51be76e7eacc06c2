package cli

import (
	"context"
	"io"

	"github.com/oakumhq/oakum/api/client"
)

func simulationLogs(e *env) *command {
	c := newCommand("simulation logs", one("ID"), "Show what a machine of a simulation wrote", `
Prints the end of the console of one machine: from Nomad while it runs, from the
record afterwards. Roles are control, treatment, and bake: the machine in which the
patch's script ran. ID may be the beginning of an ID.

    $ oakum simulation logs -role=bake 01JD3M`).remote().prints()
	role := c.flags.String("role", "treatment", "The `role` of the machine: control, treatment, revert or bake. Default: treatment.")
	pair := c.flags.Int("pair", 0, "The `number` of the pair, from 1. The newest when left out.")
	c.run = c.asks(e, func(ctx context.Context, cl *client.Client, args []string) error {
		if *pair < 0 {
			return usage("-pair: want a number from 1, not %d", *pair)
		}
		found, err := findSimulation(ctx, cl, args[0], client.Query{})
		if err != nil {
			return err
		}
		console, err := cl.Console(ctx, found.ID, *role, *pair)
		if err != nil {
			return err
		}
		return e.show(c.out, console, func(w io.Writer) { _, _ = io.WriteString(w, console.Text) })
	})
	return c
}
