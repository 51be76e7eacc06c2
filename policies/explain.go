package policies

import (
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"
)

// explain says in words why a condition has its value, with the values that
// decided: graph.blast_radius = 4 >= 2. Of a disjunction that holds it names
// the first side that does; of a conjunction that fails, the first that fails.
func explain(s *source, expr hclsyntax.Expression, ctx *hcl.EvalContext) string {
	switch e := expr.(type) {
	case *hclsyntax.ParenthesesExpr:
		return explain(s, e.Expression, ctx)
	case *hclsyntax.BinaryOpExpr:
		return explainBinary(s, e, ctx)
	case *hclsyntax.UnaryOpExpr:
		if e.Op == hclsyntax.OpLogicalNot {
			return explain(s, e.Val, ctx)
		}
	case *hclsyntax.LiteralValueExpr:
		return valueText(e.Val)
	}
	value, diags := expr.Value(ctx)
	if diags.HasErrors() {
		return s.words(expr.Range()) + " has no value"
	}
	return s.words(expr.Range()) + " = " + valueText(value)
}

func explainBinary(s *source, e *hclsyntax.BinaryOpExpr, ctx *hcl.EvalContext) string {
	switch e.Op {
	case hclsyntax.OpLogicalOr:
		return explainJoin(s, e, ctx, true, " and ")
	case hclsyntax.OpLogicalAnd:
		return explainJoin(s, e, ctx, false, " and ")
	}
	symbol := comparison(e.Op)
	holds, diags := e.Value(ctx)
	if symbol == "" || diags.HasErrors() || holds.IsNull() {
		return s.words(e.Range()) + " = " + valueText(holds)
	}
	if !holds.True() {
		symbol = ", not " + symbol
	} else {
		symbol = " " + symbol
	}
	return operand(s, e.LHS, ctx) + symbol + " " + operand(s, e.RHS, ctx)
}

// explainJoin explains || (deciding true) and && (deciding false).
func explainJoin(s *source, e *hclsyntax.BinaryOpExpr, ctx *hcl.EvalContext, deciding bool, and string) string {
	for _, side := range []hclsyntax.Expression{e.LHS, e.RHS} {
		if v, diags := side.Value(ctx); !diags.HasErrors() && v.Type() == cty.Bool && !v.IsNull() && v.True() == deciding {
			return explain(s, side, ctx)
		}
	}
	return explain(s, e.LHS, ctx) + and + explain(s, e.RHS, ctx)
}

// operand is a side of a comparison: a constant as it is, anything else with
// its value.
func operand(s *source, e hclsyntax.Expression, ctx *hcl.EvalContext) string {
	value, diags := e.Value(ctx)
	if diags.HasErrors() {
		return s.words(e.Range())
	}
	if len(e.Variables()) == 0 {
		return valueText(value)
	}
	return s.words(e.Range()) + " = " + valueText(value)
}

func comparison(op *hclsyntax.Operation) string {
	switch op {
	case hclsyntax.OpEqual:
		return "=="
	case hclsyntax.OpNotEqual:
		return "!="
	case hclsyntax.OpGreaterThan:
		return ">"
	case hclsyntax.OpGreaterThanOrEqual:
		return ">="
	case hclsyntax.OpLessThan:
		return "<"
	case hclsyntax.OpLessThanOrEqual:
		return "<="
	}
	return ""
}

// conditions counts what applies demands at once: conditions joined by && add
// up, of those joined by || the lesser side counts.
func conditions(expr hclsyntax.Expression) int {
	switch e := expr.(type) {
	case *hclsyntax.ParenthesesExpr:
		return conditions(e.Expression)
	case *hclsyntax.LiteralValueExpr:
		return 0
	case *hclsyntax.BinaryOpExpr:
		switch e.Op {
		case hclsyntax.OpLogicalAnd:
			return conditions(e.LHS) + conditions(e.RHS)
		case hclsyntax.OpLogicalOr:
			return min(conditions(e.LHS), conditions(e.RHS))
		}
	}
	return 1
}

// oneLine puts a text on one line.
func oneLine(text string) string { return strings.Join(strings.Fields(text), " ") }
