package inventory_test

import (
	"testing"

	"github.com/shoenig/test/must"

	"github.com/oakumhq/oakum/internal/inventory"
)

func TestCheckName_TakesWhatAPackageCanBeCalled(t *testing.T) {
	for _, c := range []struct {
		ecosystem, name, wrong string
	}{
		{"deb", "libssl3", ""},
		{"deb", "g++", ""},
		{"deb", "0ad", ""},
		{"deb", "a", "no name"},
		{"deb", "-a", "no name"},
		{"deb", "lib_ssl", "no name"},
		{"deb", "LibSSL3", `did you mean "libssl3"?`},
		{"deb", "lib*", "patterns don't work here"},
		{"rpm", "ImageMagick-c++", ""},
		{"rpm", "_a", ""},
		{"rpm", "+a", "no name"},
		{"rpm", "a b", "no name"},
		{"apk", ".python-rundeps", ""},
		{"npm", "@angular/core", ""},
		{"npm", "ä", ""},
		{"npm", "a\u200bb", "no name"},
		{"npm", "a\tb", "no name"},
		{"npm", "a[0]", "patterns don't work here"},
		{"npm", "", ""},
	} {
		err := inventory.CheckName(c.ecosystem, c.name)
		if c.wrong == "" {
			must.NoError(t, err, must.Sprint(c.ecosystem, c.name))
		} else {
			must.ErrorContains(t, err, c.wrong, must.Sprint(c.ecosystem, c.name))
		}
	}
}

// TestCheckName_PreparesNothingAnew holds that a database with hundreds of thousands of
// names, which an image may bring, costs no more for each than to look at it.
func TestCheckName_PreparesNothingAnew(t *testing.T) {
	must.Zero(t, testing.AllocsPerRun(100, func() {
		if inventory.CheckName("deb", "libssl3") != nil || inventory.CheckName("npm", "core") != nil {
			t.Error("these are names")
		}
	}))
}
