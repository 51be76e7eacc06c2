package lang

import (
	"slices"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"
	"github.com/zclconf/go-cty/cty/function"

	"github.com/oakumhq/oakum/internal/inventory"
)

// versionTests are the functions that compare two versions of an ecosystem: what each
// asks of the comparison, which is -1 when the first version is older.
func versionTests() map[string]func(int) bool {
	return map[string]func(int) bool{
		"version_at_least": func(n int) bool { return n >= 0 },
		"version_below":    func(n int) bool { return n < 0 },
		"version_equal":    func(n int) bool { return n == 0 },
	}
}

// versionFunctions compare versions by the order of their ecosystem, as in
// version_below("deb", target.packages["openssl"], "3.0.16-1~deb12u1").
func versionFunctions() map[string]function.Function {
	out := map[string]function.Function{}
	for name, test := range versionTests() {
		out[name] = function.New(&function.Spec{
			Description: name + " compares two versions of an ecosystem.",
			Params: []function.Parameter{
				{Name: "ecosystem", Type: cty.String},
				{Name: "version", Type: cty.String},
				{Name: "other", Type: cty.String},
			},
			Type: function.StaticReturnType(cty.Bool),
			Impl: func(args []cty.Value, _ cty.Type) (cty.Value, error) {
				n, err := inventory.CompareWhole(args[0].AsString(), args[1].AsString(), args[2].AsString())
				if err != nil {
					return cty.NilVal, err
				}
				return cty.BoolVal(test(n)), nil
			},
		})
	}
	return out
}

// checkVersions reports an ecosystem and versions that can't be compared, as far as
// they are written in the call.
func (w *expressionWalker) checkVersions(call *hclsyntax.FunctionCallExpr) {
	if versionTests()[call.Name] == nil || len(call.Args) != 3 {
		return
	}
	text := func(i int) string {
		value, diags := call.Args[i].Value(w.ctx())
		if diags.HasErrors() || value.Type() != cty.String || !value.IsKnown() || value.IsNull() {
			return ""
		}
		return value.AsString()
	}
	ecosystem := text(0)
	if ecosystem == "" {
		return
	}
	if known := inventory.Ecosystems(); !slices.Contains(known, ecosystem) {
		w.source.Problem(call.Args[0].Range(), "Unknown ecosystem", "There is no ecosystem %q.%s Versions are compared in %s.",
			ecosystem, DidYouMean(ecosystem, known), List(known, "and"))
		return
	}
	for i := 1; i < 3; i++ {
		version := text(i)
		if version == "" {
			continue
		}
		if _, err := inventory.Compare(ecosystem, version, version); err != nil {
			w.source.Problem(call.Args[i].Range(), "Invalid version", "This can't be compared: %s.", strings.TrimPrefix(err.Error(), "compare versions: "))
		}
	}
}

// checkOrder reports two texts that are compared by size: HCL would take them for
// numbers, or fail on every target.
func (w *expressionWalker) checkOrder(n *hclsyntax.BinaryOpExpr) {
	left, leftDiags := n.LHS.Value(w.ctx())
	right, rightDiags := n.RHS.Value(w.ctx())
	if leftDiags.HasErrors() || rightDiags.HasErrors() {
		return // the evaluation of the whole reports it
	}
	if (left.Type() != cty.String || right.Type() != cty.String) && !w.version(n.LHS, left) && !w.version(n.RHS, right) {
		return
	}
	w.source.Problem(n.SrcRange, "Texts compared by size",
		"Texts have no order here. Versions are compared by the order of their ecosystem, as in version_below(\"deb\", %s, %s); the functions are %s.",
		w.source.snippet(n.LHS.Range()), w.source.snippet(n.RHS.Range()), List(Names(versionTests()), "and"))
}

// version reports whether a value may be a version that an expression has read.
func (w *expressionWalker) version(expr hclsyntax.Expression, value cty.Value) bool {
	if value.Type() != cty.String && value.Type() != cty.DynamicPseudoType {
		return false
	}
	return slices.ContainsFunc(expr.Variables(), func(t hcl.Traversal) bool {
		if len(t) < 2 {
			return false
		}
		step, ok := t[1].(hcl.TraverseAttr)
		return ok && w.scope.Versions[t.RootName()+"."+step.Name]
	})
}

// ordering reports whether an operation compares by size.
func ordering(op *hclsyntax.Operation) bool {
	return op == hclsyntax.OpLessThan || op == hclsyntax.OpLessThanOrEqual ||
		op == hclsyntax.OpGreaterThan || op == hclsyntax.OpGreaterThanOrEqual
}
