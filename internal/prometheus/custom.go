package prometheus

import (
	"slices"
	"strings"

	"github.com/VictoriaMetrics/metricsql"

	"github.com/oakumhq/oakum/api"
)

// Custom describes metrics for which there is no preset.
type Custom struct {
	Name     string
	From, To string             // labels that name both ends
	Raw      bool               // they hold addresses or containers instead of services
	Mesh     bool               // the mesh itself reports them
	Queries  map[Measure]string // PromQL; $window stands for the window of rates
}

// NewFamily checks a description without a call to the store: each query must be
// PromQL, and its grouping must keep the labels of both ends. The error names the
// query.
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
		expr, err := metricsql.Parse(strings.ReplaceAll(text, window, "30s"))
		if err != nil {
			return Family{}, api.Errorf(api.CodeInvalid, "%s: %v", m, err)
		}
		for _, label := range []string{c.From, c.To} {
			if drops(expr, label) {
				return Family{}, api.Errorf(api.CodeInvalid, "%s: the query drops the label %q, which names an end; add it to its by (...)", m, label)
			}
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

// drops reports whether an expression's outermost grouping loses a label. It
// follows operators that keep the labels of their left side. It does not judge
// other expressions; Flows reports the missing labels of their answers.
func drops(e metricsql.Expr, label string) bool {
	switch x := e.(type) {
	case *metricsql.AggrFuncExpr:
		listed := slices.Contains(x.Modifier.Args, label)
		if strings.EqualFold(x.Modifier.Op, "without") {
			return listed
		}
		return !listed
	case *metricsql.BinaryOpExpr:
		return drops(x.Left, label)
	}
	return false
}
