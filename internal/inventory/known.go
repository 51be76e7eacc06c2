package inventory

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode"
)

// A patch is written by hand, and a release, an architecture or a name that exists
// nowhere would find nobody affected. What is read from documents is not held to this:
// there, it stays as it is and is compared as it is.

// CheckRelease refuses a release that no distribution has, as ParseEcosystem returns it.
// A release that comes years after this version of Oakum is refused too. Of
// distributions whose numbers nobody here keeps, any number passes.
func CheckRelease(release string) error {
	if name, version, found := strings.Cut(release, ":"); found && !exists(name, version) {
		return noRelease(name, version)
	}
	return nil
}

// exists reports whether a distribution has a release.
func exists(name, version string) bool {
	channel, number := "", version
	if at := strings.LastIndexByte(version, ':'); at >= 0 {
		channel, number = version[:at], version[at+1:]
	}
	if channel != "" && !slices.Contains([]string{"Ubuntu", "Red Hat", "SUSE", "openSUSE"}, name) {
		return false
	}
	known, ok := numbers()[name]
	if !ok {
		known.form = regexp.MustCompile(`^\d+(\.\d+)*$|^stream$|^Tumbleweed$`)
	}
	form := known.form.FindStringSubmatch(number)
	if form == nil || known.newest == 0 {
		return form != nil
	}
	n, err := strconv.Atoi(form[1])
	return err == nil && n >= 1 && n <= known.newest
}

// numbering is how a distribution counts its releases: their form, the newest number
// that may come soon (the first group of the form; zero for any), and an example.
type numbering struct {
	form    *regexp.Regexp
	newest  int
	example string
}

func numbers() map[string]numbering {
	major := regexp.MustCompile(`^(\d{1,3})$`)
	minor := regexp.MustCompile(`^(\d{1,2})(?:\.\d{1,2})?$`)
	return map[string]numbering{
		"Debian":       {major, 15, "12"},
		"Ubuntu":       {regexp.MustCompile(`^(\d{1,2})\.(?:04|06|10)$`), 28, "24.04"},
		"Alpine":       {regexp.MustCompile(`^(?:v3\.\d{1,2}|edge)$`), 0, "v3.20"},
		"Fedora":       {major, 48, "42"},
		"Red Hat":      {minor, 11, "9"},
		"AlmaLinux":    {minor, 11, "9"},
		"Rocky Linux":  {minor, 11, "9"},
		"CentOS":       {minor, 11, "7"},
		"Oracle Linux": {minor, 11, "9"},
	}
}

// noRelease says that a distribution has no such release, and which one may be meant.
func noRelease(name, version string) error {
	known, ok := numbers()[name]
	if !ok {
		return fmt.Errorf("%s has no release %q", name, version)
	}
	trimmed := strings.TrimPrefix(strings.ToLower(version), "v")
	parts := strings.Split(trimmed, ".")
	candidates := []string{trimmed, parts[0]}
	if len(parts) > 2 {
		candidates = append(candidates, strings.Join(parts[:2], "."))
	}
	for _, c := range candidates {
		for _, form := range []string{c, "v" + c} {
			if form != version && exists(name, form) {
				return fmt.Errorf("%s has no release %q; did you mean %q?", name, version, name+":"+form)
			}
		}
	}
	if release, ok := codenames()[trimmed]; ok {
		return fmt.Errorf("%s has no release %q; did you mean %q?", name, version, release)
	}
	return fmt.Errorf("%s has no release %q that this version of Oakum knows: want one such as %s:%s", name, version, name, known.example)
}

// architectures are the names that an ecosystem has for architectures.
func architectures() map[string][]string {
	return map[string][]string{
		"deb": {
			"all", "alpha", "amd64", "arm64", "armel", "armhf", "hppa", "i386", "ia64", "loong64", "m68k", "mips", "mips64el", "mipsel",
			"powerpc", "ppc64", "ppc64el", "riscv64", "s390x", "sh4", "sparc64", "x32",
		},
		"rpm": {
			"aarch64", "armv7hl", "i386", "i486", "i586", "i686", "ia64", "loongarch64", "noarch", "ppc", "ppc64", "ppc64le", "riscv64",
			"s390", "s390x", "x86_64", "x86_64_v2",
		},
		"apk": {"aarch64", "armhf", "armv7", "loongarch64", "mips64", "noarch", "ppc64le", "riscv64", "s390x", "x86", "x86_64"},
	}
}

// sameArchitectures are names of one architecture in several ecosystems.
func sameArchitectures() [][]string {
	return [][]string{
		{"amd64", "x86_64"}, {"arm64", "aarch64"}, {"i386", "i686", "x86"}, {"ppc64el", "ppc64le"}, {"armhf", "armv7hl", "armv7"},
		{"all", "noarch"}, {"loong64", "loongarch64"},
	}
}

// archOf is the name that an ecosystem has for an architecture; one that it does not
// know stays as it is.
func archOf(ecosystem, arch string) string {
	known := architectures()[ecosystem]
	if slices.Contains(known, arch) {
		return arch
	}
	for _, same := range sameArchitectures() {
		if !slices.Contains(same, arch) {
			continue
		}
		for _, other := range same {
			if slices.Contains(known, other) {
				return other
			}
		}
	}
	return arch
}

// CheckArch refuses an architecture that an ecosystem of a distribution does not have.
// Others have no architectures, and what names one is never known to be safe.
func CheckArch(ecosystem, arch string) error {
	known, ok := architectures()[ecosystem]
	if !ok || arch == "" || slices.Contains(known, arch) {
		return nil
	}
	if other := archOf(ecosystem, strings.ToLower(arch)); other != arch && slices.Contains(known, other) {
		return fmt.Errorf("packages of %s have no architecture %q; did you mean %q?", ecosystem, arch, other)
	}
	return fmt.Errorf("packages of %s have no architecture %q: want one of %s", ecosystem, arch, strings.Join(known, ", "))
}

// AnyArch reports whether a package is for whatever architecture the machine has, or
// does not say for which.
func AnyArch(arch string) bool { return arch == "" || arch == "all" || arch == "noarch" }

// CheckName refuses a name that no package of an ecosystem can have. A pattern is none:
// a package has one name.
func CheckName(ecosystem, name string) error {
	if name == "" || namesPackage(ecosystem, name) {
		return nil
	}
	if strings.ContainsAny(name, "*?[]") {
		return fmt.Errorf("%q is no name of a package of %s: patterns don't work here, want one name", name, ecosystem)
	}
	if lower := strings.ToLower(name); namesPackage(ecosystem, lower) {
		return fmt.Errorf("%q is no name of a package of %s; did you mean %q?", name, ecosystem, lower)
	}
	return fmt.Errorf("%q is no name of a package of %s", name, ecosystem)
}

// namesPackage reports whether a package of an ecosystem can have a name. It looks at every
// name of a database, of which nobody knows how many there are, so it is no expression that
// is compiled each time.
func namesPackage(ecosystem, name string) bool {
	lower := func(c rune) bool { return c >= 'a' && c <= 'z' || c >= '0' && c <= '9' }
	var begins, goesOn func(c rune) bool
	least := 1
	switch ecosystem {
	case "deb":
		begins, least = lower, 2
		goesOn = func(c rune) bool { return lower(c) || strings.ContainsRune("+.-", c) }
	case "rpm", "apk":
		begins = func(c rune) bool { return lower(c) || c >= 'A' && c <= 'Z' || c == '_' || c == '.' }
		goesOn = func(c rune) bool { return begins(c) || c == '+' || c == '-' }
	default:
		begins = func(c rune) bool { return !strings.ContainsRune(" \t\n\f\r*?[]{}", c) && !unicode.Is(unicode.C, c) }
		goesOn = begins
	}
	for i, c := range name {
		if i == 0 && !begins(c) || i > 0 && !goesOn(c) {
			return false
		}
	}
	return len(name) >= least
}
