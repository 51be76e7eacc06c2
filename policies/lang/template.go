package lang

import (
	"bytes"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"
)

// How a person keeps another language's signs out of HCL's way.
const (
	escapeHint = `If it is a shell's, write $${ and %%{ here, or keep the script in a file: file("patch.sh").`
	quotedHint = `HCL has no quoted heredoc: write <<-SH with $${ and %%{ in it, or keep the script in a file: file("patch.sh").`
)

// hintTemplates adds to what is wrong with a file how a shell's ${ and %{ are written. A
// quoted heredoc confuses the parser so much that only its first line is reported.
func (s *Source) hintTemplates() {
	for _, d := range s.Diags {
		if d.Subject == nil {
			continue
		}
		if line := s.lineTo(d.Subject.Start); strings.HasSuffix(line, "<<'") || strings.HasSuffix(line, "<<-'") {
			d.Detail += " " + quotedHint
			s.Diags = hcl.Diagnostics{d}
			return
		}
	}
	if d := s.commentInTemplate(); d != nil {
		s.Diags = hcl.Diagnostics{d}
		return
	}
	for _, d := range s.Diags {
		if d.Subject != nil && inTemplate(s.lineTo(d.Subject.Start)) {
			d.Detail += " " + escapeHint
		}
	}
}

// commentInTemplate finds the first interpolation or directive whose closing brace is
// behind a comment sign, such as a shell's ${NAME##*/} or ${#NAME}. The parser takes the
// rest of the line for a comment, and reports what is missing at the end of the text.
func (s *Source) commentInTemplate() *hcl.Diagnostic {
	tokens, _ := hclsyntax.LexConfig(s.Text, s.Name, hcl.InitialPos)
	var open []hclsyntax.Token // openings that are not closed, the inner ones last
	for _, t := range tokens {
		switch t.Type { //nolint:exhaustive // no other token opens, closes or hides a template
		case hclsyntax.TokenTemplateInterp, hclsyntax.TokenTemplateControl:
			open = append(open, t)
		case hclsyntax.TokenTemplateSeqEnd:
			open = open[:max(len(open)-1, 0)]
		case hclsyntax.TokenComment:
			if len(open) > 0 && bytes.ContainsRune(t.Bytes, '}') {
				return NewProblem(hcl.RangeBetween(open[len(open)-1].Range, t.Range), "Comment in a template",
					"%q begins a comment here, which hides the closing brace. %s", sign(t.Bytes), escapeHint)
			}
		}
	}
	return nil
}

// sign is what a comment begins with.
func sign(comment []byte) string {
	if comment[0] == '#' {
		return "#"
	}
	return string(comment[:2])
}

// checkTemplates refuses interpolations of a number, a truth value or null that are
// written out. They change nothing in HCL, but a shell's ${1} would lose its meaning
// without a word.
func (s *Source) checkTemplates(node hclsyntax.Node) {
	_ = hclsyntax.VisitAll(node, func(node hclsyntax.Node) hcl.Diagnostics {
		var parts []hclsyntax.Expression
		switch n := node.(type) {
		case *hclsyntax.TemplateExpr:
			parts = n.Parts
		case *hclsyntax.TemplateWrapExpr:
			parts = []hclsyntax.Expression{n.Wrapped}
		}
		for _, part := range parts {
			if l, ok := part.(*hclsyntax.LiteralValueExpr); ok && l.Val.Type() != cty.String {
				s.Problem(l.SrcRange, "Constant in a template", "${%s} stands for %s itself. %s", s.snippet(l.SrcRange), s.snippet(l.SrcRange), escapeHint)
			}
		}
		return nil
	})
}

// lineTo is the line of a position up to its first byte, or up to the quote right
// behind it.
func (s *Source) lineTo(at hcl.Pos) string {
	end := min(at.Byte, len(s.Text))
	start := strings.LastIndexByte(string(s.Text[:end]), '\n') + 1
	if end < len(s.Text) && s.Text[end] == '\'' {
		end++
	}
	return string(s.Text[start:end])
}

// inTemplate reports whether a line ends inside an interpolation or a directive.
func inTemplate(line string) bool {
	for i := len(line) - 2; i >= 0; i-- {
		switch {
		case line[i] == '}':
			return false
		case line[i+1] == '{' && (line[i] == '$' || line[i] == '%'):
			return i == 0 || line[i-1] != line[i]
		}
	}
	return false
}
