// Package authtest runs the written examples of auth rules: a *.authtest.hcl file says
// which claims a caller has, what they may do and what they may not.
//
//	test "the shop team" {
//	  claims = { groups = ["shop"] }
//	  may     "patch-submit" { on = "shop/web-1" }
//	  may_not "patch-submit" { on = "payments/api" }
//	  may_not "operator" {}
//	}
//
// on is a namespace and a job; without it the capability is meant everywhere.
package authtest

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/gohcl"
	"github.com/hashicorp/hcl/v2/hclparse"
	"github.com/zclconf/go-cty/cty"
	ctyjson "github.com/zclconf/go-cty/cty/json"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/internal/access"
)

// Rules say what they give to a caller with some claims, and deny.
type Rules interface {
	Evaluate(claims map[string]any) ([]api.Grant, error)
}

// Result is the outcome of one example.
type Result struct {
	Name     string      `json:"name"`
	Range    string      `json:"range"` // file:line,column
	Passed   bool        `json:"passed"`
	Failures []string    `json:"failures,omitempty"` // what was expected, and what the rules say instead
	Grants   []api.Grant `json:"grants"`             // of the rules that apply to the claims
}

// document is one file of examples.
type document struct {
	Tests []example `hcl:"test,block"`
}

type example struct {
	Name   string        `hcl:"name,label"`
	At     hcl.Range     `hcl:",def_range"`
	Claims cty.Value     `hcl:"claims"`
	May    []expectation `hcl:"may,block"`
	MayNot []expectation `hcl:"may_not,block"`
}

// expectation is about a capability, everywhere when On is empty.
type expectation struct {
	Capability string    `hcl:"capability,label"`
	At         hcl.Range `hcl:",def_range"`
	On         string    `hcl:"on,optional"`
}

// Run holds the rules to every example of the files. Mistakes of the files are
// diagnostics, each with its place; then no example is run.
func Run(files []api.SourceFile, rules Rules) ([]Result, hcl.Diagnostics) {
	var tests []example
	var diags hcl.Diagnostics
	parser := hclparse.NewParser()
	for _, f := range files {
		parsed, found := parser.ParseHCL([]byte(f.Text), f.Name)
		diags = append(diags, found...)
		if found.HasErrors() {
			continue
		}
		var doc document
		diags = append(diags, gohcl.DecodeBody(parsed.Body, nil, &doc)...)
		for _, t := range doc.Tests {
			diags = append(diags, t.check()...)
		}
		tests = append(tests, doc.Tests...)
	}
	if diags.HasErrors() {
		return nil, diags
	}
	results := make([]Result, 0, len(tests))
	for _, t := range tests {
		results = append(results, t.run(rules))
	}
	return results, diags
}

// check finds what makes an example say nothing.
func (t *example) check() hcl.Diagnostics {
	var diags hcl.Diagnostics
	problem := func(at hcl.Range, summary, format string, args ...any) {
		diags = append(diags, &hcl.Diagnostic{Severity: hcl.DiagError, Summary: summary, Detail: fmt.Sprintf(format, args...), Subject: &at})
	}
	if len(t.May)+len(t.MayNot) == 0 {
		problem(t.At, "No expectation", "Test %q expects nothing; want a block may or may_not.", t.Name)
	}
	if kind := t.Claims.Type(); t.Claims.IsNull() || !kind.IsObjectType() && !kind.IsMapType() {
		problem(t.At, "Wrong claims", "The claims of test %q are no object, such as { groups = [\"shop\"] }.", t.Name)
	}
	for _, e := range slices.Concat(t.May, t.MayNot) {
		if known := api.Capabilities(); !slices.Contains(known, api.Capability(e.Capability)) {
			problem(e.At, "Unknown capability", "There is no capability %q; want one of %s.", e.Capability, access.CapabilityNames())
		}
		if _, err := Place(e.On); err != nil {
			problem(e.At, "Wrong place", "on: %v.", err)
		}
	}
	return diags
}

// Place reads a namespace and a job, such as shop/web-1; nil, for everything, when the text
// is empty.
func Place(text string) (*api.TargetRef, error) {
	if text == "" {
		return nil, nil //nolint:nilnil // nil means everything, as it does for access.Explain
	}
	namespace, job, ok := strings.Cut(text, "/")
	if !ok || namespace == "" || job == "" {
		return nil, fmt.Errorf("want a namespace and a job, such as shop/web-1, have %q", text)
	}
	return &api.TargetRef{Namespace: namespace, Job: job}, nil
}

func (t *example) run(rules Rules) Result {
	out := Result{Name: t.Name, Range: fmt.Sprintf("%s:%d,%d", t.At.Filename, t.At.Start.Line, t.At.Start.Column)}
	claims, err := plain(t.Claims)
	if err == nil {
		out.Grants, err = rules.Evaluate(claims)
	}
	if err != nil {
		out.Failures = []string{err.Error()}
		return out
	}
	for _, group := range []struct {
		list []expectation
		want bool
	}{{t.May, true}, {t.MayNot, false}} {
		for _, e := range group.list {
			on, _ := Place(e.On) // it was checked
			yes, why := access.Explain(out.Grants, api.Capability(e.Capability), on)
			if yes != group.want {
				out.Failures = append(out.Failures, fmt.Sprintf("line %d: %s: %s", e.At.Start.Line, e.text(group.want), why))
			}
		}
	}
	out.Passed = len(out.Failures) == 0
	return out
}

// text is what an expectation says.
func (e *expectation) text(want bool) string {
	verb := "may"
	if !want {
		verb = "may not"
	}
	where := "everywhere"
	if e.On != "" {
		where = "on " + e.On
	}
	return fmt.Sprintf("expected that the caller %s %s %s", verb, e.Capability, where)
}

// plain is an object of HCL as a token's claims are read.
func plain(v cty.Value) (map[string]any, error) {
	raw, err := ctyjson.Marshal(v, v.Type())
	if err != nil {
		return nil, fmt.Errorf("read claims: %w", err)
	}
	var out map[string]any
	if err := json.Unmarshal(raw, &out); err != nil {
		return nil, fmt.Errorf("read claims: %w", err)
	}
	return out, nil
}
