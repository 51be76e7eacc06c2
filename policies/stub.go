package policies

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"
	"github.com/zclconf/go-cty/cty/function"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/internal/workload"
	"github.com/oakumhq/oakum/policies/lang"
	"github.com/oakumhq/oakum/policies/vocabulary"
)

// stubAnswersMax bounds the answers that a policy itself has for a stub. They are in
// every decision that the policy makes; recorded ones are not.
const stubAnswersMax = 64

// answersScope is the scope of recorded answers. They are the same for every target.
func answersScope(file api.SourceFile) *lang.Scope {
	return vocabulary.ConstantScope(map[string]function.Function{"file": recording(file, func(name string, data []byte) error {
		_, err := workload.ParseAnswers(name, data)
		return err
	})})
}

func stubArguments(answers *lang.Scope) []lang.Argument {
	return []lang.Argument{
		{Name: "port", Doc: "where the target finds it; without, where its mesh upstream of this name listens", Want: cty.Number, Check: lang.WholeBetween(1, 65535)},
		{Name: "recorded", Doc: "answers from a file", Want: cty.String, Scope: answers, Check: func(v cty.Value) error {
			if !strings.Contains(v.AsString(), recordedMark) {
				return errors.New("want recorded answers as in: recorded = file(\"pricing.ndjson\")")
			}
			return nil
		}},
	}
}

func answerArguments() []lang.Argument {
	return []lang.Argument{
		{Name: "method", Doc: "of the request", Default: cty.StringVal("GET"), Want: cty.String},
		{Name: "path", Doc: "of the request; * stands for any characters", Want: cty.String, Required: true},
		{Name: "status", Doc: "of the answer", Default: cty.NumberIntVal(200), Want: cty.Number, Check: lang.WholeBetween(200, 599)},
		{Name: "headers", Doc: "of the answer", Want: cty.Map(cty.String)},
		{Name: "body", Doc: "of the answer", Want: cty.String},
		{Name: "latency", Doc: "before the answer", Want: cty.String, Check: lang.DurationBetween(0, workload.LatencyMax)},
	}
}

// readStubs reads the stub blocks of a simulate block.
func (p *policyParser) readStubs(b *hclsyntax.Block) []lang.Part[api.Stub] {
	var out []lang.Part[api.Stub]
	seen, ports := map[string]hcl.Range{}, map[int]hcl.Range{}
	for _, inner := range b.Body.Blocks {
		if inner.Type == "workload" {
			continue // readProgram reads it
		}
		if inner.Type != "stub" {
			p.Problem(inner.DefRange(), "Unknown block", "simulate has no block %q.%s It takes \"stub\" and \"workload\".",
				inner.Type, lang.DidYouMean(inner.Type, []string{"stub", "workload"}))
			continue
		}
		if !p.Labels(inner, 1) || !p.Unique(seen, inner) {
			continue
		}
		part := p.readStub(inner)
		if stub, ok := part.Known(); ok && stub.Port != 0 {
			if first, taken := ports[stub.Port]; taken {
				p.Problem(inner.DefRange(), "Duplicate port", "The stub at %s listens at port %d already.", lang.Place(first), stub.Port)
				continue
			}
			ports[stub.Port] = inner.DefRange()
		}
		out = append(out, part)
	}
	return out
}

// readStub reads one stub. All of it is constant: its answers are part of what tells
// simulations apart.
func (p *policyParser) readStub(b *hclsyntax.Block) lang.Part[api.Stub] {
	answers := p.readAnswers(b)
	before := len(p.Diags)
	part := lang.ReadPart(p.Source, b, stubArguments(p.answers), vocabulary.ConstantScope(nil), func(v *lang.Values) api.Stub {
		_, digest, _ := strings.Cut(v.Text("recorded", ""), recordedMark)
		return api.Stub{Name: v.Label(), Port: v.Whole("port", 0), Answers: answers, Recorded: digest}
	})
	if attr := b.Body.Attributes["recorded"]; attr != nil && len(p.Diags) == before && !callsFile(attr.Expr) {
		p.Problem(attr.Expr.Range(), "Wrong value", "A digest has no contents; want recorded answers as in: recorded = file(\"pricing.ndjson\").")
	}
	if b.Body.Attributes["recorded"] == nil && len(b.Body.Blocks) == 0 && len(p.Diags) == before {
		p.Problem(b.DefRange(), "Empty stub", "A stub takes answer blocks, or recorded answers as in: recorded = file(\"pricing.ndjson\").")
	}
	return part
}

// readAnswers reads the answers that a stub has in the policy itself.
func (p *policyParser) readAnswers(b *hclsyntax.Block) []api.StubAnswer {
	var out []api.StubAnswer
	var checked workload.Answers
	at := map[string]hcl.Range{}
	for _, inner := range b.Body.Blocks {
		if inner.Type != "answer" {
			p.Problem(inner.DefRange(), "Unknown block", "stub has no block %q.%s It takes \"answer\".",
				inner.Type, lang.DidYouMean(inner.Type, []string{"answer"}))
			continue
		}
		if !p.Labels(inner, 0) {
			continue
		}
		p.NoBlocks(inner)
		part := lang.ReadPart(p.Source, inner, answerArguments(), vocabulary.ConstantScope(nil), stubAnswerOf)
		one, ok := part.Known()
		if !ok {
			continue
		}
		key := one.Method + " " + one.Path
		if first, twice := at[key]; twice {
			p.Problem(inner.DefRange(), "Duplicate answer", "%s is answered at %s already.", key, lang.Place(first))
			continue
		}
		at[key] = inner.DefRange()
		if a, err := workload.AnswerOf(one); err == nil {
			checked = append(checked, a)
		}
		if out = append(out, one); len(out) == stubAnswersMax+1 {
			p.Problem(inner.DefRange(), "Too many answers", "A stub takes at most %d answer blocks; put the others into a file, as in: recorded = file(\"pricing.ndjson\").", stubAnswersMax)
		}
	}
	if size := len(checked.Encode("")); size > workload.AnswersMax/4 {
		p.Problem(b.DefRange(), "Answers too large", "The answer blocks have %d bytes, and may have %d; put them into a file, as in: recorded = file(\"pricing.ndjson\").", size, workload.AnswersMax/4)
	}
	return out
}

// stubAnswerOf builds an answer, complete with what stands for nothing.
func stubAnswerOf(v *lang.Values) api.StubAnswer {
	out := api.StubAnswer{
		Method: v.Text("method", ""), Path: v.Text("path", ""), Status: v.Whole("status", 0), Body: v.Text("body", ""),
		Latency: api.Duration(v.Duration("latency").Round(time.Microsecond)),
	}
	if value, ok := v.Get("headers"); ok {
		out.Headers = textsByName(value)
	}
	if v.Err() == nil {
		_, err := workload.AnswerOf(out)
		v.Keep(err)
	}
	return out
}

// stubs takes each stub from the most specific policy that has one of its name.
func (d *decider) stubs(spec *api.SimulateSpec) error {
	for _, m := range d.matches {
		for _, part := range m.stubs {
			if slices.ContainsFunc(spec.Stubs, func(s api.Stub) bool { return s.Name == part.Label }) {
				continue
			}
			stub, err := part.Get(d.env.full)
			if err != nil {
				return err
			}
			spec.Stubs = append(spec.Stubs, stub)
			why := fmt.Sprintf("%d answers", len(stub.Answers))
			if len(stub.Answers) == 1 {
				why = "1 answer"
			}
			if stub.Recorded != "" {
				why += " and recorded ones"
			}
			d.because("simulate.stub."+stub.Name, m.policy, part.At, why)
		}
	}
	slices.SortFunc(spec.Stubs, func(a, b api.Stub) int { return strings.Compare(a.Name, b.Name) })
	return nil
}
