package installed

import (
	"fmt"

	"github.com/zclconf/go-cty/cty"
	"github.com/zclconf/go-cty/cty/convert"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/policies/lang"
)

// affectedFields are the names of what a policy sees of affected packages.
func affectedFields() []string {
	return []string{"ecosystem", "package", "source", "release", "from", "below", "arch"}
}

// AffectedType is the type of one element of patch.affects.
func AffectedType() cty.Type {
	attributes := map[string]cty.Type{"versions": cty.List(cty.String)}
	for _, name := range affectedFields() {
		attributes[name] = cty.String
	}
	return cty.Object(attributes)
}

// AffectedValue is what a policy sees of affected packages; what is not said is empty.
func AffectedValue(a api.Affected) cty.Value {
	return cty.ObjectVal(map[string]cty.Value{
		"ecosystem": cty.StringVal(a.Ecosystem), "package": cty.StringVal(a.Package), "source": cty.StringVal(a.Source),
		"release": cty.StringVal(a.Release), "from": cty.StringVal(a.From), "below": cty.StringVal(a.Below),
		"versions": lang.StringList(a.Versions), "arch": cty.StringVal(a.Arch),
	})
}

// AffectedExample reads patch.affects of a test of policies, which leaves out what it
// does not need.
func AffectedExample(v cty.Value) ([]api.Affected, error) {
	optional := []string{"source", "release", "from", "versions", "arch"}
	list, err := convert.Convert(v, cty.List(cty.ObjectWithOptionalAttrs(AffectedType().AttributeTypes(), optional)))
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
