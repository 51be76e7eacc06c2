package policies

import (
	"maps"
	"slices"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/ext/tryfunc"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"
	"github.com/zclconf/go-cty/cty/function"
	"github.com/zclconf/go-cty/cty/function/stdlib"
)

// scope is the closed set of names that an expression may use. Its context
// holds unknown values of the right types, so that evaluating an expression in
// it checks its types.
type scope struct {
	types map[string]cty.Type
	ctx   *hcl.EvalContext
}

// newScope builds a scope of the given variables and functions.
func newScope(types map[string]cty.Type, functions map[string]function.Function) *scope {
	s := &scope{types: types, ctx: &hcl.EvalContext{Variables: map[string]cty.Value{}, Functions: functions}}
	for name, t := range types {
		s.ctx.Variables[name] = cty.UnknownVal(t)
	}
	return s
}

// Scopes of the language. A base expression decides whether a policy applies
// and whether a target is critical, so that it can't ask for the answer.
func baseScope() *scope {
	return newScope(variableTypes(targetType(false)), functions())
}

func fullScope() *scope {
	return newScope(variableTypes(targetType(true)), functions())
}

func selectorScope() *scope {
	return newScope(map[string]cty.Type{"target": targetType(false)}, functions())
}

func constantScope(extra map[string]function.Function) *scope {
	all := functions()
	maps.Copy(all, extra)
	return newScope(map[string]cty.Type{}, all)
}

func variableTypes(target cty.Type) map[string]cty.Type {
	return map[string]cty.Type{
		"target":  target,
		"patch":   patchType(),
		"impact":  impactType(),
		"graph":   graphType(),
		"cluster": clusterType(),
		"now":     nowType(),
	}
}

func taskType() cty.Type {
	return cty.Object(map[string]cty.Type{
		"name": cty.String, "driver": cty.String, "lifecycle": cty.String, "image": cty.String,
	})
}

func targetType(withCritical bool) cty.Type {
	attrs := map[string]cty.Type{
		"ref":         cty.String,
		"namespace":   cty.String,
		"job":         cty.String,
		"group":       cty.String,
		"count":       cty.Number,
		"driver":      cty.String,
		"services":    cty.List(cty.String),
		"meta":        cty.Map(cty.String),
		"tasks":       cty.List(taskType()),
		"job_version": cty.Number,
	}
	if withCritical {
		attrs["critical"] = cty.Bool
	}
	return cty.Object(attrs)
}

func affectedType() cty.Type {
	return cty.Object(map[string]cty.Type{"ecosystem": cty.String, "package": cty.String, "below": cty.String})
}

func patchType() cty.Type {
	return cty.Object(map[string]cty.Type{
		"name":           cty.String,
		"description":    cty.String,
		"severity":       cty.String,
		"severity_level": cty.Number,
		"fixes":          cty.List(cty.String),
		"affects":        cty.List(affectedType()),
		"kinds":          cty.List(cty.String),
		"digest":         cty.String,
	})
}

func impactType() cty.Type {
	return cty.Object(map[string]cty.Type{
		"simulated":   cty.Bool,
		"negative":    cty.Bool,
		"reason":      cty.String,
		"requests":    cty.Number,
		"ratio":       cty.Map(cty.Number),
		"worst_ratio": cty.Number,
	})
}

func graphType() cty.Type {
	return cty.Object(map[string]cty.Type{
		"known":             cty.Bool,
		"service":           cty.String,
		"blast_radius":      cty.Number,
		"blast_radius_max":  cty.Number,
		"dependants":        cty.List(cty.String),
		"single_point":      cty.Bool,
		"single_instance":   cty.Bool,
		"dominates":         cty.List(cty.String),
		"score":             cty.Number,
		"shared_nodes_with": cty.List(cty.String),
	})
}

func clusterType() cty.Type {
	return cty.Object(map[string]cty.Type{
		"targets":         cty.Number,
		"instances":       cty.Number,
		"services":        cty.Number,
		"open_rollouts":   cty.Number,
		"missing_sources": cty.List(cty.String),
	})
}

func nowType() cty.Type {
	return cty.Object(map[string]cty.Type{
		"rfc3339": cty.String,
		"date":    cty.String,
		"time":    cty.String,
		"year":    cty.Number,
		"month":   cty.Number,
		"day":     cty.Number,
		"hour":    cty.Number,
		"minute":  cty.Number,
		"weekday": cty.String,
		"unix":    cty.Number,
	})
}

// functions are the functions of the language. None has an effect, and none
// can grow a value beyond the sum of its arguments.
func functions() map[string]function.Function {
	return map[string]function.Function{
		"abs":        stdlib.AbsoluteFunc,
		"can":        tryfunc.CanFunc,
		"ceil":       stdlib.CeilFunc,
		"coalesce":   stdlib.CoalesceFunc,
		"concat":     stdlib.ConcatFunc,
		"contains":   stdlib.ContainsFunc,
		"distinct":   stdlib.DistinctFunc,
		"endswith":   textTest("endswith", "suffix", hasSuffix),
		"floor":      stdlib.FloorFunc,
		"glob":       textTest("glob", "pattern", matchGlob),
		"keys":       stdlib.KeysFunc,
		"length":     stdlib.LengthFunc,
		"lookup":     stdlib.LookupFunc,
		"lower":      stdlib.LowerFunc,
		"max":        stdlib.MaxFunc,
		"min":        stdlib.MinFunc,
		"startswith": textTest("startswith", "prefix", hasPrefix),
		"try":        tryfunc.TryFunc,
		"upper":      stdlib.UpperFunc,
	}
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

// names returns the sorted keys of a map.
func names[V any](m map[string]V) []string {
	out := make([]string, 0, len(m))
	for n := range m {
		out = append(out, n)
	}
	slices.Sort(out)
	return out
}

// checkExpression reports unknown names, nested loops, comparisons that can't
// hold and type errors. It returns the value as far as it is known without
// facts.
func (s *source) checkExpression(expr hclsyntax.Expression, sc *scope) (cty.Value, bool) {
	walker := &expressionWalker{source: s, scope: sc}
	before := len(s.diags)
	_ = hclsyntax.Walk(expr, walker)
	for _, traversal := range expr.Variables() {
		s.checkTraversal(traversal, sc)
	}
	if len(s.diags) > before {
		return cty.NilVal, false
	}
	value, diags := expr.Value(sc.ctx)
	s.diags = append(s.diags, diags...)
	return value, !diags.HasErrors()
}

// checkTraversal reports roots and attributes that don't exist.
func (s *source) checkTraversal(traversal hcl.Traversal, sc *scope) {
	root := traversal.RootName()
	rng := traversal.SourceRange()
	rootType, ok := sc.types[root]
	if !ok {
		if len(sc.types) == 0 {
			s.problem(rng, "Unknown name", "There is no %q here: this argument takes a constant.", root)
			return
		}
		s.problem(rng, "Unknown name", "There is no %q here.%s An expression may use %s.",
			root, didYouMean(root, names(sc.types)), list(names(sc.types), "and"))
		return
	}
	if len(traversal) < 2 {
		return
	}
	step, ok := traversal[1].(hcl.TraverseAttr)
	if !ok || rootType.HasAttribute(step.Name) {
		return
	}
	known := names(rootType.AttributeTypes())
	if root == "target" && step.Name == "critical" {
		s.problem(step.SrcRange, "Not known yet",
			"target.critical is the answer of the critical argument, so applies, critical and where can't ask for it.")
		return
	}
	s.problem(step.SrcRange, "Unknown attribute", "%s has no attribute %q.%s It has %s.",
		root, step.Name, didYouMean(step.Name, known), list(known, "and"))
}

// mapKeys collects the keys of target.meta and impact.ratio that expressions
// name, so that those a target lacks can be null instead of an error.
func mapKeys(expr hclsyntax.Expression, into map[string]map[string]bool) {
	for _, t := range expr.Variables() {
		if len(t) < 3 {
			continue
		}
		attr, ok := t[1].(hcl.TraverseAttr)
		if !ok {
			continue
		}
		path := t.RootName() + "." + attr.Name
		keys, wanted := into[path]
		if !wanted {
			continue
		}
		switch step := t[2].(type) {
		case hcl.TraverseAttr:
			keys[step.Name] = true
		case hcl.TraverseIndex:
			if step.Key.Type() == cty.String && step.Key.IsKnown() && !step.Key.IsNull() {
				keys[step.Key.AsString()] = true
			}
		}
	}
}
