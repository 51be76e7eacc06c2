package policies

import (
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"

	"github.com/oakumhq/oakum/api"
)

// TestResult is the outcome of one written example.
type TestResult struct {
	Name     string       `json:"name"`
	Range    string       `json:"range"` // file:line,column
	Passed   bool         `json:"passed"`
	Failures []string     `json:"failures,omitempty"` // what was expected, and what was decided instead
	Refusal  string       `json:"refusal,omitempty"`  // when the target was refused
	Decision api.Decision `json:"decision"`
}

// Test decides on every example of the test files with the policies of the
// policy files and compares the decision with what the example expects. Add
// Builtin to the policies to test them as they work in a server.
func Test(tests, policies []api.SourceFile, schemas Schemas) ([]TestResult, hcl.Diagnostics) {
	lib, diags := Load(policies, schemas)
	if diags.HasErrors() {
		return nil, diags
	}
	var results []TestResult
	for _, file := range tests {
		s := readSource(file)
		if s.body != nil {
			results = append(results, s.runTests(lib)...)
		}
		diags = append(diags, s.diags...)
	}
	if diags.HasErrors() {
		return nil, diags
	}
	return results, diags
}

func (s *source) runTests(lib *Library) []TestResult {
	for _, attr := range sortedAttributes(s.body) {
		s.problem(attr.NameRange, "Unknown argument", "A policy test file holds test blocks; %q can't stand here.", attr.Name)
	}
	var results []TestResult
	for _, b := range s.body.Blocks {
		if b.Type != "test" {
			s.problem(b.DefRange(), "Unknown block", "A policy test file holds test blocks; %q can't stand here.", b.Type)
			continue
		}
		if len(b.Labels) != 1 {
			s.problem(b.DefRange(), "Wrong number of labels", "test takes one label, the name of the example.")
			continue
		}
		if r, ok := s.runTest(lib, b); ok {
			results = append(results, r)
		}
	}
	if len(s.body.Blocks) == 0 {
		s.problem(fileRange(s.name), "No tests", "The file holds no test; want: test \"name\" { ... }.")
	}
	return results
}

// testBlocks are the blocks of an example with their arguments.
func testBlocks() map[string][]argument {
	text, num, flag, many := cty.String, cty.Number, cty.Bool, cty.List(cty.String)
	whole := wholeBetween(0, 10_000_000)
	return map[string][]argument{
		"target": {
			{name: "namespace", want: text}, {name: "job", want: text, required: true}, {name: "group", want: text},
			{name: "count", want: num, check: whole}, {name: "driver", want: text}, {name: "services", want: many},
			{name: "meta", want: cty.Map(text)},
		},
		"patch": {
			{name: "name", want: text}, {name: "severity", want: text, check: oneOf(severities()...)},
			{name: "fixes", want: many}, {name: "kinds", want: many},
		},
		"graph": {
			{name: "service", want: text}, {name: "blast_radius", want: num, check: whole},
			{name: "blast_radius_max", want: num, check: whole}, {name: "dependants", want: many},
			{name: "single_point", want: flag}, {name: "single_instance", want: flag},
			{name: "score", want: num, check: between(0, 1)},
		},
		"impact": {{name: "negative", want: flag, required: true}, {name: "ratio", want: cty.Map(num)}},
		"cluster": {
			{name: "targets", want: num, check: whole}, {name: "instances", want: num, check: whole},
			{name: "services", want: num, check: whole}, {name: "open_rollouts", want: num, check: whole},
			{name: "missing_sources", want: many},
		},
		"expect": {
			{name: "strategy", want: text}, {name: "stages", want: cty.List(num)}, {name: "critical", want: flag},
			{name: "simulate", want: flag}, {name: "approvals", want: num}, {name: "approval_from", want: text},
			{name: "opens", want: text, check: checkMoment}, {name: "waits", want: text}, {name: "refused", want: text},
			{name: "judged", want: many},
		},
	}
}

func (s *source) runTest(lib *Library, b *hclsyntax.Block) (TestResult, bool) {
	before := len(s.diags)
	sc := constantScope(nil)
	read := map[string]*values{}
	for _, inner := range b.Body.Blocks {
		args, ok := testBlocks()[inner.Type]
		switch {
		case !ok:
			known := names(testBlocks())
			s.problem(inner.DefRange(), "Unknown block", "A test has no block %q.%s It takes %s.",
				inner.Type, didYouMean(inner.Type, known), list(known, "and"))
		case read[inner.Type] != nil:
			s.problem(inner.DefRange(), "Duplicate block", "A test takes one block %q.", inner.Type)
		default:
			s.labels(inner, 0)
			s.noBlocks(inner)
			read[inner.Type] = &values{block: s.readBlock(inner, args, sc, sc)}
		}
	}
	for _, needed := range []string{"target", "expect"} {
		if read[needed] == nil && len(s.diags) == before {
			s.problem(b.DefRange(), "Missing block", "A test needs a block %q.", needed)
		}
	}
	own := s.readBlock(b, []argument{{name: "now", want: cty.String, check: checkMoment}}, sc, sc)
	if len(s.diags) > before {
		return TestResult{}, false
	}
	now, err := parseMoment(own.text("now", "2026-01-05T12:00:00Z"), "UTC")
	if err != nil {
		return TestResult{}, false // can't be: the argument was checked
	}
	out := TestResult{Name: b.Labels[0], Range: place(b.DefRange())}
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

// testFacts makes facts of an example; what it does not say is ordinary.
func testFacts(read map[string]*values) Facts {
	var f Facts
	t := read["target"]
	job := t.text("job", "")
	f.Target = api.Target{
		TargetRef: api.TargetRef{Namespace: t.text("namespace", "default"), Job: job, Group: t.text("group", job)},
		Count:     t.whole("count", 1), Driver: t.text("driver", "docker"), Services: t.texts("services"), Meta: map[string]string{},
	}
	if meta, ok := t.get("meta"); ok {
		for k, v := range meta.AsValueMap() {
			f.Target.Meta[k] = v.AsString()
		}
	}
	f.Patch = api.Patch{Name: "example", Severity: api.SeverityMedium}
	if p := read["patch"]; p != nil {
		f.Patch.Name, f.Patch.Fixes = p.text("name", "example"), p.texts("fixes")
		f.Patch.Severity = api.Severity(p.text("severity", string(api.SeverityMedium)))
		for _, k := range p.texts("kinds") {
			f.Patch.Apply = append(f.Patch.Apply, api.Apply{Kind: api.ApplyKind(k)})
		}
	}
	f.Criticality.Service = job
	if g := read["graph"]; g != nil {
		f.Criticality = api.Criticality{
			Service: g.text("service", job), BlastRadius: g.whole("blast_radius", 0), BlastRadiusMax: g.whole("blast_radius_max", 0),
			Dependants: g.texts("dependants"), SinglePoint: g.flag("single_point"), SingleInstance: g.flag("single_instance"),
		}
		if score, ok := g.get("score"); ok {
			f.Criticality.Score = numberOf(score)
		}
	}
	if i := read["impact"]; i != nil {
		f.Impact = &api.Impact{Negative: i.flag("negative")}
		if ratio, ok := i.get("ratio"); ok {
			kpis := ratio.AsValueMap()
			for _, k := range names(kpis) {
				f.Impact.KPIs = append(f.Impact.KPIs, api.KPIEffect{KPI: k, Ratio: numberOf(kpis[k])})
			}
		}
	}
	if c := read["cluster"]; c != nil {
		f.Cluster = ClusterFacts{
			Targets: c.whole("targets", 0), Instances: c.whole("instances", 0), Services: c.whole("services", 0),
			OpenRollouts: c.whole("open_rollouts", 0), Missing: c.texts("missing_sources"),
		}
	}
	return f
}

func (v *values) whole(name string, absent int) int {
	if value, ok := v.get(name); ok {
		return int(numberOf(value))
	}
	return absent
}

func (v *values) flag(name string) bool {
	value, ok := v.get(name)
	return ok && value.True()
}

func (v *values) texts(name string) []string {
	if value, ok := v.get(name); ok {
		return textsOf(value)
	}
	return nil
}

// compare lists where a decision differs from what was expected.
func compare(expect *values, d api.Decision, refusal string, now time.Time) []string {
	var failures []string
	miss := func(what, want, got string) {
		failures = append(failures, fmt.Sprintf("%s: expected %s, decided %s", what, want, got))
	}
	if want, ok := expect.get("refused"); ok {
		if refusal == "" {
			miss("refused", valueText(want), "to go ahead")
		} else if !strings.Contains(refusal, want.AsString()) {
			miss("refused", valueText(want), refusal)
		}
		return failures
	}
	if refusal != "" {
		return []string{"expected a decision, but the target is refused: " + refusal}
	}
	opens, waits := Opens(d, now)
	got := map[string]cty.Value{
		"strategy": cty.StringVal(d.Strategy.Name), "critical": cty.BoolVal(d.Critical),
		"simulate": cty.BoolVal(d.Simulate.Required), "approvals": cty.NumberIntVal(int64(d.Approval.Count)),
		"approval_from": cty.StringVal(d.Approval.From), "stages": stagesOf(d), "judged": judgedKPIs(d),
	}
	for _, name := range names(got) {
		want, ok := expect.get(name)
		if ok && !want.RawEquals(got[name]) {
			miss(name, valueText(want), valueText(got[name]))
		}
	}
	if want, ok := expect.get("opens"); ok {
		moment, err := parseMoment(want.AsString(), "UTC")
		if err != nil || !moment.Equal(opens) {
			miss("opens", moment.Format(time.RFC3339), opens.UTC().Format(time.RFC3339))
		}
	}
	if want, ok := expect.get("waits"); ok && (waits == "" || !strings.Contains(waits, want.AsString())) {
		miss("waits", valueText(want), fmt.Sprintf("%q", waits))
	}
	return failures
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
	return listOf(out, cty.Number)
}

func judgedKPIs(d api.Decision) cty.Value {
	var out []string
	if d.Judge.Enabled {
		for _, k := range d.Judge.KPIs {
			out = append(out, k.KPI)
		}
	}
	return texts(out)
}
