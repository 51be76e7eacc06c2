package policies

import (
	"path"
	"slices"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/policies/lang"
	"github.com/oakumhq/oakum/policies/vocabulary"
)

// Schemas returns the configuration that a strategy accepts. It returns false if
// there is no such strategy.
type Schemas func(strategy string) (api.ConfigSchema, bool)

// File is a checked policy file.
type File struct {
	Name         string // of the source file
	Dependencies []Dependency
	Exceptions   []Exception
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
	own         *lang.Block // applies, critical, prefer, deadline
	simulate    *lang.Block
	selection   *lang.Block
	stubs       []lang.Part[api.Stub]
	program     *lang.Part[api.LoadProgram]
	strategies  []*strategy
	judge       *lang.Block
	kpis        []kpi
	budget      *lang.Block
	windows     []lang.Part[api.Window]
	freezes     []lang.Part[api.Freeze]
	approval    *lang.Block
	changes     *lang.Block
	rollback    *lang.Block
}

// kpi is a kpi block of a judge.
type kpi struct {
	lang.Part[api.KPISpec]
	because string // in words, when the block needs no facts
}

// ParsePolicy reads and checks one policy file.
func ParsePolicy(file api.SourceFile, schemas Schemas) (*File, hcl.Diagnostics) {
	s := lang.Read(file)
	if s.Body == nil {
		return nil, s.Diags
	}
	p := &policyParser{
		Source: s, schemas: schemas, base: vocabulary.BaseScope(), full: vocabulary.FullScope(),
		workload: recordedScope(file), answers: answersScope(file),
		file: &File{Name: file.Name, keys: wantedKeys(), reads: map[string]bool{}},
	}
	if !lang.ValidName(PolicyName(file.Name)) {
		s.Problem(lang.FileRange(file.Name), "Invalid file name",
			"%q is no policy file name: want letters, digits, dots, dashes and underscores, such as web-tier.hcl.", file.Name)
	}
	for _, attr := range lang.Attributes(s.Body) {
		s.Problem(attr.NameRange, "Unknown argument", "A policy file holds policy, dependency and exception blocks; %q can't stand here.", attr.Name)
	}
	seen := map[string]hcl.Range{}
	for _, b := range s.Body.Blocks {
		switch b.Type {
		case "policy":
			if s.Labels(b, 1) && s.Unique(seen, b) {
				p.file.blocks = append(p.file.blocks, p.readPolicy(b))
			}
		case "dependency":
			if s.Labels(b, 1) && s.Unique(seen, b) {
				p.file.Dependencies = append(p.file.Dependencies, p.readDependency(b))
			}
		case "exception":
			if s.Labels(b, 1) && s.Unique(seen, b) {
				p.file.Exceptions = append(p.file.Exceptions, p.readException(b))
			}
		default:
			known := []string{"dependency", "exception", "policy"}
			s.Problem(b.DefRange(), "Unknown block", "A policy file has no block %q.%s It takes %s.",
				b.Type, lang.DidYouMean(b.Type, known), lang.List(known, "and"))
		}
	}
	if len(s.Body.Blocks) == 0 && !s.Diags.HasErrors() {
		s.Problem(lang.FileRange(file.Name), "Empty file", "The file holds no policy; want: policy \"name\" { ... }.")
	}
	if s.Diags.HasErrors() {
		return nil, s.Diags
	}
	for _, b := range s.Body.Blocks {
		_ = hclsyntax.VisitAll(b.Body, func(n hclsyntax.Node) hcl.Diagnostics {
			if e, ok := n.(*hclsyntax.Attribute); ok {
				vocabulary.MapKeys(e.Expr, p.file.keys)
				readFacts(e.Expr, p.file.reads)
			}
			return nil
		})
	}
	return p.file, s.Diags
}

func wantedKeys() map[string]map[string]bool {
	return map[string]map[string]bool{"target.meta": {}, "target.packages": {}, "target.fixed_in": {}, "impact.ratio": {}}
}

type policyParser struct {
	*lang.Source
	schemas    Schemas
	base, full *lang.Scope
	workload   *lang.Scope // in which file() is the name and the digest of a recorded workload
	answers    *lang.Scope // the same of recorded answers
	file       *File
}

func (p *policyParser) block(b *hclsyntax.Block, args []lang.Argument) *lang.Block {
	return p.ReadBlock(b, args, p.full)
}

// dependencyArguments are those of a dependency.
func dependencyArguments() []lang.Argument {
	return []lang.Argument{
		{Name: "from", Doc: "the service that needs the other", Want: cty.String, Required: true, Check: lang.NotEmpty},
		{Name: "to", Doc: "the service that it needs", Want: cty.String, Required: true, Check: lang.NotEmpty},
	}
}

func (p *policyParser) readDependency(b *hclsyntax.Block) Dependency {
	p.NoBlocks(b)
	block := p.ReadBlock(b, dependencyArguments(), vocabulary.ConstantScope(nil))
	f := block.Values(nil)
	d := Dependency{Name: block.Label, From: f.Text("from", ""), To: f.Text("to", ""), Range: block.At}
	if d.From != "" && d.From == d.To {
		p.Problem(block.Range, "Circular dependency", "A service can't depend on itself.")
	}
	return d
}

// policyBlocks are the blocks that a policy takes.
func policyBlocks() []string {
	var out []string
	for _, b := range policyParts(nil, nil) {
		out = append(out, b.Name)
	}
	return out
}

// policyArguments are those of a policy itself. Base is what those may name that come first.
func policyArguments(base *lang.Scope) []lang.Argument {
	return []lang.Argument{
		{Name: "applies", Doc: "whether the policy is for the target; without, it is for every one", Want: cty.Bool, Scope: base},
		{Name: "critical", Doc: "whether the target is critical", Want: cty.Bool, Scope: base},
		{Name: "specificity", Doc: "instead of the number of conditions that applies joins", Want: cty.Number, Scope: base, Check: lang.WholeBetween(0, 1000)},
		{Name: "order", Doc: "which targets of a plan go first", Since: 7, Want: cty.String, Check: lang.OneOf(api.Orders()...)},
		{Name: "prefer", Doc: "when a rollout starts", Want: cty.String, Check: lang.OneOf("lowest_load", "none")},
		{Name: "deadline", Doc: "for a batch of instances to become healthy; without, the job's own", Want: cty.String, Check: lang.DurationBetween(minSecond, maxDay)},
		{Name: "pause", Doc: "between the end of a wave and the start of the next; without, none", Since: 8, Want: cty.String, Check: lang.DurationBetween(minSecond, maxWeek)},
	}
}

func (p *policyParser) readPolicy(b *hclsyntax.Block) *policy {
	out := &policy{name: b.Labels[0], rng: b.DefRange(), at: lang.Place(b.DefRange())}
	out.own = p.block(b, policyArguments(p.base))
	p.setSpecificity(out)
	seen := map[string]hcl.Range{}
	for _, inner := range b.Body.Blocks {
		labelled := lang.BlockNamed(policyParts(nil, nil), inner.Type).Label != ""
		if !slices.Contains(policyBlocks(), inner.Type) {
			p.Problem(inner.DefRange(), "Unknown block", "A policy has no block %q.%s It takes %s.",
				inner.Type, lang.DidYouMean(inner.Type, policyBlocks()), lang.List(policyBlocks(), "and"))
			continue
		}
		want := 0
		if labelled {
			want = 1
		}
		if !p.Labels(inner, want) {
			continue
		}
		// Several strategy blocks of one name are fine: each has its own when.
		if inner.Type != "strategy" && !p.Unique(seen, inner) {
			continue
		}
		if inner.Type != "judge" && inner.Type != "simulate" {
			p.NoBlocks(inner)
		}
		p.readInner(out, inner)
	}
	return out
}

func (p *policyParser) setSpecificity(out *policy) {
	if f := out.own.Fields["applies"]; f != nil {
		out.specificity = conditions(f.Expr)
	}
	f := out.own.Fields["specificity"]
	if f == nil {
		return
	}
	if !f.Fixed {
		p.Problem(f.Range, "Not a constant", "specificity is a constant whole number.")
		return
	}
	out.specificity = int(lang.NumberOf(f.Value))
}

// conditions counts the conditions that must hold at once. Those joined by &&
// add up. Of two sides joined by || the lesser one counts.
func conditions(expr hclsyntax.Expression) int {
	switch e := expr.(type) {
	case *hclsyntax.ParenthesesExpr:
		return conditions(e.Expression)
	case *hclsyntax.LiteralValueExpr:
		return 0
	case *hclsyntax.BinaryOpExpr:
		switch e.Op {
		case hclsyntax.OpLogicalAnd:
			return conditions(e.LHS) + conditions(e.RHS)
		case hclsyntax.OpLogicalOr:
			return min(conditions(e.LHS), conditions(e.RHS))
		}
	}
	return 1
}

// readPart is lang.ReadPart for a block of a policy.
func readPart[T any](p *policyParser, b *hclsyntax.Block, args []lang.Argument, build func(*lang.Values) T) lang.Part[T] {
	return lang.ReadPart(p.Source, b, args, p.full, build)
}

// readInner reads one block inside a policy.
func (p *policyParser) readInner(out *policy, b *hclsyntax.Block) {
	switch b.Type {
	case "select":
		out.selection = p.readSelect(b)
	case "simulate":
		out.simulate = p.readSimulate(b)
		out.stubs = p.readStubs(b)
		out.program = p.readProgram(b)
	case "strategy":
		if s := p.readStrategy(b); s != nil {
			out.strategies = append(out.strategies, s)
		}
	case "judge":
		p.readJudge(out, b)
	case "budget":
		out.budget = p.block(b, budgetArguments())
		if len(b.Body.Attributes) == 0 {
			p.Problem(b.DefRange(), "Empty budget", "A budget limits instances, targets, failures, policy_failures or neighbours.")
		}
	case "window":
		out.windows = append(out.windows, readPart(p, b, windowArguments(), windowOf))
	case "freeze":
		out.freezes = append(out.freezes, readPart(p, b, freezeArguments(), freezeOf))
	case "approval":
		out.approval = p.block(b, approvalArguments())
	case "changes":
		out.changes = p.block(b, changesArguments())
		if len(b.Body.Attributes) == 0 {
			p.Problem(b.DefRange(), "Empty block", "changes needs allow or deny.")
		}
	case "rollback":
		out.rollback = p.block(b, rollbackArguments())
	}
}

// checkNotLonger refuses a duration that is longer than another one of its block. What
// depends on the target is compared when it is decided.
func (p *policyParser) checkNotLonger(b *lang.Block, name, most string) {
	if b == nil {
		return
	}
	less, more := b.Fields[name], b.Fields[most]
	if less == nil || more == nil || !less.Fixed || !more.Fixed {
		return
	}
	if durationOf(less.Value) > durationOf(more.Value) {
		p.Problem(less.Range, "Contradiction", "%s (%s) is longer than %s (%s, %s).", name, durationOf(less.Value), most, durationOf(more.Value), more.At)
	}
}

// judgeArguments are those of a judge block.
func judgeArguments() []lang.Argument {
	return []lang.Argument{
		{Name: "enabled", Doc: "whether KPIs are judged", Want: cty.Bool},
		{Name: "method", Doc: "how they are", Want: cty.String, Check: lang.OneOf("evidence", "kayenta")},
		{Name: "false_alarm", Doc: "the chance of aborting a harmless patch, over all KPIs and looks of a stage", Want: cty.Number, Check: lang.Between(0.000001, 0.5)},
		{Name: "miss", Doc: "the chance of promoting one that is worse than promote_below", Want: cty.Number, Check: lang.Between(0.000001, 0.5)},
		{Name: "interval", Doc: "between two looks", Want: cty.String, Check: lang.DurationBetween(minSecond, maxDay)},
		{Name: "min_duration", Doc: "of a stage, however clear it is", Want: cty.String, Check: lang.DurationBetween(0, maxWeek)},
		{Name: "max_duration", Doc: "of a stage", Want: cty.String, Check: lang.DurationBetween(minSecond, maxWeek)},
		{Name: "on_inconclusive", Doc: "what follows when max_duration is over and nothing is proven", Want: cty.String, Check: lang.OneOf("hold", "rollback")},
	}
}

func (p *policyParser) readJudge(out *policy, b *hclsyntax.Block) {
	out.judge = p.block(b, judgeArguments())
	for _, name := range []string{"interval", "min_duration"} {
		p.checkNotLonger(out.judge, name, "max_duration")
	}
	seen := map[string]hcl.Range{}
	for _, inner := range b.Body.Blocks {
		if inner.Type != "kpi" {
			p.Problem(inner.DefRange(), "Unknown block", "judge has no block %q. It takes \"kpi\".", inner.Type)
			continue
		}
		if !p.Labels(inner, 1) || !p.Unique(seen, inner) {
			continue
		}
		p.NoBlocks(inner)
		if !validKPI(inner.Labels[0]) {
			p.Problem(inner.LabelRanges[0], "Invalid KPI name", "%q is no KPI name: want lower case letters, digits and underscores, such as %s.",
				inner.Labels[0], lang.List(knownKPIs(), "or"))
			continue
		}
		k := kpi{Part: readPart(p, inner, kpiArguments(inner.Labels[0]), kpiOf)}
		if spec, ok := k.Known(); ok {
			k.because = marginsText(spec)
		}
		out.kpis = append(out.kpis, k)
	}
	p.checkWeights(out, b)
}

// checkWeights refuses weights that give away more than the whole alpha.
func (p *policyParser) checkWeights(out *policy, b *hclsyntax.Block) {
	sum := 0.0
	for _, k := range out.kpis {
		if spec, ok := k.Known(); ok {
			sum += spec.Weight
		}
	}
	if sum > 1.000001 {
		p.Problem(b.DefRange(), "Weights too large", "The weights of the KPIs are shares of false_alarm; together they are %g and may be at most 1.", sum)
	}
}

// validKPI reports whether a text may name a KPI. Further KPIs than those that
// Oakum knows come from the agent's configuration, so the set is open.
func validKPI(name string) bool {
	return lang.ValidName(name) && strings.Trim(name, "abcdefghijklmnopqrstuvwxyz0123456789_") == ""
}

func knownKPIs() []string {
	return []string{api.KPIErrorRate, api.KPILatencyP50, api.KPILatencyP99, api.KPICPU, api.KPIMemory, api.KPIRequests, api.KPIRestarts, api.KPIOOMKills}
}
