package promql

import (
	"slices"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/promql/parser"
)

// ValidLabel reports whether a text is a label's name that a query may have without
// quotes.
func ValidLabel(name string) bool { return model.LegacyValidation.IsValidLabelName(name) }

// labelSet is which labels the answer of an expression may have: the names, or with
// others every label but the names.
type labelSet struct {
	others bool
	names  []string
}

func (s labelSet) may(label string) bool { return slices.Contains(s.names, label) != s.others }

// with adds a label.
func (s labelSet) with(label string) labelSet {
	if s.may(label) {
		return s
	}
	if s.others {
		return labelSet{true, slices.DeleteFunc(slices.Clone(s.names), func(n string) bool { return n == label })}
	}
	return labelSet{names: append(slices.Clone(s.names), label)}
}

// only keeps the labels of a list.
func (s labelSet) only(labels []string) labelSet {
	var out labelSet
	for _, l := range labels {
		if s.may(l) {
			out.names = append(out.names, l)
		}
	}
	return out
}

// without drops the labels of a list.
func (s labelSet) without(labels []string) labelSet {
	if s.others {
		return labelSet{true, append(slices.Clone(s.names), labels...)}
	}
	return labelSet{names: slices.DeleteFunc(slices.Clone(s.names), func(n string) bool { return slices.Contains(labels, n) })}
}

// all is what a selector may answer.
func all() labelSet { return labelSet{others: true} }

// labelsOf says which labels the answer of an expression may have.
func labelsOf(expr parser.Expr) labelSet {
	switch x := expr.(type) {
	case *parser.VectorSelector, *parser.MatrixSelector:
		return all()
	case *parser.ParenExpr:
		return labelsOf(x.Expr)
	case *parser.UnaryExpr:
		return labelsOf(x.Expr)
	case *parser.StepInvariantExpr:
		return labelsOf(x.Expr)
	case *parser.SubqueryExpr:
		return labelsOf(x.Expr)
	case *parser.AggregateExpr:
		return aggregated(x)
	case *parser.BinaryExpr:
		return combined(x)
	case *parser.Call:
		return called(x)
	}
	return labelSet{}
}

func aggregated(x *parser.AggregateExpr) labelSet {
	inner := labelsOf(x.Expr)
	switch x.Op {
	case parser.TOPK, parser.BOTTOMK, parser.LIMITK, parser.LIMIT_RATIO:
		return inner // they choose among series
	}
	out := inner.only(x.Grouping)
	if x.Without {
		out = inner.without(x.Grouping)
	}
	if name, ok := x.Param.(*parser.StringLiteral); ok && x.Op == parser.COUNT_VALUES {
		out = out.with(name.Val)
	}
	return out
}

func combined(x *parser.BinaryExpr) labelSet {
	left, right := labelsOf(x.LHS), labelsOf(x.RHS)
	switch {
	case x.LHS.Type() == parser.ValueTypeScalar:
		return right
	case x.RHS.Type() == parser.ValueTypeScalar || x.VectorMatching == nil:
		return left
	}
	m := x.VectorMatching
	switch {
	case x.Op == parser.LOR: // either side may answer, so that both must have a label
		return both(left, right)
	case m.Card == parser.CardManyToMany, m.Card == parser.CardManyToOne:
		return included(left, m.Include)
	case m.Card == parser.CardOneToMany:
		return included(right, m.Include)
	case m.On:
		return both(left, right).only(m.MatchingLabels)
	}
	return both(left, right).without(m.MatchingLabels)
}

func included(s labelSet, labels []string) labelSet {
	for _, l := range labels {
		s = s.with(l)
	}
	return s
}

// both are the labels that both sides may have.
func both(a, b labelSet) labelSet {
	switch {
	case !a.others:
		return b.only(a.names)
	case !b.others:
		return a.only(b.names)
	}
	return a.without(b.names)
}

func called(x *parser.Call) labelSet {
	switch x.Func.Name {
	case "label_replace", "label_join":
		out := labelsOf(x.Args[0])
		if to, ok := x.Args[1].(*parser.StringLiteral); ok {
			out = out.with(to.Val)
		}
		return out
	case "absent", "absent_over_time", "scalar", "vector", "time", "pi":
		return labelSet{}
	case "histogram_quantile":
		return labelsOf(x.Args[1]).without([]string{Bucket})
	}
	for _, arg := range x.Args {
		if t := arg.Type(); t == parser.ValueTypeVector || t == parser.ValueTypeMatrix {
			return labelsOf(arg)
		}
	}
	return labelSet{}
}

// drops is the innermost part of an expression that loses a label, nil when the answer
// may have it.
func drops(expr parser.Expr, label string) parser.Node {
	return loser(expr, func(s labelSet) bool { return s.may(label) })
}

// droppedBy is the innermost part that leaves no label but le.
func droppedBy(expr parser.Expr) parser.Node {
	return loser(expr, func(s labelSet) bool { return s.others || len(s.without([]string{Bucket}).names) > 0 })
}

func loser(expr parser.Expr, good func(labelSet) bool) parser.Node {
	if good(labelsOf(expr)) {
		return nil
	}
	for child := range parser.ChildrenIter(expr) {
		inner, ok := child.(parser.Expr)
		if !ok || inner.Type() != parser.ValueTypeVector && inner.Type() != parser.ValueTypeMatrix {
			continue
		}
		if node := loser(inner, good); node != nil {
			return node
		}
	}
	return expr
}
