package policies

import (
	"fmt"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"
	"github.com/zclconf/go-cty/cty/convert"
	"github.com/zclconf/go-cty/cty/function"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/internal/glob"
	"github.com/oakumhq/oakum/policies/lang"
	"github.com/oakumhq/oakum/policies/vocabulary"
)

// Selector is a patch's choice of targets, ready to be asked many times.
type Selector struct {
	rules     []selectorRule
	metaKeys  []string
	functions map[string]function.Function
}

type selectorRule struct {
	api.TargetSelector
	where hclsyntax.Expression // nil: no condition
}

// NewSelector prepares the choice of a patch.
func NewSelector(patch api.Patch) (*Selector, error) {
	out := &Selector{functions: lang.Functions()}
	keys := wantedKeys()
	for i, t := range patch.Targets {
		rule := selectorRule{TargetSelector: t}
		if t.Where != "" {
			name := fmt.Sprintf("target[%d].where of %s", i, patch.File.Name)
			expr, err := lang.ReadExpression(name, t.Where, vocabulary.SelectorScope())
			if err != nil {
				return nil, api.Errorf(api.CodeInvalid, "read targets of patch %s: %v", patch.Name, err)
			}
			vocabulary.MapKeys(expr, keys)
			rule.where = expr
		}
		out.rules = append(out.rules, rule)
	}
	out.metaKeys = lang.Names(keys["target.meta"])
	return out, nil
}

// Match reports whether the patch is for the target. A condition that can't be
// evaluated for the target is an error.
func (s *Selector) Match(target api.Target) (bool, error) {
	var ctx *hcl.EvalContext
	for _, r := range s.rules {
		if !r.names(target.TargetRef) {
			continue
		}
		if r.where == nil {
			return true, nil
		}
		if ctx == nil {
			ctx = &hcl.EvalContext{Functions: s.functions, Variables: map[string]cty.Value{
				"target": cty.ObjectVal(vocabulary.Target(target, s.metaKeys)),
			}}
		}
		value, diags := r.where.Value(ctx)
		if diags.HasErrors() {
			return false, api.Errorf(api.CodeInvalid, "select %s: %v", target.TargetRef, lang.Cause(diags))
		}
		value, err := convert.Convert(value, cty.Bool)
		if err != nil || value.IsNull() {
			return false, api.Errorf(api.CodeInvalid, "select %s: where is neither true nor false", target.TargetRef)
		}
		if value.True() {
			return true, nil
		}
	}
	return false, nil
}

// names reports whether the rule's patterns match, leaving out its condition.
func (r selectorRule) names(ref api.TargetRef) bool {
	return glob.Match(ref.Namespace, r.Namespace) && anyGlob(ref.Job, r.Jobs) &&
		(len(r.Groups) == 0 || anyGlob(ref.Group, r.Groups))
}

func anyGlob(text string, patterns []string) bool {
	for _, p := range patterns {
		if glob.Match(text, p) {
			return true
		}
	}
	return false
}

// Named returns the targets that the patch names without a pattern: those must
// exist. Group is empty where the patch leaves it open.
func (s *Selector) Named() []api.TargetRef {
	var out []api.TargetRef
	for _, r := range s.rules {
		for _, job := range r.Jobs {
			if glob.Is(job) || glob.Is(r.Namespace) {
				continue
			}
			if len(r.Groups) == 0 {
				out = append(out, api.TargetRef{Namespace: r.Namespace, Job: job})
			}
			for _, group := range r.Groups {
				if !glob.Is(group) {
					out = append(out, api.TargetRef{Namespace: r.Namespace, Job: job, Group: group})
				}
			}
		}
	}
	return out
}

// Matches reports whether the patch is for the target. Who asks for many
// targets uses NewSelector once.
func Matches(patch api.Patch, target api.Target) (bool, error) {
	s, err := NewSelector(patch)
	if err != nil {
		return false, err
	}
	return s.Match(target)
}
