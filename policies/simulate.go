package policies

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"maps"
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

const (
	// workloadReplay is the target's recorded rate against its recorded paths.
	workloadReplay = "replay"
	// recordedMark stands between the name and the digest of a recorded workload.
	recordedMark = "@sha256:"
	// pairsMax bounds the pairs of boots: sixteen of five minutes take more than an hour.
	pairsMax = 16
	// variablesMost and variableMax bound the environment variables of twins, and the
	// bytes of one. They are in every decision that the policy makes.
	variablesMost = 64
	variableMax   = 4 << 10
)

func simulateArguments(recorded *lang.Scope) []lang.Argument {
	return []lang.Argument{
		{Name: "required", Doc: "whether nothing starts without a simulation that passes", Want: cty.Bool},
		{Name: "seconds", Doc: "how long each pair is watched", Want: cty.Number, Check: lang.Between(1, 86400)},
		{Name: "minutes", Doc: "likewise, in minutes", Want: cty.Number, Check: lang.Between(0.1, 1440)},
		{Name: "pairs", Doc: "of a patched and an unpatched boot", Since: 5, Want: cty.Number, Check: lang.WholeBetween(1, pairsMax)},
		{Name: "on_inconclusive", Doc: "what follows when it can't decide", Since: 5, Want: cty.String,
			Check: lang.OneOf(api.InconclusiveApprove, api.InconclusiveHold, api.InconclusiveOneFirst)},
		{Name: "pool", Doc: "the Nomad node pool of the twins; without, the target's own", Since: 5, Want: cty.String, Check: poolName},
		{Name: "revert", Doc: "whether the way back is rehearsed; without, where the target has data", Since: 6, Want: cty.String, Check: lang.OneOf(api.RevertRequired, api.RevertOff)},
		{Name: "data", Doc: "empty data disks for the twins; without, disks laid over production's", Since: 6, Want: cty.String, Check: lang.OneOf(api.DataEmpty)},
		{Name: "workload", Doc: "what is sent", Want: cty.String, Scope: recorded, Check: workloadName},
		{Name: "env", Doc: "environment variables of the twins; no secrets", Since: 6, Want: cty.Map(cty.String), Check: twinVariables},
	}
}

func poolName(v cty.Value) error {
	if !lang.ValidName(v.AsString()) {
		return errors.New("want the name of a Nomad node pool, such as \"sandbox\"")
	}
	return nil
}

// twinVariables accepts environment variables that twins may be given. Nomad sets those
// that begin with NOMAD_ by itself.
func twinVariables(v cty.Value) error {
	all := textsByName(v)
	if len(all) > variablesMost {
		return fmt.Errorf("%d variables are more than %d", len(all), variablesMost)
	}
	for _, name := range slices.Sorted(maps.Keys(all)) {
		if err := variableName(name); err != nil {
			return err
		}
		switch {
		case len(all[name]) > variableMax:
			return fmt.Errorf("%.80s has %d bytes, and may have %d", name, len(all[name]), variableMax)
		case strings.ContainsRune(all[name], 0):
			return fmt.Errorf("%.80s holds a zero byte, which ends a variable", name)
		}
	}
	return nil
}

// variableName accepts the name of an environment variable that Nomad does not set.
func variableName(name string) error {
	letters := strings.Trim(name, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_")
	switch {
	case name == "" || letters != "" || name[0] >= '0' && name[0] <= '9':
		return fmt.Errorf("%.80q is no name of an environment variable such as PRICING_URL", name)
	case strings.HasPrefix(name, "NOMAD_"):
		return fmt.Errorf("%.80s is set by Nomad", name)
	}
	return nil
}

// textsByName are the texts of a map.
func textsByName(v cty.Value) map[string]string {
	out := map[string]string{}
	for name, text := range v.AsValueMap() {
		out[name] = text.AsString()
	}
	return out
}

// workloadName accepts what file() makes of a recording, and no digest that a person
// typed: its contents would not be there.
func workloadName(v cty.Value) error {
	if _, digest, ok := strings.Cut(v.AsString(), recordedMark); v.AsString() == workloadReplay || ok && len(digest) == 2*sha256.Size {
		return nil
	}
	return fmt.Errorf("want %q, or a recorded workload as in: workload = file(\"web.har\")", workloadReplay)
}

// wholeWorkload says what is wrong with a recorded workload.
func wholeWorkload(name string, data []byte) error {
	_, err := workload.Parse(name, data)
	return err
}

// recordedScope is the scope of a workload.
func recordedScope(file api.SourceFile) *lang.Scope {
	return vocabulary.RecordedScope(map[string]function.Function{"file": recording(file, wholeWorkload)})
}

// recording is file() of a recording: the name and the digest of a file that came with
// the policy, and that check finds nothing wrong with.
func recording(file api.SourceFile, check func(name string, data []byte) error) function.Function {
	return function.New(&function.Spec{
		Params: []function.Parameter{{Name: "path", Type: cty.String}},
		Type:   function.StaticReturnType(cty.String),
		Impl: func(args []cty.Value, _ cty.Type) (cty.Value, error) {
			name := args[0].AsString()
			contents, err := sentFile(file, name)
			if err != nil {
				return cty.NilVal, err
			}
			// Every server keeps the file in its memory with the policy.
			if err := check(name, []byte(contents)); err != nil {
				return cty.NilVal, function.NewArgErrorf(0, "%v", err)
			}
			return cty.StringVal(name + recordedMark + workload.Digest([]byte(contents))), nil
		},
	})
}

func (p *policyParser) readSimulate(b *hclsyntax.Block) *lang.Block {
	out := p.block(b, simulateArguments(p.workload))
	if b.Body.Attributes["seconds"] != nil && b.Body.Attributes["minutes"] != nil {
		p.Problem(b.DefRange(), "Two durations", "simulate takes seconds or minutes, not both.")
	}
	if f := out.Fields["workload"]; f != nil && !f.Fixed && callsFile(f.Expr) {
		p.Problem(f.Range, "Not a constant", "A recorded workload is the same for every target of a policy; write another policy for the others.")
	}
	if f := out.Fields["env"]; f != nil && !f.Fixed {
		p.checkVariableNames(f.Expr)
	}
	if attr := b.Body.Attributes["workload"]; attr != nil && !callsFile(attr.Expr) {
		if v, ok := lang.Constant(attr.Expr); ok && v.Type() == cty.String && strings.Contains(v.AsString(), recordedMark) {
			p.Problem(attr.Expr.Range(), "Wrong value", "A digest has no contents; want a recorded workload as in: workload = file(\"web.har\").")
		}
	}
	return out
}

// checkVariableNames checks the names that are written out in variables whose values
// depend on the target.
func (p *policyParser) checkVariableNames(expr hclsyntax.Expression) {
	switch e := expr.(type) {
	case *hclsyntax.ParenthesesExpr:
		p.checkVariableNames(e.Expression)
	case *hclsyntax.ConditionalExpr:
		p.checkVariableNames(e.TrueResult)
		p.checkVariableNames(e.FalseResult)
	case *hclsyntax.ObjectConsExpr:
		for _, item := range e.Items {
			name, ok := lang.Constant(item.KeyExpr)
			if !ok || name.Type() != cty.String {
				continue
			}
			if err := variableName(name.AsString()); err != nil {
				p.Problem(item.KeyExpr.Range(), "Wrong value", "env: %v.", err)
			}
		}
	}
}

func callsFile(expr hclsyntax.Expression) bool {
	found := false
	_ = hclsyntax.VisitAll(expr, func(node hclsyntax.Node) hcl.Diagnostics {
		call, ok := node.(*hclsyntax.FunctionCallExpr)
		found = found || ok && call.Name == "file"
		return nil
	})
	return found
}

func (d *decider) simulate() error {
	spec := &d.decision.Simulate
	spec.Duration, spec.Workload = api.Duration(defaultSimulation), workloadReplay
	sets := []struct {
		name string
		use  func(cty.Value)
	}{
		{"required", func(v cty.Value) { spec.Required = v.True() }},
		{"pairs", func(v cty.Value) { spec.Pairs = int(lang.NumberOf(v)) }},
		{"on_inconclusive", func(v cty.Value) { spec.OnInconclusive = v.AsString() }},
		{"pool", func(v cty.Value) { spec.Pool = v.AsString() }},
		{"revert", func(v cty.Value) { spec.Revert = v.AsString() }},
		{"data", func(v cty.Value) { spec.Data = v.AsString() }},
		{"env", func(v cty.Value) { spec.Env = textsByName(v) }},
		{"workload", func(v cty.Value) { spec.Workload, spec.Recorded, _ = strings.Cut(v.AsString(), recordedMark) }},
	}
	for _, s := range sets {
		if err := d.set("simulate."+s.name, simulateBlock, s.name, s.use); err != nil {
			return err
		}
	}
	if err := d.stubs(spec); err != nil {
		return err
	}
	if err := d.program(spec); err != nil {
		return err
	}
	return d.simulateDuration(spec)
}

// simulateDuration takes whichever unit the most specific policy with one uses.
func (d *decider) simulateDuration(spec *api.SimulateSpec) error {
	for _, m := range d.matches {
		if m.simulate == nil {
			continue
		}
		f, unit := m.simulate.Fields["seconds"], time.Second
		if f == nil {
			f, unit = m.simulate.Fields["minutes"], time.Minute
		}
		if f == nil {
			continue
		}
		value, err := f.Eval(d.env.full)
		if err != nil {
			return err
		}
		spec.Duration = api.Duration(lang.NumberOf(value) * float64(unit))
		d.because("simulate.duration", m.policy, f.At, f.Name+" = "+lang.ValueText(value))
		return nil
	}
	return nil
}
