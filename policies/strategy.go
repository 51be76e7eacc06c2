package policies

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"
	ctyjson "github.com/zclconf/go-cty/cty/json"

	"github.com/oakumhq/oakum/policies/green"
	"github.com/oakumhq/oakum/policies/lang"
)

// strategy is a strategy block, decoded with the schema that its plugin
// published.
type strategy struct {
	*lang.Block
	when     *lang.Field // nil: always
	byGreen  bool        // when reads what share of the traffic green would get
	defaults map[string]json.RawMessage
	config   json.RawMessage // when no argument needs facts
}

// attributeType is the type behind the name in a schema.
func attributeType(name string) (cty.Type, bool) {
	switch name {
	case "number":
		return cty.Number, true
	case "string":
		return cty.String, true
	case "bool":
		return cty.Bool, true
	case "list(number)":
		return cty.List(cty.Number), true
	case "list(string)":
		return cty.List(cty.String), true
	}
	return cty.NilType, false
}

// whenArgument is the one that every strategy block takes.
func whenArgument() lang.Argument {
	return lang.Argument{Name: "when", Doc: "whether the strategy is taken; without, it is", Want: cty.Bool}
}

// risesTo100 reports whether an argument is a list of stages.
func risesTo100(strategy, argument string) bool {
	return slices.Contains([]string{"phased", selective, green.Strategy}, strategy) && argument == "stages"
}

func (p *policyParser) readStrategy(b *hclsyntax.Block) *strategy {
	name := b.Labels[0]
	if p.schemas == nil {
		p.Problem(b.LabelRanges[0], "Unknown strategy", "There is no strategy %q: no strategy plugins are known here.", name)
		return nil
	}
	schema, ok := p.schemas(name)
	if !ok {
		p.Problem(b.LabelRanges[0], "Unknown strategy",
			"There is no strategy %q. Want the name of a built-in one or of a configured plugin, such as \"phased\" or \"blue_green\".", name)
		return nil
	}
	args, err := strategyArguments(name, schema)
	if err != nil {
		p.Problem(b.LabelRanges[0], "Unusable strategy", "The strategy can't be used: %v.", err)
		return nil
	}
	out := &strategy{defaults: map[string]json.RawMessage{}}
	for _, a := range schema.Attributes {
		if len(a.Default) > 0 {
			out.defaults[a.Name] = a.Default
		}
	}
	before := len(p.Diags)
	out.Block = p.block(b, args)
	if len(p.Diags) > before {
		return nil
	}
	if out.when = out.Fields["when"]; out.when != nil {
		reads := map[string]bool{}
		readFacts(out.when.Expr, reads)
		out.byGreen = reads[green.Fact]
	}
	delete(out.Fields, "when")
	if out.Fixed() {
		config, err := out.encode(nil)
		if err != nil {
			p.Problem(out.Range, "Wrong value", "%v.", err)
			return nil
		}
		out.config = config
	}
	return out
}

// encode writes the configuration as a JSON object with sorted keys.
func (s *strategy) encode(ctx *hcl.EvalContext) (json.RawMessage, error) {
	if s.config != nil {
		return s.config, nil
	}
	out := make(map[string]json.RawMessage, len(s.defaults)+len(s.Fields))
	maps.Copy(out, s.defaults)
	for _, name := range lang.Names(s.Fields) {
		value, err := s.Fields[name].Eval(ctx)
		if err != nil {
			return nil, err
		}
		text, err := ctyjson.Marshal(value, value.Type())
		if err != nil {
			return nil, fmt.Errorf("%s: write %s: %w", s.Fields[name].At, name, err)
		}
		out[name] = text
	}
	text, err := json.Marshal(out)
	if err != nil {
		return nil, fmt.Errorf("%s: write configuration: %w", s.At, err)
	}
	return text, nil
}
