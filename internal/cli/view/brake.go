package view

import (
	"fmt"
	"io"
	"time"

	"github.com/oakumhq/oakum/api"
)

// Brake says whether the brake is on, and by whose doing.
func Brake(w io.Writer, b api.Brake, now time.Time) {
	switch {
	case b.On:
		fmt.Fprintln(w, "The brake is on: nothing goes forward, rollbacks go.")
		fmt.Fprintln(w)
		Fields(w, "Since", Stamp(b.Since)+", "+Age(now, b.Since)+" ago", "By", b.By, "Reason", b.Reason)
	case b.Since.IsZero():
		fmt.Fprintln(w, "The brake is off.")
	default:
		fmt.Fprintf(w, "The brake is off, since %s by %s.\n", Stamp(b.Since), b.By)
	}
}

// Braked is the line above everything else while the brake is on.
func Braked(w io.Writer, b api.Brake, now time.Time) {
	fmt.Fprintf(w, "THE BRAKE IS ON since %s (%s ago) by %s: %s\n\n", Stamp(b.Since), Age(now, b.Since), b.By, b.Reason)
}

// StillHeld says what a person's command does not take away from a rollout: the brake,
// and the freezes and windows that held it before.
func StillHeld(w io.Writer, b api.Brake, before []api.Hold) {
	if b.On {
		fmt.Fprintf(w, "It goes nowhere yet: %s. oakum brake off takes it off.\n", b)
	}
	for _, h := range before {
		if h.Source == "freeze" || h.Source == "window" || h.Source == "policies" {
			fmt.Fprintf(w, "It goes nowhere yet: %s.\n", h.Reason)
		}
	}
}
