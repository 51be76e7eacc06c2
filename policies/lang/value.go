package lang

import (
	"errors"
	"fmt"
	"math"
	"math/big"
	"strconv"
	"strings"
	"time"

	"github.com/zclconf/go-cty/cty"

	"github.com/oakumhq/oakum/internal/spell"
)

// Checker says what is wrong with a known value that is not null.
type Checker func(cty.Value) error

// friendly names a type as a user would.
func friendly(t cty.Type) string {
	if t == cty.DynamicPseudoType {
		return "value"
	}
	return t.FriendlyName()
}

// NumberOf returns a number as float64.
func NumberOf(value cty.Value) float64 {
	f, _ := value.AsBigFloat().Float64()
	return f
}

// ValueText formats a value for a person.
func ValueText(value cty.Value) string {
	switch {
	case value == cty.NilVal || value.IsNull():
		return "null"
	case !value.IsKnown():
		return "unknown"
	case value.Type() == cty.String:
		return strconv.Quote(shorten(value.AsString(), 80))
	case value.Type() == cty.Number:
		return numberText(value.AsBigFloat())
	case value.Type() == cty.Bool:
		return strconv.FormatBool(value.True())
	case value.CanIterateElements():
		return shorten(elementsText(value), 120)
	}
	return value.Type().FriendlyName()
}

func numberText(n *big.Float) string {
	f, _ := n.Float64()
	return strconv.FormatFloat(f, 'g', -1, 64)
}

func elementsText(value cty.Value) string {
	t := value.Type()
	pairs := t.IsMapType() || t.IsObjectType()
	var parts []string
	for it := value.ElementIterator(); it.Next() && len(parts) < 20; {
		k, v := it.Element()
		if pairs {
			parts = append(parts, ValueText(k)+": "+ValueText(v))
		} else {
			parts = append(parts, ValueText(v))
		}
	}
	if pairs {
		return "{" + strings.Join(parts, ", ") + "}"
	}
	return "[" + strings.Join(parts, ", ") + "]"
}

// OneOf is a checker for texts out of a closed set.
func OneOf(allowed ...string) Checker {
	return func(v cty.Value) error {
		for _, a := range allowed {
			if v.AsString() == a {
				return nil
			}
		}
		hint := ""
		if best := spell.Nearest(v.AsString(), allowed); best != "" {
			hint = fmt.Sprintf(" (did you mean %q?)", best)
		}
		return &Outside{OneOf: allowed, text: fmt.Sprintf("want %s%s", List(allowed, "or"), hint)}
	}
}

// Between is a checker for numbers.
func Between(low, high float64) Checker {
	return func(v cty.Value) error {
		if f := NumberOf(v); f < low || f > high {
			return outside(low, high, fmt.Sprintf("want a number from %g to %g", low, high))
		}
		return nil
	}
}

// WholeBetween is a checker for whole numbers.
func WholeBetween(low, high int) Checker {
	return func(v cty.Value) error {
		if f := NumberOf(v); !v.AsBigFloat().IsInt() || f < float64(low) || f > float64(high) {
			return outside(low, high, fmt.Sprintf("want a whole number from %d to %d", low, high))
		}
		return nil
	}
}

// RisingPercents is a checker for lists of numbers: whole percentages that rise and end with
// everything.
func RisingPercents(v cty.Value) error {
	problem := errors.New("want rising whole percentages that end at 100, such as [10, 50, 100]")
	last := 0.0
	for it := v.ElementIterator(); it.Next(); {
		_, e := it.Element()
		f := NumberOf(e)
		if f <= last || f > 100 || f != math.Trunc(f) {
			return problem
		}
		last = f
	}
	if last != 100 {
		return problem
	}
	return nil
}

// NotEmpty is a checker for texts.
func NotEmpty(v cty.Value) error {
	if strings.TrimSpace(v.AsString()) == "" {
		return errors.New("want a text that is not empty")
	}
	return nil
}

// DurationBetween is a checker for texts that are durations.
func DurationBetween(low, high time.Duration) Checker {
	return func(v cty.Value) error {
		d, err := time.ParseDuration(v.AsString())
		if err != nil {
			return outside(low, high, "want a duration such as \"30s\", \"5m\" or \"6h\"")
		}
		if d < low || d > high {
			return outside(low, high, fmt.Sprintf("want a duration from %s to %s", low, high))
		}
		return nil
	}
}

// TextsOf returns the elements of a list of texts.
func TextsOf(v cty.Value) []string {
	out := make([]string, 0, v.LengthInt())
	for it := v.ElementIterator(); it.Next(); {
		_, e := it.Element()
		out = append(out, e.AsString())
	}
	return out
}

// StringList is a list of texts.
func StringList(in []string) cty.Value {
	out := make([]cty.Value, len(in))
	for i, s := range in {
		out[i] = cty.StringVal(s)
	}
	return ListOf(out, cty.String)
}

// ListOf is a list of values, which may be empty.
func ListOf(values []cty.Value, element cty.Type) cty.Value {
	if len(values) == 0 {
		return cty.ListValEmpty(element)
	}
	return cty.ListVal(values)
}
