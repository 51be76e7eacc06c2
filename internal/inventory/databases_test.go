package inventory_test

import (
	"strings"
	"testing"

	"github.com/shoenig/test/must"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/internal/inventory"
)

const dpkgStatus = `Package: libssl3
Status: install ok installed
Architecture: amd64
Source: openssl
Version: 3.0.15-1~deb12u1
Description: Secure Sockets Layer toolkit
 shared libraries
 Version: 9
Depends: libc6

Package: gcc
Status: install ok unpacked
Architecture: amd64
Source: gcc-defaults (1.203)
Version: 4:12.2.0-3

Package: gone
Status: deinstall ok config-files
Version: 1

Package: broken
Status: install reinstreq half-installed
Version: 1

Package: without
Status: install ok installed

Package: base-files
Version: 12.4
`

func TestFromDatabases_ReadsDpkg(t *testing.T) {
	t.Parallel()
	inv, err := inventory.FromDatabases("web.qcow2", inventory.Databases{
		OSRelease: "PRETTY_NAME=\"Debian GNU/Linux 12 (bookworm)\"\nID=debian\nVERSION_ID=\"12\"\n", Dpkg: dpkgStatus,
	})
	must.NoError(t, err)
	must.Eq(t, "dpkg", inv.Format)
	must.Eq(t, []string{"Debian:12"}, inv.Releases)
	have := map[string]api.Package{}
	for _, p := range inv.Packages {
		have[p.Name] = p
	}
	must.MapLen(t, 3, have)
	must.Eq(t, "3.0.15-1~deb12u1", have["libssl3"].Version)
	must.Eq(t, "openssl", have["libssl3"].Source)
	must.Eq(t, "Debian:12", have["libssl3"].Release)
	must.Eq(t, "amd64", have["libssl3"].Arch)
	must.Eq(t, "4:12.2.0-3", have["gcc"].Version)
	must.Eq(t, "gcc-defaults", have["gcc"].Source)
	must.Eq(t, "1.203", have["gcc"].SourceVersion)
	must.Eq(t, "12.4", have["base-files"].Version)
	must.Eq(t, []api.Aside{{Name: "broken", Reason: "its installation broke off"}, {Name: "without", Reason: `"" is no version`}}, inv.Aside)
}

func TestFromDatabases_ReadsAPKAndRPM(t *testing.T) {
	t.Parallel()
	inv, err := inventory.FromDatabases("x", inventory.Databases{
		OSRelease: "ID=alpine\nVERSION_ID=3.20.1\n", APK: "C:Q1\nP:libcrypto3\nV:3.3.1-r0\nA:x86_64\no:openssl\n\nP:musl\nV:1.2.5-r0\nA:x86_64\no:musl\n",
	})
	must.NoError(t, err)
	must.Eq(t, []string{"Alpine:v3.20.1"}, inv.Releases)
	must.Len(t, 2, inv.Packages)
	must.Eq(t, "openssl", inv.Packages[0].Source)
	must.Eq(t, "", inv.Packages[1].Source)

	inv, err = inventory.FromDatabases("x", inventory.Databases{
		OSRelease: "ID=\"rhel\"\nVERSION_ID=\"9.4\"\n",
		RPM: "openssl-libs\t1\t3.0.7-24.el9\tx86_64\topenssl-3.0.7-24.el9.src.rpm\t(none)\n" +
			"nodejs\t1\t18.19.1-1.module+el9\tx86_64\tnodejs-18.19.1-1.module+el9.src.rpm\tnodejs:18:8090020240228:a75119d5\n" +
			"gpg-pubkey\t0\tfd431d51-4ae0493b\t(none)\t(none)\t(none)\n",
	})
	must.NoError(t, err)
	must.Eq(t, []string{"Red Hat:9.4"}, inv.Releases)
	must.Len(t, 2, inv.Packages)
	must.Eq(t, "nodejs:18", inv.Packages[0].Module)
	must.Eq(t, "1:3.0.7-24.el9", inv.Packages[1].Version)
	must.Eq(t, "openssl", inv.Packages[1].Source)
}

func TestFromDatabases_RefusesWhatIsNone(t *testing.T) {
	t.Parallel()
	for want, d := range map[string]inventory.Databases{
		"there is no database of dpkg, apk or rpm":       {OSRelease: "ID=debian"},
		"the database of dpkg has no entry":              {Dpkg: "Package: gone\nStatus: deinstall ok config-files\n"},
		"a line of rpm has 1 fields, want 6: \"bash-5\"": {RPM: "bash-5"},
		"larger than 64 MiB":                             {APK: strings.Repeat("x", inventory.DocumentMax+1)},
	} {
		_, err := inventory.FromDatabases("web.qcow2", d)
		must.True(t, api.IsCode(err, api.CodeInvalid), must.Sprint(err))
		must.ErrorContains(t, err, "read the packages of web.qcow2: "+map[bool]string{true: "the package databases are "}[strings.HasPrefix(want, "larger")]+want)
	}
}

// FuzzDatabases checks that no text makes the readers panic, that each entry ends up as a
// package or aside, and that a text reads the same twice.
func FuzzDatabases(f *testing.F) {
	f.Add("ID=debian\nVERSION_ID=\"12\"", dpkgStatus, "", "")
	f.Add("ID=alpine\nVERSION_ID=3.20.1", "", "P:musl\nV:1.2.5-r0\nA:x86_64\no:musl\n", "")
	f.Add("ID='rhel'\nVERSION_ID=9", "", "", "a\t1\t2-3\tx86_64\ta-2-3.src.rpm\tm:1:2:3\n")
	f.Add("ID=\nVERSION_ID", "Package: a\nVersion: 1?x#y@z\nSource: b (\n", "P:@\nV:%\n", "\t\t\t\t\t\n")
	f.Fuzz(func(t *testing.T, system, dpkg, apk, rpm string) {
		d := inventory.Databases{OSRelease: system, Dpkg: dpkg, APK: apk, RPM: rpm}
		inv, err := inventory.FromDatabases("x", d)
		if err != nil {
			must.True(t, api.IsCode(err, api.CodeInvalid))
			return
		}
		must.Positive(t, len(inv.Packages)+len(inv.Aside))
		for _, p := range inv.Packages {
			must.NotEq(t, "", p.Name)
			must.NotEq(t, "", p.Version)
			must.SliceContains(t, []string{"deb", "apk", "rpm"}, p.Ecosystem)
		}
		again, err := inventory.FromDatabases("x", d)
		must.NoError(t, err)
		must.Eq(t, inv, again)
	})
}
