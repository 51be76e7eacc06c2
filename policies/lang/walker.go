package lang

import (
	"slices"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"
)

// expressionWalker finds what is wrong with the parts of an expression.
type expressionWalker struct {
	source *Source
	scope  *Scope
	inner  []*hcl.EvalContext // the scope's, and one for each for expression around the node
}

// ctx is the context of the node, with the variables of the for expressions around it.
func (w *expressionWalker) ctx() *hcl.EvalContext { return w.inner[len(w.inner)-1] }

// Enter looks at one node on the way down.
func (w *expressionWalker) Enter(node hclsyntax.Node) hcl.Diagnostics {
	switch n := node.(type) {
	case *hclsyntax.ForExpr:
		w.enterFor(n)
	case *hclsyntax.FunctionCallExpr:
		if _, ok := w.scope.ctx.Functions[n.Name]; !ok {
			known := Names(w.scope.ctx.Functions)
			w.source.Problem(n.NameRange, "Unknown function", "There is no function %q.%s The functions are %s.",
				n.Name, DidYouMean(n.Name, known), List(known, "and"))
		}
		w.checkVersions(n)
	case *hclsyntax.BinaryOpExpr:
		switch {
		case n.Op == hclsyntax.OpEqual || n.Op == hclsyntax.OpNotEqual:
			w.checkComparison(n)
		case ordering(n.Op):
			w.checkOrder(n)
		}
	}
	return nil
}

// Exit looks at one node on the way up.
func (w *expressionWalker) Exit(node hclsyntax.Node) hcl.Diagnostics {
	if _, ok := node.(*hclsyntax.ForExpr); ok {
		w.inner = w.inner[:len(w.inner)-1]
	}
	return nil
}

// enterFor adds the variables of a for expression, whose values are unknown.
func (w *expressionWalker) enterFor(n *hclsyntax.ForExpr) {
	key, element := cty.DynamicPseudoType, cty.DynamicPseudoType
	if coll, diags := n.CollExpr.Value(w.ctx()); !diags.HasErrors() {
		switch t := coll.Type(); {
		case t.IsMapType():
			key, element = cty.String, t.ElementType()
		case t.IsObjectType():
			key = cty.String
		case t.IsListType():
			key, element = cty.Number, t.ElementType()
		case t.IsSetType():
			key, element = t.ElementType(), t.ElementType()
		case t.IsTupleType():
			key = cty.Number
			if types := t.TupleElementTypes(); len(types) > 0 && !slices.ContainsFunc(types, func(e cty.Type) bool { return !e.Equals(types[0]) }) {
				element = types[0]
			}
		}
	}
	inner := w.ctx().NewChild()
	inner.Variables = map[string]cty.Value{n.ValVar: cty.UnknownVal(element)}
	if n.KeyVar != "" {
		inner.Variables[n.KeyVar] = cty.UnknownVal(key)
	}
	w.inner = append(w.inner, inner)
}

// checkComparison reports an equality between values of different types, which
// is always false, and one with a text that its attribute never has.
func (w *expressionWalker) checkComparison(n *hclsyntax.BinaryOpExpr) {
	left, leftDiags := n.LHS.Value(w.ctx())
	right, rightDiags := n.RHS.Value(w.ctx())
	if leftDiags.HasErrors() || rightDiags.HasErrors() {
		return // the evaluation of the whole reports it
	}
	if lt, rt := left.Type(), right.Type(); lt.IsPrimitiveType() && rt.IsPrimitiveType() && lt != rt {
		w.source.Problem(n.SrcRange, "Comparison of different types",
			"The left side is a %s and the right side a %s; they are never equal.",
			lt.FriendlyName(), rt.FriendlyName())
		return
	}
	w.checkEnum(n.LHS, n.RHS, right)
	w.checkEnum(n.RHS, n.LHS, left)
}

// checkEnum reports a value that the closed set of an attribute lacks. The
// expression of the value is other.
func (w *expressionWalker) checkEnum(subject, other hclsyntax.Expression, value cty.Value) {
	traversal, ok := subject.(*hclsyntax.ScopeTraversalExpr)
	if !ok || len(traversal.Traversal) != 2 {
		return
	}
	step, ok := traversal.Traversal[1].(hcl.TraverseAttr)
	if !ok || value.Type() != cty.String || !value.IsKnown() || value.IsNull() {
		return
	}
	enum, ok := w.scope.Enums[traversal.Traversal.RootName()+"."+step.Name]
	if ok && !slices.Contains(enum.Values, value.AsString()) {
		w.source.Problem(other.Range(), "Unknown "+enum.Noun, "There is no %s %q.%s %s is one of %s.",
			enum.Noun, value.AsString(), DidYouMean(value.AsString(), enum.Values), enum.Owner, List(enum.Values, "or"))
	}
}
