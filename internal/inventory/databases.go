package inventory

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/package-url/packageurl-go"

	"github.com/oakumhq/oakum/api"
)

// Databases are the texts in which the file system of a machine or of an image says what
// is installed. Nobody vouches for them.
type Databases struct {
	OSRelease string // /etc/os-release, or /usr/lib/os-release
	Dpkg      string // /var/lib/dpkg/status, and every file of status.d, with an empty line between them
	APK       string // /lib/apk/db/installed
	// RPM is a line for each package, with tabs between its name, its epoch, its version
	// and release, its architecture, its source package and its module: what
	// rpm -qa --qf RPMFormat prints.
	RPM string
	// Languages is what manifests of programming languages say, as package manifests prints it.
	Languages string
}

// RPMFormat has rpm print a line of Databases.
const RPMFormat = `%{NAME}\t%{EPOCHNUM}\t%{VERSION}-%{RELEASE}\t%{ARCH}\t%{SOURCERPM}\t%{MODULARITYLABEL}\n`

// FromImage reads what is installed in an image, or on a node, from the texts that were told
// of it, by their names ("system", "dpkg", "apk", "rpm" and "languages"). An empty text is one
// that is too large to be told, or not whole: a part of what is installed is not the whole, so
// that is an error.
func FromImage(image string, texts map[string]string) (api.Inventory, error) {
	for _, name := range slices.Sorted(maps.Keys(texts)) {
		if texts[name] == "" && name != "languages" { // without it, nothing of languages is known
			return api.Inventory{}, api.Errorf(api.CodeInvalid, "%s: its database %s is empty, can't be read whole, or is too large to be told", image, name)
		}
	}
	return FromDatabases(image, Databases{OSRelease: texts["system"], Dpkg: texts["dpkg"], APK: texts["apk"], RPM: texts["rpm"], Languages: texts["languages"]})
}

// FromDatabases reads what is installed. source is where the texts are from. Packages that
// are unpacked and not configured count; an entry that says too little is kept aside. An
// error means that the texts as a whole are no databases, or that there is none: what is
// installed is unknown then, and not nothing.
func FromDatabases(source string, d Databases) (api.Inventory, error) {
	size := len(d.OSRelease) + len(d.Dpkg) + len(d.APK) + len(d.RPM) + len(d.Languages)
	wrong := func(format string, args ...any) (api.Inventory, error) {
		return api.Inventory{}, api.Errorf(api.CodeInvalid, "read the packages of %s: %s", source, fmt.Sprintf(format, args...))
	}
	if size > DocumentMax {
		return wrong("the package databases are larger than %d MiB", DocumentMax>>20)
	}
	r := &databaseReader{
		collector: collector{inv: api.Inventory{Source: source}, seen: map[api.Package]bool{}},
		system:    readOSRelease(d.OSRelease),
	}
	var formats []string
	for _, db := range []struct {
		name string
		text string
		read func(string) error
	}{{"dpkg", d.Dpkg, r.dpkg}, {"apk", d.APK, r.apk}, {"rpm", d.RPM, r.rpm}} {
		if strings.TrimSpace(db.text) == "" {
			continue
		}
		before := len(r.inv.Packages) + len(r.inv.Aside)
		if err := db.read(db.text); err != nil {
			return wrong("%v", err)
		}
		if len(r.inv.Packages)+len(r.inv.Aside) == before {
			return wrong("the database of %s has no entry", db.name)
		}
		formats = append(formats, db.name)
	}
	languages, err := r.languages(d.Languages)
	if err != nil {
		return wrong("%v", err)
	}
	formats = append(formats, languages...)
	if len(formats) == 0 {
		return wrong("there is no database of dpkg, apk or rpm, and no manifest of a programming language")
	}
	r.inv.Format = strings.Join(formats, ", ")
	return r.inventory(), nil
}

// system is what os-release says.
type system struct{ id, version string }

// readOSRelease reads ID and VERSION_ID. A system without a number, such as Debian's
// testing, has none.
func readOSRelease(text string) system {
	values := map[string]string{}
	for line := range strings.Lines(text) {
		key, value, found := strings.Cut(strings.TrimSpace(line), "=")
		if !found {
			continue
		}
		if n := len(value); n >= 2 && (value[0] == '"' || value[0] == '\'') && value[n-1] == value[0] {
			value = value[1 : n-1]
		}
		values[key] = value
	}
	return system{id: strings.ToLower(values["ID"]), version: values["VERSION_ID"]}
}

// databaseReader gathers what databases say.
type databaseReader struct {
	collector
	system system
}

// entry is one entry of a database.
type entry struct{ ecosystem, name, version, arch, upstream, module string }

// put takes an entry as a package URL, so that it is read as one of a document would be.
func (r *databaseReader) put(e entry) error {
	if err := CheckName(e.ecosystem, e.name); err != nil || e.name == "" {
		return r.aside(api.Aside{Name: cmp.Or(e.name, "an entry of "+e.ecosystem), Reason: "it has no name that a package can have"})
	}
	if e.version == "" || strings.ContainsAny(e.version, " \t") {
		return r.aside(api.Aside{Name: e.name, Reason: fmt.Sprintf("%q is no version", e.version)})
	}
	qualifiers := map[string]string{"arch": e.arch, "upstream": e.upstream, "rpmmod": e.module}
	if r.system.id != "" && r.system.version != "" {
		qualifiers["distro"] = r.system.id + "-" + r.system.version
	}
	for key, value := range qualifiers {
		if value == "" {
			delete(qualifiers, key)
		}
	}
	u := packageurl.NewPackageURL(e.ecosystem, r.system.id, e.name, e.version, packageurl.QualifiersFromMap(qualifiers), "")
	return r.add(e.name, u.ToString())
}

// dpkg reads stanzas of fields. Only those whose files are there count.
func (r *databaseReader) dpkg(text string) error {
	there := []string{"installed", "unpacked", "half-configured", "triggers-awaited", "triggers-pending"}
	for stanza := range stanzas(text) {
		fields := map[string]string{}
		for line := range strings.Lines(stanza) {
			if line[0] == ' ' || line[0] == '\t' {
				continue // it belongs to the field before, and none of ours has several lines
			}
			if key, value, found := strings.Cut(line, ":"); found {
				fields[strings.ToLower(key)] = strings.TrimSpace(value)
			}
		}
		e := entry{ecosystem: "deb", name: fields["package"], version: fields["version"], arch: fields["architecture"]}
		status, _ := lastWord(fields["status"])
		var err error
		switch {
		case status == "half-installed":
			err = r.aside(api.Aside{Name: e.name, Reason: "its installation broke off"})
		case status == "" || slices.Contains(there, status): // those of status.d have none
			e.upstream = dpkgSource(fields["source"])
			err = r.put(e)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func lastWord(text string) (string, bool) {
	words := strings.Fields(text)
	if len(words) == 0 {
		return "", false
	}
	return words[len(words)-1], true
}

// dpkgSource reads "openssl" or "gcc-defaults (1.203)" as the qualifier upstream has it.
func dpkgSource(text string) string {
	name, rest, _ := strings.Cut(text, " (")
	version, closed := strings.CutSuffix(rest, ")")
	if !closed || name == "" || version == "" || strings.ContainsAny(name, " \t\n\f\r") || strings.ContainsAny(version, "() \t\n\f\r") {
		return text
	}
	return name + "@" + version
}

// apk reads stanzas whose fields have names of one letter.
func (r *databaseReader) apk(text string) error {
	for stanza := range stanzas(text) {
		e := entry{ecosystem: "apk"}
		for line := range strings.Lines(stanza) {
			key, value, _ := strings.Cut(strings.TrimRight(line, "\r\n"), ":")
			switch key {
			case "P":
				e.name = value
			case "V":
				e.version = value
			case "A":
				e.arch = value
			case "o":
				e.upstream = value
			}
		}
		if err := r.put(e); err != nil {
			return err
		}
	}
	return nil
}

// rpm reads lines that RPMFormat makes. The keys of people who sign packages are no
// packages.
func (r *databaseReader) rpm(text string) error {
	plain := func(value string) string {
		if value == "(none)" {
			return ""
		}
		return value
	}
	for line := range strings.Lines(text) {
		parts := strings.Split(strings.TrimRight(line, "\r\n"), "\t")
		if len(parts) != 6 {
			return fmt.Errorf("a line of rpm has %d fields, want 6: %.80q", len(parts), line)
		}
		if parts[0] == "gpg-pubkey" {
			continue
		}
		e := entry{ecosystem: "rpm", name: parts[0], version: parts[2], arch: plain(parts[3]), upstream: plain(parts[4]), module: plain(parts[5])}
		if epoch := plain(parts[1]); epoch != "" && epoch != "0" {
			e.version = epoch + ":" + e.version
		}
		if err := r.put(e); err != nil {
			return err
		}
	}
	return nil
}

// stanzas walks the parts of a text between empty lines.
func stanzas(text string) func(yield func(string) bool) {
	return func(yield func(string) bool) {
		text = strings.ReplaceAll(text, "\r\n", "\n")
		for part := range strings.SplitSeq(text, "\n\n") {
			if part = strings.Trim(part, "\n"); part != "" && !yield(part) {
				return
			}
		}
	}
}
