package inventory_test

import (
	"testing"

	"github.com/shoenig/test/must"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/internal/inventory"
)

func TestFixed_AsksTheVersionAfterThePatch(t *testing.T) {
	affects := []api.Affected{{Ecosystem: "deb", Package: "openssl", Below: "3.0.16-1"}}
	for name, c := range map[string]struct {
		before, after  map[string]string
		affects        []api.Affected
		fault, unknown string
	}{
		"brought up to date":       {before: map[string]string{"openssl": "3.0.15-1"}, after: map[string]string{"openssl": "3.0.16-1"}},
		"newer than asked":         {after: map[string]string{"openssl": "3.1.0-1"}},
		"removed":                  {before: map[string]string{"openssl": "3.0.15-1"}},
		"never there":              {unknown: "none of the packages that the patch names is in the image: openssl"},
		"left as it was":           {before: map[string]string{"openssl": "3.0.15-1"}, after: map[string]string{"openssl": "3.0.15-1"}, fault: "still 3.0.15-1 after the patch"},
		"newer, and not enough":    {before: map[string]string{"openssl": "3.0.14-1"}, after: map[string]string{"openssl": "3.0.15-1"}, fault: "is 3.0.15-1 after the patch; the fault ends with 3.0.16-1"},
		"an ecosystem without one": {after: map[string]string{"x": "1"}, affects: []api.Affected{{Ecosystem: "zip", Package: "x", Below: "2"}}, unknown: `no ecosystem "zip"`},
	} {
		t.Run(name, func(t *testing.T) {
			if c.affects == nil {
				c.affects = affects
			}
			fault, unknown := inventory.Fixed(c.affects, c.before, c.after)
			if c.fault == "" {
				must.EqOp(t, "", fault)
			}
			must.StrContains(t, fault, c.fault)
			if c.unknown == "" {
				must.EqOp(t, "", unknown)
			}
			must.StrContains(t, unknown, c.unknown)
		})
	}
}

func TestChanges_NamesWhatIsInstalled(t *testing.T) {
	must.Eq(t, []api.PackageChange{{Name: "a", After: "1"}, {Name: "b", Before: "1", After: "2"}},
		inventory.Changes([]string{"b", "a", "c"}, map[string]string{"b": "1"}, map[string]string{"a": "1", "b": "2"}))
	must.Eq(t, []string{"a", "b"}, inventory.Names([]api.Affected{{Package: "b"}, {Package: "a"}, {Package: "b"}}))
}
