// Package vocabulary is what expressions of policies and patches may name: the types of the
// facts, and the facts as values of these types. It is pure.
package vocabulary

import (
	"maps"
	"strings"
	"time"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"
	"github.com/zclconf/go-cty/cty/function"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/policies/changes"
	"github.com/oakumhq/oakum/policies/green"
	"github.com/oakumhq/oakum/policies/installed"
	"github.com/oakumhq/oakum/policies/lang"
)

// BaseScope is of the expressions that decide whether a policy applies and whether a
// target is critical. They can't ask for the answer.
func BaseScope() *lang.Scope {
	return policyScope(policyTarget(false))
}

// FullScope is of every other expression of a policy.
func FullScope() *lang.Scope {
	return policyScope(policyTarget(true))
}

func policyScope(target cty.Type) *lang.Scope {
	return withHints(lang.NewScope(variableTypes(target), nil))
}

// SelectorScope is of the where of a patch's target.
func SelectorScope() *lang.Scope {
	return withHints(lang.NewScope(map[string]cty.Type{"target": targetType(false)}, nil))
}

// ConstantScope is of arguments that take constants. The extra functions may be called.
func ConstantScope(extra map[string]function.Function) *lang.Scope {
	return lang.NewScope(nil, extra)
}

// selectorHint says where what is installed can be asked for.
const selectorHint = "What is installed is known to policies only; a patch says whom it affects, and a policy's select block whom it goes to."

// policyTarget is what a policy sees of a target.
func policyTarget(withCritical bool) cty.Type {
	attributes := targetType(withCritical).AttributeTypes()
	maps.Copy(attributes, installed.Types())
	attributes["green_share"] = cty.Number
	return cty.Object(attributes)
}

// withHints adds what a scope's diagnostics need to know.
func withHints(sc *lang.Scope) *lang.Scope {
	sc.Versions = map[string]bool{"target.packages": true, "target.fixed_in": true}
	sc.Enums = map[string]lang.Enum{
		"patch.severity":    {Noun: "severity", Owner: "A patch's severity", Values: api.Severities()},
		"target.assessment": {Noun: "assessment", Owner: "The assessment of a target", Values: assessments()},
		"impact.verdict":    {Noun: "verdict", Owner: "The verdict of a simulation", Values: api.SimulationVerdicts()},
		"patch.kinds":       {Noun: "kind of change", Owner: "Each kind of a patch", Values: kinds()},
		"now.weekday":       {Noun: "weekday", Owner: "A day", Values: weekdays()},
	}
	sc.Later = map[string]string{
		"target.packages":   selectorHint,
		"target.affected":   selectorHint,
		"target.assessment": selectorHint,
		"target.fixed_in":   selectorHint,
		green.Fact:          "What green would get is known to policies only, since it depends on who else serves.",
		"target.critical":   "target.critical is the answer of the critical argument, so applies, critical and where can't ask for it.",
	}
	return sc
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
		"type":        cty.String,
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

func patchType() cty.Type {
	return cty.Object(map[string]cty.Type{
		"name":           cty.String,
		"description":    cty.String,
		"severity":       cty.String,
		"severity_level": cty.Number,
		"fixes":          cty.List(cty.String),
		"affects":        cty.List(installed.AffectedType()),
		"kinds":          cty.List(cty.String),
		"digest":         cty.String,
		"submitted_by":   cty.String,
		"changes":        changes.Type(),
	})
}

func impactType() cty.Type {
	return cty.Object(map[string]cty.Type{
		"simulated":   cty.Bool,
		"verdict":     cty.String,
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

// kinds returns the kinds of changes that a patch may make.
func kinds() []string {
	return []string{string(api.ApplyImage), string(api.ApplyScript), string(api.ApplyJob)}
}

// weekdays returns the days as now.weekday names them.
func weekdays() []string {
	var out []string
	for day := time.Sunday; day <= time.Saturday; day++ {
		out = append(out, weekdayOf(day))
	}
	return out
}

func weekdayOf(day time.Weekday) string { return strings.ToLower(day.String()) }

// assessments returns what an assessment may say.
func assessments() []string {
	return []string{string(api.AssessmentAffected), string(api.AssessmentFixed), string(api.AssessmentNotAffected), string(api.AssessmentUnknown)}
}

// MapKeys collects the keys of target.meta and impact.ratio that expressions
// name, so that those a target lacks can be null instead of an error.
func MapKeys(expr hclsyntax.Expression, into map[string]map[string]bool) {
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

// RecordedScope is FullScope with a function more.
func RecordedScope(extra map[string]function.Function) *lang.Scope {
	return withHints(lang.NewScope(variableTypes(policyTarget(true)), extra))
}
