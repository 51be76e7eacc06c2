package inventory

import (
	"fmt"
	"slices"
	"strings"

	"github.com/package-url/packageurl-go"

	"github.com/oakumhq/oakum/api"
)

// inPart follows the name of an ecosystem of which some was seen that could not be read.
const inPart = " (in part)"

// languageTypes are the types of package URLs of which manifests are read, and the names of
// their ecosystems.
func languageTypes() map[string]string {
	return map[string]string{
		packageurl.TypeGolang: "go", packageurl.TypeNPM: "npm", packageurl.TypePyPi: "pypi", packageurl.TypeMaven: "maven", packageurl.TypeGem: "gem",
	}
}

// languages reads what manifests say, after a line of any text. It returns the ecosystems of
// which it says something, sorted.
func (r *databaseReader) languages(text string) ([]string, error) {
	var formats []string
	types := languageTypes()
	_, rest, _ := strings.Cut(text, "\n")
	for line := range strings.Lines(rest) {
		fields := strings.Split(strings.TrimRight(line, "\r\n"), "\t")
		ecosystem, err := "", error(nil)
		if len(fields) > 1 {
			kind, _, _ := strings.Cut(strings.TrimPrefix(fields[1], "pkg:"), "/")
			ecosystem = types[kind]
		}
		switch {
		case fields[0] == "package" && len(fields) == 2 && ecosystem != "":
			err = r.add(fields[1], fields[1])
		case fields[0] == "aside" && len(fields) == 3 && fields[1] != "":
			name := fields[1]
			if p, err := parsePURL(name); err == nil {
				name = p.Name
			}
			err = r.aside(api.Aside{Name: name, Reason: fields[2]})
		case fields[0] == "whole" && len(fields) == 2 && ecosystem != "":
			formats = append(formats, ecosystem)
		case fields[0] == "part" && len(fields) == 2 && ecosystem != "":
			formats = append(formats, ecosystem+inPart)
		default:
			err = fmt.Errorf("a line of manifests is %.80q", line)
		}
		if err != nil {
			return nil, err
		}
	}
	slices.Sort(formats)
	return slices.Compact(formats), nil
}

// FromImages reports whether an inventory was read from an image: by the databases of package
// managers and by manifests. That a package which no distribution has made isn't in it says
// nothing, since a program may be made of it without a manifest.
func FromImages(inv api.Inventory) bool {
	for format := range strings.SplitSeq(inv.Format, ", ") {
		if !managed(format) && !slices.Contains([]string{"go", "npm", "pypi", "maven", "gem"}, strings.TrimSuffix(format, inPart)) {
			return false
		}
	}
	return true
}

// Whole reports whether an inventory that was read from an image has all versions of what it
// names of an ecosystem of a programming language: everything was read that was seen of it.
func Whole(inv api.Inventory, ecosystem string) bool {
	return slices.Contains(strings.Split(inv.Format, ", "), ecosystem)
}

// ProgramsOnly reports whether an inventory was read from an image in which no package manager
// has a database. The image may have packages of a distribution all the same.
func ProgramsOnly(inv api.Inventory) bool {
	return FromImages(inv) && !slices.ContainsFunc(strings.Split(inv.Format, ", "), managed)
}

// managed reports whether a format is the database of a package manager.
func managed(format string) bool { return slices.Contains([]string{"dpkg", "apk", "rpm"}, format) }

// Distributed reports whether the packages of an ecosystem are those of distributions.
func Distributed(ecosystem string) bool {
	return slices.Contains([]string{"deb", "apk", "rpm"}, ecosystem)
}
