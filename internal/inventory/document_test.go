package inventory_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/shoenig/test/must"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/internal/inventory"
)

// read parses a document of testdata, which another project's program wrote.
func read(t *testing.T, name string) api.Inventory {
	t.Helper()
	document, err := os.ReadFile(filepath.Join("testdata", name))
	must.NoError(t, err)
	inv, err := inventory.Parse(name, document)
	must.NoError(t, err)
	return inv
}

func find(t *testing.T, inv api.Inventory, ecosystem, name string) api.Package {
	t.Helper()
	for _, p := range inv.Packages {
		if p.Ecosystem == ecosystem && p.Name == name {
			return p
		}
	}
	t.Fatalf("%s: no package %s of %s", inv.Source, name, ecosystem)
	return api.Package{}
}

func TestParse_ReadsWhatCycloneDXGomodWrites(t *testing.T) {
	inv := read(t, "cyclonedx-gomod.json")
	must.EqOp(t, "CycloneDX 1.6", inv.Format)
	must.EqOp(t, "github.com/oakumhq/oakum/examples/plugins/one-per-node", inv.Subject)
	must.True(t, inv.TakenAt.Equal(time.Date(2026, 11, 29, 22, 26, 51, 0, time.UTC)))
	must.EqOp(t, "1.85.0", find(t, inv, "go", "google.golang.org/grpc").Version, must.Sprint("without the v that package URLs have"))
	must.SliceEmpty(t, inv.Releases)
	// The program itself, and the module that its go.mod replaces by a folder, have no
	// version.
	must.Len(t, 2, inv.Aside)
	for _, a := range inv.Aside {
		must.StrContains(t, a.Reason, "no version")
	}
}

func TestParse_ReadsWhatSyftWrites(t *testing.T) {
	cdx, spdx := read(t, "syft-debian.cdx.json"), read(t, "syft-debian.spdx.json")
	must.EqOp(t, "CycloneDX 1.7", cdx.Format)
	must.EqOp(t, "SPDX 2.3", spdx.Format)
	for _, inv := range []api.Inventory{cdx, spdx} {
		must.EqOp(t, "shop/debian", inv.Subject)
		must.Eq(t, []string{"Debian:12"}, inv.Releases)
		must.Len(t, 16, inv.Packages)
		must.SliceEmpty(t, inv.Aside)
		ssl := find(t, inv, "deb", "libssl3")
		must.EqOp(t, "3.0.19-1~deb12u2", ssl.Version)
		must.EqOp(t, "openssl", ssl.Source)
		must.EqOp(t, "amd64", ssl.Arch)
		bash := find(t, inv, "deb", "bash")
		must.EqOp(t, "5.2.15-2+b8", bash.Version)
		must.EqOp(t, "5.2.15-2", bash.SourceVersion, must.Sprint("a rebuild is of the same source"))
		must.EqOp(t, "1.203", find(t, inv, "deb", "gcc").SourceVersion)
	}
	must.SliceEmpty(t, inventory.Diff(cdx, spdx).Changes, must.Sprint("both formats name the same packages"))
}

// bom is a CycloneDX document with these package URLs.
func bom(purls ...string) string {
	var parts []string
	for i, p := range purls {
		parts = append(parts, fmt.Sprintf(`{"type":"library","name":"entry %d","purl":%q}`, i, p))
	}
	return `{"bomFormat":"CycloneDX","specVersion":"1.6","components":[` + strings.Join(parts, ",") + `]}`
}

func TestParse_ReadsPackageURLs(t *testing.T) {
	for purl, want := range map[string]api.Package{
		"pkg:deb/debian/libssl3@3.0.16-1~deb12u1?arch=amd64&distro=debian-12&upstream=openssl": {
			Ecosystem: "deb", Release: "Debian:12", Name: "libssl3", Version: "3.0.16-1~deb12u1", Arch: "amd64", Source: "openssl",
		},
		"pkg:deb/debian/gcc@4%3A12.2.0-3?arch=amd64&distro=debian-12.5&upstream=gcc-defaults%401.203": {
			Ecosystem: "deb", Release: "Debian:12.5", Name: "gcc", Version: "4:12.2.0-3", Arch: "amd64", Source: "gcc-defaults", SourceVersion: "1.203",
		},
		"pkg:deb/debian/curl@7.88.1-10%2Bb1?arch=amd64&distro=bookworm&upstream=curl%407.88.1-10": {
			Ecosystem: "deb", Release: "Debian:12", Name: "curl", Version: "7.88.1-10+b1", Arch: "amd64", Source: "curl", SourceVersion: "7.88.1-10",
		},
		"pkg:deb/ubuntu/bash@5.1-6ubuntu1?distro=ubuntu-22.04": {Ecosystem: "deb", Release: "Ubuntu:22.04", Name: "bash", Version: "5.1-6ubuntu1"},
		"pkg:deb/debian/bash@5.1-6":                            {Ecosystem: "deb", Release: "Debian", Name: "bash", Version: "5.1-6"},
		"pkg:rpm/redhat/openssl-libs@3.0.7-24.el9?arch=x86_64&epoch=1&distro=rhel-9.4&upstream=openssl-3.0.7-24.el9.src.rpm": {
			Ecosystem: "rpm", Release: "Red Hat:9.4", Name: "openssl-libs", Version: "1:3.0.7-24.el9", Arch: "x86_64", Source: "openssl",
		},
		"pkg:rpm/redhat/perl-Errno@1.30-481.el9?distro=rhel-9.4&upstream=perl-5.32.1-481.el9.src.rpm": {
			Ecosystem: "rpm", Release: "Red Hat:9.4", Name: "perl-Errno", Version: "1.30-481.el9", Source: "perl", SourceVersion: "5.32.1-481.el9",
		},
		"pkg:rpm/rocky/nodejs@18.20.4-1.module%2Bel8.10.0?distro=rocky-8.10&rpmmod=nodejs%3A18%3A8100020240808%3A489197e6": {
			Ecosystem: "rpm", Release: "Rocky Linux:8.10", Name: "nodejs", Version: "18.20.4-1.module+el8.10.0", Module: "nodejs:18",
		},
		"pkg:apk/alpine/libcrypto3@3.1.4-r1?arch=x86_64&upstream=openssl&distro=alpine-3.18.4": {
			Ecosystem: "apk", Release: "Alpine:v3.18.4", Name: "libcrypto3", Version: "3.1.4-r1", Arch: "x86_64", Source: "openssl",
		},
		"pkg:apk/alpine/musl@1.2.5-r0?distro=3.20.3":            {Ecosystem: "apk", Release: "Alpine:v3.20.3", Name: "musl", Version: "1.2.5-r0"},
		"pkg:rpm/opensuse/bash@5.1-1?distro=opensuse-leap-15.5": {Ecosystem: "rpm", Release: "openSUSE:15.5", Name: "bash", Version: "5.1-1"},
		"pkg:golang/github.com/hashicorp/raft@v1.7.3":           {Ecosystem: "go", Name: "github.com/hashicorp/raft", Version: "1.7.3"},
		"pkg:golang/stdlib@go1.22.3":                            {Ecosystem: "go", Name: "stdlib", Version: "1.22.3"},
		"pkg:npm/%40angular/core@17.0.0":                        {Ecosystem: "npm", Name: "@angular/core", Version: "17.0.0"},
		"pkg:maven/org.apache.logging.log4j/log4j-core@2.14.1":  {Ecosystem: "maven", Name: "org.apache.logging.log4j:log4j-core", Version: "2.14.1"},
		"pkg:swift/github.com/apple/swift-nio@2.0.0":            {Ecosystem: "swift", Name: "github.com/apple/swift-nio", Version: "2.0.0"},
	} {
		want.PURL = purl
		inv, err := inventory.Parse("x", []byte(bom(purl)))
		must.NoError(t, err)
		must.Eq(t, []api.Package{want}, inv.Packages, must.Sprint(purl))
	}
}

func TestParse_KeepsAsideWhatIsNoPackage(t *testing.T) {
	inv, err := inventory.Parse("x", []byte(bom("pkg:deb/debian/curl", "openssl@3", "pkg:deb/", "pkg:deb/debian/bash@5.1", "pkg:deb/debian/bash@5.1", "")))
	must.NoError(t, err)
	must.Len(t, 1, inv.Packages, must.Sprint("each package once"))
	must.Len(t, 4, inv.Aside)
	for i, reason := range []string{"no version", "no package URL", "no package URL", "it has no package URL"} {
		must.StrContains(t, inv.Aside[i].Reason, reason)
		must.NotEq(t, "", inv.Aside[i].Name)
	}
}

func TestParse_TakesTheReleaseFromTheOperatingSystem(t *testing.T) {
	inv, err := inventory.Parse("x", []byte(`{"bomFormat":"CycloneDX","specVersion":"1.5",
		"metadata":{"timestamp":"2026-01-02T03:04:05+01:00","component":{"type":"container","name":"web","version":"sha256:`+strings.Repeat("a", 64)+`"}},
		"components":[
			{"type":"library","name":"bash","purl":"pkg:deb/debian/bash@5.1","components":[{"type":"library","name":"inner","purl":"pkg:npm/inner@1.0.0"}]},
			{"type":"library","name":"fix","purl":"pkg:deb/ubuntu/fix@1"},
			{"type":"file","name":"/etc/passwd"},
			{"type":"operating-system","name":"debian","version":"12"}]}`))
	must.NoError(t, err)
	must.EqOp(t, "web", inv.Subject)
	must.EqOp(t, "sha256:"+strings.Repeat("a", 64), inv.Digest)
	must.True(t, inv.TakenAt.Equal(time.Date(2026, 1, 2, 2, 4, 5, 0, time.UTC)))
	must.Eq(t, []string{"Debian:12", "Ubuntu"}, inv.Releases, must.Sprint("another distribution's package is not of this one"))
	must.EqOp(t, "1.0.0", find(t, inv, "npm", "inner").Version)
	must.SliceEmpty(t, inv.Aside)
}

func TestParse_ReadsSPDX(t *testing.T) {
	inv, err := inventory.Parse("x", []byte(`{"spdxVersion":"SPDX-2.2","name":"shop/web","creationInfo":{"created":"2026-01-02T03:04:05Z"},"packages":[
		null,
		{"name":"web","versionInfo":"sha256:`+strings.Repeat("b", 64)+`","primaryPackagePurpose":"CONTAINER","externalRefs":[{"referenceType":"purl","referenceLocator":"pkg:oci/web"}]},
		{"name":"bash","externalRefs":[{"referenceType":"cpe23Type","referenceLocator":"cpe:2.3:a"},{"referenceType":"purl","referenceLocator":"pkg:deb/debian/bash@5.1"}]},
		{"name":"debian","versionInfo":"12","primaryPackagePurpose":"OPERATING-SYSTEM"},
		{"name":"vendored"}]}`))
	must.NoError(t, err)
	must.EqOp(t, "SPDX 2.2", inv.Format)
	must.EqOp(t, "shop/web", inv.Subject)
	must.EqOp(t, "sha256:"+strings.Repeat("b", 64), inv.Digest)
	must.EqOp(t, "Debian:12", find(t, inv, "deb", "bash").Release)
	must.Eq(t, []api.Aside{{Reason: "it has no package URL"}, {Name: "vendored", Reason: "it has no package URL"}}, inv.Aside)
}

func TestParse_RefusesWhatItCannotRead(t *testing.T) {
	nested := strings.Repeat(`{"type":"library","name":"n","components":[`, 40) + strings.Repeat(`]}`, 40)
	var many strings.Builder
	for i := range inventory.PackagesMax + 1 {
		fmt.Fprintf(&many, `{"type":"library","purl":"pkg:npm/p%d@1.0.0"},`, i)
	}
	for document, want := range map[string]string{
		``:                          "no JSON document",
		`[1]`:                       "want a JSON object, not a list",
		`{}`:                        "neither CycloneDX nor SPDX",
		`{"bomFormat":"CycloneDX"}`: `CycloneDX ""; want 1.2 to 1.7`,
		`{"bomFormat":"CycloneDX","specVersion":"2.0"}`:                                        "want 1.2 to 1.7",
		`{"bomFormat":"CycloneDX","specVersion":"1.6","components":7}`:                         "no CycloneDX 1.6 document: components: want a list, not a number",
		`{"bomFormat":"CycloneDX","specVersion":"1.6","components":[` + nested + `]}`:          "nested more than 32 deep",
		`{"bomFormat":"CycloneDX","specVersion":"1.6","components":[` + many.String() + `{}]}`: "more than 200000 packages",
		`{"spdxVersion":"SPDX-2.3","packages":[{},{"name":"a","versionInfo":{}}]}`:             "packages[1].versionInfo: want a text, not an object",
		"{\n  \"bomFormat\": }":                   "no JSON document: line 2, column 16: invalid character '}'",
		`{"spdxVersion":"SPDX-2.1"}`:              "want SPDX-2.2 or SPDX-2.3",
		`{"spdxVersion":"SPDX-2.3","packages":7}`: "no SPDX-2.3 document: packages: want a list, not a number",
		`{"@context":"https://spdx.org/rdf/3.0.1/spdx-context.jsonld","@graph":[]}`:       "SPDX 3",
		`{"bomFormat":"CycloneDX","specVersion":"1.6","x":` + strings.Repeat("[", 20_000): "no JSON document",
		strings.Repeat(" ", inventory.DocumentMax+1):                                      "larger than 64 MiB",
	} {
		_, err := inventory.Parse("web.json", []byte(document))
		must.Error(t, err, must.Sprint(want))
		must.True(t, api.IsCode(err, api.CodeInvalid))
		must.StrContains(t, err.Error(), "web.json")
		must.StrContains(t, err.Error(), want)
	}
}

func TestDiff_NamesEachPackageOnce(t *testing.T) {
	from, err := inventory.Parse("a", []byte(bom("pkg:npm/a@1.0.0", "pkg:npm/a@2.0.0", "pkg:npm/b@1.0.0", "pkg:npm/c@1.0.0", "pkg:pypi/c@1")))
	must.NoError(t, err)
	to, err := inventory.Parse("b", []byte(bom("pkg:npm/a@2.0.0", "pkg:npm/b@1.1.0", "pkg:pypi/c@1", "pkg:npm/d@1.0.0")))
	must.NoError(t, err)
	change := func(name, before, after string) api.InventoryDifference {
		return api.InventoryDifference{Ecosystem: "npm", PackageChange: api.PackageChange{Name: name, Before: before, After: after}}
	}
	must.Eq(t, api.InventoryDiff{From: "a", To: "b", Changes: []api.InventoryDifference{
		change("a", "1.0.0, 2.0.0", "2.0.0"), change("b", "1.0.0", "1.1.0"), change("c", "1.0.0", ""), change("d", "", "1.0.0"),
	}}, inventory.Diff(from, to))
	must.SliceEmpty(t, inventory.Diff(from, from).Changes)
}

func TestKey_ComparesNamesAsTheEcosystemDoes(t *testing.T) {
	for _, c := range [][3]string{
		{"pypi", "Jinja2", "jinja2"}, {"pypi", "zope.interface", "zope-interface"}, {"go", "github.com/BurntSushi/toml", "github.com/burntsushi/toml"},
		{"nuget", "Newtonsoft.Json", "newtonsoft.json"}, {"npm", "JSONStream", "JSONStream"}, {"deb", "curl", "curl"},
	} {
		must.EqOp(t, c[2], inventory.Key(c[0], c[1]))
	}
}
