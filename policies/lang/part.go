package lang

import (
	"fmt"
	"time"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"

	"github.com/oakumhq/oakum/internal/promql"
)

// Part is a block that becomes a T.
type Part[T any] struct {
	*Block
	build func(*Values) T
	fixed *T // when the block needs no facts
}

// ReadPart reads a block and builds it at once when it needs no facts, so that
// contradictions between its arguments are found in the file.
func ReadPart[T any](s *Source, b *hclsyntax.Block, args []Argument, sc *Scope, build func(*Values) T) Part[T] {
	before := len(s.Diags)
	out := Part[T]{Block: s.ReadBlock(b, args, sc), build: build}
	if len(s.Diags) > before || !out.Fixed() {
		return out
	}
	v := out.Values(nil)
	built := build(v)
	if v.err != nil {
		s.Problem(v.place(s.Text), "Wrong value", "%v.", v.err)
		return out
	}
	out.fixed = &built
	return out
}

// Get returns the T for the facts in ctx.
func (p Part[T]) Get(ctx *hcl.EvalContext) (T, error) {
	if p.fixed != nil {
		return *p.fixed, nil
	}
	v := p.Values(ctx)
	built := p.build(v)
	if v.err != nil {
		var zero T
		return zero, v.err
	}
	return built, nil
}

// Known returns the T when it needs no facts.
func (p Part[T]) Known() (T, bool) {
	if p.fixed == nil {
		var zero T
		return zero, false
	}
	return *p.fixed, true
}

// Values reads the arguments of a block and keeps the first error. After an
// error every argument counts as absent.
type Values struct {
	block  *Block
	ctx    *hcl.EvalContext
	err    error
	field  *Field // that the error is about; nil: the block
	offset int    // of the error in the field's text, in bytes
}

// Values returns the arguments of the block for the facts in ctx, which is nil
// where they are constants.
func (b *Block) Values(ctx *hcl.EvalContext) *Values { return &Values{block: b, ctx: ctx} }

// Label is the label of the block, or "".
func (v *Values) Label() string { return v.block.Label }

// Err is the first error.
func (v *Values) Err() error { return v.err }

// Get returns an argument's value and whether it was written.
func (v *Values) Get(name string) (cty.Value, bool) {
	f, ok := v.block.Fields[name]
	if !ok || v.err != nil {
		return cty.NilVal, false
	}
	value, err := f.Eval(v.ctx)
	if err != nil {
		v.err = err
		return cty.NilVal, false
	}
	return value, true
}

// said is an argument's value, or the default that its table has for it.
func (v *Values) said(name string) (cty.Value, bool) {
	if value, ok := v.Get(name); ok {
		return value, true
	}
	value, ok := v.block.absent[name]
	return value, ok
}

// Text returns an argument's text.
func (v *Values) Text(name, absent string) string {
	if value, ok := v.said(name); ok {
		return value.AsString()
	}
	return absent
}

// Texts returns an argument's list of texts, nil when it is absent.
func (v *Values) Texts(name string) []string {
	if value, ok := v.Get(name); ok {
		return TextsOf(value)
	}
	return nil
}

// Whole returns an argument's whole number.
func (v *Values) Whole(name string, absent int) int {
	if value, ok := v.said(name); ok {
		return int(NumberOf(value))
	}
	return absent
}

// Flag returns an argument's bool, false when it is absent.
func (v *Values) Flag(name string) bool {
	value, ok := v.Get(name)
	return ok && value.True()
}

// Duration returns an argument's duration, zero when it is absent.
func (v *Values) Duration(name string) time.Duration {
	if value, ok := v.Get(name); ok {
		d, err := time.ParseDuration(value.AsString())
		v.Keep(err)
		return d
	}
	return 0
}

// Keep remembers the first error, with the block's place when facts were
// needed to find it.
func (v *Values) Keep(err error) {
	if err == nil || v.err != nil {
		return
	}
	if v.ctx != nil {
		err = fmt.Errorf("%s: %w", v.block.At, err)
	}
	v.err = err
}

// KeepIn is Keep for an error at a byte of an argument's text.
func (v *Values) KeepIn(name string, offset int, err error) {
	field := v.block.Fields[name]
	if err == nil || v.err != nil || field == nil {
		v.Keep(err)
		return
	}
	v.err, v.field, v.offset = err, field, offset
	if v.ctx != nil {
		v.err = fmt.Errorf("%s: %w", Place(v.place(field.source.Text)), err)
	}
}

// place is where the error is.
func (v *Values) place(file []byte) hcl.Range {
	if v.field == nil {
		return v.block.Range
	}
	if at, ok := promql.Place(file, v.field.Range, v.offset); ok {
		return at
	}
	return v.field.Range
}
