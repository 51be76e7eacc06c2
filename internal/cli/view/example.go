package view

import (
	"fmt"
	"io"
)

// Example is the outcome of one written example. It passed when nothing failed.
type Example struct {
	Name, Range string
	Failures    []string
}

// Failed counts the examples that failed.
func Failed(all []Example) int {
	failed := 0
	for _, e := range all {
		if len(e.Failures) > 0 {
			failed++
		}
	}
	return failed
}

// Examples shows what failed, and with all what passed too.
func Examples(w io.Writer, list []Example, all bool) {
	for _, e := range list {
		switch {
		case len(e.Failures) > 0:
			fmt.Fprintf(w, "FAIL  %s (%s)\n", e.Name, e.Range)
		case all:
			fmt.Fprintf(w, "pass  %s\n", e.Name)
		}
		for _, failure := range e.Failures {
			fmt.Fprintf(w, "      %s\n", failure)
		}
	}
	fmt.Fprintf(w, "%d of %s passed\n", len(list)-Failed(list), Count(len(list), "example"))
}
