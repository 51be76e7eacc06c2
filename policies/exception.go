package policies

import (
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/internal/calendar"
	"github.com/oakumhq/oakum/internal/glob"
	"github.com/oakumhq/oakum/policies/lang"
	"github.com/oakumhq/oakum/policies/vocabulary"
)

// Exception says that people put up with faults of targets until a moment.
type Exception struct {
	Name    string
	Faults  []string        // names of faults or IDs of advisories
	Targets []api.TargetRef // of patterns
	Reason  string
	Until   time.Time // the first moment at which it does not hold any more
	Range   string    // file:line,column
}

// Holds reports whether the exception is for a target at a time.
func (e *Exception) Holds(target api.TargetRef, now time.Time) bool {
	return now.Before(e.Until) && slices.ContainsFunc(e.Targets, func(pattern api.TargetRef) bool {
		return glob.Match(target.Namespace, pattern.Namespace) && glob.Match(target.Job, pattern.Job) && glob.Match(target.Group, pattern.Group)
	})
}

// exceptionArguments are those of an exception.
func exceptionArguments() []lang.Argument {
	return []lang.Argument{
		{Name: "faults", Doc: "names of faults or IDs of advisories", Want: cty.List(cty.String), Required: true, Check: namedFaults},
		{Name: "targets", Doc: "whom it is for", Want: cty.List(cty.String), Required: true, Check: targetPatterns},
		{Name: "reason", Doc: "what people are told", Want: cty.String, Required: true, Check: lang.NotEmpty},
		{Name: "until", Doc: "the first moment at which it does not hold any more", Want: cty.String, Required: true, Check: CheckMoment},
	}
}

func (p *policyParser) readException(b *hclsyntax.Block) Exception {
	p.NoBlocks(b)
	block := p.ReadBlock(b, exceptionArguments(), vocabulary.ConstantScope(nil))
	f := block.Values(nil)
	out := Exception{Name: block.Label, Faults: f.Texts("faults"), Reason: strings.Join(strings.Fields(f.Text("reason", "")), " "), Range: block.At}
	for _, pattern := range f.Texts("targets") {
		ref, _ := api.ParseTargetRef(pattern) // the argument was checked
		out.Targets = append(out.Targets, ref)
	}
	out.Until, _ = calendar.ParseMoment(f.Text("until", ""), "UTC") // the argument was checked
	return out
}

// namedFaults checks names of faults: there are no patterns of them, so that nobody puts up
// with what nobody has heard of.
func namedFaults(v cty.Value) error {
	return eachText(v, "want the name of a fault or the ID of an advisory, such as \"CVE-2026-0001\", and no pattern", func(name string) bool {
		return strings.TrimSpace(name) == name && name != "" && !glob.Is(name)
	})
}

func targetPatterns(v cty.Value) error {
	return eachText(v, "want namespace/job/group, each a name or a pattern, such as \"prod/billing-*/vm\"", func(pattern string) bool {
		_, err := api.ParseTargetRef(pattern)
		return err == nil
	})
}

// eachText checks a list of texts that may not be empty.
func eachText(v cty.Value, want string, fine func(string) bool) error {
	if v.LengthInt() == 0 {
		return errors.New(want)
	}
	for _, one := range v.AsValueSlice() {
		if !one.IsKnown() || one.IsNull() || !fine(one.AsString()) {
			return errors.New(want)
		}
	}
	return nil
}
