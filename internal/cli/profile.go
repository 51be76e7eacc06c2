package cli

import (
	"context"
	"fmt"
	"io"
	"strconv"
	"strings"

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

func profileRead(e *env) *command {
	c := newCommand("profile read", one("TARGET"), "Show the baseline of each KPI of a target", `
Shows what is normal for a target. TARGET is namespace/job/group; job/group means
namespace default. A KPI is cold while there are too few samples to judge by.`).remote().reads().prints()
	c.run = func(ctx context.Context, args []string) error {
		ref, err := api.ParseTargetRef(args[0])
		if err != nil {
			return err
		}
		cl, err := c.dial(e)
		if err != nil {
			return err
		}
		defer cl.Close()
		p, _, err := cl.Profile(ctx, ref, c.query())
		if err != nil {
			return err
		}
		return e.show(c.out, p, func(w io.Writer) { e.printProfile(w, p) })
	}
	return c
}

func (e *env) printProfile(w io.Writer, p api.Profile) {
	fields(w, "Target", p.Target.String(), "Since", stamp(p.Since), "Updated", age(e.Now(), p.Updated)+" ago")
	fmt.Fprintln(w)
	t := newTable("KPI", "Last", "Mean", "P50", "P90", "P99", "Samples", "Source", "Week (Mon-Sun, UTC)")
	for _, k := range p.KPIs {
		samples := strconv.FormatInt(k.Samples, 10)
		if k.Cold {
			samples += " (cold)"
		}
		t.add(k.KPI, amount(k.Last, k.Unit), amount(k.Mean, k.Unit), amount(k.P50, k.Unit), amount(k.P90, k.Unit),
			amount(k.P99, k.Unit), samples, k.Source, week(k.Hours))
	}
	t.print(w, "")
}

// week draws one sign for every six hours of the week, scaled to the highest.
func week(hours []*float64) string {
	const per = 6
	signs := []rune("▁▂▃▄▅▆▇█")
	var means []float64
	highest := 0.0
	for at := 0; at < len(hours); at += per {
		sum, seen := 0.0, 0
		for _, h := range hours[at:min(at+per, len(hours))] {
			if h != nil {
				sum += *h
				seen++
			}
		}
		mean := -1.0
		if seen > 0 {
			mean = sum / float64(seen)
			highest = max(highest, mean)
		}
		means = append(means, mean)
	}
	var b strings.Builder
	for _, mean := range means {
		switch {
		case mean < 0:
			b.WriteRune('·') // nothing was seen
		case highest == 0:
			b.WriteRune(signs[0])
		default:
			b.WriteRune(signs[int(mean/highest*float64(len(signs)-1)+0.5)])
		}
	}
	return b.String()
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
