package cli

import (
	"context"
	"io"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/api/client"
	"github.com/oakumhq/oakum/internal/cli/view"
)

func rolloutReport(e *env) *command {
	c := newCommand("rollout report", one("ID"), "Report the verdicts of a rollout", `
Reports the simulation and each judged stage of a rollout: for every KPI the value
on the former and on the patched instances (the control and the patched twin),
their ratio with its 95 percent limits, and the evidence with what was needed. ID
may be the beginning of an ID.

With -html, one self-contained page with plots is printed, for a ticket or an
archive.`).remote().reads().prints()
	page := c.flags.Bool("html", false, "Print an HTML page.")
	c.run = c.asks(e, func(ctx context.Context, cl *client.Client, args []string) error {
		if *page && c.out.machine() {
			return usage("-html, -json and -t: give one of them")
		}
		r, err := findRollout(ctx, cl, args[0], c.query())
		if err != nil {
			return err
		}
		reports := view.ReportsOf(r)
		if r.Simulation != "" {
			s, _, err := cl.Simulation(ctx, r.Simulation, c.query())
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
		return e.show(c.out, reports, func(w io.Writer) { view.Report(w, r, reports) })
	})
	return c
}
