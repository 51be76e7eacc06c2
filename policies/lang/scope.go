package lang

import (
	"maps"
	"slices"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/ext/tryfunc"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"
	"github.com/zclconf/go-cty/cty/function"
	"github.com/zclconf/go-cty/cty/function/stdlib"

	"github.com/oakumhq/oakum/internal/glob"
)

// Scope is the closed set of names that an expression may use. Its context
// holds unknown values of the right types, so that evaluating an expression in
// it checks its types.
type Scope struct {
	types map[string]cty.Type
	ctx   *hcl.EvalContext
	// Enums are the attributes whose texts come from a closed set, by their
	// dotted path, such as patch.severity; of a list, its elements.
	Enums map[string]Enum
	// Versions are the attributes that hold versions, by their dotted path. HCL would
	// compare "3.10" with a number, or with a text of unknown type, as a number.
	Versions map[string]bool
	// Later are attributes that the scope lacks and another one has, by their
	// dotted path. The text says why, for the diagnostic.
	Later map[string]string
}

// Enum is a closed set of texts.
type Enum struct {
	Noun   string // for one of them, such as severity
	Owner  string // for the attribute, such as "A patch's severity"
	Values []string
}

// NewScope builds a scope of the given variables. An expression may call the
// functions of the language and the extra ones.
func NewScope(types map[string]cty.Type, extra map[string]function.Function) *Scope {
	all := Functions()
	maps.Copy(all, extra)
	s := &Scope{types: types, ctx: &hcl.EvalContext{Variables: map[string]cty.Value{}, Functions: all}}
	for name, t := range types {
		s.ctx.Variables[name] = cty.UnknownVal(t)
	}
	return s
}

// Constant evaluates an expression that uses no variables.
func Constant(expr hclsyntax.Expression) (cty.Value, bool) {
	value, diags := expr.Value(NewScope(nil, nil).ctx)
	return value, !diags.HasErrors() && value.IsKnown() && !value.IsNull()
}

// Functions are the functions of the language. None has an effect, and none
// can grow a value beyond the sum of its arguments.
func Functions() map[string]function.Function {
	all := versionFunctions()
	maps.Copy(all, map[string]function.Function{
		"abs":        stdlib.AbsoluteFunc,
		"can":        tryfunc.CanFunc,
		"ceil":       stdlib.CeilFunc,
		"coalesce":   stdlib.CoalesceFunc,
		"concat":     stdlib.ConcatFunc,
		"contains":   stdlib.ContainsFunc,
		"distinct":   stdlib.DistinctFunc,
		"endswith":   textTest("endswith", "suffix", strings.HasSuffix),
		"floor":      stdlib.FloorFunc,
		"glob":       textTest("glob", "pattern", glob.Match),
		"keys":       stdlib.KeysFunc,
		"length":     stdlib.LengthFunc,
		"lookup":     stdlib.LookupFunc,
		"lower":      stdlib.LowerFunc,
		"max":        stdlib.MaxFunc,
		"min":        stdlib.MinFunc,
		"startswith": textTest("startswith", "prefix", strings.HasPrefix),
		"try":        tryfunc.TryFunc,
		"upper":      stdlib.UpperFunc,
	})
	return all
}

// textTest makes a function of a text and a pattern that returns a bool.
func textTest(name, parameter string, test func(text, pattern string) bool) function.Function {
	return function.New(&function.Spec{
		Description: name + " tests a text.",
		Params: []function.Parameter{
			{Name: "text", Type: cty.String},
			{Name: parameter, Type: cty.String},
		},
		Type: function.StaticReturnType(cty.Bool),
		Impl: func(args []cty.Value, _ cty.Type) (cty.Value, error) {
			return cty.BoolVal(test(args[0].AsString(), args[1].AsString())), nil
		},
	})
}

// Names returns the sorted keys of a map.
func Names[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }

// checkExpression reports unknown names, comparisons that can't hold and type errors. It
// returns the value as far as it is known without facts.
func (s *Source) checkExpression(expr hclsyntax.Expression, sc *Scope) (cty.Value, bool) {
	walker := &expressionWalker{source: s, scope: sc, inner: []*hcl.EvalContext{sc.ctx}}
	before := len(s.Diags)
	_ = hclsyntax.Walk(expr, walker)
	for _, traversal := range expr.Variables() {
		s.checkTraversal(traversal, sc)
	}
	if len(s.Diags) > before {
		return cty.NilVal, false
	}
	value, diags := expr.Value(sc.ctx)
	s.Diags = append(s.Diags, diags...)
	return value, !diags.HasErrors()
}

// checkTraversal reports roots and attributes that don't exist.
func (s *Source) checkTraversal(traversal hcl.Traversal, sc *Scope) {
	root := traversal.RootName()
	rng := traversal.SourceRange()
	rootType, ok := sc.types[root]
	if !ok {
		if len(sc.types) == 0 {
			hint := ""
			if inTemplate(s.lineTo(rng.Start)) {
				hint = " " + escapeHint
			}
			s.Problem(rng, "Unknown name", "There is no %q here: this argument takes a constant.%s", root, hint)
			return
		}
		s.Problem(rng, "Unknown name", "There is no %q here.%s An expression may use %s.",
			root, DidYouMean(root, Names(sc.types)), List(Names(sc.types), "and"))
		return
	}
	if len(traversal) < 2 {
		return
	}
	step, ok := traversal[1].(hcl.TraverseAttr)
	if !ok || rootType.HasAttribute(step.Name) {
		return
	}
	if why, ok := sc.Later[root+"."+step.Name]; ok {
		s.Problem(step.SrcRange, "Not known yet", "%s", why)
		return
	}
	known := Names(rootType.AttributeTypes())
	s.Problem(step.SrcRange, "Unknown attribute", "%s has no attribute %q.%s It has %s.",
		root, step.Name, DidYouMean(step.Name, known), List(known, "and"))
}
