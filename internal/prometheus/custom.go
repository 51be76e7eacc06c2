package prometheus

import (
	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/internal/promql"
)

// Custom describes metrics for which there is no preset.
type Custom struct {
	Name     string
	From, To string             // labels that name both ends
	Raw      bool               // they hold addresses or containers instead of services
	Mesh     bool               // the mesh itself reports them
	Queries  map[Measure]string // PromQL; $window stands for the window of rates
}

// QueryError is what is wrong with the query of a measure. It wraps a *promql.Fault,
// and an api.Error with the code invalid.
type QueryError struct {
	Measure Measure
	err     error
}

// Error implements error.
func (e *QueryError) Error() string { return string(e.Measure) + ": " + e.err.Error() }

// Unwrap returns the fault, and the error as callers of the API see it.
func (e *QueryError) Unwrap() []error {
	return []error{e.err, api.Errorf(api.CodeInvalid, "%s", e.Error())}
}

// NewFamily checks a description without a call to the store: each query must be
// PromQL, and its answer must keep the labels of both ends. The error names the
// query, as a *QueryError.
func NewFamily(c Custom) (Family, error) {
	f := Family{name: c.Name, raw: c.Raw, offMesh: !c.Mesh, from: end{service: c.From}, to: end{service: c.To}, parts: make(map[Measure]string)}
	if c.From == "" || c.To == "" || c.From == c.To {
		return Family{}, api.Errorf(api.CodeInvalid, "want the labels that hold the caller and the callee, in from and to")
	}
	if len(c.Queries) == 0 {
		return Family{}, api.Errorf(api.CodeInvalid, "want at least one query")
	}
	for _, m := range measures() {
		text, ok := c.Queries[m]
		if !ok {
			continue
		}
		if err := promql.Check(text, promql.Want{Kind: promql.Value, Labels: []string{c.From, c.To}}); err != nil {
			return Family{}, &QueryError{Measure: m, err: err}
		}
		f.parts[m] = text
	}
	for m := range c.Queries {
		if !m.Known() {
			return Family{}, api.Errorf(api.CodeInvalid, "there is no measure %q", m)
		}
	}
	return f, nil
}
