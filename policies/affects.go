package policies

import (
	"errors"
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
	if wrong := checkAffected(&a, f.Label(), f.Text("release", "")); wrong != nil {
		place := b.DefRange()
		if field, ok := block.Fields[wrong.argument]; ok {
			place = field.Range
		}
		s.Problem(place, "Invalid affected packages", "This block can't be compared with what is installed: %v.", wrong.cause)
	}
	return a
}

// affectedError is why a block can't be compared, and the argument that says so; without
// one, it is the label or what is missing.
type affectedError struct {
	argument string
	cause    error
}

// checkAffected reads the label and the release, and refuses what can't be compared with
// any version and what exists nowhere: it would find nobody affected.
func checkAffected(a *api.Affected, label, release string) *affectedError {
	var err error
	if a.Ecosystem, a.Release, err = inventory.ParseEcosystem(label); err == nil {
		err = inventory.CheckRelease(a.Release)
	}
	if err != nil {
		return &affectedError{"", err}
	}
	if err := withRelease(a, release); err != nil {
		return &affectedError{"release", err}
	}
	for _, check := range []affectedError{
		{"package", inventory.CheckName(a.Ecosystem, a.Package)},
		{"source", checkSource(a)},
		{"arch", inventory.CheckArch(a.Ecosystem, a.Arch)},
		{"", checkComplete(a)},
		{"from", checkVersion(a, a.From)},
		{"below", checkVersion(a, a.Below)},
		{"versions", checkVersion(a, a.Versions...)},
	} {
		if check.cause != nil {
			return &check
		}
	}
	if a.From == "" {
		return nil
	}
	if n, err := inventory.Compare(a.Ecosystem, a.From, a.Below); err != nil || n >= 0 {
		return &affectedError{"from", fmt.Errorf("from %s is not older than below %s", a.From, a.Below)}
	}
	return nil
}

// withRelease takes the argument "release", which may say what the label says.
func withRelease(a *api.Affected, text string) error {
	if text == "" {
		return nil
	}
	ecosystem, release, err := inventory.ParseEcosystem(text)
	if err == nil {
		err = inventory.CheckRelease(release)
	}
	switch {
	case err != nil:
		return fmt.Errorf("release %q: want a distribution and its version: %w", text, err)
	case release == "":
		return fmt.Errorf("release %q: want a distribution and its version, such as Debian:12", text)
	case ecosystem != a.Ecosystem:
		return fmt.Errorf("release %q has packages of %s, not of %s", text, ecosystem, a.Ecosystem)
	case a.Release != "" && a.Release != release:
		return fmt.Errorf("release %q is another one than the label's, %s", text, a.Release)
	}
	a.Release = release
	return nil
}

// checkSource refuses a source package in an ecosystem that has none.
func checkSource(a *api.Affected) error {
	if a.Source != "" && a.Ecosystem != "deb" && a.Ecosystem != "rpm" && a.Ecosystem != "apk" {
		return fmt.Errorf("packages of %s have no source package", a.Ecosystem)
	}
	return inventory.CheckName(a.Ecosystem, a.Source)
}

// checkComplete refuses a block that does not say which packages, or which versions.
func checkComplete(a *api.Affected) error {
	switch {
	case (a.Package == "") == (a.Source == ""):
		return errors.New("want one of package (an installed package) and source (all that are built from a source package)")
	case a.Below == "" && len(a.Versions) == 0:
		return errors.New("want below (the first version without the fault), versions (a list of those with it), or both")
	case a.Below == "" && a.From != "":
		return errors.New("from is where a range begins; want below, where it ends")
	}
	return nil
}

// checkVersion refuses what the ecosystem does not take for versions. An argument that
// was left out is no version, and passes; an empty one in a list was refused before.
func checkVersion(a *api.Affected, versions ...string) error {
	for _, v := range versions {
		if v == "" {
			continue
		}
		if _, err := inventory.Compare(a.Ecosystem, v, v); err != nil {
			return err
		}
	}
	return nil
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
