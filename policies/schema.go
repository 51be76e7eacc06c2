package policies

import (
	"fmt"
	"maps"
	"slices"

	"github.com/hashicorp/hcl/v2/hclsyntax"
	ctyjson "github.com/zclconf/go-cty/cty/json"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/policies/lang"
)

// policyParts are the blocks of a policy, by name. Recorded and answers are the scopes of
// recordings; nil where nothing is parsed.
func policyParts(recorded, answers *lang.Scope) []lang.BlockType {
	return []lang.BlockType{
		{Name: "approval", Doc: "the consent of people before a rollout begins", Arguments: approvalArguments()},
		{Name: "budget", Doc: "how much may be away or under way at once", Arguments: budgetArguments()},
		{Name: "changes", Doc: "what a patch may change", Arguments: changesArguments()},
		{Name: "freeze", Label: "its name", Doc: "a time in which nothing starts", Arguments: freezeArguments()},
		{Name: "judge", Doc: "how patched instances are compared with former ones", Arguments: judgeArguments(), Blocks: []lang.BlockType{
			{Name: "kpi", Label: "the KPI", Doc: "one that is judged", Arguments: kpiArguments("")},
		}},
		{Name: "rollback", Doc: "when and how a rollout turns back", Arguments: rollbackArguments()},
		{Name: "select", Since: 7, Doc: "whom a patch goes to; without, all that it is for", Arguments: selectArguments()},
		{Name: "simulate", Doc: "the simulation before a rollout", Arguments: simulateArguments(recorded), Blocks: []lang.BlockType{
			{Name: "stub", Label: "its name", Since: 6, Doc: "answers in twins for a service that the target calls", Arguments: stubArguments(answers), Blocks: []lang.BlockType{
				{Name: "answer", Doc: "one answer", Arguments: answerArguments()},
			}},
			{Name: "workload", Since: 7, Doc: "a load program that sends the requests", Arguments: programArguments()},
		}},
		{Name: "strategy", Label: "its name", Doc: "how instances are replaced; the first whose when holds is taken"},
		{Name: "window", Label: "its name", Doc: "a time in which rollouts may start", Arguments: windowArguments()},
	}
}

// Schema is what policy files take: their blocks, by name. Strategies are those that a
// strategy block may name. Defaults that no argument has by itself are those of the policy
// that ships and is in force in every cluster.
func Schema(strategies map[string]api.ConfigSchema) ([]api.BlockSchema, error) {
	blocks := []lang.BlockType{}
	for _, part := range policyParts(nil, nil) {
		if part.Name != "strategy" {
			blocks = append(blocks, part)
			continue
		}
		for _, name := range slices.Sorted(maps.Keys(strategies)) {
			args, err := strategyArguments(name, strategies[name])
			if err != nil {
				return nil, err
			}
			blocks = append(blocks, lang.BlockType{Name: "strategy", Kind: name, Doc: part.Doc, Arguments: args})
		}
	}
	all := []lang.BlockType{
		{Name: "dependency", Label: "its name", Doc: "a dependency that nothing can see", Arguments: dependencyArguments()},
		{Name: "exception", Label: "its name", Doc: "faults that people put up with", Arguments: exceptionArguments()},
		{Name: "policy", Label: "its name", Doc: "whether, how and when a target is patched", Arguments: policyArguments(nil), Blocks: blocks},
	}
	out := schemasOf(all)
	if err := shippedDefaults(&out[len(out)-1]); err != nil {
		return nil, err
	}
	return out, nil
}

// PatchSchema is what a patch file takes.
func PatchSchema() []api.BlockSchema {
	verify := lang.BlockType{Name: "verify", Since: 5, Doc: "the proof of the fix", Arguments: verifyArguments()}
	payload := lang.BlockType{Name: "payload", Label: "its name", Since: 5, Doc: "a file in the folder in which the script runs", Arguments: payloadArguments()}
	blocks := []lang.BlockType{
		{Name: "affects", Label: "an ecosystem, or a distribution and its version", Doc: "packages that have the fault", Arguments: affectsArguments()},
		{Name: "target", Doc: "which targets it is for; several add up", Arguments: selectorArguments()},
	}
	for _, kind := range applyKinds() {
		b := lang.BlockType{Name: "apply", Kind: string(kind), Doc: "a change to a task", Arguments: applyArguments(kind), Blocks: []lang.BlockType{verify}}
		if kind == api.ApplyScript {
			b.Blocks = []lang.BlockType{payload, verify}
		}
		blocks = append(blocks, b)
	}
	return schemasOf([]lang.BlockType{
		{Name: "patch", Label: "its name", Doc: "what it fixes, which targets it is for, and what it changes", Arguments: patchArguments(), Blocks: blocks},
	})
}

func applyKinds() []api.ApplyKind {
	return []api.ApplyKind{api.ApplyImage, api.ApplyScript, api.ApplyJob}
}

func schemasOf(all []lang.BlockType) []api.BlockSchema {
	out := make([]api.BlockSchema, len(all))
	for i, b := range all {
		out[i] = b.Schema()
	}
	return out
}

// strategyArguments are when, and what a strategy says that it takes.
func strategyArguments(name string, schema api.ConfigSchema) ([]lang.Argument, error) {
	args := []lang.Argument{whenArgument()}
	for _, a := range schema.Attributes {
		want, ok := attributeType(a.Type)
		if !ok || a.Name == "when" {
			return nil, fmt.Errorf("strategy %q published the argument %q of type %q, which no policy can set", name, a.Name, a.Type)
		}
		arg := lang.Argument{Name: a.Name, Want: want, Required: a.Required, Doc: a.Doc}
		if len(a.Default) > 0 {
			value, err := ctyjson.Unmarshal(a.Default, want)
			if err != nil {
				return nil, fmt.Errorf("strategy %q published a default of %q that is no %s: %w", name, a.Name, a.Type, err)
			}
			arg.Default = value
		}
		if risesTo100(name, a.Name) {
			arg.Check = lang.RisingPercents
		}
		args = append(args, arg)
	}
	return args, nil
}

// shippedDefaults adds what the policy says that ships: it applies to every target.
func shippedDefaults(policy *api.BlockSchema) error {
	for _, file := range Builtin() {
		s := lang.Read(file)
		if s.Diags.HasErrors() {
			return s.Diags
		}
		for _, b := range s.Body.Blocks {
			if b.Type == policy.Name {
				saidIn(s, b.Body, policy)
			}
		}
	}
	return nil
}

func saidIn(s *lang.Source, body *hclsyntax.Body, of *api.BlockSchema) {
	for i := range of.Arguments {
		a := &of.Arguments[i]
		if attr := body.Attributes[a.Name]; attr != nil && a.Default == "" {
			a.Default = string(attr.Expr.Range().SliceBytes(s.Text))
		}
	}
	for _, b := range body.Blocks {
		for i := range of.Blocks {
			if of.Blocks[i].Name == b.Type && len(b.Labels) == 0 {
				saidIn(s, b.Body, &of.Blocks[i])
			}
		}
	}
}
