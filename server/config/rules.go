package config

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/oakumhq/oakum/api"
	"github.com/zclconf/go-cty/cty"
	"github.com/zclconf/go-cty/cty/convert"
	"github.com/zclconf/go-cty/cty/function"
	"github.com/zclconf/go-cty/cty/function/stdlib"
	ctyjson "github.com/zclconf/go-cty/cty/json"
)

// Evaluate returns what the rules that match a caller's claims give and deny, in the
// order of the rules. A claim that the caller does not have is null. A rule that can't be
// evaluated with what it has gives nothing, and one that denies holds.
func (r Rules) Evaluate(claims map[string]any) ([]api.Grant, error) {
	have, err := toValue(claims)
	if err != nil {
		return nil, err
	}
	grants := []api.Grant{}
	for _, rule := range r {
		yes, diags := rule.holds(cty.ObjectVal(withNulls(have, rule.When)))
		known := !diags.HasErrors() && yes.Type() == cty.Bool && yes.IsKnown() && !yes.IsNull()
		if (known && yes.True()) || (!known && rule.Deny) {
			grants = append(grants, api.Grant{
				Rule: rule.Name, Deny: rule.Deny, Capabilities: rule.Capabilities, Namespaces: rule.Namespaces, Jobs: rule.Jobs,
			})
		}
	}
	return grants, nil
}

// withNulls adds the claims that an expression asks for and the caller lacks.
func withNulls(have cty.Value, when hcl.Expression) map[string]cty.Value {
	claims := have.AsValueMap()
	if claims == nil {
		claims = map[string]cty.Value{}
	}
	for _, reference := range when.Variables() {
		if len(reference) < 2 || reference.RootName() != "claims" {
			continue
		}
		if attr, ok := reference[1].(hcl.TraverseAttr); ok {
			if _, there := claims[attr.Name]; !there {
				claims[attr.Name] = cty.NullVal(cty.DynamicPseudoType)
			}
		}
	}
	return claims
}

// holds evaluates the rule's condition.
func (r AuthRule) holds(claims cty.Value) (cty.Value, hcl.Diagnostics) {
	value, diags := r.When.Value(&hcl.EvalContext{
		Variables: map[string]cty.Value{"claims": claims},
		Functions: functions(),
	})
	if diags.HasErrors() {
		return cty.NilVal, diags
	}
	return value, diags
}

// functions are all that a condition may call.
func functions() map[string]function.Function {
	return map[string]function.Function{
		"contains": contains(),
		"lower":    stdlib.LowerFunc,
		"regex":    stdlib.RegexFunc,
		"length":   stdlib.LengthFunc,
	}
}

// contains reports whether a list holds a value; a list that is null holds none.
func contains() function.Function {
	return function.New(&function.Spec{
		Params: []function.Parameter{
			{Name: "list", Type: cty.DynamicPseudoType, AllowNull: true, AllowDynamicType: true},
			{Name: "value", Type: cty.DynamicPseudoType, AllowNull: true, AllowDynamicType: true},
		},
		Type: function.StaticReturnType(cty.Bool),
		Impl: func(args []cty.Value, _ cty.Type) (cty.Value, error) {
			if args[0].IsNull() || args[1].IsNull() {
				return cty.False, nil
			}
			return stdlib.Contains(args[0], args[1])
		},
	})
}

// toValue makes claims readable for expressions.
func toValue(claims map[string]any) (cty.Value, error) {
	if len(claims) == 0 {
		return cty.EmptyObjectVal, nil
	}
	raw, err := json.Marshal(claims)
	if err != nil {
		return cty.NilVal, fmt.Errorf("read claims: %w", err)
	}
	kind, err := ctyjson.ImpliedType(raw)
	if err != nil {
		return cty.NilVal, fmt.Errorf("read claims: %w", err)
	}
	value, err := ctyjson.Unmarshal(raw, kind)
	if err != nil {
		return cty.NilVal, fmt.Errorf("read claims: %w", err)
	}
	return value, nil
}

// checkRule finds the mistakes that keep a rule from working: a variable other
// than claims, an unknown function, a condition that is no boolean, an unknown
// capability.
func (l *loader) checkRule(r AuthRule) {
	path := "auth.rule." + r.Name
	// Evaluation alone does not find them all: it skips what follows a condition
	// that is not decided yet.
	diags := r.unknownNames()
	value := cty.UnknownVal(cty.Bool)
	if !diags.HasErrors() {
		value, diags = r.holds(cty.DynamicVal)
	}
	if diags.HasErrors() {
		l.diagnose(diags)
	} else if _, err := convert.Convert(value, cty.Bool); err != nil || value.IsNull() {
		l.ranges[path+".when"] = r.When.Range()
		l.problem(path+".when", "want a condition, true or false")
	}
	known := api.Capabilities()
	if len(r.Capabilities) == 0 {
		l.problem(path+".capabilities", "want at least one of %s", words(known))
	}
	for _, c := range r.Capabilities {
		if !slices.Contains(known, c) {
			l.problem(path+".capabilities", "want %s, have %q", words(known), c)
		}
	}
	l.checkReach(path, r)
}

// globs reads patterns of names that limit a rule. An empty list, which would limit
// nothing, is a mistake.
func (l *loader) globs(a *hcl.Attribute, to *[]string) {
	l.strs(a, to)
	if a == nil {
		return
	}
	if len(*to) == 0 {
		l.problem(l.path(a.Name), "want at least one name or pattern; leave it out for all")
	}
	for _, glob := range *to {
		if glob == "" || strings.ContainsAny(glob, " \t\n") {
			l.problem(l.path(a.Name), "%q is no name or pattern: want names in which * stands for any characters and ? for one", glob)
		}
	}
}

// checkReach finds limits of a rule on what belongs to no target.
func (l *loader) checkReach(path string, r AuthRule) {
	if len(r.Namespaces) == 0 && len(r.Jobs) == 0 {
		return
	}
	for _, c := range []api.Capability{api.CapPolicyWrite, api.CapOperator} {
		if slices.Contains(r.Capabilities, c) {
			l.problem(path+".capabilities", "%s is about the whole cluster: a rule with namespaces or jobs can't give or deny it", c)
		}
	}
}

// unknownNames finds variables and functions that there are not.
func (r AuthRule) unknownNames() hcl.Diagnostics {
	var diags hcl.Diagnostics
	for _, reference := range r.When.Variables() {
		if reference.RootName() != "claims" {
			diags = append(diags, &hcl.Diagnostic{
				Severity: hcl.DiagError, Summary: "Unknown variable", Subject: reference.SourceRange().Ptr(),
				Detail: fmt.Sprintf("There is no variable named %q; a rule sees claims.", reference.RootName()),
			})
		}
	}
	node, ok := r.When.(hclsyntax.Node)
	if !ok {
		return diags
	}
	known := functions()
	return append(diags, hclsyntax.VisitAll(node, func(node hclsyntax.Node) hcl.Diagnostics {
		call, ok := node.(*hclsyntax.FunctionCallExpr)
		if !ok {
			return nil
		}
		if _, there := known[call.Name]; there {
			return nil
		}
		return hcl.Diagnostics{{
			Severity: hcl.DiagError, Summary: "Unknown function", Subject: call.NameRange.Ptr(),
			Detail: fmt.Sprintf("There is no function named %q; a rule may call %s.", call.Name, strings.Join(slices.Sorted(maps.Keys(known)), ", ")),
		}}
	})...)
}

func words(known []api.Capability) string {
	var out []string
	for _, c := range known {
		out = append(out, string(c))
	}
	return strings.Join(out, ", ")
}
