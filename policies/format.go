package policies

import (
	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclwrite"

	"github.com/oakumhq/oakum/api"
)

// Format returns a policy, patch or policy test file in the canonical layout.
// A file that can't be read is returned unchanged, with what is wrong.
func Format(file api.SourceFile) (string, hcl.Diagnostics) {
	if s := readSource(file); s.diags.HasErrors() {
		return file.Text, s.diags
	}
	return string(hclwrite.Format([]byte(file.Text))), nil
}
