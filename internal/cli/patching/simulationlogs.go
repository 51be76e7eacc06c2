package patching

import (
	"context"
	"io"

	"github.com/oakumhq/oakum/api/client"
	"github.com/oakumhq/oakum/internal/cli/command"
)

func simulationLogs(e *command.Env) *command.Command {
	c := command.New("simulation logs", command.One("ID"), "Show what a machine of a simulation wrote", `
Prints the end of the console of one machine: from Nomad while it runs, from the
record afterwards. Roles are control, treatment, and bake: the machine in which the
patch's script ran. ID may be the beginning of an ID.

    $ oakum simulation logs -role=bake 01JD3M`).Remote().Prints()
	role := c.Flags.String("role", "treatment", "The `role` of the machine: control, treatment, revert or bake. Default: treatment.")
	pair := c.Flags.Int("pair", 0, "The `number` of the pair, from 1. The newest when left out.")
	c.Run = c.Asks(e, func(ctx context.Context, cl *client.Client, args []string) error {
		if *pair < 0 {
			return command.Usage("-pair: want a number from 1, not %d", *pair)
		}
		found, err := findSimulation(ctx, cl, args[0], client.Query{})
		if err != nil {
			return err
		}
		console, err := cl.Console(ctx, found.ID, *role, *pair)
		if err != nil {
			return err
		}
		return e.Show(c.Out, console, func(w io.Writer) { _, _ = io.WriteString(w, console.Text) })
	})
	return c
}
