package policies

import (
	"slices"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"

	"github.com/oakumhq/oakum/api"
)

// expressionWalker finds what is wrong with the parts of an expression.
type expressionWalker struct {
	source *source
	scope  *scope
	loops  int
}

// Enter looks at one node on the way down.
func (w *expressionWalker) Enter(node hclsyntax.Node) hcl.Diagnostics {
	switch n := node.(type) {
	case *hclsyntax.ForExpr:
		if w.loops++; w.loops == 2 {
			w.source.problem(n.SrcRange, "Nested for", "A for expression can't stand inside another one.")
		}
	case *hclsyntax.FunctionCallExpr:
		if _, ok := w.scope.ctx.Functions[n.Name]; !ok {
			known := names(w.scope.ctx.Functions)
			w.source.problem(n.NameRange, "Unknown function", "There is no function %q.%s The functions are %s.",
				n.Name, didYouMean(n.Name, known), list(known, "and"))
		}
	case *hclsyntax.BinaryOpExpr:
		if w.loops == 0 && (n.Op == hclsyntax.OpEqual || n.Op == hclsyntax.OpNotEqual) {
			w.checkComparison(n)
		}
	}
	return nil
}

// Exit looks at one node on the way up.
func (w *expressionWalker) Exit(node hclsyntax.Node) hcl.Diagnostics {
	if _, ok := node.(*hclsyntax.ForExpr); ok {
		w.loops--
	}
	return nil
}

// checkComparison reports an equality between values of different types, which
// is always false, and a severity that does not exist.
func (w *expressionWalker) checkComparison(n *hclsyntax.BinaryOpExpr) {
	left, leftDiags := n.LHS.Value(w.scope.ctx)
	right, rightDiags := n.RHS.Value(w.scope.ctx)
	if leftDiags.HasErrors() || rightDiags.HasErrors() {
		return // the evaluation of the whole reports it
	}
	if lt, rt := left.Type(), right.Type(); lt.IsPrimitiveType() && rt.IsPrimitiveType() && lt != rt {
		w.source.problem(n.SrcRange, "Comparison of different types",
			"The left side is a %s and the right side a %s; they are never equal.",
			lt.FriendlyName(), rt.FriendlyName())
		return
	}
	w.checkSeverity(n.LHS, n.RHS, right)
	w.checkSeverity(n.RHS, n.LHS, left)
}

func (w *expressionWalker) checkSeverity(subject, other hclsyntax.Expression, value cty.Value) {
	traversal, ok := subject.(*hclsyntax.ScopeTraversalExpr)
	if !ok || len(traversal.Traversal) != 2 || traversal.Traversal.RootName() != "patch" {
		return
	}
	step, ok := traversal.Traversal[1].(hcl.TraverseAttr)
	if !ok || step.Name != "severity" || value.Type() != cty.String || !value.IsKnown() || value.IsNull() {
		return
	}
	if !slices.Contains(severities(), value.AsString()) {
		w.source.problem(other.Range(), "Unknown severity", "There is no severity %q.%s A patch's severity is one of %s.",
			value.AsString(), didYouMean(value.AsString(), severities()), list(severities(), "or"))
	}
}

// severities returns the severities, least first.
func severities() []string {
	return []string{string(api.SeverityLow), string(api.SeverityMedium), string(api.SeverityHigh), string(api.SeverityCritical)}
}
