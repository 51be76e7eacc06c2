package policies

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"

	"github.com/oakumhq/oakum/api"
)

// Bounds of durations in policies. A look or a deadline below a second would
// be shorter than the stack's own health checks; a stage that takes more than
// a week is a mistake in the unit.
const (
	minSecond = time.Second
	maxDay    = 24 * time.Hour
	maxWeek   = 7 * 24 * time.Hour
	maxMonth  = 31 * 24 * time.Hour
)

// part is a block that becomes a T. Fixed holds it when it needs no facts.
type part[T any] struct {
	*block
	build   func(*values) T
	fixed   *T
	because string // in words, when fixed and set
}

// readPart reads a block and builds it at once when it needs no facts, so that
// contradictions between its arguments are found in the file.
func readPart[T any](p *policyParser, b *hclsyntax.Block, args []argument, build func(*values) T) part[T] {
	before := len(p.diags)
	out := part[T]{block: p.block(b, args), build: build}
	if len(p.diags) > before || !out.block.fixed() {
		return out
	}
	v := &values{block: out.block}
	built := build(v)
	if v.err != nil {
		p.problem(out.rng, "Wrong value", "%v.", v.err)
		return out
	}
	out.fixed = &built
	return out
}

// get returns the T for the facts in ctx.
func (p part[T]) get(ctx *hcl.EvalContext) (T, error) {
	if p.fixed != nil {
		return *p.fixed, nil
	}
	v := &values{block: p.block, ctx: ctx}
	built := p.build(v)
	if v.err != nil {
		var zero T
		return zero, v.err
	}
	return built, nil
}

// values reads the arguments of a block and keeps the first error.
type values struct {
	block *block
	ctx   *hcl.EvalContext
	err   error
}

// get returns an argument's value and whether it was written.
func (v *values) get(name string) (cty.Value, bool) {
	f, ok := v.block.fields[name]
	if !ok || v.err != nil {
		return cty.NilVal, false
	}
	value, err := f.eval(v.ctx)
	if err != nil {
		v.err = err
		return cty.NilVal, false
	}
	return value, true
}

func (v *values) text(name, absent string) string {
	if value, ok := v.get(name); ok {
		return value.AsString()
	}
	return absent
}

func (v *values) duration(name string) time.Duration {
	if value, ok := v.get(name); ok {
		d, err := time.ParseDuration(value.AsString())
		v.keep(err)
		return d
	}
	return 0
}

// keep remembers the first error, with the block's place when facts were
// needed to find it.
func (v *values) keep(err error) {
	if err == nil || v.err != nil {
		return
	}
	if v.ctx != nil {
		err = fmt.Errorf("%s: %w", v.block.at, err)
	}
	v.err = err
}

func durationBetween(low, high time.Duration) checker {
	return func(v cty.Value) error {
		d, err := time.ParseDuration(v.AsString())
		if err != nil {
			return errors.New("want a duration such as \"30s\", \"5m\" or \"6h\"")
		}
		if d < low || d > high {
			return fmt.Errorf("want a duration from %s to %s", low, high)
		}
		return nil
	}
}

// kpiArguments are those of a kpi block.
func kpiArguments(kpi string) []argument {
	return []argument{
		{name: "abort_above", want: cty.DynamicPseudoType, required: true, check: checkMargin},
		{name: "promote_below", want: cty.DynamicPseudoType, required: true, check: checkMargin},
		{name: "ignore_below", want: cty.DynamicPseudoType, check: func(v cty.Value) error {
			_, err := parseQuantity(kpi, v)
			return err
		}},
		{name: "weight", want: cty.Number, check: between(0, 1)},
		{name: "query", want: cty.String, check: notEmpty},
		{name: "kind", want: cty.String, check: oneOf(string(api.KPIGauge), string(api.KPICount), string(api.KPILatency))},
		{name: "total", want: cty.String, check: notEmpty},
	}
}

func kpiOf(v *values) api.KPISpec {
	spec := api.KPISpec{KPI: v.block.label}
	if value, ok := v.get("abort_above"); ok {
		spec.AbortAbove, _ = parseMargin(value)
	}
	if value, ok := v.get("promote_below"); ok {
		spec.PromoteBelow, _ = parseMargin(value)
	}
	if value, ok := v.get("ignore_below"); ok {
		spec.IgnoreBelow, _ = parseQuantity(spec.KPI, value)
	}
	if value, ok := v.get("weight"); ok {
		spec.Weight = numberOf(value)
	}
	if value, ok := v.get("query"); ok {
		spec.Query = value.AsString()
	}
	spec.Kind, spec.Total = api.KPIKind(v.text("kind", "")), v.text("total", "")
	v.keep(checkQuery(spec))
	if v.err == nil && spec.PromoteBelow <= spec.AbortAbove {
		v.keep(fmt.Errorf("promote_below (%gx) must be above abort_above (%gx): the gap between them is what the judge decides in",
			spec.PromoteBelow, spec.AbortAbove))
	}
	return spec
}

// checkQuery refuses a query that would not be asked, or could not be judged.
func checkQuery(spec api.KPISpec) error {
	if spec.Query == "" {
		if spec.Kind != "" || spec.Total != "" {
			return errors.New("kind and total describe a query, and there is none")
		}
		return nil
	}
	_, quantile := api.KPIQuantile(spec.KPI)
	switch {
	case slices.Contains(knownKPIs(), spec.KPI) || quantile && strings.HasPrefix(spec.KPI, "latency_p"):
		return fmt.Errorf("%s is a KPI that Oakum knows by itself: the agent's configuration says how it is measured; give a query of your own another name", spec.KPI)
	case spec.Kind == api.KPICount && spec.Total == "":
		return errors.New("a count needs total, the query for all events, of which query counts those that failed")
	case spec.Kind != api.KPICount && spec.Total != "":
		return errors.New("only a count is out of a total")
	case spec.Kind == api.KPILatency && !quantile:
		return fmt.Errorf("the name of a latency ends in its quantile, such as %s_p99", spec.KPI)
	}
	return nil
}

func checkMargin(v cty.Value) error {
	_, err := parseMargin(v)
	return err
}

// parseMargin reads a ratio of canary to stable: "1.1x" or 1.1.
func parseMargin(v cty.Value) (float64, error) {
	ratio, ok := 0.0, false
	switch v.Type() {
	case cty.Number:
		ratio, ok = numberOf(v), true
	case cty.String:
		if text, found := strings.CutSuffix(v.AsString(), "x"); found {
			parsed, err := strconv.ParseFloat(text, 64)
			ratio, ok = parsed, err == nil
		}
	}
	if !ok || math.IsNaN(ratio) || ratio <= 1 || ratio > 1000 {
		return 0, errors.New("want a ratio of canary to stable above 1 and up to 1000, such as \"1.1x\"")
	}
	return ratio, nil
}

// parseQuantity reads an amount of a KPI: a number in its unit, a duration for
// latencies, a size for memory.
func parseQuantity(kpi string, v cty.Value) (float64, error) {
	if v.Type() == cty.Number {
		if f := numberOf(v); f >= 0 && f <= 1e18 {
			return f, nil
		}
		return 0, errors.New("want a number that is not negative")
	}
	if v.Type() != cty.String {
		return 0, errors.New("want a number in the KPI's unit")
	}
	switch {
	case isLatency(kpi):
		if d, err := time.ParseDuration(v.AsString()); err == nil && d >= 0 {
			return d.Seconds(), nil
		}
		return 0, errors.New("want a duration such as \"1ms\", or seconds as a number")
	case kpi == api.KPIMemory || kpi == api.KPIIOBytes:
		if bytes, ok := parseSize(v.AsString()); ok {
			return bytes, nil
		}
		return 0, errors.New("want a size such as \"16MiB\", or bytes as a number")
	}
	return 0, fmt.Errorf("want a number: %s has no unit that can be written", kpi)
}

// isLatency reports whether a KPI's name is that of a latency.
func isLatency(kpi string) bool {
	_, quantile := api.KPIQuantile(kpi)
	return quantile || strings.HasPrefix(kpi, "latency")
}

// parseSize reads sizes with binary units.
func parseSize(text string) (float64, bool) {
	for i, unit := range []string{"KiB", "MiB", "GiB"} {
		if figure, found := strings.CutSuffix(text, unit); found {
			f, err := strconv.ParseFloat(figure, 64)
			return f * math.Pow(1024, float64(i+1)), err == nil && f >= 0 && f <= 1e9
		}
	}
	return 0, false
}

func budgetArguments() []argument {
	return []argument{
		{name: "instances", want: cty.DynamicPseudoType, check: func(v cty.Value) error {
			_, _, err := parseShare(v)
			return err
		}},
		{name: "targets", want: cty.Number, check: wholeBetween(1, 1_000_000)},
		{name: "failures", want: cty.Number, check: wholeBetween(1, 1_000_000)},
		{name: "neighbours", want: cty.String, check: oneOf("exclusive", "any")},
	}
}

// parseShare reads "10%" as a percentage and 3 as a number.
func parseShare(v cty.Value) (percent, count int, err error) {
	problem := errors.New("want a whole percentage from \"1%\" to \"100%\", or a whole number of instances from 1")
	switch v.Type() {
	case cty.Number:
		if wholeBetween(1, 1_000_000)(v) == nil {
			return 0, int(numberOf(v)), nil
		}
	case cty.String:
		if text, found := strings.CutSuffix(v.AsString(), "%"); found {
			if p, convErr := strconv.Atoi(text); convErr == nil && p >= 1 && p <= 100 {
				return p, 0, nil
			}
		}
	}
	return 0, 0, problem
}

func approvalArguments() []argument {
	return []argument{
		{name: "when", want: cty.Bool},
		{name: "from", want: cty.String, check: notEmpty},
		{name: "count", want: cty.Number, check: wholeBetween(1, 20)},
	}
}

// Things that may make a rollout turn back by itself.
const (
	rollbackVerdict  = "verdict"
	rollbackHealth   = "health"
	rollbackDeadline = "deadline"
	rollbackDenied   = "denied"
)

func rollbackArguments() []argument {
	known := []string{rollbackVerdict, rollbackHealth, rollbackDeadline, rollbackDenied}
	return []argument{
		{name: "on", want: cty.List(cty.String), check: func(v cty.Value) error {
			for it := v.ElementIterator(); it.Next(); {
				if _, e := it.Element(); oneOf(known...)(e) != nil {
					return fmt.Errorf("there is no %q; want a list of %s", e.AsString(), list(known, "and"))
				}
			}
			return nil
		}},
		{name: "quarantine", want: cty.Bool},
	}
}
