package view

import (
	"fmt"
	"io"
	"slices"
	"strconv"
	"time"

	"github.com/oakumhq/oakum/api"
)

// Forecast shows when the waves of a plan start and end.
func Forecast(w io.Writer, f api.Forecast, width int) {
	wave := f.LeftOut
	if f.Wave > 0 {
		wave = fmt.Sprintf("%d of %d", f.Wave, len(f.Waves))
	}
	Fields(w, "Target", f.Target.String(), "Patch", f.Patch, "Plan", f.Plan, "Wave", wave, "Asked", Stamp(f.At), "Plays", strconv.Itoa(f.Seeds))
	if len(f.Waves) > 0 {
		fmt.Fprintln(w, "\nA harmless patch (UTC, what half of the plays and nine in ten do not exceed):")
		t := NewTable("Wave", "Targets", "Starts 50 %", "Starts 90 %", "Ends 50 %", "Ends 90 %", "Waits for")
		for _, wave := range f.Waves {
			number := strconv.Itoa(wave.Number)
			if slices.Contains(wave.Targets, f.Target) {
				number += " *"
			}
			t.Add(number, strconv.Itoa(len(wave.Targets)), momentText(wave.Starts.P50, wave.Starts, f.Seeds), momentText(wave.Starts.P90, wave.Starts, f.Seeds),
				momentText(wave.Ends.P50, wave.Ends, f.Seeds), momentText(wave.Ends.P90, wave.Ends, f.Seeds), wave.Waits)
		}
		t.PrintWithin(w, "  ", width)
		if f.Wave > 0 {
			fmt.Fprintf(w, "  * the wave of %s\n", f.Target)
		}
	}
	if len(f.People) > 0 {
		fmt.Fprintln(w)
		t := NewTable("Plays", "Waits for a person")
		for _, p := range f.People {
			t.Add(strconv.Itoa(p.Plays), p.Text)
		}
		t.PrintWithin(w, "  ", width)
	}
	assumed(w, f.Assumptions)
}

// minute is how a forecast writes times: no play is as exact as a second.
const minute = "2006-01-02 15:04"

// momentText is a time, with the plays that come to it where not all do.
func momentText(at time.Time, m api.Moment, seeds int) string {
	switch {
	case m.Seeds == 0:
		return "never"
	case m.Seeds < seeds:
		return fmt.Sprintf("%s (%d of %d)", at.UTC().Format(minute), m.Seeds, seeds)
	}
	return at.UTC().Format(minute)
}
