package lang

import (
	"strconv"
	"unicode/utf8"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"
	"golang.org/x/text/unicode/norm"
)

// Exact is the text of an argument byte for byte, where value is what HCL makes of it:
// HCL brings every text into Unicode's form NFC, and a file name in a script is another
// one then. The contents of a file are taken from files, which are by path. What is
// written in the source itself and would be changed is a problem.
func (s *Source) Exact(b *hclsyntax.Block, name, value string, files map[string]string) string {
	attr := b.Body.Attributes[name]
	if attr == nil {
		return value
	}
	expr := Unwrapped(attr.Expr)
	if path, ok := FileCall(expr); ok {
		if contents, sent := files[path]; sent {
			return contents
		}
		return value // an error by now
	}
	whole := literal(expr)
	s.checkWritten(attr.Expr.Range(), name, whole)
	_ = hclsyntax.VisitAll(expr, func(node hclsyntax.Node) hcl.Diagnostics {
		call, ok := node.(*hclsyntax.FunctionCallExpr)
		if !ok {
			return nil
		}
		if path, ok := FileCall(call); ok && changes(files[path], false) >= 0 {
			s.Problem(call.Range(), "Text would be changed", "HCL would change the bytes of %q (Unicode NFC) when it joins them with other text. "+
				"A file alone keeps its bytes, as in: %s = file(%q).", path, name, path)
		}
		return nil
	})
	return value
}

// checkWritten refuses an expression whose own text is not kept.
func (s *Source) checkWritten(rng hcl.Range, name string, whole bool) {
	at := changes(unescaped(string(rng.SliceBytes(s.Text))), whole)
	if at >= 0 {
		s.Problem(rng, "Text would be changed", "HCL would change some characters of this text (Unicode NFC). "+
			"Write it to a file, whose bytes are kept, as in: %s = file(\"patch.sh\").", name)
	}
}

// Unwrapped is an expression without what stands around it and changes nothing.
func Unwrapped(expr hclsyntax.Expression) hclsyntax.Expression {
	for {
		switch e := expr.(type) {
		case *hclsyntax.ParenthesesExpr:
			expr = e.Expression
		case *hclsyntax.TemplateWrapExpr:
			expr = e.Wrapped
		default:
			return expr
		}
	}
}

// FileCall returns the path of a call of file().
func FileCall(expr hclsyntax.Expression) (string, bool) {
	call, ok := expr.(*hclsyntax.FunctionCallExpr)
	if !ok || call.Name != "file" || len(call.Args) != 1 {
		return "", false
	}
	value, ok := Constant(call.Args[0])
	if !ok || value.Type() != cty.String {
		return "", false
	}
	return value.AsString(), true
}

// literal reports whether an expression is one text without anything put into it.
func literal(expr hclsyntax.Expression) bool {
	t, ok := expr.(*hclsyntax.TemplateExpr)
	if !ok {
		return false
	}
	for _, part := range t.Parts {
		if _, ok := part.(*hclsyntax.LiteralValueExpr); !ok {
			return false
		}
	}
	return true
}

// changes is the offset of a character that HCL would change, or -1. Where the text is
// not the whole of a value, a character that may join the one before it counts too.
func changes(text string, whole bool) int {
	if whole {
		if n := norm.NFC.QuickSpanString(text); n < len(text) && !norm.NFC.IsNormalString(text) {
			return n
		}
		return -1
	}
	for at, r := range text {
		p := norm.NFC.PropertiesString(text[at:])
		if r != utf8.RuneError && (!p.BoundaryBefore() || norm.NFC.String(string(r)) != string(r)) {
			return at
		}
	}
	return -1
}

// unescaped is the text of an expression with \uNNNN and \UNNNNNNNN as the characters
// that they stand for.
func unescaped(text string) string {
	out := make([]byte, 0, len(text))
	for i := 0; i < len(text); i++ {
		digits := 0
		if text[i] == '\\' && i+1 < len(text) {
			switch text[i+1] {
			case 'u':
				digits = 4
			case 'U':
				digits = 8
			}
		}
		if end := i + 2 + digits; digits > 0 && end <= len(text) {
			if n, err := strconv.ParseUint(text[i+2:end], 16, 32); err == nil && n <= utf8.MaxRune {
				out = utf8.AppendRune(out, rune(n))
				i = end - 1
				continue
			}
		}
		out = append(out, text[i])
	}
	return string(out)
}
