package inventory

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/oakumhq/oakum/api"
)

// Place is where a version lies beside the versions with a fault.
type Place int

// The places: older than the first version with the fault, one of them, at or after the
// fix, and none of the listed ones.
const (
	PlaceBefore Place = iota
	PlaceWithin
	PlaceAfter
	PlaceUnlisted
)

// Locate compares an installed version with the versions that a range names: the listed
// ones, and those from From on up to Below, which is not one of them, or to Last, which
// is. It returns an error when the ecosystem can't compare them.
func Locate(a api.Affected, version string) (Place, error) {
	if slices.Contains(a.Versions, version) {
		return PlaceWithin, nil
	}
	if err := checkEpochs(a, version); err != nil {
		return 0, err
	}
	for _, listed := range a.Versions {
		n, err := Compare(a.Ecosystem, version, listed)
		switch {
		case err != nil:
			return 0, err
		case n == 0:
			return PlaceWithin, nil
		}
	}
	if a.From == "" && a.Below == "" && a.Last == "" && len(a.Versions) > 0 {
		return PlaceUnlisted, nil
	}
	return locate(a, version)
}

// CompareWhole is Compare for versions of which none may have lost a part: it returns an
// error as well where one of two rpm versions has an epoch and the other has none, and
// where they are of different module streams.
func CompareWhole(ecosystem, a, b string) (int, error) {
	if err := checkEpochs(api.Affected{Ecosystem: ecosystem, Below: b}, a); err != nil {
		return 0, err
	}
	return Compare(ecosystem, a, b)
}

// locate compares a version with the ends of a range.
func locate(a api.Affected, version string) (Place, error) {
	for _, end := range []struct {
		of     string
		beyond func(n int) bool
		place  Place
	}{
		{a.Below, func(n int) bool { return n >= 0 }, PlaceAfter},
		{a.Last, func(n int) bool { return n > 0 }, PlaceAfter},
		{a.From, func(n int) bool { return n < 0 }, PlaceBefore},
	} {
		if end.of == "" {
			continue
		}
		n, err := Compare(a.Ecosystem, version, end.of)
		if err != nil {
			return 0, err
		}
		if end.beyond(n) {
			return end.place, nil
		}
	}
	return PlaceWithin, nil
}

// checkEpochs refuses to compare two versions of rpm packages when one has an epoch and
// the other has none. Documents lose epochs, and a lost one makes any version look
// fixed.
func checkEpochs(a api.Affected, version string) error {
	if a.Ecosystem != "rpm" {
		return nil
	}
	has := epoch(version)
	for _, end := range append([]string{a.From, a.Below, a.Last}, a.Versions...) {
		if want := epoch(end); end != "" && want != has && (want == "" || has == "") && cmp.Or(want, has) != "0" {
			return fmt.Errorf("compare versions: of %s and %s, one has an epoch and the other has none", version, end)
		}
	}
	return checkModules(a, version)
}

func epoch(version string) string {
	before, _, found := strings.Cut(version, ":")
	if !found {
		return ""
	}
	return before
}

// checkModules refuses to compare builds of module streams with other builds, and with
// builds of another major version: what is fixed in one stream says nothing of another.
func checkModules(a api.Affected, version string) error {
	for _, end := range append([]string{a.From, a.Below, a.Last}, a.Versions...) {
		if end == "" {
			continue
		}
		has, want := strings.Contains(version, ".module"), strings.Contains(end, ".module")
		if has != want {
			return fmt.Errorf("compare versions: of %s and %s, one is of a module stream and the other is not", version, end)
		}
		if has && major(version) != major(end) {
			return errors.New("compare versions: " + version + " and " + end + " are of different module streams")
		}
	}
	return nil
}

// major is the first number of a version.
func major(version string) string {
	_, plain, found := strings.Cut(version, ":")
	if !found {
		plain = version
	}
	number, _, _ := strings.Cut(plain, ".")
	return number
}

// Describe writes the versions of a range for a person.
func Describe(a api.Affected) string {
	var words []string
	if a.From != "" {
		words = append(words, "from "+a.From)
	}
	switch {
	case a.Below != "":
		words = append(words, "below "+a.Below)
	case a.Last != "":
		words = append(words, "up to "+a.Last)
	case len(a.Versions) == 0:
		words = append(words, "no version is fixed")
	}
	if len(a.Versions) > 0 {
		most := 3
		listed := strings.Join(a.Versions[:min(len(a.Versions), most)], ", ")
		if more := len(a.Versions) - most; more > 0 {
			listed += fmt.Sprintf(" and %d more", more)
		}
		words = append(words, "one of "+listed)
	}
	return strings.Join(words, ", ")
}
