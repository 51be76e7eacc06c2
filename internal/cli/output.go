package cli

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"text/template"
	"time"
	"unicode/utf8"
)

// output holds -json and -t.
type output struct {
	json     bool
	template string
}

// machine reports whether the answer is meant for a program.
func (o *output) machine() bool { return o.json || o.template != "" }

// show prints the answer as the flags ask, or by human.
func (e *env) show(o *output, answer any, human func(w io.Writer)) error {
	switch {
	case o.json && o.template != "":
		return usage("-json and -t: give one of them")
	case o.json:
		text, err := json.MarshalIndent(answer, "", "  ")
		if err != nil {
			return fmt.Errorf("encode answer: %w", err)
		}
		e.printf("%s\n", text)
	case o.template != "":
		tmpl, err := template.New("-t").Option("missingkey=error").Parse(o.template)
		if err != nil {
			return usage("-t: %v", err)
		}
		if err := tmpl.Execute(e.Stdout, answer); err != nil {
			return usage("-t: %v", err)
		}
		e.printf("\n")
	default:
		human(e.Stdout)
	}
	return nil
}

// table collects rows and prints them in columns, two spaces apart.
type table struct{ rows [][]string }

func newTable(head ...string) *table { return &table{rows: [][]string{head}} }

func (t *table) add(cells ...string) { t.rows = append(t.rows, cells) }

func (t *table) print(w io.Writer, by string) {
	var widths []int
	for _, row := range t.rows {
		for i, cell := range row {
			if i == len(widths) {
				widths = append(widths, 0)
			}
			widths[i] = max(widths[i], utf8.RuneCountInString(cell))
		}
	}
	for _, row := range t.rows {
		var line strings.Builder
		for i, cell := range row {
			line.WriteString(cell)
			if i < len(row)-1 {
				line.WriteString(strings.Repeat(" ", widths[i]-utf8.RuneCountInString(cell)+2))
			}
		}
		fmt.Fprintln(w, strings.TrimRight(by+line.String(), " "))
	}
}

// fields prints name and value pairs, one to a line; empty values are left out.
func fields(w io.Writer, pairs ...string) {
	width := 0
	for i := 0; i < len(pairs); i += 2 {
		if pairs[i+1] != "" {
			width = max(width, len(pairs[i]))
		}
	}
	for i := 0; i < len(pairs); i += 2 {
		if pairs[i+1] != "" {
			fmt.Fprintf(w, "%-*s  %s\n", width, pairs[i], pairs[i+1])
		}
	}
}

// stamp writes a time for a person.
func stamp(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format("2006-01-02 15:04:05 UTC")
}

// age is how long ago t was, with two units at most.
func age(now, t time.Time) string {
	if t.IsZero() {
		return "never"
	}
	return span(now.Sub(t))
}

func span(d time.Duration) string {
	if d < 0 {
		d = 0
	}
	switch {
	case d < time.Second:
		return d.Round(time.Millisecond).String()
	case d < time.Hour:
		return d.Round(time.Second).String()
	case d < 24*time.Hour:
		return fmt.Sprintf("%dh%dm", int(d.Hours()), int(d.Minutes())%60)
	}
	return fmt.Sprintf("%dd%dh", int(d.Hours())/24, int(d.Hours())%24)
}

// amount writes a KPI's value in its unit.
func amount(v float64, unit string) string {
	switch unit {
	case "s", "seconds":
		switch {
		case v == 0:
			return "0 ms"
		case v < 0.001:
			return fmt.Sprintf("%.3g µs", v*1e6)
		case v < 1:
			return fmt.Sprintf("%.3g ms", v*1e3)
		}
		return fmt.Sprintf("%.3g s", v)
	case "B", "bytes":
		switch {
		case v >= 1<<30:
			return fmt.Sprintf("%.3g GiB", v/(1<<30))
		case v >= 1<<20:
			return fmt.Sprintf("%.4g MiB", v/(1<<20))
		case v >= 1<<10:
			return fmt.Sprintf("%.4g KiB", v/(1<<10))
		}
		return fmt.Sprintf("%.0f B", v)
	case "bytes/s":
		return amount(v, "bytes") + "/s"
	case "ratio", "share":
		return fmt.Sprintf("%.3g %%", v*100)
	case "":
		return fmt.Sprintf("%.4g", v)
	}
	return fmt.Sprintf("%.3g %s", v, unit)
}

// count writes 1 target, 2 targets.
func count(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}

func yesNo(b bool) string {
	if b {
		return "yes"
	}
	return "no"
}

// short cuts a digest to what a person compares.
func short(digest string) string { return digest[:min(len(digest), 12)] }
