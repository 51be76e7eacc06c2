// Package installed is what policies see of what is installed in a target: the versions of
// its packages, and whom a patch affects. It is pure.
package installed

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/zclconf/go-cty/cty"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/internal/inventory"
)

// Content is what is known of what is installed in a target. Unknown is never safe: a
// policy that reads what nobody knows can't be evaluated, and the target is refused.
type Content struct {
	Inventories []*api.Inventory
	Missing     string // why what is installed is not known, wholly or in part; empty when it is
	Stale       string // why an inventory is too old to say which packages there are; empty when none is
	// Planned is of the target of a rollout: it was young enough when that was planned, and
	// its age does not count any more.
	Planned bool
	// Assessment says whether the patch's faults affect it; nil when the patch names none.
	Assessment *api.TargetAssessment
}

// Status is the answer of the assessment, with its reason.
func (i *Content) Status() (api.AssessmentStatus, string) {
	switch {
	case i == nil:
		return api.AssessmentUnknown, "nobody has asked what is installed"
	case i.Assessment == nil:
		return api.AssessmentUnknown, "the patch does not say whom it affects"
	}
	return i.Assessment.Status, i.Assessment.Reason
}

// StatusWithin is Status, where an inventory that is older than most does not say that
// anything is safe. Any age counts when most is zero. The reason says when they were taken,
// and not how long ago: a plan with the same input has the same digest an hour later.
func (i *Content) StatusWithin(most time.Duration, now time.Time) (api.AssessmentStatus, string) {
	status, why := i.Status()
	if i == nil || i.Assessment == nil {
		return status, why
	}
	if oldest := inventory.Oldest(i.Inventories); !oldest.IsZero() {
		why += " (by inventories of " + oldest.UTC().Format(time.DateOnly) + " or later)"
	}
	if status == api.AssessmentAffected || status == api.AssessmentUnknown {
		return status, why
	}
	for _, inv := range i.Inventories {
		if stale := inventory.Stale(inv, most, now); stale != "" {
			return api.AssessmentUnknown, fmt.Sprintf("%s; by the packages it names, it would be %s", stale, strings.ReplaceAll(string(status), "_", " "))
		}
	}
	return status, why
}

// Unknown says why something is not known.
func (i *Content) Unknown() string {
	_, reason := i.Status()
	if i == nil {
		return reason
	}
	return cmp.Or(i.Missing, i.Stale, reason)
}

// Within is what is known when an inventory that is older than most, or of an age that nobody
// knows, does not say which packages there are, nor that anything is safe. Any age counts when
// most is zero. The receiver is not changed, and may be nil.
func (i *Content) Within(most time.Duration, now time.Time) *Content {
	if i == nil || i.Planned {
		return i
	}
	at := slices.IndexFunc(i.Inventories, func(inv *api.Inventory) bool { return inventory.Stale(inv, most, now) != "" })
	if at < 0 {
		return i
	}
	out := *i
	out.Stale = inventory.Stale(i.Inventories[at], most, now)
	if status, _ := i.Status(); i.Assessment != nil && status != api.AssessmentAffected && status != api.AssessmentUnknown {
		aged := *i.Assessment
		aged.Status, aged.Reason = api.AssessmentUnknown, out.Stale
		out.Assessment = &aged
	}
	return &out
}

// Key tells apart what decisions about targets of one session may depend on.
func (i *Content) Key() string {
	if i == nil {
		return ""
	}
	var key strings.Builder
	for _, inv := range i.Inventories {
		fmt.Fprintf(&key, "%p,", inv) // one for all targets that run the same
	}
	fmt.Fprintf(&key, "%q%q", i.Missing, i.Stale)
	if a := i.Assessment; a != nil {
		fmt.Fprintf(&key, "%q%q", a.Status, a.Reason)
		for _, name := range slices.Sorted(maps.Keys(a.Fixed)) {
			fmt.Fprintf(&key, "%q%q", name, a.Fixed[name])
		}
	}
	return key.String()
}

// Types are the attributes of a target that inventories give.
func Types() map[string]cty.Type {
	return map[string]cty.Type{
		"packages": cty.Map(cty.String), "affected": cty.Bool, "assessment": cty.String, "fixed_in": cty.Map(cty.String),
	}
}

// Values are the values of Types. Keys are the packages that
// expressions name; all packages are there when an expression reads the map as a whole.
func Values(i *Content, keys []string, whole bool, fixedKeys []string) map[string]cty.Value {
	status, _ := i.Status()
	out := map[string]cty.Value{
		"packages": cty.UnknownVal(cty.Map(cty.String)), "fixed_in": cty.UnknownVal(cty.Map(cty.String)),
		"affected": cty.BoolVal(status == api.AssessmentAffected), "assessment": cty.StringVal(string(status)),
	}
	switch {
	case status == api.AssessmentUnknown:
		out["affected"] = cty.UnknownVal(cty.Bool)
	case i.Missing == "": // what is missing may have packages that are affected too
		out["fixed_in"] = fixedValue(i.Assessment.Fixed, fixedKeys)
	}
	if i != nil && i.Missing == "" && i.Stale == "" && len(i.Inventories) > 0 {
		out["packages"] = packagesValue(i.Inventories, keys, whole)
	}
	return out
}

func fixedValue(fixed map[string]string, keys []string) cty.Value {
	values := map[string]cty.Value{}
	for _, k := range keys {
		values[k] = cty.NullVal(cty.String)
	}
	for name, version := range fixed {
		if values[name] = cty.StringVal(version); version == "" {
			values[name] = cty.NullVal(cty.String) // no fix is named
		}
	}
	if len(values) == 0 {
		return cty.MapValEmpty(cty.String)
	}
	return cty.MapVal(values)
}

// packagesValue is the version of each package, by its name and by its ecosystem and
// name ("deb:openssl"). One that is not installed is null. A version is unknown where
// several are installed, where an entry of that name can't be compared, and where an
// inventory does not have the packages of that ecosystem. All are unknown where one names
// no packages.
func packagesValue(inventories []*api.Inventory, keys []string, whole bool) cty.Value {
	if slices.ContainsFunc(inventories, func(inv *api.Inventory) bool { return len(inv.Packages) == 0 }) {
		return cty.UnknownVal(cty.Map(cty.String))
	}
	wanted := map[string]bool{}
	values := map[string]cty.Value{}
	for _, k := range keys {
		wanted[k] = true
		values[k] = cty.NullVal(cty.String)
	}
	put := func(name string, version cty.Value) {
		if !whole && !wanted[name] {
			return
		}
		if have, ok := values[name]; ok && have.IsKnown() && have.IsNull() {
			values[name] = version
		} else if !ok {
			values[name] = version
		} else if !have.IsKnown() || !version.IsKnown() || !have.RawEquals(version) {
			values[name] = cty.UnknownVal(cty.String)
		}
	}
	for _, inv := range inventories {
		for _, p := range inv.Packages {
			put(p.Name, cty.StringVal(p.Version))
			put(p.Ecosystem+":"+p.Name, cty.StringVal(p.Version))
		}
		for _, a := range inv.Aside {
			put(a.Name, cty.UnknownVal(cty.String))
			for _, ecosystem := range inventory.Ecosystems() {
				put(ecosystem+":"+a.Name, cty.UnknownVal(cty.String)) // nobody knows which
			}
		}
		for _, key := range keys {
			ecosystem, name, qualified := strings.Cut(key, ":")
			if !qualified || inventory.Distributed(ecosystem) || !inventory.FromImages(*inv) {
				continue
			}
			if !inventory.Whole(*inv, ecosystem) || !names(inv, ecosystem, name) {
				put(key, cty.UnknownVal(cty.String))
			}
		}
	}
	if len(values) == 0 {
		return cty.MapValEmpty(cty.String)
	}
	return cty.MapVal(values)
}

// names reports whether an inventory has a package.
func names(inv *api.Inventory, ecosystem, name string) bool {
	return slices.ContainsFunc(inv.Packages, func(p api.Package) bool { return p.Ecosystem == ecosystem && p.Name == name })
}
