// Package policytest runs the written examples of policies: a *.policytest.hcl file says
// what is known of a target, and what policies shall decide.
package policytest

import (
	"cmp"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/internal/calendar"
	"github.com/oakumhq/oakum/policies"
	"github.com/oakumhq/oakum/policies/changes"
	"github.com/oakumhq/oakum/policies/installed"
	"github.com/oakumhq/oakum/policies/lang"
)

// Result is the outcome of one written example.
type Result struct {
	Name     string       `json:"name"`
	Range    string       `json:"range"` // file:line,column
	Passed   bool         `json:"passed"`
	Failures []string     `json:"failures,omitempty"` // what was expected, and what was decided instead
	Refusal  string       `json:"refusal,omitempty"`  // when the target was refused
	Decision api.Decision `json:"decision"`
}

// Run decides on every example of the test files with the policies of the
// policy files and compares the decision with what the example expects. Add
// policies.Builtin to the policies to test them as they work in a server.
func Run(tests, files []api.SourceFile, schemas policies.Schemas) ([]Result, hcl.Diagnostics) {
	lib, diags := policies.Load(files, schemas)
	if diags.HasErrors() {
		return nil, diags
	}
	var results []Result
	for _, file := range tests {
		s := lang.Read(file)
		if s.Body != nil {
			results = append(results, (&parser{s}).runTests(lib)...)
		}
		diags = append(diags, s.Diags...)
	}
	if diags.HasErrors() {
		return nil, diags
	}
	return results, diags
}

// parser reads one policy test file.
type parser struct{ *lang.Source }

func (s *parser) runTests(lib *policies.Library) []Result {
	for _, attr := range lang.Attributes(s.Body) {
		s.Problem(attr.NameRange, "Unknown argument", "A policy test file holds test blocks; %q can't stand here.", attr.Name)
	}
	var results []Result
	for _, b := range s.Body.Blocks {
		if b.Type != "test" {
			s.Problem(b.DefRange(), "Unknown block", "A policy test file holds test blocks; %q can't stand here.", b.Type)
			continue
		}
		if len(b.Labels) != 1 {
			s.Problem(b.DefRange(), "Wrong number of labels", "test takes one label, the name of the example.")
			continue
		}
		if r, ok := s.runTest(lib, b); ok {
			results = append(results, r)
		}
	}
	if len(s.Body.Blocks) == 0 {
		s.Problem(lang.FileRange(s.Name), "No tests", "The file holds no test; want: test \"name\" { ... }.")
	}
	return results
}

// testBlocks are the blocks of an example with their arguments.
func testBlocks() map[string][]lang.Argument {
	text, num, flag, many := cty.String, cty.Number, cty.Bool, cty.List(cty.String)
	whole := lang.WholeBetween(0, 10_000_000)
	return map[string][]lang.Argument{
		"target": {
			{Name: "namespace", Want: text}, {Name: "job", Want: text, Required: true}, {Name: "group", Want: text},
			{Name: "count", Want: num, Check: whole}, {Name: "driver", Want: text}, {Name: "services", Want: many},
			{Name: "type", Want: text, Check: lang.OneOf("service", "system", "batch")},
			{Name: "meta", Want: cty.Map(text)}, {Name: "serving", Want: num, Check: whole},
		},
		"patch": {
			{Name: "name", Want: text}, {Name: "severity", Want: text, Check: lang.OneOf(api.Severities()...)},
			{Name: "submitted_by", Want: text}, {Name: "fixes", Want: many}, {Name: "kinds", Want: many}, {Name: "changes", Want: cty.Map(text), Check: changes.CheckExample}, {Name: "affects", Want: cty.DynamicPseudoType, Check: checkAffected},
		},
		"graph": {
			{Name: "service", Want: text}, {Name: "blast_radius", Want: num, Check: whole},
			{Name: "blast_radius_max", Want: num, Check: whole}, {Name: "dependants", Want: many},
			{Name: "single_point", Want: flag}, {Name: "single_instance", Want: flag},
			{Name: "score", Want: num, Check: lang.Between(0, 1)},
		},
		"impact": {
			{Name: "verdict", Want: text, Check: lang.OneOf(api.SimulationVerdicts()...)}, {Name: "negative", Want: flag},
			{Name: "ratio", Want: cty.Map(num)},
		},
		"cluster": {
			{Name: "targets", Want: num, Check: whole}, {Name: "instances", Want: num, Check: whole},
			{Name: "services", Want: num, Check: whole}, {Name: "open_rollouts", Want: num, Check: whole},
			{Name: "missing_sources", Want: many},
		},
		"expect": {
			{Name: "strategy", Want: text}, {Name: "stages", Want: cty.List(num)}, {Name: "critical", Want: flag},
			{Name: "simulate", Want: flag}, {Name: "on_inconclusive", Want: text},
			{Name: "approvals", Want: num}, {Name: "approval_from", Want: text},
			{Name: "opens", Want: text, Check: policies.CheckMoment}, {Name: "waits", Want: text}, {Name: "refused", Want: text},
			{Name: "judged", Want: many}, {Name: "order", Want: text, Check: lang.OneOf(api.Orders()...)}, {Name: "prefer", Want: text, Check: lang.OneOf("lowest_load", "none")},
			{Name: "instances", Want: text}, {Name: "targets", Want: num, Check: whole}, {Name: "failures", Want: num, Check: whole}, {Name: "revert", Want: text},
		},
	}
}

func (s *parser) runTest(lib *policies.Library, b *hclsyntax.Block) (Result, bool) {
	before := len(s.Diags)
	sc := lang.NewScope(nil, nil)
	read := map[string]*lang.Values{}
	for _, inner := range b.Body.Blocks {
		args, ok := testBlocks()[inner.Type]
		switch {
		case !ok:
			known := lang.Names(testBlocks())
			s.Problem(inner.DefRange(), "Unknown block", "A test has no block %q.%s It takes %s.",
				inner.Type, lang.DidYouMean(inner.Type, known), lang.List(known, "and"))
		case read[inner.Type] != nil:
			s.Problem(inner.DefRange(), "Duplicate block", "A test takes one block %q.", inner.Type)
		default:
			s.Labels(inner, 0)
			s.NoBlocks(inner)
			read[inner.Type] = s.ReadBlock(inner, args, sc).Values(nil)
		}
	}
	if impact := read["impact"]; impact != nil && len(s.Diags) == before {
		s.checkImpact(b, impact)
	}
	for _, needed := range []string{"target", "expect"} {
		if read[needed] == nil && len(s.Diags) == before {
			s.Problem(b.DefRange(), "Missing block", "A test needs a block %q.", needed)
		}
	}
	own := s.ReadBlock(b, []lang.Argument{{Name: "now", Want: cty.String, Check: policies.CheckMoment}}, sc).Values(nil)
	if len(s.Diags) > before {
		return Result{}, false
	}
	now, err := calendar.ParseMoment(own.Text("now", "2026-01-05T12:00:00Z"), "UTC")
	if err != nil {
		return Result{}, false // can't be: the argument was checked
	}
	out := Result{Name: b.Labels[0], Range: lang.Place(b.DefRange())}
	facts := testFacts(read)
	facts.Now = now
	decision, err := lib.Decide(facts)
	out.Decision = decision
	if err != nil {
		out.Refusal = err.Error()
	}
	out.Failures = compare(read["expect"], decision, out.Refusal, now)
	out.Passed = len(out.Failures) == 0
	return out, true
}

// checkImpact refuses an impact that says nothing, or two things.
func (s *parser) checkImpact(test *hclsyntax.Block, impact *lang.Values) {
	verdict := impact.Text("verdict", "")
	negative, said := impact.Get("negative")
	switch {
	case verdict == "" && !said:
		s.Problem(test.DefRange(), "Missing argument", "The impact of a test has a verdict: %s.", lang.List(api.SimulationVerdicts(), "or"))
	case verdict != "" && said && negative.True() != (verdict == string(api.SimulationReject)):
		s.Problem(test.DefRange(), "Contradiction", "An impact is negative exactly when its verdict is \"reject\".")
	}
}

// testFacts makes facts of an example; what it does not say is ordinary.
func testFacts(read map[string]*lang.Values) policies.Facts {
	var f policies.Facts
	t := read["target"]
	job := t.Text("job", "")
	f.Target = api.Target{
		TargetRef: api.TargetRef{Namespace: t.Text("namespace", "default"), Job: job, Group: t.Text("group", job)},
		Count:     t.Whole("count", 1), Driver: t.Text("driver", "docker"), Type: strings.TrimPrefix(t.Text("type", ""), "service"), Services: t.Texts("services"), Meta: map[string]string{},
	}
	if meta, ok := t.Get("meta"); ok {
		for k, v := range meta.AsValueMap() {
			f.Target.Meta[k] = v.AsString()
		}
	}
	if n := t.Whole("serving", 0); n > 0 {
		f.Cluster.Serving = func(string, string) int { return n }
	}
	f.Patch = api.Patch{Name: "example", Severity: api.SeverityMedium}
	if p := read["patch"]; p != nil {
		f.Patch.Name, f.Patch.Fixes, f.Patch.Submitter = p.Text("name", "example"), p.Texts("fixes"), p.Text("submitted_by", "")
		f.Patch.Severity = api.Severity(p.Text("severity", string(api.SeverityMedium)))
		if affects, ok := p.Get("affects"); ok {
			f.Patch.Affects, _ = installed.AffectedExample(affects) // it was checked when it was read
		}
		for _, k := range p.Texts("kinds") {
			f.Patch.Apply = append(f.Patch.Apply, api.Apply{Kind: api.ApplyKind(k)})
		}
		if changed, ok := p.Get("changes"); ok {
			exampleChanges(&f, changed)
		}
	}
	f.Criticality.Service = job
	if g := read["graph"]; g != nil {
		f.Criticality = api.Criticality{
			Service: g.Text("service", job), BlastRadius: g.Whole("blast_radius", 0), BlastRadiusMax: g.Whole("blast_radius_max", 0),
			Dependants: g.Texts("dependants"), SinglePoint: g.Flag("single_point"), SingleInstance: g.Flag("single_instance"),
		}
		if score, ok := g.Get("score"); ok {
			f.Criticality.Score = lang.NumberOf(score)
		}
	}
	if i := read["impact"]; i != nil {
		f.Impact = &api.Impact{Verdict: api.SimulationVerdict(i.Text("verdict", "")), Negative: i.Flag("negative")}
		f.Impact.Verdict = f.Impact.Says()
		f.Impact.Negative = f.Impact.Verdict == api.SimulationReject
		if ratio, ok := i.Get("ratio"); ok {
			kpis := ratio.AsValueMap()
			for _, k := range lang.Names(kpis) {
				f.Impact.KPIs = append(f.Impact.KPIs, api.KPIEffect{KPI: k, Ratio: lang.NumberOf(kpis[k])})
			}
		}
	}
	if c := read["cluster"]; c != nil {
		f.Cluster = policies.ClusterFacts{
			Targets: c.Whole("targets", 0), Instances: c.Whole("instances", 0), Services: c.Whole("services", 0),
			OpenRollouts: c.Whole("open_rollouts", 0), Missing: c.Texts("missing_sources"), Serving: f.Cluster.Serving,
		}
	}
	return f
}

// compare lists where a decision differs from what was expected.
func compare(expect *lang.Values, d api.Decision, refusal string, now time.Time) []string {
	var failures []string
	miss := func(what, want, got string) {
		failures = append(failures, fmt.Sprintf("%s: expected %s, decided %s", what, want, got))
	}
	if want, ok := expect.Get("refused"); ok {
		if refusal == "" {
			miss("refused", lang.ValueText(want), "to go ahead")
		} else if !strings.Contains(refusal, want.AsString()) {
			miss("refused", lang.ValueText(want), refusal)
		}
		return failures
	}
	if refusal != "" {
		return []string{"expected a decision, but the target is refused: " + refusal}
	}
	opens, waits := calendar.Opens(d, now)
	got := map[string]cty.Value{
		"strategy": cty.StringVal(d.Strategy.Name), "critical": cty.BoolVal(d.Critical),
		"simulate": cty.BoolVal(d.Simulate.Required), "on_inconclusive": cty.StringVal(d.Inconclusive()),
		"approvals":     cty.NumberIntVal(int64(d.Approval.Count)),
		"approval_from": cty.StringVal(d.Approval.From), "stages": stagesOf(d), "judged": judgedKPIs(d),
		"order":  cty.StringVal(cmp.Or(d.Order, api.OrderLeastCriticalFirst)),
		"prefer": cty.StringVal(preferred(d)), "instances": cty.StringVal(awayAtOnce(d.Budget)),
		"targets": cty.NumberIntVal(int64(d.Budget.Targets)), "failures": cty.NumberIntVal(int64(d.Budget.Failures)),
		"revert": cty.StringVal(d.Simulate.Revert),
	}
	for _, name := range lang.Names(got) {
		want, ok := expect.Get(name)
		if ok && !want.RawEquals(got[name]) {
			miss(name, lang.ValueText(want), lang.ValueText(got[name]))
		}
	}
	if want, ok := expect.Get("opens"); ok {
		moment, err := calendar.ParseMoment(want.AsString(), "UTC")
		if err != nil || !moment.Equal(opens) {
			miss("opens", moment.Format(time.RFC3339), opens.UTC().Format(time.RFC3339))
		}
	}
	if want, ok := expect.Get("waits"); ok && (waits == "" || !strings.Contains(waits, want.AsString())) {
		miss("waits", lang.ValueText(want), fmt.Sprintf("%q", waits))
	}
	return failures
}

func preferred(d api.Decision) string {
	if d.PreferLow {
		return "lowest_load"
	}
	return "none"
}

// awayAtOnce writes how many instances of a target may be away at once, as a policy does.
func awayAtOnce(b api.BudgetSpec) string {
	var limits []string
	if b.InstancesPercent > 0 {
		limits = append(limits, fmt.Sprintf("%d%%", b.InstancesPercent))
	}
	if b.Instances > 0 {
		limits = append(limits, strconv.Itoa(b.Instances))
	}
	if len(limits) == 0 {
		return "unlimited"
	}
	return strings.Join(limits, " and ")
}

// stagesOf reads the stages out of a strategy's configuration.
func stagesOf(d api.Decision) cty.Value {
	var config struct {
		Stages []float64 `json:"stages"`
	}
	if err := json.Unmarshal(d.Strategy.Config, &config); err != nil {
		return cty.ListValEmpty(cty.Number) // a strategy whose stages are no numbers has none to compare
	}
	out := make([]cty.Value, len(config.Stages))
	for i, s := range config.Stages {
		out[i] = cty.NumberFloatVal(s)
	}
	return lang.ListOf(out, cty.Number)
}

func judgedKPIs(d api.Decision) cty.Value {
	var out []string
	if d.Judge.Enabled {
		for _, k := range d.Judge.KPIs {
			out = append(out, k.KPI)
		}
	}
	return lang.StringList(out)
}

// exampleChanges gives an example the keys that its patch sets.
func exampleChanges(f *policies.Facts, values cty.Value) {
	apply, tasks := changes.Example(values.AsValueMap())
	f.Patch.Apply = append(f.Patch.Apply, apply...)
	f.Target.Tasks = append([]api.Task{{Driver: f.Target.Driver}}, tasks...) // the first is of its kinds
}

func checkAffected(v cty.Value) error {
	_, err := installed.AffectedExample(v)
	return err
}
