package policies

import (
	"fmt"
	"strings"

	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"
	"github.com/zclconf/go-cty/cty/convert"

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

// affectedFields are the names of what a policy sees of affected packages.
func affectedFields() []string {
	return []string{"ecosystem", "package", "source", "release", "from", "below", "arch"}
}

// affectedType is the type of one element of patch.affects.
func affectedType() cty.Type {
	attributes := map[string]cty.Type{"versions": cty.List(cty.String)}
	for _, name := range affectedFields() {
		attributes[name] = cty.String
	}
	return cty.Object(attributes)
}

// affectedValue is what a policy sees of affected packages; what is not said is empty.
func affectedValue(a api.Affected) cty.Value {
	return cty.ObjectVal(map[string]cty.Value{
		"ecosystem": cty.StringVal(a.Ecosystem), "package": cty.StringVal(a.Package), "source": cty.StringVal(a.Source),
		"release": cty.StringVal(a.Release), "from": cty.StringVal(a.From), "below": cty.StringVal(a.Below),
		"versions": texts(a.Versions), "arch": cty.StringVal(a.Arch),
	})
}

// affectedExamples reads patch.affects of a test of policies, which leaves out what it
// does not need.
func affectedExamples(v cty.Value) ([]api.Affected, error) {
	optional := []string{"source", "release", "from", "versions", "arch"}
	list, err := convert.Convert(v, cty.List(cty.ObjectWithOptionalAttrs(affectedType().AttributeTypes(), optional)))
	if err != nil {
		return nil, fmt.Errorf("want a list of affected packages: %w", err)
	}
	var out []api.Affected
	for _, element := range list.AsValueSlice() {
		text := func(name string) string {
			if f := element.GetAttr(name); !f.IsNull() {
				return f.AsString()
			}
			return ""
		}
		a := api.Affected{
			Ecosystem: text("ecosystem"), Package: text("package"), Source: text("source"), Release: text("release"),
			From: text("from"), Below: text("below"), Arch: text("arch"),
		}
		if versions := element.GetAttr("versions"); !versions.IsNull() {
			a.Versions = lang.TextsOf(versions)
		}
		out = append(out, a)
	}
	return out, nil
}

func checkAffectedExamples(v cty.Value) error {
	_, err := affectedExamples(v)
	return err
}
