package view

import (
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/oakumhq/oakum/api"
)

// weekdays in the order of the hours of a week.
func weekdays() []string { return []string{"Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"} }

// HourOfWeek reads a text such as tue-14 as an hour of the week, from 0 (Monday,
// midnight) to 167.
func HourOfWeek(text string) (hour int, ok bool) {
	day, clock, _ := strings.Cut(text, "-")
	n, err := strconv.ParseUint(clock, 10, 8)
	for i, have := range weekdays() {
		if strings.EqualFold(have, day) && err == nil && n < 24 {
			return i*24 + int(n), true
		}
	}
	return 0, false
}

// hourText names an hour of the week.
func hourText(hour int) string {
	return fmt.Sprintf("%s %02d:00", weekdays()[hour/24], hour%24)
}

// Profile shows what is usual for each KPI of a target at one hour of the week,
// and how much was learned.
func Profile(w io.Writer, p api.Profile, now time.Time) {
	hour, usual := "", NewTable("KPI", "Last", "Usual (p50)", "P90", "Unusual above")
	learned := NewTable("KPI", "Samples", "In hour", "Source", "Week (Mon-Sun, UTC)")
	for _, k := range p.KPIs {
		samples := strconv.FormatInt(k.Samples, 10)
		if k.Cold || k.Usual == nil {
			usual.Add(k.KPI, Amount(k.Last, k.Unit), "cold")
			learned.Add(k.KPI, samples, "", k.Source, week(k.Hours))
			continue
		}
		u, within, mark := k.Usual, strconv.FormatInt(k.Usual.Samples, 10), ""
		if u.Whole {
			within, mark = "too few", " *"
		}
		hour = hourText(u.Hour) + " to " + hourText((u.Hour + 1) % 168)[4:] + " UTC"
		usual.Add(k.KPI, Amount(k.Last, k.Unit), Amount(u.P50, k.Unit), Amount(u.P90, k.Unit), Amount(u.Unusual, k.Unit)+mark)
		learned.Add(k.KPI, samples, within, k.Source, week(k.Hours))
	}
	Fields(w, "Target", p.Target.String(), "Since", Stamp(p.Since), "Updated", Age(now, p.Updated)+" ago", "Usual at", hour)
	fmt.Fprintln(w)
	usual.Print(w, "")
	if slices.ContainsFunc(p.KPIs, func(b api.Baseline) bool { return b.Usual != nil && b.Usual.Whole }) {
		fmt.Fprintln(w, "* of all hours: this one has too few samples yet")
	}
	fmt.Fprintln(w)
	learned.Print(w, "")
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

// Week shows one KPI: a line for each day with a sign for each hour, and the mean
// of every eighth.
func Week(w io.Writer, k api.Baseline) {
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
		usual = fmt.Sprintf("%s (p90 %s, unusual above %s), %s", Amount(u.P50, k.Unit), Amount(u.P90, k.Unit), Amount(u.Unusual, k.Unit), usual)
	}
	Fields(w, "KPI", k.KPI, "Usual", usual, "Highest", fmt.Sprintf("%s, %s UTC", Amount(highest, k.Unit), hourText(top)),
		"Lowest", fmt.Sprintf("%s, %s UTC", Amount(*k.Hours[low], k.Unit), hourText(low)))
	fmt.Fprintln(w)
	t := NewTable("Mean", "0     6     12    18", "00:00", "08:00", "16:00")
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
				text = Amount(*h, k.Unit)
			}
			row = append(row, text)
		}
		t.Add(row...)
	}
	t.Print(w, "")
}

// Comparison is one KPI of two profiles.
type Comparison struct {
	KPI    string
	Unit   string
	First  *api.Baseline
	Second *api.Baseline
	Ratio  float64 // of the means, second ÷ first; 0 when it does not exist
}

// Mean is the mean of a baseline, or a dash where there is none.
func Mean(b *api.Baseline) string {
	if b == nil {
		return "-"
	}
	return Amount(b.Mean, b.Unit)
}

// Compare puts the KPIs of two profiles side by side.
func Compare(first, second api.Profile) []Comparison {
	rows := []Comparison{}
	for _, b := range first.KPIs {
		row := Comparison{KPI: b.KPI, Unit: b.Unit, First: &b}
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
			rows = append(rows, Comparison{KPI: b.KPI, Unit: b.Unit, Second: &b})
		}
	}
	return rows
}
