package lang

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/hashicorp/hcl/v2"

	"github.com/oakumhq/oakum/api"
)

// Error turns diagnostics into the error that a user sees, one
// detail line for each: file:line,column: what is wrong; what was expected,
// followed by the line of the file that it is about. It returns nil when diags
// holds no error.
func Error(diags hcl.Diagnostics, files []api.SourceFile) *api.Error {
	if !diags.HasErrors() {
		return nil
	}
	diags = slices.Clone(diags)
	slices.SortStableFunc(diags, inFileOrder)
	var details []string
	for _, d := range diags {
		if d.Severity == hcl.DiagError {
			details = append(details, diagnosticLine(d, files))
		}
	}
	noun := "error"
	if len(details) > 1 {
		noun = "errors"
	}
	err := api.Errorf(api.CodeInvalid, "%d %s in %s", len(details), noun, fileNames(diags))
	err.Details = details
	return err
}

// inFileOrder compares diagnostics by their place.
func inFileOrder(a, b *hcl.Diagnostic) int {
	if a.Subject == nil || b.Subject == nil {
		return 0
	}
	return cmp.Or(cmp.Compare(a.Subject.Filename, b.Subject.Filename), cmp.Compare(a.Subject.Start.Byte, b.Subject.Start.Byte))
}

// fileNames lists the files that diagnostics are about.
func fileNames(diags hcl.Diagnostics) string {
	var names []string
	for _, d := range diags {
		if d.Subject != nil && !slices.Contains(names, d.Subject.Filename) {
			names = append(names, d.Subject.Filename)
		}
	}
	slices.Sort(names)
	return strings.Join(names, ", ")
}

// diagnosticLine puts one diagnostic on one line.
func diagnosticLine(d *hcl.Diagnostic, files []api.SourceFile) string {
	var b strings.Builder
	if d.Subject != nil {
		b.WriteString(Place(*d.Subject) + ": ")
	}
	b.WriteString(diagnosticText(d))
	if d.Subject == nil {
		return b.String()
	}
	for _, f := range files {
		if f.Name != d.Subject.Filename {
			continue
		}
		lines := strings.Split(f.Text, "\n")
		if n := d.Subject.Start.Line; n >= 1 && n <= len(lines) && strings.TrimSpace(lines[n-1]) != "" {
			fmt.Fprintf(&b, " | %s", shorten(strings.TrimSpace(lines[n-1]), 100))
		}
		break
	}
	return b.String()
}

// diagnosticText is summary and detail on one line.
func diagnosticText(d *hcl.Diagnostic) string {
	summary := strings.TrimSuffix(strings.TrimSpace(d.Summary), ".")
	detail := strings.Join(strings.Fields(d.Detail), " ")
	if detail == "" {
		return summary
	}
	return summary + "; " + detail
}

// Cause is the first error of an evaluation, with its place.
func Cause(diags hcl.Diagnostics) error {
	for _, d := range diags {
		if d.Severity != hcl.DiagError {
			continue
		}
		if d.Subject == nil {
			return fmt.Errorf("%s", diagnosticText(d))
		}
		return fmt.Errorf("%s: %s", Place(*d.Subject), diagnosticText(d))
	}
	return nil
}

// shorten cuts a text to at most n bytes at a character's boundary.
func shorten(text string, n int) string {
	if len(text) <= n {
		return text
	}
	cut := n
	for cut > 0 && text[cut]&0xC0 == 0x80 {
		cut--
	}
	return text[:cut] + "…"
}
