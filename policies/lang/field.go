package lang

import (
	"fmt"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"
	"github.com/zclconf/go-cty/cty/convert"
)

// UnknownError is about a field whose value depends on what nobody knows.
type UnknownError struct{ Field string }

func (e *UnknownError) Error() string { return e.Field + " depends on what nobody knows" }

// Argument describes one argument that a block takes.
type Argument struct {
	Name     string
	Doc      string    // what it says, for whoever writes one
	Default  cty.Value // that it has when it is not written; NilVal: none
	Since    int       // the least cluster level that keeps it; 0: every one
	Want     cty.Type  // cty.DynamicPseudoType leaves the type to Check
	Required bool
	Check    Checker // nil: every value of the type is fine
	Scope    *Scope  // that its expression may use; nil: the block's
}

// Field is one argument as it was written. A fixed field uses no facts: its
// value is known since the file was parsed.
type Field struct {
	Argument
	Expr    hclsyntax.Expression
	Range   hcl.Range // of the expression
	At      string    // file:line,column of the expression
	Fixed   bool
	Value   cty.Value // when fixed
	because string    // when fixed
	source  *Source
}

// ReadField checks one argument and keeps it. It returns nil after an error.
func (s *Source) ReadField(attr *hclsyntax.Attribute, arg Argument, sc *Scope) *Field {
	f := &Field{Argument: arg, Expr: attr.Expr, Range: attr.Expr.Range(), source: s}
	f.At = Place(f.Range)
	value, ok := s.checkExpression(attr.Expr, sc)
	if !ok {
		return nil
	}
	if len(attr.Expr.Variables()) == 0 && value.IsWhollyKnown() {
		accepted, err := f.accept(value)
		if err != nil {
			s.Problem(f.Range, "Wrong value", "%v.", err)
			return nil
		}
		f.Fixed, f.Value = true, accepted
		f.because = fmt.Sprintf("%s = %s", arg.Name, ValueText(accepted))
		return f
	}
	if arg.Want == cty.DynamicPseudoType {
		if t := value.Type(); t != cty.Number && t != cty.String && t != cty.DynamicPseudoType {
			s.Problem(f.Range, "Wrong type", "%s must be a number or a string, and not a %s.", arg.Name, t.FriendlyName())
			return nil
		}
		return f
	}
	if _, err := convert.Convert(value, arg.Want); err != nil {
		s.Problem(f.Range, "Wrong type", "%s must be a %s: %v.", arg.Name, friendly(arg.Want), err)
		return nil
	}
	return f
}

// accept converts a known value to the wanted type and checks it.
func (f *Field) accept(value cty.Value) (cty.Value, error) {
	if value.IsNull() {
		return cty.NilVal, fmt.Errorf("%s is null, and must be a %s", f.Name, friendly(f.Want))
	}
	if f.Want != cty.DynamicPseudoType {
		converted, err := convert.Convert(value, f.Want)
		if err != nil {
			return cty.NilVal, fmt.Errorf("%s must be a %s: %w", f.Name, friendly(f.Want), err)
		}
		value = converted
	}
	if !value.IsWhollyKnown() {
		return cty.NilVal, &UnknownError{f.Name}
	}
	if hasNull(value) {
		return cty.NilVal, fmt.Errorf("%s holds null", f.Name)
	}
	if f.Check == nil {
		return value, nil
	}
	if err := f.Check(value); err != nil {
		return cty.NilVal, fmt.Errorf("%s = %s: %w", f.Name, ValueText(value), err)
	}
	return value, nil
}

// Eval returns the field's value for the facts in ctx. An error names the place
// of the expression.
func (f *Field) Eval(ctx *hcl.EvalContext) (cty.Value, error) {
	if f.Fixed {
		return f.Value, nil
	}
	value, diags := f.Expr.Value(ctx)
	if diags.HasErrors() {
		return cty.NilVal, Cause(diags)
	}
	value, err := f.accept(value)
	if err != nil {
		return cty.NilVal, fmt.Errorf("%s: %w", f.At, err)
	}
	return value, nil
}

// EvalBool is Eval for conditions. The text says why it has its value.
func (f *Field) EvalBool(ctx *hcl.EvalContext) (bool, string, error) {
	value, err := f.Eval(ctx)
	if err != nil {
		return false, "", err
	}
	if f.Fixed {
		return value.True(), f.because, nil
	}
	return value.True(), explain(f.source, f.Expr, ctx), nil
}

// Because says which value Eval returned, as in priority = 3. If the value is a bool
// that an expression decided, Because also says why it is so.
func (f *Field) Because(value cty.Value, ctx *hcl.EvalContext) string {
	if f.Fixed {
		return f.because
	}
	text := f.Name + " = " + ValueText(value)
	if value.Type() == cty.Bool {
		text += ": " + explain(f.source, f.Expr, ctx)
	}
	return text
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
