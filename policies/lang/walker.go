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
		w.checkContains(n)
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
	if lt, rt := left.Type(), right.Type(); neverEqual(lt, rt) {
		hint := ""
		if collection(lt) || collection(rt) {
			hint = " Ask contains(list, value) for an element, and length(list) for their number."
		}
		w.source.Problem(n.SrcRange, "Comparison of different types",
			"The left side is a %s and the right side a %s; they are never equal.%s",
			lt.FriendlyName(), rt.FriendlyName(), hint)
		return
	}
	w.checkEnum(n.LHS, n.RHS, right)
	w.checkEnum(n.RHS, n.LHS, left)
}

// neverEqual reports whether values of two types can't be equal. HCL converts neither side:
// ["web"] is a tuple, and no list of strings equals it.
func neverEqual(a, b cty.Type) bool {
	return !a.HasDynamicTypes() && !b.HasDynamicTypes() && !a.Equals(b)
}

// collection reports whether a type has elements.
func collection(t cty.Type) bool {
	return t.IsListType() || t.IsTupleType() || t.IsSetType()
}

// checkContains reports a search that can't succeed: in what has no elements, for what no
// element can be, or for a text that a closed set lacks.
func (w *expressionWalker) checkContains(n *hclsyntax.FunctionCallExpr) {
	if n.Name != "contains" || len(n.Args) != 2 || n.ExpandFinal {
		return // the evaluation of the whole reports a wrong number of arguments
	}
	list, listDiags := n.Args[0].Value(w.ctx())
	value, valueDiags := n.Args[1].Value(w.ctx())
	if listDiags.HasErrors() || valueDiags.HasErrors() {
		return
	}
	lt, vt := list.Type(), value.Type()
	switch {
	case lt.HasDynamicTypes():
	case !collection(lt):
		hint := ""
		if lt == cty.String {
			hint = " A text in a text is found by glob, as in glob(target.job, \"*web*\")."
		}
		w.source.Problem(n.Args[0].Range(), "Search in no list", "contains searches a list, and this is a %s.%s", lt.FriendlyName(), hint)
		return
	case lt.IsTupleType() && len(lt.TupleElementTypes()) > 0 && !slices.ContainsFunc(lt.TupleElementTypes(), func(e cty.Type) bool { return !neverEqual(e, vt) }),
		!lt.IsTupleType() && neverEqual(lt.ElementType(), vt):
		w.source.Problem(n.Args[1].Range(), "Search for another type", "No element of the list is a %s.", vt.FriendlyName())
		return
	}
	if tuple, ok := n.Args[0].(*hclsyntax.TupleConsExpr); ok {
		for _, e := range tuple.Exprs {
			if element, diags := e.Value(w.ctx()); !diags.HasErrors() {
				w.checkEnum(n.Args[1], e, element)
			}
		}
	}
	w.checkEnum(n.Args[0], n.Args[1], value)
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
