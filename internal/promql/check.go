package promql

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/prometheus/prometheus/promql/parser"
	"github.com/prometheus/prometheus/promql/parser/posrange"

	"github.com/oakumhq/oakum/api"
)

// Bucket is the label of a histogram's bounds.
const Bucket = "le"

// Kind is what the answer of a query is used for.
type Kind string

// Kinds of queries.
const (
	Value   Kind = "value"   // one value of the moment for each series
	Counter Kind = "counter" // a figure that only rises until it is reset; Oakum takes the increments
	Buckets Kind = "buckets" // counters by le, or native histograms
)

// Want is what a query must give.
type Want struct {
	Kind Kind
	// Labels are those that every series of the answer must be able to have.
	Labels []string
	// Instance says that the answer is by instance. A query that drops all labels, or
	// keeps no other than le, is refused.
	Instance bool
	// Label is the one that names the instance, "" where nobody knows it yet.
	Label string
}

func wantOf(kind api.KPIKind) Kind {
	switch kind {
	case api.KPICount:
		return Counter
	case api.KPILatency:
		return Buckets
	case api.KPIGauge: // the answer is the value itself
	}
	return Value
}

// KPI is what a query of a KPI must give. It goes for a count's total as well. An
// empty kind is a gauge. An empty label is one that nobody knows yet.
func KPI(kind api.KPIKind, label string) Want {
	return Want{Kind: wantOf(kind), Instance: true, Label: label}
}

// Fault is what is wrong with a text, and where.
type Fault struct {
	Offset       int // byte of the text, from 0
	Line, Column int // of the text, from 1; the column counts characters
	Problem      string
}

// Error implements error. It gives the place in the text.
func (f *Fault) Error() string {
	return fmt.Sprintf("%d:%d: %s", f.Line, f.Column, f.Problem)
}

// textMax bounds a query, in bytes. What parses and checks one takes time that grows with
// the cube of how many parts it has.
const textMax = 4 << 10

// Check holds a query against what it must give. The error is a *Fault. The text may
// use the placeholders $label, $instances and $window.
func Check(text string, want Want) error {
	if len(text) > textMax {
		return &Fault{Line: 1, Column: 1, Problem: fmt.Sprintf("the query has %d bytes; want %d at most", len(text), textMax)}
	}
	filled := fill(text, want.Label)
	expr, err := parse(filled.text)
	if err != nil {
		return filled.fault(err)
	}
	c := checker{want: want}
	c.check(expr)
	if c.problem == "" {
		return nil
	}
	return filled.at(c.at, c.problem)
}

// parse reads a text with everything that some Prometheus may have been started with.
func parse(text string) (parser.Expr, error) {
	return parser.NewParser(parser.Options{
		EnableExperimentalFunctions: true, ExperimentalDurationExpr: true,
		EnableExtendedRangeSelectors: true, EnableBinopFillModifiers: true,
	}).ParseExpr(text)
}

// checker keeps the first problem.
type checker struct {
	want    Want
	problem string
	at      posrange.PositionRange
}

func (c *checker) fault(node parser.Node, format string, args ...any) {
	if c.problem == "" {
		c.problem, c.at = fmt.Sprintf(format, args...), node.PositionRange()
	}
}

func (c *checker) check(expr parser.Expr) {
	switch t := expr.Type(); t {
	case parser.ValueTypeVector:
	case parser.ValueTypeMatrix:
		c.fault(expr, "this is a range vector, the samples of a while; want an instant vector, one sample for each series")
		return
	default:
		c.fault(expr, "this is a %s, which has no labels; want an instant vector, one sample for each series", t)
		return
	}
	if c.want.Kind != Value {
		c.raw(expr)
	}
	for _, label := range c.want.Labels {
		c.keeps(expr, label)
	}
	switch {
	case c.want.Label != "":
		c.keeps(expr, c.want.Label)
	case c.want.Instance:
		c.keepsSome(expr)
	}
	if c.want.Kind == Buckets {
		c.buckets(expr)
	}
}

// keeps refuses an expression whose answer can't have a label.
func (c *checker) keeps(expr parser.Expr, label string) {
	if node := drops(expr, label); node != nil {
		c.fault(node, "this drops the label %q; %s", label, advice(node, label))
	}
}

func advice(node parser.Node, label string) string {
	if a, ok := node.(*parser.AggregateExpr); ok && !a.Without {
		return fmt.Sprintf("write %s by (%s) (...)", a.Op, strings.Join(append(slices.Clone(a.Grouping), label), ", "))
	}
	return "want an answer that keeps it"
}

// keepsSome refuses an answer that has no label but le.
func (c *checker) keepsSome(expr parser.Expr) {
	has := labelsOf(expr)
	if has.others || len(has.names) > 1 || len(has.names) == 1 && has.names[0] != Bucket {
		return
	}
	node := droppedBy(expr)
	c.fault(node, "this drops every label, also the one that names the instance; %s", advice(node, "alloc_id"))
}

// buckets refuses a classic histogram without its bounds. Native histograms have none, and
// may stand beside a classic one.
func (c *checker) buckets(expr parser.Expr) {
	switch x := expr.(type) {
	case *parser.ParenExpr:
		c.buckets(x.Expr)
		return
	case *parser.BinaryExpr:
		if x.Op == parser.LOR || x.Op == parser.LUNLESS {
			c.buckets(x.LHS)
			if x.Op == parser.LOR {
				c.buckets(x.RHS)
			}
			return
		}
	}
	node := drops(expr, Bucket)
	if node == nil {
		return
	}
	for _, s := range selectors(expr) {
		for _, suffix := range []string{"_bucket", "_sum", "_count", "_total"} {
			if strings.HasSuffix(s.Name, suffix) {
				c.fault(node, "this drops the label %q, the bounds of the latency's histogram; %s", Bucket, advice(node, Bucket))
				return
			}
		}
	}
}

// raw refuses what is computed from counters but counts no longer.
func (c *checker) raw(expr parser.Expr) {
	parser.Inspect(expr, func(n parser.Node, _ []parser.Node) error {
		switch x := n.(type) {
		case *parser.Call:
			c.rawCall(x)
		case *parser.AggregateExpr:
			switch x.Op {
			case parser.SUM, parser.MAX, parser.MIN, parser.AVG, parser.TOPK, parser.BOTTOMK, parser.LIMITK, parser.LIMIT_RATIO:
			default:
				c.fault(x, "%s gives no counter; %s", x.Op, c.rawWant())
			}
		case *parser.BinaryExpr:
			if x.ReturnBool {
				c.fault(x, "a comparison with bool gives 0 or 1; %s", c.rawWant())
			}
		}
		return nil
	})
}

// rawCall refuses functions that make no counter of a counter.
func (c *checker) rawCall(x *parser.Call) {
	switch x.Func.Name {
	case "histogram_count", "histogram_sum":
		if c.want.Kind == Buckets {
			c.fault(x, "%s gives no buckets; %s", x.Func.Name, c.rawWant())
		}
	case "label_replace", "label_join", "last_over_time", "sort", "sort_desc", "sort_by_label", "sort_by_label_desc", "info", "vector":
	case "histogram_quantile", "histogram_quantiles":
		c.fault(x, "%s gives one quantile; %s", x.Func.Name, c.rawWant())
	default:
		c.fault(x, "%s gives no counter; %s", x.Func.Name, c.rawWant())
	}
}

func (c *checker) rawWant() string {
	if c.want.Kind == Buckets {
		return "want the histogram's buckets as they are counted: Oakum takes the increments itself"
	}
	return "want the counter as it is: Oakum takes the increments itself"
}

// selectors lists the series that an expression selects.
func selectors(expr parser.Expr) []*parser.VectorSelector {
	var out []*parser.VectorSelector
	parser.Inspect(expr, func(n parser.Node, _ []parser.Node) error {
		if s, ok := n.(*parser.VectorSelector); ok {
			out = append(out, s)
		}
		return nil
	})
	return out
}

// Metrics lists the names of the metrics that a query selects, sorted and each once.
// The error is a *Fault.
func Metrics(text string) ([]string, error) {
	filled := fill(text, "")
	expr, err := parse(filled.text)
	if err != nil {
		return nil, filled.fault(err)
	}
	var names []string
	for _, s := range selectors(expr) {
		if s.Name != "" {
			names = append(names, s.Name)
		}
	}
	slices.Sort(names)
	return slices.Compact(names), nil
}

// fault is the first error of the parser.
func (f filled) fault(err error) *Fault {
	if all, ok := errors.AsType[parser.ParseErrors](err); ok && len(all) > 0 {
		return f.at(all[0].PositionRange, all[0].Err.Error())
	}
	return f.at(posrange.PositionRange{}, err.Error())
}
