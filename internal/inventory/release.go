package inventory

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"unicode"

	"github.com/oakumhq/oakum/internal/spell"
)

// A release names a distribution as OSV does, and the version of it: "Debian:12",
// "Alpine:v3.20". A version may be finer on what is installed than in an advisory:
// "Debian:12.4" is of "Debian:12". A channel stands before the version: the fixes of
// "Ubuntu:Pro:22.04" and "Red Hat:rhel_eus:9.2" are other builds than those of the
// release itself, and an inventory does not say which of them a machine follows.

// distribution is one distribution of packages.
type distribution struct {
	name      string   // as OSV has it; the field's name where OSV has none
	ecosystem string   // order of its versions
	ids       []string // ID of its os-release, and namespaces in package URLs
}

func distributions() []distribution {
	return []distribution{
		{"Debian", "deb", []string{"debian"}},
		{"Ubuntu", "deb", []string{"ubuntu"}},
		{"Alpine", "apk", []string{"alpine"}},
		{"Wolfi", "apk", []string{"wolfi"}},
		{"Chainguard", "apk", []string{"chainguard"}},
		{"MinimOS", "apk", []string{"minimos"}},
		{"Alpaquita", "apk", []string{"alpaquita"}},
		{"Red Hat", "rpm", []string{"rhel", "redhat"}},
		{"AlmaLinux", "rpm", []string{"almalinux", "alma"}},
		{"Rocky Linux", "rpm", []string{"rocky", "rockylinux", "rocky-linux"}},
		{"SUSE", "rpm", []string{"sles", "suse", "sled"}},
		{"openSUSE", "rpm", []string{"opensuse", "opensuse-leap", "opensuse-tumbleweed"}},
		{"openEuler", "rpm", []string{"openeuler"}},
		{"Azure Linux", "rpm", []string{"azurelinux", "mariner"}},
		{"Mageia", "rpm", []string{"mageia"}},
		{"Photon OS", "rpm", []string{"photon"}},
		{"Fedora", "rpm", []string{"fedora"}},
		{"CentOS", "rpm", []string{"centos"}},
		{"Oracle Linux", "rpm", []string{"ol", "oracle", "oraclelinux"}},
		{"Amazon Linux", "rpm", []string{"amzn", "amazon"}},
	}
}

// languages are OSV's names of ecosystems that are no distributions, and ours.
func languages() map[string]string {
	return map[string]string{
		"Go": "go", "npm": "npm", "PyPI": "pypi", "Maven": "maven", "RubyGems": "gem", "crates.io": "cargo", "NuGet": "nuget",
	}
}

// codenames are the versions of releases that package URLs and people name by a word.
func codenames() map[string]string {
	return map[string]string{
		"squeeze": "Debian:6", "wheezy": "Debian:7", "jessie": "Debian:8", "stretch": "Debian:9", "buster": "Debian:10",
		"bullseye": "Debian:11", "bookworm": "Debian:12", "trixie": "Debian:13", "forky": "Debian:14", "duke": "Debian:15",
		"precise": "Ubuntu:12.04", "trusty": "Ubuntu:14.04", "xenial": "Ubuntu:16.04", "bionic": "Ubuntu:18.04", "focal": "Ubuntu:20.04",
		"jammy": "Ubuntu:22.04", "noble": "Ubuntu:24.04", "oracular": "Ubuntu:24.10", "plucky": "Ubuntu:25.04", "questing": "Ubuntu:25.10",
	}
}

// ParseEcosystem reads an ecosystem as OSV and patches write it: "Debian:12", "Go", or
// one of Ecosystems. The release is empty for what has none, and in one form for all
// spellings: "Debian:bookworm" is "Debian:12", "Alpine:3.20" is "Alpine:v3.20". It need
// not exist: see CheckRelease.
func ParseEcosystem(text string) (ecosystem, release string, err error) {
	if slices.Contains(Ecosystems(), text) {
		return text, "", nil
	}
	if e, ok := languages()[text]; ok {
		return e, "", nil
	}
	name, version, _ := strings.Cut(text, ":")
	for _, d := range distributions() {
		if d.name == name {
			return d.ecosystem, d.release(version), nil
		}
	}
	hint := ""
	if meant := nearestEcosystem(name, version); meant != "" {
		hint = fmt.Sprintf(" (did you mean %q?)", meant)
	}
	return "", "", fmt.Errorf("there is no ecosystem %q%s: want one of %s, or a distribution and its version, such as Debian:12", text, hint, strings.Join(Ecosystems(), ", "))
}

// nearestEcosystem is the ecosystem or the release that was probably meant, or empty.
func nearestEcosystem(name, version string) string {
	lower := strings.ToLower(name)
	if version == "" {
		if release, ok := codenames()[lower]; ok {
			return release
		}
	}
	known := Ecosystems()
	for _, d := range distributions() {
		if strings.EqualFold(d.name, name) || slices.Contains(d.ids, lower) {
			return d.release(version)
		}
		known = append(known, d.name)
	}
	near := spell.Nearest(name, known)
	for _, d := range distributions() {
		if d.name == near {
			return d.release(version)
		}
	}
	return near
}

// release is a version of a distribution in one form.
func (d distribution) release(version string) string {
	if named, ok := strings.CutPrefix(codenames()[strings.ToLower(version)], d.name+":"); ok {
		version = named
	}
	switch d.name {
	case "Ubuntu":
		version = strings.TrimSuffix(version, ":LTS")
	case "Alpine":
		if version = strings.ToLower(version); version != "" && unicode.IsDigit(rune(version[0])) {
			version = "v" + version
		}
	case "Red Hat":
		version = redHatVersion(version)
	case "SUSE", "openSUSE":
		version = suseVersion(version)
	}
	if version == "" {
		return d.name
	}
	return d.name + ":" + version
}

// redHatVersion reads the end of a CPE name, such as "enterprise_linux:9::appstream" or
// "openshift:4.14::el9". Products other than the distribution are channels.
func redHatVersion(cpe string) string {
	product, rest, found := strings.Cut(cpe, ":")
	if !found {
		return cpe
	}
	version, edition, _ := strings.Cut(rest, "::")
	if product == "enterprise_linux" {
		return version
	}
	if el := regexp.MustCompile(`^el(\d+)$`).FindStringSubmatch(edition); el != nil {
		return product + " " + version + ":" + el[1]
	}
	return product + ":" + version
}

// suseVersion reads "Leap 15.5" and "Linux Enterprise Server 15 SP4". Products other
// than Leap, Tumbleweed and the server are channels.
func suseVersion(product string) string {
	if product == "Tumbleweed" {
		return product
	}
	found := regexp.MustCompile(`^(.*?) ?(\d+(?:\.\d+)?)(?: SP(\d+))?(-LTSS)?$`).FindStringSubmatch(product)
	if found == nil {
		return product
	}
	version := found[2]
	if found[3] != "" {
		version += "." + found[3]
	}
	if channel := found[1] + found[4]; !slices.Contains([]string{"", "Leap", "Linux Enterprise Server"}, channel) {
		return channel + ":" + version
	}
	return version
}

// releaseOf reads the qualifier "distro" of a package URL, such as "debian-12", "v3.18"
// or "bookworm", with its namespace. It is the distribution alone when the version is
// not known, and empty when nothing is.
func releaseOf(namespace, distro string) string {
	distro = strings.ToLower(distro)
	if r, ok := codenames()[strings.TrimPrefix(distro, namespace+"-")]; ok {
		return r
	}
	id, version := distro, ""
	if at := strings.LastIndexByte(distro, '-'); at >= 0 && at+1 < len(distro) && (unicode.IsDigit(rune(distro[at+1])) || distro[at+1] == 'v') {
		id, version = distro[:at], distro[at+1:]
	} else if v := strings.TrimPrefix(distro, "v"); v != "" && unicode.IsDigit(rune(v[0])) {
		id, version = namespace, v
	}
	for _, d := range distributions() {
		if !slices.Contains(d.ids, id) && (id != "" || !slices.Contains(d.ids, namespace)) {
			continue
		}
		version = strings.TrimPrefix(version, "v")
		if id == "opensuse-tumbleweed" {
			version = "Tumbleweed"
		}
		return d.release(version)
	}
	for _, d := range distributions() {
		if slices.Contains(d.ids, namespace) {
			return d.name // a word for a release that is not known, such as "sid"
		}
	}
	if distro == "" {
		return namespace
	}
	return strings.TrimSuffix(id+":"+version, ":")
}

// distributionOf is the distribution of a release.
func distributionOf(release string) (string, bool) {
	name, _, _ := strings.Cut(release, ":")
	return name, name != ""
}

// within reports whether a release is one of a distribution.
func within(release, distribution string) bool {
	name, _ := distributionOf(release)
	return name == distribution
}

// Cover says whether what an advisory says of one release is for another.
type Cover int

// The answers: unclear means that nobody knows, such as for channels.
const (
	CoverNo Cover = iota
	CoverYes
	CoverUnclear
)

// Covers compares the release of a range of an advisory with the release of what is
// installed. A range without a release is for all.
func Covers(advisory, installed string) Cover {
	if advisory == "" {
		return CoverYes
	}
	name, version, _ := strings.Cut(advisory, ":")
	has, hasVersion, _ := strings.Cut(installed, ":")
	switch {
	case has == "":
		return CoverUnclear
	case has != name:
		return CoverNo
	case version == "":
		return CoverYes
	case hasVersion == "":
		return CoverUnclear
	}
	covers := CoverYes
	if at := strings.LastIndexByte(version, ':'); at >= 0 {
		covers, version = CoverUnclear, version[at+1:]
	}
	switch {
	case hasVersion == version || strings.HasPrefix(hasVersion, version+"."):
		return covers
	case strings.HasPrefix(version, hasVersion+"."):
		return CoverUnclear // the advisory is finer than what is known of the machine
	}
	return CoverNo
}
