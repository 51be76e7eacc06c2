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

// readAffects reads which packages have the fault that the patch fixes. The label is an
// ecosystem ("deb"), or a distribution and its version ("Debian:12").
func (s *patchParser) readAffects(b *hclsyntax.Block) api.Affected {
	labelled := len(b.Labels) == 1 // a distribution has a colon and spaces, and is no name
	if !labelled {
		s.Labels(b, 1)
	}
	s.NoBlocks(b)
	block := s.ReadBlock(b, []lang.Argument{
		{Name: "package", Want: cty.String, Check: lang.NotEmpty},
		{Name: "source", Want: cty.String, Check: lang.NotEmpty},
		{Name: "release", Want: cty.String, Check: lang.NotEmpty},
		{Name: "from", Want: cty.String, Check: lang.NotEmpty},
		{Name: "below", Want: cty.String, Check: lang.NotEmpty},
		{Name: "versions", Want: cty.List(cty.String), Check: noEmptyText},
		{Name: "arch", Want: cty.String, Check: lang.NotEmpty},
	}, s.constants)
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
