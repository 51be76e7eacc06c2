package main

import (
	"fmt"
	"io"
	"text/tabwriter"
	"time"
)

// row is one figure with its target, if it has one.
type row struct {
	what, value, target string
	over                bool
}

// table is what was measured so far.
type table struct{ rows []row }

func (t *table) add(what, value string) { t.rows = append(t.rows, row{what: what, value: value}) }

func (t *table) seconds(what string, took, target time.Duration) {
	r := row{what: what, value: fmt.Sprintf("%.1f s", took.Seconds())}
	if target > 0 {
		r.target, r.over = fmt.Sprintf("<= %.0f s", target.Seconds()), took > target
	}
	t.rows = append(t.rows, r)
}

func (t *table) cores(what string, cores, target float64) {
	r := row{what: what, value: fmt.Sprintf("%.0f %% of a core", 100*cores)}
	if target > 0 {
		r.target, r.over = fmt.Sprintf("<= %.0f %%", 100*target), cores > target
	}
	t.rows = append(t.rows, r)
}

func (t *table) bytes(what string, n, target int64) {
	r := row{what: what, value: size(n)}
	if target > 0 {
		r.target, r.over = "<= "+size(target), n > target
	}
	t.rows = append(t.rows, r)
}

func size(n int64) string {
	if n >= 1<<30 {
		return fmt.Sprintf("%.2f GiB", float64(n)/(1<<30))
	}
	return fmt.Sprintf("%.1f MiB", float64(n)/(1<<20))
}

// print writes the table. It says of each figure with a target whether it is
// within it.
func (t *table) print(to io.Writer) {
	w := tabwriter.NewWriter(to, 0, 0, 3, ' ', 0)
	fmt.Fprintln(w, "figure\tmeasured\ttarget\t")
	for _, r := range t.rows {
		verdict := ""
		switch {
		case r.over:
			verdict = "over"
		case r.target != "":
			verdict = "within"
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\n", r.what, r.value, r.target, verdict)
	}
	_ = w.Flush() // a terminal that is gone has no reader either
}
