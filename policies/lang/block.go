package lang

import (
	"cmp"
	"fmt"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"
)

// Block is a block as it was written.
type Block struct {
	Label  string // the first label, or ""
	Range  hcl.Range
	At     string // file:line,column
	Fields map[string]*Field

	absent map[string]cty.Value // what arguments are that were not written
}

// Fixed reports whether no field of the block needs facts.
func (b *Block) Fixed() bool {
	for _, f := range b.Fields {
		if !f.Fixed {
			return false
		}
	}
	return true
}

// ReadBlock reads a block's arguments. Unknown and missing ones are reported.
func (s *Source) ReadBlock(b *hclsyntax.Block, args []Argument, sc *Scope) *Block {
	out := &Block{Range: b.DefRange(), At: Place(b.DefRange()), Fields: map[string]*Field{}, absent: map[string]cty.Value{}}
	if len(b.Labels) > 0 {
		out.Label = b.Labels[0]
	}
	byName := make(map[string]Argument, len(args))
	for _, a := range args {
		byName[a.Name] = a
		if a.Default != cty.NilVal {
			out.absent[a.Name] = a.Default
		}
	}
	for _, attr := range Attributes(b.Body) {
		arg, ok := byName[attr.Name]
		if !ok {
			s.unknownArgument(attr, b.Type, Names(byName))
			continue
		}
		if f := s.ReadField(attr, arg, cmp.Or(arg.Scope, sc)); f != nil {
			out.Fields[arg.Name] = f
		}
	}
	for _, a := range args {
		if _, written := b.Body.Attributes[a.Name]; a.Required && !written {
			s.Problem(b.DefRange(), "Missing argument", "%s needs the argument %q, a %s.",
				blockName(b), a.Name, friendly(a.Want))
		}
	}
	return out
}

func (s *Source) unknownArgument(attr *hclsyntax.Attribute, where string, known []string) {
	if len(known) == 0 {
		s.Problem(attr.NameRange, "Unknown argument", "%s takes no arguments.", where)
		return
	}
	s.Problem(attr.NameRange, "Unknown argument", "%s has no argument %q.%s It takes %s.",
		where, attr.Name, DidYouMean(attr.Name, known), List(known, "and"))
}

// blockName is how a person calls a block: phased strategy → strategy "phased".
func blockName(b *hclsyntax.Block) string {
	if len(b.Labels) == 0 {
		return b.Type
	}
	return fmt.Sprintf("%s %q", b.Type, b.Labels[0])
}

// NoBlocks reports blocks inside one that takes none.
func (s *Source) NoBlocks(b *hclsyntax.Block) {
	for _, inner := range b.Body.Blocks {
		s.Problem(inner.DefRange(), "Unknown block", "%s takes no blocks, so there can be no %q in it.",
			b.Type, inner.Type)
	}
}

// Labels reports a block whose number of labels is wrong, or whose label is no
// name.
func (s *Source) Labels(b *hclsyntax.Block, want int) bool {
	if len(b.Labels) != want {
		if want == 0 {
			s.Problem(b.DefRange(), "Too many labels", "%s takes no label.", b.Type)
		} else {
			s.Problem(b.DefRange(), "Wrong number of labels", "%s takes one label, as in: %s \"name\" { }.", b.Type, b.Type)
		}
		return false
	}
	for i, label := range b.Labels {
		if !ValidName(label) {
			s.Problem(b.LabelRanges[i], "Invalid name",
				"%q is no name: want 1 to 128 letters, digits, dots, dashes and underscores, beginning with a letter or digit.", label)
			return false
		}
	}
	return true
}

// ValidName reports whether a text may name a patch, a policy or a part of one.
func ValidName(text string) bool {
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

// Unique reports a second block of the same kind and name. The caller keeps
// seen.
func (s *Source) Unique(seen map[string]hcl.Range, b *hclsyntax.Block) bool {
	key := blockName(b)
	if first, ok := seen[key]; ok {
		s.Problem(b.DefRange(), "Duplicate name", "%s was already written at %s.", key, Place(first))
		return false
	}
	seen[key] = b.DefRange()
	return true
}
