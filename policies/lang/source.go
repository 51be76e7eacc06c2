package lang

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/internal/spell"
)

// Limits on one file. A policy of a large fleet has a few hundred lines; these
// are two orders of magnitude above, and low enough that the recursion of the
// parser and the work of an evaluation stay small whatever is submitted.
const (
	fileBytesMax  = 256 << 10
	depthMax      = 64
	operatorsMax  = 4096
	numberTextMax = 24 // digits, sign, point and exponent of a number
)

// Source is a file, or an expression, with what reading it found wrong.
type Source struct {
	Name  string
	Text  []byte
	Body  *hclsyntax.Body // nil when the text could not be parsed, or must not be evaluated
	Diags hcl.Diagnostics
}

// Read parses a file as HCL.
func Read(file api.SourceFile) *Source {
	s := &Source{Name: file.Name, Text: []byte(file.Text)}
	if s.Diags = checkLimits(s.Name, s.Text); s.Diags.HasErrors() {
		return s
	}
	parsed, diags := hclsyntax.ParseConfig(s.Text, s.Name, hcl.InitialPos)
	s.Diags = diags
	if diags.HasErrors() {
		s.hintTemplates()
		return s
	}
	body, ok := parsed.Body.(*hclsyntax.Body)
	if !ok {
		s.Problem(FileRange(s.Name), "Unreadable file", "The file is not in HCL's native syntax.")
		return s
	}
	s.checkCosts(body, file.Files)
	if s.checkTemplates(body); !s.Diags.HasErrors() {
		s.Body = body
	}
	return s
}

// ReadExpression parses and checks an expression that stands alone. The name
// says in errors where it comes from.
func ReadExpression(name, text string, sc *Scope) (hclsyntax.Expression, error) {
	s := &Source{Name: name, Text: []byte(text)}
	if s.Diags = checkLimits(name, s.Text); s.Diags.HasErrors() {
		return nil, Cause(s.Diags)
	}
	expr, diags := hclsyntax.ParseExpression(s.Text, name, hcl.InitialPos)
	if s.Diags = diags; diags.HasErrors() {
		return nil, Cause(diags)
	}
	if s.checkCosts(expr, nil); s.Diags.HasErrors() {
		return nil, Cause(s.Diags)
	}
	s.checkExpression(expr, sc)
	return expr, Cause(s.Diags)
}

// FileRange points at the start of a file.
func FileRange(name string) hcl.Range {
	return hcl.Range{Filename: name, Start: hcl.InitialPos, End: hcl.InitialPos}
}

// Problem records an error at a place in the file.
func (s *Source) Problem(rng hcl.Range, summary, format string, args ...any) {
	s.Diags = append(s.Diags, NewProblem(rng, summary, format, args...))
}

// NewProblem builds an error diagnostic.
func NewProblem(rng hcl.Range, summary, format string, args ...any) *hcl.Diagnostic {
	return &hcl.Diagnostic{
		Severity: hcl.DiagError,
		Summary:  summary,
		Detail:   fmt.Sprintf(format, args...),
		Subject:  &rng,
	}
}

// snippet returns the text of an expression as it was written, on one line.
func (s *Source) snippet(rng hcl.Range) string {
	if !rng.CanSliceBytes(s.Text) {
		return ""
	}
	return strings.Join(strings.Fields(string(rng.SliceBytes(s.Text))), " ")
}

// checkLimits refuses files that are too large or too deep to parse safely.
func checkLimits(name string, text []byte) hcl.Diagnostics {
	if len(text) > fileBytesMax {
		return hcl.Diagnostics{NewProblem(FileRange(name), "File too large",
			"The file has %d bytes; at most %d are read.", len(text), fileBytesMax)}
	}
	tokens, _ := hclsyntax.LexConfig(text, name, hcl.InitialPos)
	depth, operators := 0, 0
	for _, t := range tokens {
		switch t.Type {
		case hclsyntax.TokenOBrace, hclsyntax.TokenOBrack, hclsyntax.TokenOParen, hclsyntax.TokenOQuote,
			hclsyntax.TokenOHeredoc, hclsyntax.TokenTemplateInterp, hclsyntax.TokenTemplateControl:
			depth++
		case hclsyntax.TokenCBrace, hclsyntax.TokenCBrack, hclsyntax.TokenCParen, hclsyntax.TokenCQuote,
			hclsyntax.TokenCHeredoc, hclsyntax.TokenTemplateSeqEnd:
			depth--
		case hclsyntax.TokenNumberLit:
			if d := checkNumber(t); d != nil {
				return hcl.Diagnostics{d}
			}
		case hclsyntax.TokenIdent, hclsyntax.TokenQuotedLit, hclsyntax.TokenStringLit, hclsyntax.TokenComment,
			hclsyntax.TokenNewline, hclsyntax.TokenComma, hclsyntax.TokenEqual, hclsyntax.TokenDot,
			hclsyntax.TokenEOF:
		default:
			operators++
		}
		if t.Type == hclsyntax.TokenOBrack {
			operators++ // an index nests as an operator does
		}
		if depth > depthMax {
			return hcl.Diagnostics{NewProblem(t.Range, "Nested too deeply",
				"Blocks, brackets and templates may be nested %d deep.", depthMax)}
		}
		if operators > operatorsMax {
			return hcl.Diagnostics{NewProblem(t.Range, "Too many operators",
				"A file may hold %d operators; split it into several files.", operatorsMax)}
		}
	}
	return nil
}

// checkNumber refuses numbers whose text or value is out of proportion: an
// exponent of a billion would fill the memory once it is printed.
func checkNumber(t hclsyntax.Token) *hcl.Diagnostic {
	text := string(t.Bytes)
	_, exponent, found := strings.Cut(strings.ToLower(text), "e")
	if len(text) <= numberTextMax && (!found || len(strings.TrimLeft(exponent, "+-")) <= 2) {
		return nil
	}
	return NewProblem(t.Range, "Number out of range",
		"Numbers have at most %d characters and a two-digit exponent.", numberTextMax)
}

// Attributes returns a body's attributes in the order of the file.
func Attributes(body *hclsyntax.Body) []*hclsyntax.Attribute {
	out := make([]*hclsyntax.Attribute, 0, len(body.Attributes))
	for _, a := range body.Attributes {
		out = append(out, a)
	}
	slices.SortFunc(out, func(a, b *hclsyntax.Attribute) int {
		return cmp.Or(cmp.Compare(a.NameRange.Start.Byte, b.NameRange.Start.Byte), cmp.Compare(a.Name, b.Name))
	})
	return out
}

// Place formats the start of a range as file:line,column.
func Place(rng hcl.Range) string {
	return fmt.Sprintf("%s:%d,%d", rng.Filename, rng.Start.Line, rng.Start.Column)
}

// List joins words for a person: "a", "b" and "c".
func List(names []string, last string) string {
	quoted := make([]string, len(names))
	for i, n := range names {
		quoted[i] = `"` + n + `"`
	}
	switch len(quoted) {
	case 0:
		return "none"
	case 1:
		return quoted[0]
	}
	return strings.Join(quoted[:len(quoted)-1], ", ") + " " + last + " " + quoted[len(quoted)-1]
}

// DidYouMean suggests the name that is at most two edits away.
func DidYouMean(got string, known []string) string {
	best := spell.Nearest(got, known)
	if best == "" {
		return ""
	}
	return fmt.Sprintf(" Did you mean %q?", best)
}
