package view

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/oakumhq/oakum/api"
)

// KPICheck shows what the queries of KPIs answer, a row for each query, and what is wrong.
func KPICheck(w io.Writer, c api.KPICheck, width int) {
	fmt.Fprintf(w, "%s, %s, samples of the last %s, %s\n\n", Count(len(c.KPIs), "KPI"), Count(c.Running, "instance"), Span(c.Window.D()), Stamp(c.At))
	t := NewTable("KPI", "Asked for", "Instances", "Series", "Each", "Every", "Gaps", "Resets", "Took", "Judged by")
	for _, k := range c.KPIs {
		judged := strings.Join(k.Policies, ", ")
		if len(k.Queries) == 0 {
			t.Add(k.KPI, dash(some(k.Source)), "-", "-", "-", "-", "-", "-", "-", dash(some(judged)))
		}
		for _, q := range k.Queries {
			if q.Error != "" {
				t.Add(k.KPI, q.Of, "?", "?", "?", "?", "?", "?", "-", dash(some(judged)))
				continue
			}
			b := behind(q)
			t.Add(k.KPI, q.Of, fmt.Sprintf("%d/%d", q.Instances, c.Running), fmt.Sprint(b.Series), fmt.Sprint(b.PerInstance),
				every(b.Every), fmt.Sprint(b.GapCount), fmt.Sprint(b.ResetCount), q.Took.D().Round(time.Millisecond).String(), dash(some(judged)))
		}
	}
	t.PrintWithin(w, "", width)
	list(w, "What is wrong", KPIFaults(c), width)
	list(w, "No instance of these targets has an answer", silent(c), width)
	list(w, "Counters began anew", resets(c), width)
	list(w, "What an answer costs", costs(c), width)
	list(w, "Not everything could be looked at", c.Missing, width)
}

// costs lists what each answer costs Prometheus and the way to it, each query once.
func costs(c api.KPICheck) []string {
	var out []string
	seen := map[string]bool{}
	for _, k := range c.KPIs {
		for _, q := range k.Queries {
			if q.Error != "" || seen[q.Query] {
				continue
			}
			seen[q.Query] = true
			read := ""
			if q.Samples > 0 { // not every store says it
				read = Count(q.Samples, "sample") + " read, "
			}
			out = append(out, fmt.Sprintf("%s, %s: %s%s, %.1f kB", k.KPI, q.Of, read, Count(q.Series, "row"), float64(q.Bytes)/1000))
		}
	}
	return out
}

// behind adds up what is behind the metrics of a query.
func behind(q api.CheckedQuery) api.CheckedMetric {
	var out api.CheckedMetric
	for _, m := range q.Metrics {
		out.Series += m.Series
		out.PerInstance += m.PerInstance
		out.GapCount = max(out.GapCount, m.GapCount)
		out.ResetCount = max(out.ResetCount, m.ResetCount)
		if m.Every > out.Every {
			out.Every = m.Every
		}
	}
	return out
}

func every(d api.Duration) string {
	if d == 0 {
		return "-"
	}
	return d.D().String()
}

// KPIFaults lists what is wrong with the queries of KPIs, each query once.
func KPIFaults(c api.KPICheck) []string {
	var out []string
	say := func(format string, args ...any) {
		if text := fmt.Sprintf(format, args...); !slices.Contains(out, text) {
			out = append(out, text)
		}
	}
	for _, k := range c.KPIs {
		if k.Source == "" {
			say("%s: nobody has a query for it, and policies judge by it: %s", k.KPI, strings.Join(k.Policies, ", "))
		}
		for _, q := range k.Queries {
			what := k.KPI + ", " + q.Of
			switch {
			case q.Error != "":
				say("%s: %s", what, q.Error)
			case q.Series == 0 && c.Running > 0 && len(k.Policies) > 0:
				say("%s: there is no answer", what)
			}
			// Instances that ended a moment ago are in the answer too.
			if q.Instances == 0 && q.Strangers > 0 && c.Running > 0 {
				say("%s: none of the %d rows of the answer names an instance that runs", what, q.Strangers)
			}
			for _, m := range q.Metrics {
				if m.Error != "" {
					say("%s: %s: %s", what, m.Metric, m.Error)
				}
				if m.GapCount > 0 {
					say("%s: samples of %s are missing, by %s: %s", what, m.Metric, m.By, names(m.Gaps, m.GapCount))
				}
			}
		}
	}
	return out
}

// silent lists the targets of which no instance has an answer, by KPI.
func silent(c api.KPICheck) []string {
	var out []string
	for _, k := range c.KPIs {
		for _, q := range k.Queries {
			// What nobody has says the table already. Failed requests and values may be of some.
			if q.Error != "" || q.Instances == 0 || len(q.Silent) == 0 {
				continue
			}
			var targets []string
			for _, t := range q.Silent[:min(len(q.Silent), namesMax)] {
				targets = append(targets, t.String())
			}
			out = append(out, fmt.Sprintf("%s, %s: %s", k.KPI, q.Of, names(targets, len(q.Silent))))
		}
	}
	return out
}

// resets lists the instances whose counters began anew.
func resets(c api.KPICheck) []string {
	var out []string
	for _, k := range c.KPIs {
		for _, q := range k.Queries {
			for _, m := range q.Metrics {
				if text := fmt.Sprintf("%s, by %s: %s", m.Metric, m.By, names(m.Resets, m.ResetCount)); m.ResetCount > 0 && !slices.Contains(out, text) {
					out = append(out, text)
				}
			}
		}
	}
	return out
}

// names lists some of many.
func names(list []string, all int) string {
	text := strings.Join(list[:min(len(list), namesMax)], ", ")
	if more := all - min(len(list), namesMax); more > 0 {
		text += fmt.Sprintf(" and %d more", more)
	}
	return text
}

// list shows lines under a heading, or nothing.
func list(w io.Writer, heading string, lines []string, width int) {
	for i, text := range lines {
		if i == 0 {
			fmt.Fprintf(w, "\n%s:\n", heading)
		}
		for n, line := range strings.Split(Wrap(Printable(text), width-4), "\n") {
			fmt.Fprintln(w, strings.Repeat(" ", 2+2*min(n, 1))+line)
		}
	}
}
