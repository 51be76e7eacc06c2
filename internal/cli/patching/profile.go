package patching

import (
	"context"
	"fmt"
	"io"
	"strconv"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/api/client"
	"github.com/oakumhq/oakum/internal/cli/command"
	"github.com/oakumhq/oakum/internal/cli/view"
)

func profileList(e *command.Env) *command.Command {
	c := command.New("profile list", command.None(), "List the targets that were measured", `
Lists the targets that have a profile, and how much is known of each.`).Remote().Reads().Prints()
	c.Run = command.Listing(e, c, (*client.Client).Profiles, "No profiles yet.",
		[]string{"Target", "KPIs", "Cold", "Since", "Updated"},
		func(p api.Profile) []string {
			cold := 0
			for _, k := range p.KPIs {
				if k.Cold {
					cold++
				}
			}
			return []string{p.Target.String(), strconv.Itoa(len(p.KPIs)), strconv.Itoa(cold), view.Stamp(p.Since), view.Age(e.Now(), p.Updated) + " ago"}
		})
	return c
}

func profileCompare(e *command.Env) *command.Command {
	c := command.New("profile compare", command.Two("TARGET", "TARGET"), "Compare the baselines of two targets", `
Shows the KPIs of two targets side by side, with the ratio of their means.`).Remote().Reads().Prints()
	c.Run = c.Asks(e, func(ctx context.Context, cl *client.Client, args []string) error {
		var both [2]api.Profile
		for i, text := range args {
			ref, err := api.ParseTargetRef(text)
			if err != nil {
				return err
			}
			if both[i], _, err = cl.Profile(ctx, ref, c.Query()); err != nil {
				return err
			}
		}
		rows := view.Compare(both[0], both[1])
		return e.Show(c.Out, rows, func(w io.Writer) {
			t := view.NewTable("KPI", both[0].Target.String(), both[1].Target.String(), "Ratio")
			for _, r := range rows {
				ratio := "-"
				if r.Ratio > 0 {
					ratio = fmt.Sprintf("%.2fx", r.Ratio)
				}
				t.Add(r.KPI, view.Mean(r.First), view.Mean(r.Second), ratio)
			}
			t.Print(w, "")
		})
	})
	return c
}
