package promql

import (
	"slices"
	"strings"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql/parser"
)

// standIn is the matcher that stands for $instances while a text is rewritten.
const standIn = `oakum_instances="asked"`

// rewrite changes a text by its tree, and leaves the placeholder $instances where it
// is. It is false for a text that is no PromQL, and where change gives nothing.
func rewrite(text, label string, change func(parser.Expr) parser.Expr) (string, bool) {
	text = strings.NewReplacer(InstancesPlaceholder, standIn, LabelPlaceholder, label).Replace(text)
	expr, err := parse(text)
	if err != nil {
		return "", false
	}
	if expr = change(expr); expr == nil {
		return "", false
	}
	return strings.ReplaceAll(expr.String(), standIn, InstancesPlaceholder), true
}

// Merge takes the series of a query that differ in nothing but some labels for one, of
// which the highest value counts. Several Prometheus servers that scrape the same
// endpoints write such series, each with its own name in a label such as replica: added
// up, every event would count several times. Label is what $label stands for. A text
// that is no PromQL stays as it is.
func Merge(text, label string, replicas []string) string {
	if len(replicas) == 0 {
		return text
	}
	merged, ok := rewrite(text, label, func(expr parser.Expr) parser.Expr { return mergeIn(expr, replicas) })
	if !ok {
		return text
	}
	return merged
}

// mergeIn puts an aggregation around each instant vector that comes from series: a
// selector, or a function over a range.
func mergeIn(expr parser.Expr, replicas []string) parser.Expr {
	switch x := expr.(type) {
	case *parser.VectorSelector:
		return without(x, replicas)
	case *parser.ParenExpr:
		x.Expr = mergeIn(x.Expr, replicas)
	case *parser.UnaryExpr:
		x.Expr = mergeIn(x.Expr, replicas)
	case *parser.AggregateExpr:
		x.Expr = mergeIn(x.Expr, replicas)
	case *parser.BinaryExpr:
		x.LHS, x.RHS = mergeIn(x.LHS, replicas), mergeIn(x.RHS, replicas)
	case *parser.Call:
		for i, arg := range x.Args {
			switch arg.Type() {
			case parser.ValueTypeMatrix:
				return without(x, replicas)
			case parser.ValueTypeVector:
				x.Args[i] = mergeIn(arg, replicas)
			case parser.ValueTypeNone, parser.ValueTypeScalar, parser.ValueTypeString:
			}
		}
	}
	return expr
}

func without(expr parser.Expr, replicas []string) parser.Expr {
	return &parser.AggregateExpr{Op: parser.MAX, Expr: expr, Grouping: replicas, Without: true}
}

// Endpoints asks which scraped endpoints are behind the sums that a query of counters
// answers: one series for each, with the label of the instance, job and instance. It is
// false where a query does not sum up series, or drops these labels before it does.
func Endpoints(text, label string) (string, bool) {
	return rewrite(text, label, func(expr parser.Expr) parser.Expr {
		var parts []parser.Expr
		if !summed(expr, &parts) {
			return nil
		}
		by := []string{label, EndpointJob, EndpointInstance}
		var out parser.Expr
		for _, part := range parts {
			if !labelsOf(part).may(label) || !labelsOf(part).may(EndpointInstance) {
				return nil
			}
			part = &parser.AggregateExpr{Op: parser.GROUP, Expr: part, Grouping: by}
			if out == nil {
				out = part
				continue
			}
			out = &parser.BinaryExpr{Op: parser.LOR, LHS: out, RHS: part, VectorMatching: &parser.VectorMatching{Card: parser.CardManyToMany}}
		}
		return out
	})
}

// Labels that Prometheus puts on what it scrapes: the endpoint is the instance of a job.
const (
	EndpointJob      = "job"
	EndpointInstance = "instance"
)

// summed lists what a query sums up, each once.
func summed(expr parser.Expr, into *[]parser.Expr) bool {
	add := func(part parser.Expr) bool {
		text := part.String()
		if !slices.ContainsFunc(*into, func(other parser.Expr) bool { return other.String() == text }) {
			*into = append(*into, part)
		}
		return true
	}
	switch x := expr.(type) {
	case *parser.ParenExpr:
		return summed(x.Expr, into)
	case *parser.VectorSelector:
		return add(x)
	case *parser.AggregateExpr:
		return add(x.Expr)
	case *parser.BinaryExpr:
		left := x.LHS.Type() == parser.ValueTypeScalar || summed(x.LHS, into)
		return left && (x.RHS.Type() == parser.ValueTypeScalar || summed(x.RHS, into))
	}
	return false
}

// Scale is what a query's values are to be multiplied by to be in seconds: 0.001 where
// the names of all its metrics say milliseconds, or so for microseconds and
// nanoseconds, and 1 otherwise. OpenTelemetry's older conventions and many exporters
// count milliseconds. A query that writes the bounds anew has made seconds of them.
func Scale(text string) float64 {
	filled := fill(text, "")
	expr, err := parse(filled.text)
	if err != nil || rewritesBounds(expr) {
		return 1
	}
	scale := 0.0
	for _, s := range selectors(expr) {
		its := scaleOf(nameOf(s))
		if scale != 0 && its != scale {
			return 1 // names of several units: nobody knows
		}
		scale = its
	}
	if scale == 0 {
		return 1
	}
	return scale
}

// rewritesBounds reports whether a query makes the label of bounds itself.
func rewritesBounds(expr parser.Expr) bool {
	found := false
	parser.Inspect(expr, func(node parser.Node, _ []parser.Node) error {
		if call, ok := node.(*parser.Call); ok && call.Func.Name == "label_replace" {
			to, ok := call.Args[1].(*parser.StringLiteral)
			found = found || ok && to.Val == Bucket
		}
		return nil
	})
	return found
}

func nameOf(s *parser.VectorSelector) string {
	for _, m := range s.LabelMatchers {
		if m.Name == model.MetricNameLabel && m.Type == labels.MatchEqual {
			return m.Value
		}
	}
	return s.Name
}

// scaleOf reads the unit at the end of a metric's name. Envoy's times are milliseconds,
// and their names do not say so.
func scaleOf(name string) float64 {
	for _, suffix := range []string{"_bucket", "_total", "_sum", "_count"} {
		name = strings.TrimSuffix(name, suffix)
	}
	if strings.HasPrefix(name, "envoy_") && strings.HasSuffix(name, "_time") {
		return 1e-3
	}
	for _, unit := range []struct {
		suffix string
		scale  float64
	}{
		{"_milliseconds", 1e-3}, {"_ms", 1e-3}, {"_millis", 1e-3},
		{"_microseconds", 1e-6}, {"_us", 1e-6},
		{"_nanoseconds", 1e-9}, {"_ns", 1e-9},
	} {
		if strings.HasSuffix(name, unit.suffix) {
			return unit.scale
		}
	}
	return 1
}
