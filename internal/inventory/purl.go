package inventory

import (
	"cmp"
	"fmt"
	"strings"

	"github.com/package-url/packageurl-go"

	"github.com/oakumhq/oakum/api"
)

// purlTypes are the types of package URLs whose versions can be compared, and the names
// of their ecosystems.
func purlTypes() map[string]string {
	return map[string]string{
		packageurl.TypeDebian: "deb", packageurl.TypeRPM: "rpm", packageurl.TypeApk: "apk",
		packageurl.TypeGolang: "go", packageurl.TypeNPM: "npm", packageurl.TypePyPi: "pypi", packageurl.TypeMaven: "maven",
		packageurl.TypeGem: "gem", packageurl.TypeCargo: "cargo", packageurl.TypeNuget: "nuget",
	}
}

// parsePURL reads a package URL. An ecosystem that can't be compared keeps its type as
// its name, so that nobody takes its packages for absent.
func parsePURL(text string) (api.Package, error) {
	u, err := packageurl.FromString(text)
	if err != nil {
		return api.Package{}, fmt.Errorf("%q is no package URL: %w", text, err)
	}
	qualifiers := u.Qualifiers.Map()
	p := api.Package{
		Ecosystem: cmp.Or(purlTypes()[u.Type], u.Type),
		Name:      u.Name, Version: u.Version, Arch: archOf(cmp.Or(purlTypes()[u.Type], u.Type), qualifiers["arch"]), PURL: text,
	}
	switch p.Ecosystem {
	case "deb", "rpm", "apk":
		p.Release = releaseOf(u.Namespace, qualifiers["distro"])
		if epoch := qualifiers["epoch"]; epoch != "" && p.Version != "" && !strings.Contains(p.Version, ":") {
			p.Version = epoch + ":" + p.Version
		}
		p.Module = moduleStream(qualifiers["rpmmod"])
		p.Source, p.SourceVersion = sourceOf(p, qualifiers["upstream"])
	case "maven":
		p.Name = u.Namespace + ":" + u.Name
	default:
		if u.Namespace != "" {
			p.Name = u.Namespace + "/" + u.Name
		}
	}
	p.Version = plainVersion(p.Ecosystem, p.Version)
	return p, nil
}

// plainVersion is a version as advisories write it: those of Go have no "v" there.
func plainVersion(ecosystem, version string) string {
	if ecosystem != "go" {
		return version
	}
	return strings.TrimPrefix(strings.TrimPrefix(version, "go"), "v")
}

// moduleStream is the name and the stream of "nodejs:18:8090020240228:a75119d5".
func moduleStream(qualifier string) string {
	parts := strings.SplitN(qualifier, ":", 3)
	if len(parts) < 2 {
		return qualifier
	}
	return parts[0] + ":" + parts[1]
}

// sourceOf reads the qualifier "upstream": the source package, where its name is another
// one, and its version, where that is another one: "glibc", "gcc-defaults@1.203" or
// "openssl-3.0.7-24.el9.src.rpm".
func sourceOf(p api.Package, upstream string) (name, version string) {
	name, version, _ = strings.Cut(upstream, "@")
	if nvr, ok := strings.CutSuffix(upstream, ".src.rpm"); ok {
		release := strings.LastIndexByte(nvr, '-')
		at := strings.LastIndexByte(nvr[:max(release, 0)], '-')
		if at < 1 || at+1 == release || release+1 == len(nvr) {
			return "", ""
		}
		name, version = nvr[:at], nvr[at+1:]
		if _, plain, found := strings.Cut(p.Version, ":"); version == p.Version || (found && version == plain) {
			version = ""
		}
	}
	if version == p.Version {
		version = ""
	}
	if name == p.Name && version == "" {
		return "", ""
	}
	return name, version
}

// ordered reports whether the versions of an ecosystem can be compared.
func ordered(ecosystem string) bool {
	_, ok := orders()[ecosystem]
	return ok
}

// Key is the name of a package in the form in which its ecosystem compares names.
func Key(ecosystem, name string) string {
	switch ecosystem {
	case "pypi":
		return strings.Join(strings.FieldsFunc(strings.ToLower(name), func(c rune) bool { return c == '-' || c == '_' || c == '.' }), "-")
	case "go", "nuget":
		return strings.ToLower(name)
	}
	return name
}
