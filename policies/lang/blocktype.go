package lang

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/zclconf/go-cty/cty"

	"github.com/oakumhq/oakum/api"
)

// BlockType describes one block of a file: what the parser takes in it.
type BlockType struct {
	Name      string
	Kind      string // the label that such a block has, as in strategy "phased"; "" for any
	Label     string // what its label says; "" when it takes none
	Doc       string
	Since     int // the least cluster level that keeps it; 0: every one
	Arguments []Argument
	Blocks    []BlockType
}

// BlockNamed is the block of a name, or an empty one.
func BlockNamed(all []BlockType, name string) BlockType {
	if i := slices.IndexFunc(all, func(b BlockType) bool { return b.Name == name }); i >= 0 {
		return all[i]
	}
	return BlockType{}
}

// Outside is the error about a value that is not in a closed set or a range.
type Outside struct {
	OneOf    []string
	Min, Max string
	text     string
}

func (o *Outside) Error() string { return o.text }

func outside[T int | float64 | time.Duration](low, high T, text string) error {
	return &Outside{Min: boundText(low), Max: boundText(high), text: text}
}

// boundText writes a bound as a file would: 0.000001, 168h.
func boundText(bound any) string {
	switch b := bound.(type) {
	case float64:
		return strconv.FormatFloat(b, 'f', -1, 64)
	case time.Duration:
		text := b.String()
		if strings.HasSuffix(text, "m0s") {
			text = strings.TrimSuffix(text, "0s")
		}
		if strings.HasSuffix(text, "h0m") {
			text = strings.TrimSuffix(text, "0m")
		}
		return text
	}
	return fmt.Sprint(bound)
}

// Schema describes a block for people and programs.
func (b BlockType) Schema() api.BlockSchema {
	out := api.BlockSchema{Name: b.Name, Kind: b.Kind, Label: b.Label, Doc: b.Doc, Since: b.Since, Arguments: []api.ArgumentSchema{}, Blocks: []api.BlockSchema{}}
	for _, a := range b.Arguments {
		out.Arguments = append(out.Arguments, a.schema())
	}
	for _, inner := range b.Blocks {
		out.Blocks = append(out.Blocks, inner.Schema())
	}
	return out
}

func (a Argument) schema() api.ArgumentSchema {
	out := api.ArgumentSchema{Name: a.Name, Type: typeText(a.Want), Required: a.Required, Since: a.Since, Doc: a.Doc}
	if a.Default != cty.NilVal {
		out.Default = ValueText(a.Default)
	}
	if a.Check == nil {
		return out
	}
	err := a.Check(noValue(a.Want))
	if err == nil {
		return out
	}
	if o, ok := errors.AsType[*Outside](err); ok {
		out.OneOf, out.Min, out.Max = o.OneOf, o.Min, o.Max
		return out
	}
	if _, want, ok := strings.Cut(err.Error(), "want "); ok {
		out.Wants = want
	}
	return out
}

func typeText(t cty.Type) string {
	switch {
	case t == cty.DynamicPseudoType:
		return "any"
	case t.IsListType():
		return "list(" + typeText(t.ElementType()) + ")"
	case t.IsMapType():
		return "map(" + typeText(t.ElementType()) + ")"
	}
	return t.FriendlyName()
}

// noValue is a value of a type that no checker takes. What the checker says about it is
// what a person would be told, so it tells the range.
func noValue(t cty.Type) cty.Value {
	switch {
	case t == cty.Number:
		return cty.NegativeInfinity
	case t == cty.Bool:
		return cty.False
	case t.IsListType():
		return cty.ListVal([]cty.Value{noValue(t.ElementType())})
	case t.IsMapType():
		return cty.MapVal(map[string]cty.Value{"\x00": noValue(t.ElementType())})
	}
	return cty.StringVal("\x00")
}
