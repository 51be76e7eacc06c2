package policies

import (
	"path"
	"slices"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"

	"github.com/oakumhq/oakum/api"
)

// Schemas tells which configuration a strategy accepts, and whether there is
// such a strategy at all.
type Schemas func(strategy string) (api.ConfigSchema, bool)

// File is a checked policy file.
type File struct {
	Name         string // of the source file
	Dependencies []Dependency
	blocks       []*policy
	keys         map[string]map[string]bool // map keys that expressions name
	reads        map[string]bool            // facts of a target that expressions name
}

// Dependency is a dependency that people declare: From needs To.
type Dependency struct {
	Name  string
	From  string
	To    string
	Range string // file:line,column
}

// Blocks returns the names of the file's policy blocks, in its order.
func (f *File) Blocks() []string {
	out := make([]string, len(f.blocks))
	for i, b := range f.blocks {
		out[i] = b.name
	}
	return out
}

// PolicyName is the name under which a policy file is kept: its file name
// without directory and .hcl.
func PolicyName(file string) string {
	return strings.TrimSuffix(path.Base(strings.ReplaceAll(file, `\`, "/")), ".hcl")
}

// policy is one policy block. Nil parts were not written.
type policy struct {
	name        string
	at          string // file:line,column
	rng         hcl.Range
	specificity int
	own         *block // applies, critical, prefer, deadline
	simulate    *block
	strategies  []*strategy
	judge       *block
	kpis        []part[api.KPISpec]
	budget      *block
	windows     []part[api.Window]
	freezes     []part[api.Freeze]
	approval    *block
	rollback    *block
}

// ParsePolicy reads and checks one policy file.
func ParsePolicy(file api.SourceFile, schemas Schemas) (*File, hcl.Diagnostics) {
	s := readSource(file)
	if s.body == nil {
		return nil, s.diags
	}
	p := &policyParser{
		source: s, schemas: schemas, base: baseScope(), full: fullScope(),
		file: &File{Name: file.Name, keys: wantedKeys(), reads: map[string]bool{}},
	}
	if !validName(PolicyName(file.Name)) {
		s.problem(fileRange(file.Name), "Invalid file name",
			"%q is no policy file name: want letters, digits, dots, dashes and underscores, such as web-tier.hcl.", file.Name)
	}
	for _, attr := range sortedAttributes(s.body) {
		s.problem(attr.NameRange, "Unknown argument", "A policy file holds policy and dependency blocks; %q can't stand here.", attr.Name)
	}
	seen := map[string]hcl.Range{}
	for _, b := range s.body.Blocks {
		switch b.Type {
		case "policy":
			if s.labels(b, 1) && s.unique(seen, b) {
				p.file.blocks = append(p.file.blocks, p.readPolicy(b))
			}
		case "dependency":
			if s.labels(b, 1) && s.unique(seen, b) {
				p.file.Dependencies = append(p.file.Dependencies, p.readDependency(b))
			}
		default:
			known := []string{"dependency", "policy"}
			s.problem(b.DefRange(), "Unknown block", "A policy file has no block %q.%s It takes %s.",
				b.Type, didYouMean(b.Type, known), list(known, "and"))
		}
	}
	if len(s.body.Blocks) == 0 && !s.diags.HasErrors() {
		s.problem(fileRange(file.Name), "Empty file", "The file holds no policy; want: policy \"name\" { ... }.")
	}
	if s.diags.HasErrors() {
		return nil, s.diags
	}
	for _, b := range s.body.Blocks {
		_ = hclsyntax.VisitAll(b.Body, func(n hclsyntax.Node) hcl.Diagnostics {
			if e, ok := n.(*hclsyntax.Attribute); ok {
				mapKeys(e.Expr, p.file.keys)
				readFacts(e.Expr, p.file.reads)
			}
			return nil
		})
	}
	return p.file, s.diags
}

func wantedKeys() map[string]map[string]bool {
	return map[string]map[string]bool{"target.meta": {}, "impact.ratio": {}}
}

// unique reports a second block of the same kind and name.
func (s *source) unique(seen map[string]hcl.Range, b *hclsyntax.Block) bool {
	key := blockName(b)
	if first, ok := seen[key]; ok {
		s.problem(b.DefRange(), "Duplicate name", "%s was already written at %s.", key, place(first))
		return false
	}
	seen[key] = b.DefRange()
	return true
}

type policyParser struct {
	*source
	schemas    Schemas
	base, full *scope
	file       *File
}

func (p *policyParser) block(b *hclsyntax.Block, args []argument) *block {
	return p.readBlock(b, args, p.base, p.full)
}

func (p *policyParser) readDependency(b *hclsyntax.Block) Dependency {
	p.noBlocks(b)
	constant := constantScope(nil)
	f := p.readBlock(b, []argument{
		{name: "from", want: cty.String, required: true, check: notEmpty},
		{name: "to", want: cty.String, required: true, check: notEmpty},
	}, constant, constant)
	d := Dependency{Name: f.label, From: f.text("from", ""), To: f.text("to", ""), Range: f.at}
	if d.From != "" && d.From == d.To {
		p.problem(f.rng, "Circular dependency", "A service can't depend on itself.")
	}
	return d
}

// policyBlocks are the blocks that a policy takes.
func policyBlocks() []string {
	return []string{"approval", "budget", "freeze", "judge", "rollback", "simulate", "strategy", "window"}
}

func (p *policyParser) readPolicy(b *hclsyntax.Block) *policy {
	out := &policy{name: b.Labels[0], rng: b.DefRange(), at: place(b.DefRange())}
	out.own = p.block(b, []argument{
		{name: "applies", want: cty.Bool, base: true},
		{name: "critical", want: cty.Bool, base: true},
		{name: "specificity", want: cty.Number, base: true, check: wholeBetween(0, 1000)},
		{name: "prefer", want: cty.String, check: oneOf("lowest_load", "none")},
		{name: "deadline", want: cty.String, check: durationBetween(minSecond, maxDay)},
	})
	p.setSpecificity(out)
	seen := map[string]hcl.Range{}
	for _, inner := range b.Body.Blocks {
		labelled := slices.Contains([]string{"freeze", "strategy", "window"}, inner.Type)
		if !slices.Contains(policyBlocks(), inner.Type) {
			p.problem(inner.DefRange(), "Unknown block", "A policy has no block %q.%s It takes %s.",
				inner.Type, didYouMean(inner.Type, policyBlocks()), list(policyBlocks(), "and"))
			continue
		}
		want := 0
		if labelled {
			want = 1
		}
		if !p.labels(inner, want) {
			continue
		}
		// Several strategy blocks of one name are fine: each has its own when.
		if inner.Type != "strategy" && !p.unique(seen, inner) {
			continue
		}
		if inner.Type != "judge" {
			p.noBlocks(inner)
		}
		p.readPart(out, inner)
	}
	return out
}

func (p *policyParser) setSpecificity(out *policy) {
	if f := out.own.fields["applies"]; f != nil {
		out.specificity = conditions(f.expr)
	}
	f := out.own.fields["specificity"]
	if f == nil {
		return
	}
	if !f.fixed {
		p.problem(f.rng, "Not a constant", "specificity is a constant whole number.")
		return
	}
	out.specificity = int(numberOf(f.value))
}

// readPart reads one block inside a policy.
func (p *policyParser) readPart(out *policy, b *hclsyntax.Block) {
	switch b.Type {
	case "simulate":
		out.simulate = p.readSimulate(b)
	case "strategy":
		if s := p.readStrategy(b); s != nil {
			out.strategies = append(out.strategies, s)
		}
	case "judge":
		p.readJudge(out, b)
	case "budget":
		out.budget = p.block(b, budgetArguments())
		if len(b.Body.Attributes) == 0 {
			p.problem(b.DefRange(), "Empty budget", "A budget limits instances, targets, failures or neighbours.")
		}
	case "window":
		out.windows = append(out.windows, readPart(p, b, windowArguments(), windowOf))
	case "freeze":
		out.freezes = append(out.freezes, readPart(p, b, freezeArguments(), freezeOf))
	case "approval":
		out.approval = p.block(b, approvalArguments())
	case "rollback":
		out.rollback = p.block(b, rollbackArguments())
	}
}

func (p *policyParser) readSimulate(b *hclsyntax.Block) *block {
	out := p.block(b, []argument{
		{name: "required", want: cty.Bool},
		{name: "seconds", want: cty.Number, check: between(1, 86400)},
		{name: "minutes", want: cty.Number, check: between(0.1, 1440)},
		{name: "workload", want: cty.String, check: oneOf("replay")},
	})
	if b.Body.Attributes["seconds"] != nil && b.Body.Attributes["minutes"] != nil {
		p.problem(b.DefRange(), "Two durations", "simulate takes seconds or minutes, not both.")
	}
	return out
}

func (p *policyParser) readJudge(out *policy, b *hclsyntax.Block) {
	out.judge = p.block(b, []argument{
		{name: "enabled", want: cty.Bool},
		{name: "method", want: cty.String, check: oneOf("evidence", "kayenta")},
		{name: "false_alarm", want: cty.Number, check: between(0.000001, 0.5)},
		{name: "miss", want: cty.Number, check: between(0.000001, 0.5)},
		{name: "interval", want: cty.String, check: durationBetween(minSecond, maxDay)},
		{name: "min_duration", want: cty.String, check: durationBetween(0, maxWeek)},
		{name: "max_duration", want: cty.String, check: durationBetween(minSecond, maxWeek)},
		{name: "on_inconclusive", want: cty.String, check: oneOf("hold", "rollback")},
	})
	seen := map[string]hcl.Range{}
	for _, inner := range b.Body.Blocks {
		if inner.Type != "kpi" {
			p.problem(inner.DefRange(), "Unknown block", "judge has no block %q. It takes \"kpi\".", inner.Type)
			continue
		}
		if !p.labels(inner, 1) || !p.unique(seen, inner) {
			continue
		}
		p.noBlocks(inner)
		if !validKPI(inner.Labels[0]) {
			p.problem(inner.LabelRanges[0], "Invalid KPI name", "%q is no KPI name: want lower case letters, digits and underscores, such as %s.",
				inner.Labels[0], list(knownKPIs(), "or"))
			continue
		}
		k := readPart(p, inner, kpiArguments(inner.Labels[0]), kpiOf)
		if k.fixed != nil {
			k.because = marginsText(*k.fixed)
		}
		out.kpis = append(out.kpis, k)
	}
	p.checkWeights(out, b)
}

// checkWeights refuses weights that give away more than the whole alpha.
func (p *policyParser) checkWeights(out *policy, b *hclsyntax.Block) {
	sum := 0.0
	for _, k := range out.kpis {
		if k.fixed != nil {
			sum += k.fixed.Weight
		}
	}
	if sum > 1.000001 {
		p.problem(b.DefRange(), "Weights too large", "The weights of the KPIs are shares of false_alarm; together they are %g and may be at most 1.", sum)
	}
}

// validKPI reports whether a text may name a KPI. Further KPIs than those that
// Oakum knows come from the agent's configuration, so the set is open.
func validKPI(name string) bool {
	return validName(name) && strings.Trim(name, "abcdefghijklmnopqrstuvwxyz0123456789_") == ""
}

func knownKPIs() []string {
	return []string{api.KPIErrorRate, api.KPILatencyP50, api.KPILatencyP99, api.KPICPU, api.KPIMemory, api.KPIRequests, api.KPIRestarts, api.KPIOOMKills}
}
