package cli

import (
	"context"
	"fmt"
	"io"
	"strconv"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/api/client"
)

func profileList(e *env) *command {
	c := newCommand("profile list", none(), "List the targets that were measured", `
Lists the targets that have a profile, and how much is known of each.`).remote().reads().prints()
	c.run = listing(e, c, (*client.Client).Profiles, "No profiles yet.",
		[]string{"Target", "KPIs", "Cold", "Since", "Updated"},
		func(p api.Profile) []string {
			cold := 0
			for _, k := range p.KPIs {
				if k.Cold {
					cold++
				}
			}
			return []string{p.Target.String(), strconv.Itoa(len(p.KPIs)), strconv.Itoa(cold), stamp(p.Since), age(e.Now(), p.Updated) + " ago"}
		})
	return c
}

// comparison is one KPI of two profiles.
type comparison struct {
	KPI    string
	Unit   string
	First  *api.Baseline
	Second *api.Baseline
	Ratio  float64 // of the means, second ÷ first; 0 when it does not exist
}

func profileCompare(e *env) *command {
	c := newCommand("profile compare", two("TARGET", "TARGET"), "Compare the baselines of two targets", `
Shows the KPIs of two targets side by side, with the ratio of their means.`).remote().reads().prints()
	c.run = c.asks(e, func(ctx context.Context, cl *client.Client, args []string) error {
		var both [2]api.Profile
		for i, text := range args {
			ref, err := api.ParseTargetRef(text)
			if err != nil {
				return err
			}
			if both[i], _, err = cl.Profile(ctx, ref, c.query()); err != nil {
				return err
			}
		}
		rows := compare(both[0], both[1])
		return e.show(c.out, rows, func(w io.Writer) {
			t := newTable("KPI", both[0].Target.String(), both[1].Target.String(), "Ratio")
			for _, r := range rows {
				ratio := "-"
				if r.Ratio > 0 {
					ratio = fmt.Sprintf("%.2fx", r.Ratio)
				}
				t.add(r.KPI, meanOf(r.First), meanOf(r.Second), ratio)
			}
			t.print(w, "")
		})
	})
	return c
}

func meanOf(b *api.Baseline) string {
	if b == nil {
		return "-"
	}
	return amount(b.Mean, b.Unit)
}

func compare(first, second api.Profile) []comparison {
	rows := []comparison{}
	for _, b := range first.KPIs {
		row := comparison{KPI: b.KPI, Unit: b.Unit, First: &b}
		for _, other := range second.KPIs {
			if other.KPI == b.KPI {
				row.Second = &other
				if b.Mean > 0 {
					row.Ratio = other.Mean / b.Mean
				}
			}
		}
		rows = append(rows, row)
	}
	for _, b := range second.KPIs {
		known := false
		for _, row := range rows {
			known = known || row.KPI == b.KPI
		}
		if !known {
			rows = append(rows, comparison{KPI: b.KPI, Unit: b.Unit, Second: &b})
		}
	}
	return rows
}
