package patching

import (
	"context"
	"io"
	"slices"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/internal/cli/command"
	"github.com/oakumhq/oakum/internal/cli/view"
)

func profileRead(e *command.Env) *command.Command {
	c := command.New("profile read", command.One("TARGET"), "Show what is usual for a target", `
Shows what is usual for a target at this hour of the week, in UTC. -hour shows
another hour. An hour with too few samples shows what is usual at all hours, marked
with a star. "Unusual above" is a level: one of a hundred samples is above it. A KPI
is cold while it has too few samples to judge by. -kpi shows one KPI by day and hour.
TARGET is namespace/job/group; job/group means namespace default.

    $ oakum profile read -hour=tue-14 store/vm
    $ oakum profile read -kpi=cpu store/vm`).Remote().Reads().Prints()
	hour := c.Flags.String("hour", "", "The `hour` of the week in UTC, such as tue-14. Default: this one.")
	name := c.Flags.String("kpi", "", "The `KPI` to show by day and hour.")
	c.Run = func(ctx context.Context, args []string) error {
		ref, err := api.ParseTargetRef(args[0])
		if err != nil {
			return err
		}
		at := -1
		if *hour != "" {
			var ok bool
			if at, ok = view.HourOfWeek(*hour); !ok {
				return command.Usage("-hour: want a day and an hour, such as tue-14, have %q", *hour)
			}
		}
		cl, err := c.Dial(e)
		if err != nil {
			return err
		}
		defer cl.Close()
		var p api.Profile
		if at < 0 {
			p, _, err = cl.Profile(ctx, ref, c.Query())
		} else {
			p, _, err = cl.ProfileAt(ctx, ref, at, c.Query())
		}
		if err != nil {
			return err
		}
		if *name == "" {
			return e.Show(c.Out, p, func(w io.Writer) { view.Profile(w, p, e.Now()) })
		}
		i := slices.IndexFunc(p.KPIs, func(b api.Baseline) bool { return b.KPI == *name })
		if i < 0 {
			return api.Errorf(api.CodeNotFound, "profile of %s: there is no KPI %q", p.Target, *name)
		}
		return e.Show(c.Out, p.KPIs[i], func(w io.Writer) { view.Week(w, p.KPIs[i]) })
	}
	return c
}
