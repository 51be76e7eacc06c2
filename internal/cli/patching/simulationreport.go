package patching

import (
	"context"
	"fmt"
	"io"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/api/client"
	"github.com/oakumhq/oakum/internal/cli/command"
	"github.com/oakumhq/oakum/internal/cli/view"
)

func simulationReport(e *command.Env) *command.Command {
	c := command.New("simulation report", command.One("ID"), "Report all that a simulation found out", `
Reports the verdict with its reasons, the KPIs of both arms with the evidence, what
the run could have seen, the proof of the fix, and the machines. The exit code is 2
when the patch was rejected, or when the simulation could not decide, and 1 when it
failed or was cancelled. ID may be the beginning of an ID.

With -html, one self-contained page with plots of both arms is printed, for a ticket
or an archive:

    $ oakum simulation report -html 01JD3M > simulation.html`).Remote().Reads().Prints()
	page := c.Flags.Bool("html", false, "Print an HTML page.")
	c.Run = c.Asks(e, func(ctx context.Context, cl *client.Client, args []string) error {
		if *page && c.Out.Machine() {
			return command.Usage("-html, -json and -t: give one of them")
		}
		s, err := findSimulation(ctx, cl, args[0], c.Query())
		if err != nil {
			return err
		}
		judge, err := judgeOf(ctx, cl, s, c.Query())
		if err != nil {
			return err
		}
		if *page {
			err = view.SimulationPage(e.Stdout, s, judge)
		} else {
			err = e.Show(c.Out, s, func(w io.Writer) { view.SimulationReport(w, s, judge) })
		}
		if err != nil {
			return err
		}
		return simulationAnswer(s)
	})
	return c
}

// judgeOf is the judge whose margins a simulation followed: of its own decision or its
// rollout's. It is empty when the rollout is forgotten.
func judgeOf(ctx context.Context, cl *client.Client, s api.Simulation, q client.Query) (api.JudgeSpec, error) {
	if s.Decision != nil {
		return s.Decision.Judge, nil
	}
	if s.Rollout == "" {
		return api.JudgeSpec{}, nil
	}
	r, _, err := cl.Rollout(ctx, s.Rollout, q)
	if err != nil && !api.IsCode(err, api.CodeNotFound) {
		return api.JudgeSpec{}, fmt.Errorf("read the simulation's rollout: %w", err)
	}
	return r.Decision.Judge, nil
}
