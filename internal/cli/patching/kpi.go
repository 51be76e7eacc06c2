package patching

import (
	"context"
	"io"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/api/client"
	"github.com/oakumhq/oakum/internal/cli/command"
	"github.com/oakumhq/oakum/internal/cli/view"
)

func kpiDiscover(e *command.Env) *command.Command {
	c := command.New("kpi discover", command.None(), "Find the KPIs that Prometheus can show", `
Looks at the metrics in Prometheus for the names that the usual libraries, proxies
and exporters give them, and at how their series name an instance. Shows for each
target what is measured, what could be measured and what is lacking, and writes the
block for the agent's configuration that measures what could be.

Measured is "yes" for what the agent's queries measure already, and "no" for what
the block would add. Of the KPIs that Oakum does not know by itself (heap,
db_latency_p99, ...) the block has those that -kpi names, or all with -kpi=all.

    $ oakum kpi discover
    $ oakum kpi discover -target=prod/web/vm -kpi=heap`).Remote().Reads().Prints()
	target := c.Flags.String("target", "", "The `target` to look at, as namespace/job/group. Default: all.")
	var kpis command.List
	c.Flags.Var(&kpis, "kpi", "A `KPI` of its own for the block, or all. Can be given several times.")
	c.Run = c.Asks(e, func(ctx context.Context, cl *client.Client, _ []string) error {
		var ref *api.TargetRef
		if *target != "" {
			one, err := api.ParseTargetRef(*target)
			if err != nil {
				return err
			}
			ref = &one
		}
		found, _, err := cl.DiscoverKPIs(ctx, ref, kpis, c.Query())
		if err != nil {
			return err
		}
		return e.Show(c.Out, found, func(w io.Writer) { view.Discovery(w, found, e.Width) })
	})
	return c
}

func kpiCheck(e *command.Env) *command.Command {
	c := command.New("kpi check", command.None(), "Ask the queries in force, and see what is behind the answers", `
Asks each query by which KPIs are learned or policies judge, as the servers ask
it. Shows how many instances have an answer, how many series are behind it, how
often there is a sample, where samples are missing and where counters began anew,
and how long the answer took.

    $ oakum kpi check
    $ oakum kpi check -kpi=error_rate -kpi=heap

The exit code is 2 when a query failed, when nobody has a query for a KPI or no
instance answers one by which a policy judges, when an answer names none of the
instances that run, or when samples are missing.`).Remote().Reads().Prints()
	var kpis command.List
	c.Flags.Var(&kpis, "kpi", "A `KPI` to check. Can be given several times. Default: all.")
	c.Run = c.Asks(e, func(ctx context.Context, cl *client.Client, _ []string) error {
		found, _, err := cl.CheckKPIs(ctx, kpis, c.Query())
		if err != nil {
			return err
		}
		if err := e.Show(c.Out, found, func(w io.Writer) { view.KPICheck(w, found, e.Width) }); err != nil {
			return err
		}
		if len(view.KPIFaults(found)) > 0 {
			return command.No("")
		}
		return nil
	})
	return c
}
