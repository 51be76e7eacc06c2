package lang

import (
	"strings"

	"github.com/hashicorp/hcl/v2"
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
	for _, d := range s.Diags {
		if d.Subject != nil && inTemplate(s.lineTo(d.Subject.Start)) {
			d.Detail += " " + escapeHint
		}
	}
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
