package policies

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/zclconf/go-cty/cty"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/internal/promql"
	"github.com/oakumhq/oakum/policies/lang"
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

// kpiArguments are those of a kpi block.
func kpiArguments(kpi string) []lang.Argument {
	return []lang.Argument{
		{Name: "abort_above", Doc: "patched to former, as a ratio; proven worse than this: abort", Want: cty.DynamicPseudoType, Required: true, Check: checkMargin},
		{Name: "promote_below", Doc: "proven better than this: promote", Want: cty.DynamicPseudoType, Required: true, Check: checkMargin},
		{Name: "ignore_below", Doc: "a difference that nobody would notice, in the KPI's unit; \"1ms\" of a latency and \"16MiB\" of memory are fine", Want: cty.DynamicPseudoType, Check: func(v cty.Value) error {
			_, err := parseQuantity(kpi, v)
			return err
		}},
		{Name: "weight", Doc: "its share of false_alarm; without, an equal one", Want: cty.Number, Check: lang.Between(0, 1)},
		{Name: "query", Doc: "PromQL of a KPI of your own, with a series for each allocation", Want: cty.String, Check: lang.NotEmpty},
		{Name: "kind", Doc: "what the query counts; without, gauge", Want: cty.String, Check: lang.OneOf(string(api.KPIGauge), string(api.KPICount), string(api.KPILatency))},
		{Name: "total", Doc: "the query for all events, of which query counts those that failed", Want: cty.String, Check: lang.NotEmpty},
	}
}

func kpiOf(v *lang.Values) api.KPISpec {
	spec := api.KPISpec{KPI: v.Label()}
	if value, ok := v.Get("abort_above"); ok {
		spec.AbortAbove, _ = parseMargin(value)
	}
	if value, ok := v.Get("promote_below"); ok {
		spec.PromoteBelow, _ = parseMargin(value)
	}
	if value, ok := v.Get("ignore_below"); ok {
		spec.IgnoreBelow, _ = parseQuantity(spec.KPI, value)
	}
	if value, ok := v.Get("weight"); ok {
		spec.Weight = lang.NumberOf(value)
	}
	if value, ok := v.Get("query"); ok {
		spec.Query = value.AsString()
	}
	spec.Kind, spec.Total = api.KPIKind(v.Text("kind", "")), v.Text("total", "")
	v.Keep(checkQuery(spec))
	keepQuery(v, "query", spec.Query, spec.Kind)
	keepQuery(v, "total", spec.Total, spec.Kind)
	if v.Err() == nil && spec.PromoteBelow <= spec.AbortAbove {
		v.Keep(fmt.Errorf("promote_below (%gx) must be above abort_above (%gx): the gap between them is what the judge decides in",
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

// keepQuery refuses a query whose answer the kind of its KPI could not use. The label of
// the instance is the agent's to say.
func keepQuery(v *lang.Values, name, query string, kind api.KPIKind) {
	if query == "" || v.Err() != nil {
		return
	}
	if fault, ok := errors.AsType[*promql.Fault](promql.Check(query, promql.KPI(kind, ""))); ok {
		v.KeepIn(name, fault.Offset, fmt.Errorf("%s: %w", name, fault))
	}
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
		ratio, ok = lang.NumberOf(v), true
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
		if f := lang.NumberOf(v); f >= 0 && f <= 1e18 {
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
	return 0, fmt.Errorf("%s has no unit that can be written: want a number", kpi)
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

func budgetArguments() []lang.Argument {
	return []lang.Argument{
		{Name: "instances", Doc: "of a target, away at once; without, the job's max_parallel", Want: cty.DynamicPseudoType, Check: func(v cty.Value) error {
			_, _, err := parseShare(v)
			return err
		}},
		{Name: "targets", Doc: "rollouts under way at once", Want: cty.Number, Check: lang.WholeBetween(1, 1_000_000)},
		{Name: "failures", Doc: "failed targets after which the plan goes no further", Want: cty.Number, Check: lang.WholeBetween(1, 1_000_000)},
		{Name: "policy_failures", Doc: "likewise, counting and stopping targets of this policy alone", Since: 8, Want: cty.Number, Check: lang.WholeBetween(1, 1_000_000)},
		{Name: "neighbours", Doc: "may targets that talk to each other go together?", Want: cty.String, Check: lang.OneOf("exclusive", "any")},
	}
}

// parseShare reads "10%" as a percentage and 3 as a number.
func parseShare(v cty.Value) (percent, count int, err error) {
	problem := errors.New("want a whole percentage from \"1%\" to \"100%\", or a whole number of instances from 1")
	switch v.Type() {
	case cty.Number:
		if lang.WholeBetween(1, 1_000_000)(v) == nil {
			return 0, int(lang.NumberOf(v)), nil
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

func approvalArguments() []lang.Argument {
	return []lang.Argument{
		{Name: "when", Doc: "whether consent is needed; without, it is", Want: cty.Bool},
		{Name: "from", Doc: "the group of Vault whose members may consent; without, anybody who may approve", Want: cty.String, Check: lang.NotEmpty},
		{Name: "count", Doc: "how many people; without, one", Want: cty.Number, Check: lang.WholeBetween(1, 20)},
		{Name: "self", Doc: "whether the consent of whoever submitted the patch counts", Since: 7, Want: cty.Bool},
		{Name: "expires", Doc: "how long a consent counts until the rollout begins", Since: 7, Want: cty.String, Check: lang.DurationBetween(time.Minute, maxMonth)},
	}
}

// Things that may make a rollout turn back by itself.
const (
	rollbackVerdict  = "verdict"
	rollbackHealth   = "health"
	rollbackDeadline = "deadline"
	rollbackDenied   = "denied"
)

func rollbackArguments() []lang.Argument {
	known := []string{rollbackVerdict, rollbackHealth, rollbackDeadline, rollbackDenied}
	return []lang.Argument{
		{Name: "on", Doc: "what turns a rollout back by itself", Want: cty.List(cty.String), Check: func(v cty.Value) error {
			for it := v.ElementIterator(); it.Next(); {
				if _, e := it.Element(); lang.OneOf(known...)(e) != nil {
					return fmt.Errorf("there is no %q; want a list of %s", e.AsString(), lang.List(known, "and"))
				}
			}
			return nil
		}},
		{Name: "quarantine", Doc: "whether a patch that was turned back is kept from the target", Want: cty.Bool},
		{Name: "at_once", Doc: "whether every instance goes back at the same time", Since: 6, Want: cty.Bool},
		{Name: "window", Doc: "for how long after its end a rollout may be taken back", Since: 7, Want: cty.String, Check: lang.DurationBetween(0, maxMonth)},
		{Name: "automatic", Doc: "whether it is taken back by itself when the target gets worse within the window", Since: 8, Want: cty.Bool},
	}
}
