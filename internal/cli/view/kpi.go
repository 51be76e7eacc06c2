package view

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/oakumhq/oakum/api"
)

// inFull is how many targets are shown with a table each; of more there is a line each.
const inFull = 3

// Discovery shows which KPIs the metrics can show, and the blocks to paste, in lines of at
// most so many characters. The blocks keep their lines.
func Discovery(w io.Writer, d api.KPIDiscovery, width int) {
	fmt.Fprintf(w, "%s in Prometheus, %s\n", Count(d.Metrics, "metric"), Stamp(d.At))
	if len(d.Targets) == 0 {
		fmt.Fprintln(w, "\nNo target runs.")
	} else if len(d.Targets) > inFull {
		coverages(w, d.Targets, width)
	} else {
		for _, t := range d.Targets {
			coverage(w, t, width)
		}
	}
	if len(d.Unnamed) > 0 {
		fmt.Fprintln(w, "\nMetrics whose series name no instance that runs:")
		t := NewTable("KPI", "Metric", "Convention", "Labels")
		for _, u := range d.Unnamed {
			var labels []string
			for _, name := range slices.Sorted(maps.Keys(u.Labels)) {
				labels = append(labels, name+"="+strconv.Quote(u.Labels[name]))
			}
			t.Add(u.KPI, u.Metric, u.Convention, strings.Join(labels, " "))
		}
		t.PrintWithin(w, "  ", width)
	}
	list(w, "Not everything could be looked at", d.Missing, width)
	if d.Relabel != "" {
		fmt.Fprintf(w, "\nFor Prometheus, so that series name their allocation:\n\n%s", d.Relabel)
	}
	if d.Block != "" {
		fmt.Fprintf(w, "\nFor the agent's configuration of every server:\n\n%s", d.Block)
	}
}

// namesMax is how many targets are named that have the same KPIs.
const namesMax = 8

// coverages shows targets together that have the same KPIs.
func coverages(w io.Writer, all []api.KPICoverage, width int) {
	type same struct{ measured, could, lacks string }
	together := map[same][]string{}
	var order []same
	for _, one := range all {
		var measured, could, lacks []string
		for _, f := range one.Has {
			if f.InForce {
				measured = append(measured, f.KPI)
			} else {
				could = append(could, f.KPI)
			}
		}
		for _, l := range one.Lacks {
			lacks = append(lacks, l.KPI)
		}
		key := same{strings.Join(measured, ", "), strings.Join(could, ", "), strings.Join(lacks, ", ")}
		if together[key] == nil {
			order = append(order, key)
		}
		together[key] = append(together[key], Printable(one.Target.String()))
	}
	for _, key := range order {
		fmt.Fprintf(w, "\n%s\n", Wrap(Count(len(together[key]), "target")+": "+names(together[key], len(together[key])), width))
		for _, line := range [...][2]string{{"Measured", key.measured}, {"Could be", key.could}, {"Lacks", key.lacks}} {
			if line[1] == "" {
				continue
			}
			for n, text := range strings.Split(Wrap(line[1], width-12), "\n") {
				head := ""
				if n == 0 {
					head = line[0]
				}
				fmt.Fprintf(w, "  %-9s  %s\n", head, text)
			}
		}
	}
	fmt.Fprintln(w, "\nThe metrics, and why something is lacking: oakum kpi discover -target=TARGET")
}

func dash(words []string) string {
	if len(words) == 0 {
		return "-"
	}
	return strings.Join(words, ", ")
}

// coverage shows one target.
func coverage(w io.Writer, c api.KPICoverage, width int) {
	fmt.Fprintf(w, "\n%s, %s\n", Printable(c.Target.String()), Count(c.Instances, "instance"))
	t := NewTable("KPI", "Measured", "Instances", "Metric", "By label", "Convention")
	for _, f := range c.Has {
		t.Add(f.KPI, YesNo(f.InForce), fmt.Sprintf("%d/%d", f.Instances, c.Instances), dash(some(f.Metric)), dash(some(f.Label)), f.Convention)
	}
	t.PrintWithin(w, "  ", width)
	for i, l := range c.Lacks {
		if i == 0 {
			fmt.Fprintln(w, "\n  It lacks:")
		}
		for n, line := range strings.Split(Wrap(l.KPI+": "+Printable(l.Why), width-6), "\n") {
			fmt.Fprintln(w, strings.Repeat(" ", 4+2*min(n, 1))+line)
		}
	}
}

// some is a list of one word, or of none when it is empty.
func some(word string) []string {
	if word == "" {
		return nil
	}
	return []string{word}
}
