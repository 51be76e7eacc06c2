package view

import (
	"fmt"
	"io"
	"strings"

	"github.com/oakumhq/oakum/api"
)

// listed is a list of names in words.
func listed(words []string) string {
	if len(words) == 0 {
		return "nothing"
	}
	return strings.Join(words, " ")
}

// sharedMax is how many services a server lists that share nodes with one.
const sharedMax = 16

// shared says when the list may be incomplete.
func shared(services []string) string {
	if len(services) < sharedMax {
		return strings.Join(services, " ")
	}
	return fmt.Sprintf("%s; there may be more, %d are listed", strings.Join(services, " "), sharedMax)
}

// Without shows what the loss of a place would do.
func Without(w io.Writer, g api.GraphWithout) {
	weakened := make([]string, len(g.Weakened))
	for i, l := range g.Weakened {
		weakened[i] = fmt.Sprintf("%s (%d left)", l.Service, l.Left)
	}
	Fields(w, "Without", g.Place, "Down", listed(g.Down), "Weakened", listed(weakened),
		"Certainly hurts", listed(g.Certain), "Possibly hurts too", listed(g.Possible), "Cut off", listed(g.CutOff))
}

// Impact shows what depends on a service, and the parts of its score.
func Impact(w io.Writer, i api.GraphImpact) {
	crit := i.Criticality
	Fields(w, "Service", i.Service, "Certainly hurts", listed(i.Certain), "Possibly hurts too", listed(i.Possible),
		"Single point", YesNo(crit.SinglePoint), "Stands before", strings.Join(crit.Dominates, " "),
		"Blast radius", blastRadius(crit),
		"One instance", YesNo(crit.SingleInstance), "Shares nodes with", shared(crit.SharedNodesWith),
		"Score", fmt.Sprintf("%.2f", crit.Score))
	if len(crit.Parts) == 0 {
		return
	}
	fmt.Fprintln(w, "\nThe score is the sum of:")
	t := NewTable("Part", "Value", "Because")
	for _, p := range crit.Parts {
		t.Add(p.Name, fmt.Sprintf("%.2f", p.Value), p.Reason)
	}
	t.PrintWithin(w, "  ", tableWidth)
}

// blastRadius is how many services a loss hurts.
func blastRadius(c api.Criticality) string {
	if c.BlastRadiusMax <= c.BlastRadius {
		return Count(c.BlastRadius, "service")
	}
	return fmt.Sprintf("%s for certain, up to %d", Count(c.BlastRadius, "service"), c.BlastRadiusMax)
}

// Findings shows what a person should look at in the graph.
func Findings(w io.Writer, g api.GraphFindings) {
	if len(g.Findings) == 0 {
		fmt.Fprintln(w, "There is nothing to look at.")
		return
	}
	for _, f := range g.Findings {
		what := f.To
		if f.From != "" {
			what = f.From + " -> " + f.To
		}
		fmt.Fprintf(w, "%s  %s\n    %s\n    %s\n", strings.ReplaceAll(string(f.Kind), "_", " "), what, f.Text, f.Do)
	}
}

// Delta shows what changed in the graph, one line for each change.
func Delta(w io.Writer, d api.GraphDelta) {
	if d.Empty() {
		fmt.Fprintln(w, "Nothing changed.")
		return
	}
	for _, name := range d.Added {
		fmt.Fprintf(w, "+ service %s\n", name)
	}
	for _, name := range d.Removed {
		fmt.Fprintf(w, "- service %s\n", name)
	}
	for _, x := range d.Edges {
		fmt.Fprintln(w, deltaLine(x))
	}
	if d.Truncated {
		fmt.Fprintln(w, "There was more than the record lists; oakum graph show has the whole as it is now.")
	}
}

func deltaLine(x api.EdgeDelta) string {
	words := func(s api.EdgeState) string { return strings.ReplaceAll(string(s), "_", " ") }
	switch {
	case x.Before == "":
		return fmt.Sprintf("+ %s -> %s  %s", x.From, x.To, words(x.After))
	case x.After == "":
		return fmt.Sprintf("- %s -> %s  was %s", x.From, x.To, words(x.Before))
	}
	return fmt.Sprintf("~ %s -> %s  %s, was %s", x.From, x.To, words(x.After), words(x.Before))
}
