// Package rules checks whether the advice of a strategy may be carried out. It is
// pure. The host and the conformance suite use the same checks.
package rules

import (
	"encoding/json"
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/oakumhq/oakum/api"
)

// reasonMax keeps a reason one sentence: it is shown in a status line and kept
// in the replicated record.
const reasonMax = 500

// CheckAdvice reports why a proposal can't follow from the view, nil if it can.
//
// A stage names a percentage from 1 to 100 above the stage before, in a known
// mode, and the stages of a rollout have one mode: the former instances leave
// together at the promotion, or share by share. Nothing moves forward before the
// present stage was judged well, or after an abort. A promotion follows the full
// set beside. The end
// follows when every instance runs the patch. To hold and to roll back is
// always allowed. Every proposal has a reason.
func CheckAdvice(view api.StrategyView, advice api.Advice) error {
	if err := checkReason(advice); err != nil {
		return err
	}
	switch advice.Action {
	case api.AdviceHold, api.AdviceRollback:
		return nil
	case api.AdviceStage, api.AdvicePromote, api.AdviceFinish:
	default:
		return api.Errorf(api.CodeInvalid, "unknown proposal %q", advice.Action)
	}

	last, begun := present(view)
	if begun && last.Judged.IsZero() {
		return api.Errorf(api.CodeInvalid, "proposes %s although stage %d has not been judged well", advice.Action, last.Number)
	}
	if view.Verdict != nil && view.Verdict.Kind == api.VerdictAbort {
		return api.Errorf(api.CodeInvalid, "proposes %s although the last verdict is abort", advice.Action)
	}
	switch advice.Action {
	case api.AdviceStage:
		return checkStage(last, begun, advice)
	case api.AdvicePromote:
		return checkPromote(last, begun)
	case api.AdviceFinish:
		return checkFinish(view, last, begun)
	case api.AdviceHold, api.AdviceRollback:
	}
	return nil
}

// present is the stage that the rollout stands in.
func present(view api.StrategyView) (api.Stage, bool) {
	if n := len(view.Stages); n > 0 {
		return view.Stages[n-1], true
	}
	return api.Stage{}, false
}

func checkReason(advice api.Advice) error {
	if strings.TrimSpace(advice.Reason) == "" {
		return api.Errorf(api.CodeInvalid, "proposes %q without a reason", advice.Action)
	}
	if n := utf8.RuneCountInString(advice.Reason); n > reasonMax {
		return api.Errorf(api.CodeInvalid, "gives a reason of %d characters, want at most %d", n, reasonMax)
	}
	if !utf8.ValidString(advice.Reason) || strings.ContainsFunc(advice.Reason, unicode.IsControl) {
		return api.Errorf(api.CodeInvalid, "gives a reason with control characters")
	}
	return nil
}

func checkStage(last api.Stage, begun bool, advice api.Advice) error {
	if advice.Percent < 1 || advice.Percent > 100 {
		return api.Errorf(api.CodeInvalid, "proposes a stage of %d percent, want 1 to 100", advice.Percent)
	}
	if begun && advice.Percent <= last.Percent {
		return api.Errorf(api.CodeInvalid, "proposes a stage of %d percent after one of %d", advice.Percent, last.Percent)
	}
	if advice.Mode != api.StageInPlace && advice.Mode != api.StageBeside {
		return api.Errorf(api.CodeInvalid, "proposes a stage in unknown mode %q", advice.Mode)
	}
	if begun && advice.Mode != last.Mode {
		return api.Errorf(api.CodeInvalid, "proposes a stage %s after one %s", spoken(advice.Mode), spoken(last.Mode))
	}
	return nil
}

// spoken is a mode in words.
func spoken(m api.StageMode) string { return strings.ReplaceAll(string(m), "_", " ") }

func checkPromote(last api.Stage, begun bool) error {
	if !begun || last.Mode != api.StageBeside {
		return api.Errorf(api.CodeInvalid, "proposes promote although no stage beside has begun")
	}
	if last.Promoted {
		return api.Errorf(api.CodeInvalid, "proposes promote although stage %d is promoted", last.Number)
	}
	if last.Percent < 100 {
		return api.Errorf(api.CodeInvalid, "proposes promote at %d percent, want 100: the former instances leave together", last.Percent)
	}
	return nil
}

func checkFinish(view api.StrategyView, last api.Stage, begun bool) error {
	if !begun || last.Percent < 100 {
		return api.Errorf(api.CodeInvalid, "proposes finish at %d percent, want 100", last.Percent)
	}
	if last.Mode == api.StageBeside && !last.Promoted {
		return api.Errorf(api.CodeInvalid, "proposes finish although the former instances are still there")
	}
	former := 0
	for _, i := range view.Instances {
		if i.Build == api.BuildFormer {
			former++
		}
	}
	if former > 0 {
		return api.Errorf(api.CodeInvalid, "proposes finish although %d instances run the former job", former)
	}
	return nil
}

// CheckSchema reports why a published schema can't be used, nil if it can.
func CheckSchema(schema api.ConfigSchema) error {
	before := ""
	for _, a := range schema.Attributes {
		if !identifier(a.Name) {
			return api.Errorf(api.CodeInvalid, "schema: attribute %q is no identifier", a.Name)
		}
		if a.Name == "when" {
			return api.Errorf(api.CodeInvalid, "schema: attribute name %q belongs to the policy language", a.Name)
		}
		if a.Name <= before {
			return api.Errorf(api.CodeInvalid, "schema: attribute %q follows %q, want them sorted and once each", a.Name, before)
		}
		before = a.Name
		if err := checkDefault(a); err != nil {
			err.Message = fmt.Sprintf("schema: attribute %q: %s", a.Name, err.Message)
			return err
		}
	}
	return nil
}

// checkDefault reports an unknown type, or a default of another type.
func checkDefault(a api.ConfigAttribute) *api.Error {
	var into any
	switch a.Type {
	case "number":
		into = new(float64)
	case "string":
		into = new(string)
	case "bool":
		into = new(bool)
	case "list(number)":
		into = new([]float64)
	case "list(string)":
		into = new([]string)
	default:
		return api.Errorf(api.CodeInvalid, "type %q, want number, string, bool, list(number) or list(string)", a.Type)
	}
	if len(a.Default) == 0 {
		return nil
	}
	if err := json.Unmarshal(a.Default, into); err != nil {
		return api.Errorf(api.CodeInvalid, "default %s is no %s", a.Default, a.Type)
	}
	return nil
}

// identifier reports whether name can stand in a policy file.
func identifier(name string) bool {
	for i, r := range name {
		letter := r == '_' || (r >= 'a' && r <= 'z')
		if !letter && (i == 0 || r < '0' || r > '9') {
			return false
		}
	}
	return name != ""
}

// CheckName reports why a strategy can't have this name, nil if it can.
func CheckName(name string) error {
	if !identifier(name) {
		return api.Errorf(api.CodeInvalid, "name %q: want lower case letters, digits and underscores, a letter first", name)
	}
	return nil
}
