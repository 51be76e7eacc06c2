package cli

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"

	"github.com/oakumhq/oakum/api"
)

func profileRead(e *env) *command {
	c := newCommand("profile read", one("TARGET"), "Show what is usual for a target", `
Shows what is usual for a target at this hour of the week (UTC), or at another with
-hour; where an hour has too few samples, what is usual at all hours. "Unusual
above" is the level that one of a hundred samples is above. TARGET is
namespace/job/group; job/group means namespace default. A KPI is cold while there
are too few samples to judge by. With -kpi, shows one KPI by day and hour:

    $ oakum profile read -hour=tue-14 store/vm
    $ oakum profile read -kpi=cpu store/vm`).remote().reads().prints()
	hour := c.flags.String("hour", "", "The `hour` of the week in UTC, such as tue-14. Default: this one.")
	name := c.flags.String("kpi", "", "The `KPI` to show by day and hour.")
	c.run = func(ctx context.Context, args []string) error {
		ref, err := api.ParseTargetRef(args[0])
		if err != nil {
			return err
		}
		at := -1
		if *hour != "" {
			if at, err = weekHour(*hour); err != nil {
				return err
			}
		}
		cl, err := c.dial(e)
		if err != nil {
			return err
		}
		defer cl.Close()
		var p api.Profile
		if at < 0 {
			p, _, err = cl.Profile(ctx, ref, c.query())
		} else {
			p, _, err = cl.ProfileAt(ctx, ref, at, c.query())
		}
		if err != nil {
			return err
		}
		if *name == "" {
			return e.show(c.out, p, func(w io.Writer) { e.printProfile(w, p) })
		}
		i := slices.IndexFunc(p.KPIs, func(b api.Baseline) bool { return b.KPI == *name })
		if i < 0 {
			return api.Errorf(api.CodeNotFound, "profile of %s: there is no KPI %q", p.Target, *name)
		}
		return e.show(c.out, p.KPIs[i], func(w io.Writer) { printWeek(w, p.KPIs[i]) })
	}
	return c
}

// weekdays in the order of the hours of a week.
func weekdays() []string { return []string{"Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"} }

// weekHour reads tue-14 as the hour of the week that it is, 0 to 167.
func weekHour(text string) (int, error) {
	day, hour, _ := strings.Cut(text, "-")
	n, err := strconv.ParseUint(hour, 10, 8)
	for i, have := range weekdays() {
		if strings.EqualFold(have, day) && err == nil && n < 24 {
			return i*24 + int(n), nil
		}
	}
	return 0, usage("-hour: want a day and an hour, such as tue-14, have %q", text)
}

// hourText names an hour of the week.
func hourText(hour int) string {
	return fmt.Sprintf("%s %02d:00", weekdays()[hour/24], hour%24)
}

func (e *env) printProfile(w io.Writer, p api.Profile) {
	hour, usual := "", newTable("KPI", "Last", "Usual (p50)", "P90", "Unusual above")
	learned := newTable("KPI", "Samples", "In hour", "Source", "Week (Mon-Sun, UTC)")
	for _, k := range p.KPIs {
		samples := strconv.FormatInt(k.Samples, 10)
		if k.Cold || k.Usual == nil {
			usual.add(k.KPI, amount(k.Last, k.Unit), "cold")
			learned.add(k.KPI, samples, "", k.Source, week(k.Hours))
			continue
		}
		u, within, mark := k.Usual, strconv.FormatInt(k.Usual.Samples, 10), ""
		if u.Whole {
			within, mark = "too few", " *"
		}
		hour = hourText(u.Hour) + " to " + hourText((u.Hour + 1) % 168)[4:] + " UTC"
		usual.add(k.KPI, amount(k.Last, k.Unit), amount(u.P50, k.Unit), amount(u.P90, k.Unit), amount(u.Unusual, k.Unit)+mark)
		learned.add(k.KPI, samples, within, k.Source, week(k.Hours))
	}
	fields(w, "Target", p.Target.String(), "Since", stamp(p.Since), "Updated", age(e.Now(), p.Updated)+" ago", "Usual at", hour)
	fmt.Fprintln(w)
	usual.print(w, "")
	if slices.ContainsFunc(p.KPIs, func(b api.Baseline) bool { return b.Usual != nil && b.Usual.Whole }) {
		fmt.Fprintln(w, "* of all hours: this one has too few samples yet")
	}
	fmt.Fprintln(w)
	learned.print(w, "")
}

// heights are signs from nothing to the highest.
func heights() []rune { return []rune("▁▂▃▄▅▆▇█") }

// height draws the sign of what lies between 0 and highest, or a dot for what
// was never seen.
func height(value *float64, highest float64) rune {
	switch {
	case value == nil:
		return '·'
	case highest <= 0:
		return heights()[0]
	}
	return heights()[int(max(*value, 0)/highest*float64(len(heights())-1)+0.5)]
}

// week draws one sign for every six hours of the week, scaled to the highest.
func week(hours []*float64) string {
	var means []*float64
	highest := 0.0
	for part := range slices.Chunk(hours, 6) {
		sum, seen := 0.0, 0
		for _, h := range part {
			if h != nil {
				sum += *h
				seen++
			}
		}
		var mean *float64
		if seen > 0 {
			m := sum / float64(seen)
			mean, highest = &m, max(highest, m)
		}
		means = append(means, mean)
	}
	var b strings.Builder
	for _, mean := range means {
		b.WriteRune(height(mean, highest))
	}
	return b.String()
}

// extremes are the hours with the highest and the lowest mean, -1 when there is none.
func extremes(hours []*float64) (top, low int) {
	top, low = -1, -1
	for i, h := range hours {
		if h == nil {
			continue
		}
		if top < 0 || *h > *hours[top] {
			top = i
		}
		if low < 0 || *h < *hours[low] {
			low = i
		}
	}
	return top, low
}

// printWeek shows one KPI: a line for each day with a sign for each hour, and the mean
// of every eighth.
func printWeek(w io.Writer, k api.Baseline) {
	top, low := extremes(k.Hours)
	if len(k.Hours) != 168 || top < 0 {
		fmt.Fprintf(w, "Nothing is known of the week of %s yet.\n", k.KPI)
		return
	}
	highest := *k.Hours[top]
	usual := ""
	if u := k.Usual; u != nil {
		usual = fmt.Sprintf("%s UTC", hourText(u.Hour))
		if u.Whole {
			usual = "all hours"
		}
		usual = fmt.Sprintf("%s (p90 %s, unusual above %s), %s", amount(u.P50, k.Unit), amount(u.P90, k.Unit), amount(u.Unusual, k.Unit), usual)
	}
	fields(w, "KPI", k.KPI, "Usual", usual, "Highest", fmt.Sprintf("%s, %s UTC", amount(highest, k.Unit), hourText(top)),
		"Lowest", fmt.Sprintf("%s, %s UTC", amount(*k.Hours[low], k.Unit), hourText(low)))
	fmt.Fprintln(w)
	t := newTable("Mean", "0     6     12    18", "00:00", "08:00", "16:00")
	for d, day := range weekdays() {
		hours := k.Hours[d*24 : d*24+24]
		var b strings.Builder
		for _, h := range hours {
			b.WriteRune(height(h, highest))
		}
		row := []string{day, b.String()}
		for _, at := range []int{0, 8, 16} {
			text := "-"
			if h := hours[at]; h != nil {
				text = amount(*h, k.Unit)
			}
			row = append(row, text)
		}
		t.add(row...)
	}
	t.print(w, "")
}
