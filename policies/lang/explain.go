package lang

import (
	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"
)

// explain says in words why a condition has its value, with the values that
// decided: graph.blast_radius = 4 >= 2. Of a disjunction that holds it names
// the first side that does; of a conjunction that fails, the first that fails.
func explain(s *Source, expr hclsyntax.Expression, ctx *hcl.EvalContext) string {
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
		return ValueText(e.Val)
	}
	value, diags := expr.Value(ctx)
	if diags.HasErrors() {
		return s.snippet(expr.Range()) + " has no value"
	}
	return s.snippet(expr.Range()) + " = " + ValueText(value)
}

func explainBinary(s *Source, e *hclsyntax.BinaryOpExpr, ctx *hcl.EvalContext) string {
	switch e.Op {
	case hclsyntax.OpLogicalOr:
		return explainJoin(s, e, ctx, true, " and ")
	case hclsyntax.OpLogicalAnd:
		return explainJoin(s, e, ctx, false, " and ")
	}
	symbol := comparison(e.Op)
	holds, diags := e.Value(ctx)
	if symbol == "" || diags.HasErrors() || holds.IsNull() {
		return s.snippet(e.Range()) + " = " + ValueText(holds)
	}
	if !holds.True() {
		symbol = ", not " + symbol
	} else {
		symbol = " " + symbol
	}
	return operand(s, e.LHS, ctx) + symbol + " " + operand(s, e.RHS, ctx)
}

// explainJoin explains || (deciding true) and && (deciding false).
func explainJoin(s *Source, e *hclsyntax.BinaryOpExpr, ctx *hcl.EvalContext, deciding bool, and string) string {
	for _, side := range []hclsyntax.Expression{e.LHS, e.RHS} {
		if v, diags := side.Value(ctx); !diags.HasErrors() && v.Type() == cty.Bool && !v.IsNull() && v.True() == deciding {
			return explain(s, side, ctx)
		}
	}
	return explain(s, e.LHS, ctx) + and + explain(s, e.RHS, ctx)
}

// operand is a side of a comparison: a constant as it is, anything else with
// its value.
func operand(s *Source, e hclsyntax.Expression, ctx *hcl.EvalContext) string {
	value, diags := e.Value(ctx)
	if diags.HasErrors() {
		return s.snippet(e.Range())
	}
	if len(e.Variables()) == 0 {
		return ValueText(value)
	}
	return s.snippet(e.Range()) + " = " + ValueText(value)
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
