package policies

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/policies/lang"
	"github.com/oakumhq/oakum/policies/vocabulary"
)

const (
	// workloadProgram is the workload of a policy whose load program sends the requests.
	workloadProgram = "program"
	// programTextMax bounds the command and the arguments of a load program in bytes. They
	// are in every decision that the policy makes.
	programTextMax = 16 << 10
)

func programArguments() []lang.Argument {
	return []lang.Argument{
		{Name: "command", Doc: "the program that sends the requests", Want: cty.String, Required: true, Check: someText},
		{Name: "args", Doc: "its arguments", Want: cty.List(cty.String)},
		{Name: "image", Doc: "the container image that it is in", Want: cty.String, Check: someText},
		{Name: "env", Doc: "its environment variables", Want: cty.Map(cty.String), Check: twinVariables},
		{Name: "memory", Doc: "MiB that it may use", Want: cty.Number, Check: lang.WholeBetween(16, 16<<10)},
	}
}

func someText(v cty.Value) error {
	if strings.TrimSpace(v.AsString()) == "" {
		return errors.New("want a text that is not empty")
	}
	return nil
}

// readProgram reads the load program of a simulate block, or returns nil. All of it is
// constant, as recorded workloads are.
func (p *policyParser) readProgram(b *hclsyntax.Block) *lang.Part[api.LoadProgram] {
	var out *lang.Part[api.LoadProgram]
	seen := map[string]hcl.Range{}
	for _, inner := range b.Body.Blocks {
		if inner.Type != "workload" || !p.Labels(inner, 0) || !p.Unique(seen, inner) {
			continue
		}
		p.NoBlocks(inner)
		if b.Body.Attributes["workload"] != nil {
			p.Problem(inner.DefRange(), "Two workloads", "simulate takes workload = ... or a block with a load program, not both.")
		}
		part := lang.ReadPart(p.Source, inner, programArguments(), vocabulary.ConstantScope(nil), loadProgramOf)
		out = &part
	}
	return out
}

func loadProgramOf(v *lang.Values) api.LoadProgram {
	out := api.LoadProgram{
		Command: v.Text("command", ""), Args: v.Texts("args"), Image: v.Text("image", ""), Memory: v.Whole("memory", 0),
	}
	if value, ok := v.Get("env"); ok {
		out.Env = textsByName(value)
	}
	if n := len(out.Command) + len(strings.Join(out.Args, "")); n > programTextMax {
		v.Keep(fmt.Errorf("command, args: %d bytes are more than %d", n, programTextMax))
	}
	return out
}

// program takes the load program of the most specific policy that says what is sent, if
// that says it by a program.
func (d *decider) program(spec *api.SimulateSpec) error {
	for _, m := range d.matches {
		if m.program == nil {
			if m.simulate != nil && m.simulate.Fields["workload"] != nil {
				return nil
			}
			continue
		}
		program, err := m.program.Get(d.env.full)
		if err != nil {
			return err
		}
		spec.Workload, spec.Recorded, spec.Program = workloadProgram, "", &program
		d.decision.Because = slices.DeleteFunc(d.decision.Because, func(b api.Because) bool { return b.Field == "simulate.workload" })
		d.because("simulate.workload", m.policy, m.program.At, "load program "+program.Command)
		return nil
	}
	return nil
}
