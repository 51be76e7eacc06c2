package view

import (
	"fmt"
	"io"
	"math"
	"strconv"
	"strings"

	"github.com/oakumhq/oakum/api"
)

// Rehearsal shows what the plays of a plan came to.
func Rehearsal(w io.Writer, r api.Rehearsal) {
	Fields(w, "Patch", r.Patch, "Digest", Short(r.Digest), "Begins", Stamp(r.At), "Order", r.Order, "Missing", strings.Join(r.Weak, "; "),
		"Plays", fmt.Sprintf("%d of each patch, seeds from %d", r.Seeds, r.Seed))
	if len(r.Waves) > 0 {
		harmless(w, r)
		bad(w, r)
	}
	if len(r.Refusals) > 0 {
		fmt.Fprintln(w, "\nLeft out:")
		t := NewTable("Target", "Reason")
		for _, refusal := range r.Refusals {
			t.Add(refusal.Target.String(), refusal.Reason)
		}
		t.Print(w, "  ")
	}
	assumed(w, r.Assumptions)
}

// assumed lists what figures rest on.
func assumed(w io.Writer, assumptions []string) {
	if len(assumptions) == 0 {
		return
	}
	fmt.Fprintln(w, "\nAssumed:")
	for _, a := range assumptions {
		fmt.Fprintln(w, Indent(Wrap(a, 88), "    ")[2:])
	}
}

// harmless shows the plays of a patch that does no harm.
func harmless(w io.Writer, r api.Rehearsal) {
	fmt.Fprintln(w, "\nA harmless patch (times since it begins, median / 90 %):")
	t := NewTable("Wave", "Targets", "Instances", "Starts", "Ends", "Waits for")
	for _, wave := range r.Waves {
		t.Add(strconv.Itoa(wave.Number), strconv.Itoa(len(wave.Targets)), strconv.Itoa(wave.Instances),
			spreadText(wave.Starts, r.Seeds), spreadText(wave.Ends, r.Seeds), wave.Waits)
	}
	t.Print(w, "  ")
	o := r.Harmless
	t = NewTable("It", "Plays", "Probability", "Of its rollouts")
	for _, row := range []struct {
		name         string
		plays, parts api.Share
	}{
		{"completes by itself", o.Complete, o.Rollouts.Complete},
		{"is turned back", o.TurnedBack, o.Rollouts.TurnedBack},
		{"is held for a person", o.Held, o.Rollouts.Held},
	} {
		t.Add(row.name, fmt.Sprintf("%d of %d", row.plays.Count, row.plays.Of), bounds(row.plays), fmt.Sprintf("%d of %d", row.parts.Count, row.parts.Of))
	}
	fmt.Fprintln(w)
	t.Print(w, "  ")
	if len(r.People)+len(o.Reasons) > 0 {
		fmt.Fprintln(w)
		t := NewTable("Plays", "What")
		for _, p := range r.People {
			t.Add(strconv.Itoa(p.Plays), "waits for a person: "+p.Text)
		}
		for _, p := range o.Reasons {
			t.Add(strconv.Itoa(p.Plays), "turned back: "+p.Text)
		}
		t.Print(w, "  ")
	}
}

// bad shows the plays of patches that do harm.
func bad(w io.Writer, r api.Rehearsal) {
	fmt.Fprintln(w, "\nA bad patch, and what it reaches (median / 90 %):")
	t := NewTable("Patch", "Turned back", "Unnoticed", "After", "Targets", "Instances", "Requests", "Because")
	for _, b := range r.Bad {
		why := "-"
		if len(b.Reasons) > 0 {
			why = b.Reasons[0].Text
		}
		t.Add(b.Name, percent(b.TurnedBack), percent(b.Unnoticed), spreadText(b.After, r.Seeds),
			numbers(b.Targets), numbers(b.Instances), numbers(b.Requests), why)
	}
	t.Print(w, "  ")
}

// spreadText writes both figures, and in how many plays it came to that.
func spreadText(s api.Spread, seeds int) string {
	if s.Seeds == 0 {
		return "never"
	}
	text := Span(s.Median.D()) + " / " + Span(s.P90.D())
	if s.Median == s.P90 {
		text = Span(s.Median.D())
	}
	if s.Seeds < seeds {
		text += fmt.Sprintf(" (%d of %d)", s.Seeds, seeds)
	}
	return text
}

func numbers(c api.CountSpread) string {
	if c.Median == c.P90 {
		return number(c.Median)
	}
	return number(c.Median) + " / " + number(c.P90)
}

// number writes a count with at most three digits from a thousand on.
func number(x float64) string {
	switch {
	case x >= 1e6:
		return fmt.Sprintf("%.3gM", x/1e6)
	case x >= 1e3:
		return fmt.Sprintf("%.3gk", x/1e3)
	}
	return strconv.Itoa(int(math.Round(x)))
}

func percent(s api.Share) string {
	return fmt.Sprintf("%.0f %%", 100*float64(s.Count)/float64(max(s.Of, 1)))
}

// bounds are those of a probability.
func bounds(s api.Share) string {
	return fmt.Sprintf("%.3g to %.3g %%", 100*s.Low, 100*s.High)
}
