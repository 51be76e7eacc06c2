package promql

import (
	"time"

	"github.com/prometheus/common/model"
)

// Selector is one set of series that a query reads.
type Selector struct {
	Metric string // "" where the text names none
	text   string
}

// Selectors lists what a query reads, each once, in its order. The placeholders of the
// text are filled in already. The error is a *Fault.
func Selectors(text string) ([]Selector, error) {
	expr, err := parse(text)
	if err != nil {
		return nil, fill(text, "").fault(err)
	}
	var out []Selector
	seen := map[string]bool{}
	for _, s := range selectors(expr) {
		plain := *s
		// What stands behind the braces is of the query, and not of the series.
		plain.OriginalOffset, plain.OriginalOffsetExpr, plain.Timestamp, plain.StartOrEnd = 0, nil, nil, 0
		if one := (Selector{Metric: nameOf(s), text: plain.String()}); !seen[one.text] {
			seen[one.text] = true
			out = append(out, one)
		}
	}
	return out, nil
}

// String is the selector as PromQL.
func (s Selector) String() string { return s.text }

// Ranged is the selector over a window that ends now.
func (s Selector) Ranged(window time.Duration) string {
	return s.text + "[" + model.Duration(window).String() + "]"
}

// Since is the selector as it was before a window.
func (s Selector) Since(window time.Duration) string {
	return s.text + " offset " + model.Duration(window).String()
}
