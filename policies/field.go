package policies

import (
	"errors"
	"fmt"
	"math/big"
	"strconv"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"
	"github.com/zclconf/go-cty/cty/convert"
)

// checker says what is wrong with a known value that is not null.
type checker func(cty.Value) error

// argument describes one argument that a block takes.
type argument struct {
	name     string
	want     cty.Type // cty.DynamicPseudoType leaves the type to check
	required bool
	check    checker
	base     bool // may not use target.critical
}

// field is one argument as it was written. A fixed field uses no facts: its
// value is known since the file was parsed.
type field struct {
	argument
	expr    hclsyntax.Expression
	rng     hcl.Range // of the expression
	src     *source
	fixed   bool
	value   cty.Value // when fixed
	because string    // when fixed
	at      string    // file:line,column of the expression
}

// block is a block as it was written.
type block struct {
	kind   string
	label  string
	rng    hcl.Range
	at     string // file:line,column
	fields map[string]*field
}

// fixed reports whether no field of the block needs facts.
func (b *block) fixed() bool {
	for _, f := range b.fields {
		if !f.fixed {
			return false
		}
	}
	return true
}

// readField checks one argument and keeps it. It returns nil after an error.
func (s *source) readField(attr *hclsyntax.Attribute, arg argument, sc *scope) *field {
	f := &field{argument: arg, expr: attr.Expr, rng: attr.Expr.Range(), src: s}
	f.at = place(f.rng)
	value, ok := s.checkExpression(attr.Expr, sc)
	if !ok {
		return nil
	}
	if len(attr.Expr.Variables()) == 0 && value.IsWhollyKnown() {
		f.fixed = true
		f.value, ok = s.settle(f, value)
		f.because = fmt.Sprintf("%s = %s", arg.name, valueText(f.value))
		return keepIf(f, ok)
	}
	if arg.want == cty.DynamicPseudoType {
		if t := value.Type(); t != cty.Number && t != cty.String && t != cty.DynamicPseudoType {
			s.problem(f.rng, "Wrong type", "%s must be a number or a string, and not a %s.", arg.name, t.FriendlyName())
			return nil
		}
		return f
	}
	if _, err := convert.Convert(value, arg.want); err != nil {
		s.problem(f.rng, "Wrong type", "%s must be a %s: %v.", arg.name, friendly(arg.want), err)
		return nil
	}
	return f
}

func keepIf(f *field, ok bool) *field {
	if !ok {
		return nil
	}
	return f
}

// settle converts and checks a fixed value.
func (s *source) settle(f *field, value cty.Value) (cty.Value, bool) {
	settled, err := f.accept(value)
	if err != nil {
		s.problem(f.rng, "Wrong value", "%v.", err)
		return cty.NilVal, false
	}
	return settled, true
}

// accept converts a known value to the wanted type and checks it.
func (f *field) accept(value cty.Value) (cty.Value, error) {
	if value.IsNull() {
		return cty.NilVal, fmt.Errorf("%s is null, and must be a %s", f.name, friendly(f.want))
	}
	if f.want != cty.DynamicPseudoType {
		converted, err := convert.Convert(value, f.want)
		if err != nil {
			return cty.NilVal, fmt.Errorf("%s must be a %s: %w", f.name, friendly(f.want), err)
		}
		value = converted
	}
	if !value.IsWhollyKnown() || hasNull(value) {
		return cty.NilVal, fmt.Errorf("%s holds null", f.name)
	}
	if f.check == nil {
		return value, nil
	}
	if err := f.check(value); err != nil {
		return cty.NilVal, fmt.Errorf("%s = %s: %w", f.name, valueText(value), err)
	}
	return value, nil
}

// eval returns the field's value for the facts in ctx, with its place in any
// error.
func (f *field) eval(ctx *hcl.EvalContext) (cty.Value, error) {
	if f.fixed {
		return f.value, nil
	}
	value, diags := f.expr.Value(ctx)
	if diags.HasErrors() {
		return cty.NilVal, diagnosticsCause(diags)
	}
	value, err := f.accept(value)
	if err != nil {
		return cty.NilVal, fmt.Errorf("%s: %w", f.at, err)
	}
	return value, nil
}

// evalBool is eval for conditions, with the reason in words.
func (f *field) evalBool(ctx *hcl.EvalContext) (bool, string, error) {
	value, err := f.eval(ctx)
	if err != nil {
		return false, "", err
	}
	if f.fixed {
		return value.True(), f.because, nil
	}
	return value.True(), explain(f.src, f.expr, ctx), nil
}

// hasNull reports whether a list or object holds a null.
func hasNull(value cty.Value) bool {
	if value.IsNull() {
		return true
	}
	if !value.CanIterateElements() {
		return false
	}
	for it := value.ElementIterator(); it.Next(); {
		if _, v := it.Element(); hasNull(v) {
			return true
		}
	}
	return false
}

// readBlock reads a block's arguments. Unknown and missing ones are reported.
func (s *source) readBlock(b *hclsyntax.Block, args []argument, base, full *scope) *block {
	out := &block{kind: b.Type, rng: b.DefRange(), at: place(b.DefRange()), fields: map[string]*field{}}
	if len(b.Labels) > 0 {
		out.label = b.Labels[0]
	}
	byName := make(map[string]argument, len(args))
	for _, a := range args {
		byName[a.name] = a
	}
	for _, attr := range sortedAttributes(b.Body) {
		arg, ok := byName[attr.Name]
		if !ok {
			s.unknownArgument(attr, b.Type, names(byName))
			continue
		}
		sc := full
		if arg.base {
			sc = base
		}
		if f := s.readField(attr, arg, sc); f != nil {
			out.fields[arg.name] = f
		}
	}
	for _, a := range args {
		if _, written := b.Body.Attributes[a.name]; a.required && !written {
			s.problem(b.DefRange(), "Missing argument", "%s needs the argument %q, a %s.",
				blockName(b), a.name, friendly(a.want))
		}
	}
	return out
}

func (s *source) unknownArgument(attr *hclsyntax.Attribute, where string, known []string) {
	if len(known) == 0 {
		s.problem(attr.NameRange, "Unknown argument", "%s takes no arguments.", where)
		return
	}
	s.problem(attr.NameRange, "Unknown argument", "%s has no argument %q.%s It takes %s.",
		where, attr.Name, didYouMean(attr.Name, known), list(known, "and"))
}

// blockName is how a person calls a block: phased strategy → strategy "phased".
func blockName(b *hclsyntax.Block) string {
	if len(b.Labels) == 0 {
		return b.Type
	}
	return fmt.Sprintf("%s %q", b.Type, b.Labels[0])
}

// noBlocks reports blocks inside one that takes none.
func (s *source) noBlocks(b *hclsyntax.Block) {
	for _, inner := range b.Body.Blocks {
		s.problem(inner.DefRange(), "Unknown block", "%s takes no blocks, so there can be no %q in it.",
			b.Type, inner.Type)
	}
}

// labels reports a block whose number of labels is wrong, or whose label is no
// name.
func (s *source) labels(b *hclsyntax.Block, want int) bool {
	if len(b.Labels) != want {
		if want == 0 {
			s.problem(b.DefRange(), "Too many labels", "%s takes no label.", b.Type)
		} else {
			s.problem(b.DefRange(), "Wrong number of labels", "%s takes one label, as in: %s \"name\" { }.", b.Type, b.Type)
		}
		return false
	}
	for i, label := range b.Labels {
		if !validName(label) {
			s.problem(b.LabelRanges[i], "Invalid name",
				"%q is no name: want 1 to 128 letters, digits, dots, dashes and underscores, beginning with a letter or digit.", label)
			return false
		}
	}
	return true
}

// validName reports whether a text may name a patch, a policy or a part of one.
func validName(text string) bool {
	if text == "" || len(text) > 128 {
		return false
	}
	for i := range len(text) {
		c := text[i]
		alphanumeric := c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9'
		if !alphanumeric && (i == 0 || !strings.ContainsRune("._-", rune(c))) {
			return false
		}
	}
	return true
}

// friendly names a type as a user would.
func friendly(t cty.Type) string {
	if t == cty.DynamicPseudoType {
		return "value"
	}
	return t.FriendlyName()
}

// numberOf returns a number as float64.
func numberOf(value cty.Value) float64 {
	f, _ := value.AsBigFloat().Float64()
	return f
}

// valueText formats a value for a person.
func valueText(value cty.Value) string {
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
			parts = append(parts, valueText(k)+": "+valueText(v))
		} else {
			parts = append(parts, valueText(v))
		}
	}
	if pairs {
		return "{" + strings.Join(parts, ", ") + "}"
	}
	return "[" + strings.Join(parts, ", ") + "]"
}

// oneOf is a checker for texts out of a closed set.
func oneOf(allowed ...string) checker {
	return func(v cty.Value) error {
		for _, a := range allowed {
			if v.AsString() == a {
				return nil
			}
		}
		return fmt.Errorf("want %s%s", list(allowed, "or"), strings.TrimSuffix(didYouMean(v.AsString(), allowed), "?"))
	}
}

// between is a checker for numbers.
func between(low, high float64) checker {
	return func(v cty.Value) error {
		if f := numberOf(v); f < low || f > high {
			return fmt.Errorf("want a number from %g to %g", low, high)
		}
		return nil
	}
}

// wholeBetween is a checker for whole numbers.
func wholeBetween(low, high int) checker {
	return func(v cty.Value) error {
		if f := numberOf(v); !v.AsBigFloat().IsInt() || f < float64(low) || f > float64(high) {
			return fmt.Errorf("want a whole number from %d to %d", low, high)
		}
		return nil
	}
}

// notEmpty is a checker for texts.
func notEmpty(v cty.Value) error {
	if strings.TrimSpace(v.AsString()) == "" {
		return errors.New("want a text that is not empty")
	}
	return nil
}
