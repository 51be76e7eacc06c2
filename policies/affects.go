package policies

import (
	"fmt"
	"strings"

	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/internal/inventory"
	"github.com/oakumhq/oakum/policies/lang"
)

// affectsArguments are those of an affects block.
func affectsArguments() []lang.Argument {
	return []lang.Argument{
		{Name: "package", Doc: "the package that has the fault", Want: cty.String, Check: lang.NotEmpty},
		{Name: "source", Doc: "the source package, instead of package", Since: 6, Want: cty.String, Check: lang.NotEmpty},
		{Name: "release", Doc: "the release of the distribution, where the label names none", Since: 6, Want: cty.String, Check: lang.NotEmpty},
		{Name: "from", Doc: "the first version with the fault; without, every one", Since: 6, Want: cty.String, Check: lang.NotEmpty},
		{Name: "below", Doc: "the first version without it", Want: cty.String, Check: lang.NotEmpty},
		{Name: "versions", Doc: "the versions with the fault, one by one", Since: 6, Want: cty.List(cty.String), Check: noEmptyText},
		{Name: "arch", Doc: "of the package", Since: 6, Want: cty.String, Check: lang.NotEmpty},
	}
}

// readAffects reads which packages have the fault that the patch fixes. The label is an
// ecosystem ("deb"), or a distribution and its version ("Debian:12").
func (s *patchParser) readAffects(b *hclsyntax.Block) api.Affected {
	labelled := len(b.Labels) == 1 // a distribution has a colon and spaces, and is no name
	if !labelled {
		s.Labels(b, 1)
	}
	s.NoBlocks(b)
	block := s.ReadBlock(b, affectsArguments(), s.constants)
	f := block.Values(nil)
	a := api.Affected{
		Package: f.Text("package", ""), Source: f.Text("source", ""), From: f.Text("from", ""), Below: f.Text("below", ""),
		Versions: f.Texts("versions"), Arch: f.Text("arch", ""),
	}
	if !labelled || s.Diags.HasErrors() {
		return a
	}
	if wrong := inventory.CheckAffected(&a, f.Label(), f.Text("release", "")); wrong != nil {
		place := b.DefRange()
		if field, ok := block.Fields[wrong.Argument]; ok {
			place = field.Range
		}
		s.Problem(place, "Invalid affected packages", "This block can't be compared with what is installed: %v.", wrong.Cause)
	}
	return a
}

// noEmptyText is a checker for lists of texts.
func noEmptyText(v cty.Value) error {
	for i, text := range lang.TextsOf(v) {
		if strings.TrimSpace(text) == "" {
			return fmt.Errorf("want a list of versions; element %d is empty", i+1)
		}
	}
	return nil
}
