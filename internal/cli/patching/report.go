package patching

import (
	"context"
	"io"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/api/client"
	"github.com/oakumhq/oakum/internal/cli/command"
	"github.com/oakumhq/oakum/internal/cli/view"
)

func rolloutReport(e *command.Env) *command.Command {
	c := command.New("rollout report", command.One("ID"), "Report the verdicts of a rollout", `
Reports the simulation and each judged stage of a rollout: for every KPI the value
on the former and on the patched instances (the control and the patched twin),
their ratio with its 95 percent limits, and the evidence with what was needed. ID
may be the beginning of an ID.

With -html, one self-contained page with plots is printed, for a ticket or an
archive.`).Remote().Reads().Prints()
	page := c.Flags.Bool("html", false, "Print an HTML page.")
	c.Run = c.Asks(e, func(ctx context.Context, cl *client.Client, args []string) error {
		if *page && c.Out.Machine() {
			return command.Usage("-html, -json and -t: give one of them")
		}
		r, err := findRollout(ctx, cl, args[0], c.Query())
		if err != nil {
			return err
		}
		reports := view.ReportsOf(r)
		if r.Simulation != "" {
			s, _, err := cl.Simulation(ctx, r.Simulation, c.Query())
			if err != nil && !api.IsCode(err, api.CodeNotFound) {
				return err
			}
			if s.Impact != nil {
				reports = append([]view.StageReport{view.ReportOfSimulation(r, s)}, reports...)
			}
		}
		if *page {
			return view.ReportPage(e.Stdout, r, reports)
		}
		return e.Show(c.Out, reports, func(w io.Writer) { view.Report(w, r, reports) })
	})
	return c
}
