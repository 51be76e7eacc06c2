package policies

import (
	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclwrite"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/policies/lang"
)

// DiagnosticsError turns diagnostics into the error that a user sees: one
// detail line for each, as in
//
//	web.hcl:3,14: Unknown name; There is no "targt" here. | applies = targt.job == "web"
//
// It returns nil when diags holds no error.
func DiagnosticsError(diags hcl.Diagnostics, files []api.SourceFile) *api.Error {
	return lang.Error(diags, files)
}

// Format returns a policy, patch or policy test file in the canonical layout.
// A file that can't be read is returned unchanged, with what is wrong.
func Format(file api.SourceFile) (string, hcl.Diagnostics) {
	if s := lang.Read(file); s.Diags.HasErrors() {
		return file.Text, s.Diags
	}
	return string(hclwrite.Format([]byte(file.Text))), nil
}

// Diff lists what two policy files say differently, in the order of the places. Whether
// they are valid is for ParsePolicy to say; a file that can't be read is an error.
func Diff(from, to api.SourceFile) ([]lang.Difference, hcl.Diagnostics) {
	a, b := lang.Read(from), lang.Read(to)
	if diags := append(a.Diags, b.Diags...); a.Body == nil || b.Body == nil {
		return nil, diags
	}
	return lang.Differences(from, to, a, b), nil
}
