package advisory_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/shoenig/test/must"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/internal/advisory"
	"github.com/oakumhq/oakum/internal/inventory"
)

// read parses a document of testdata.
func read(t *testing.T, name string) advisory.Advisory {
	t.Helper()
	document, err := os.ReadFile(filepath.Join("testdata", name))
	must.NoError(t, err)
	a, err := advisory.ParseOSV(name, document)
	must.NoError(t, err)
	return a
}

// installed is an inventory with these package URLs.
func installed(t *testing.T, purls ...string) api.Inventory {
	t.Helper()
	var parts []string
	for _, p := range purls {
		parts = append(parts, fmt.Sprintf(`{"type":"library","name":%q,"purl":%q}`, strings.TrimPrefix(p, "-"), p))
	}
	inv, err := inventory.Parse("web.json", []byte(`{"bomFormat":"CycloneDX","specVersion":"1.6",
		"metadata":{"timestamp":"2026-02-01T00:00:00Z","component":{"type":"container","name":"shop/web","version":"`+digest+`"}},
		"components":[`+strings.Join(parts, ",")+`]}`))
	must.NoError(t, err)
	return inv
}

const digest = "sha256:1111111111111111111111111111111111111111111111111111111111111111"

func assess(t *testing.T, a advisory.Advisory, purls ...string) api.Assessment {
	t.Helper()
	return a.Assess(advisory.NewIndex(installed(t, purls...)), advisory.Options{})
}

// TestAssess_SaysWhatTheEcosystemsSay holds published advisories to the answers of their
// own databases: Debian's and Alpine's trackers, Red Hat's and Go's pages of these
// advisories.
func TestAssess_SaysWhatTheEcosystemsSay(t *testing.T) {
	for _, c := range []struct {
		file, purl string
		want       api.AssessmentStatus
		reason     string
	}{
		{"DSA-3029-1.json", "pkg:deb/debian/nginx-full@1.2.1-2.2%2Bwheezy2?arch=amd64&distro=debian-7&upstream=nginx", api.AssessmentAffected, "below 1.2.1-2.2+wheezy3"},
		{"DSA-3029-1.json", "pkg:deb/debian/nginx-full@1.2.1-2.2%2Bwheezy3?arch=amd64&distro=debian-7&upstream=nginx", api.AssessmentFixed, "the fault ends with 1.2.1-2.2+wheezy3"},
		{"DSA-3029-1.json", "pkg:deb/debian/nginx@1.2.1-2.2%2Bwheezy1?arch=all&distro=debian-7.11", api.AssessmentAffected, "nginx is 1.2.1-2.2+wheezy1"},
		{"DSA-3029-1.json", "pkg:deb/debian/nginx@1.2.0-1?distro=debian-8", api.AssessmentNotAffected, "nginx is of Debian:8, the advisory is about Debian:7"},
		{"DSA-3029-1.json", "pkg:deb/ubuntu/nginx@1.2.0-1?distro=ubuntu-14.04", api.AssessmentNotAffected, "of Ubuntu:14.04"},
		{"DSA-3029-1.json", "pkg:deb/debian/nginx@1.2.0-1", api.AssessmentUnknown, "nobody knows whether nginx"},
		{"DSA-3029-1.json", "pkg:npm/nginx@1.0.0", api.AssessmentNotAffected, "none of its packages is installed"},
		{"alpine-CVE-2022-27449.json", "pkg:apk/alpine/mariadb-common@10.5.15-r0?arch=x86_64&distro=alpine-3.14.6&upstream=mariadb", api.AssessmentAffected, "below 10.5.16-r0"},
		{"alpine-CVE-2022-27449.json", "pkg:apk/alpine/mariadb@10.5.16-r0?arch=x86_64&distro=alpine-3.14.6", api.AssessmentFixed, ""},
		{"alpine-CVE-2022-27449.json", "pkg:apk/alpine/mariadb@10.5.16-r0?arch=x86_64&distro=alpine-3.15.4", api.AssessmentAffected, "below 10.6.8-r0"},
		{"alpine-CVE-2022-27449.json", "pkg:apk/alpine/mariadb@10.4.0-r0?arch=x86_64&distro=alpine-3.99.0", api.AssessmentNotAffected, ""},
		{"RHSA-2024-4546.json", "pkg:rpm/redhat/git-lfs@2.13.3-2.el8?arch=x86_64&distro=rhel-8.6&upstream=git-lfs-2.13.3-2.el8.src.rpm", api.AssessmentUnknown, "rhel_aus:8.6"},
		{"RHSA-2024-4546.json", "pkg:rpm/redhat/git-lfs@3.4.1-2.el8?arch=x86_64&distro=rhel-8.10&upstream=git-lfs-3.4.1-2.el8.src.rpm", api.AssessmentNotAffected, "of Red Hat:8.10"},
		{"GO-2024-2887.json", "pkg:golang/stdlib@1.21.10", api.AssessmentAffected, "below 1.21.11"},
		{"GO-2024-2887.json", "pkg:golang/stdlib@1.21.11", api.AssessmentFixed, ""},
		{"GO-2024-2887.json", "pkg:golang/stdlib@1.22.3", api.AssessmentAffected, "from 1.22.0-0, below 1.22.4"},
		{"GO-2024-2887.json", "pkg:golang/stdlib@1.22.4", api.AssessmentFixed, ""},
	} {
		a := read(t, c.file)
		// Systems of these distributions name a source package somewhere.
		have := assess(t, a, c.purl, "pkg:deb/debian/libc6@2.36-9?distro=debian-7&upstream=glibc", "pkg:apk/alpine/libssl3@3.0.0-r0?distro=alpine-3.14.6&upstream=openssl")
		must.EqOp(t, c.want, have.Status, must.Sprint(c.file, c.purl, have.Reason))
		must.StrContains(t, have.Reason, c.reason)
		must.EqOp(t, c.want == api.AssessmentAffected, len(have.Packages) > 0)
	}
	must.EqOp(t, api.SeverityHigh, read(t, "RHSA-2024-4546.json").Severity)
	must.EqOp(t, 7.5, read(t, "RHSA-2024-4546.json").Score)
	must.Eq(t, []string{"CVE-2023-45288"}, read(t, "RHSA-2024-4546.json").Upstream)
}

// osv is an advisory about one package with these fields of "affected" beside it.
func osv(t *testing.T, ecosystem, name, fields string) advisory.Advisory {
	t.Helper()
	a, err := advisory.ParseOSV("x.json", fmt.Appendf(nil, `{"id":"X-1","affected":[{"package":{"ecosystem":%q,"name":%q},%s}]}`, ecosystem, name, fields))
	must.NoError(t, err)
	return a
}

func TestAssess_ReadsEveryKindOfRange(t *testing.T) {
	for _, c := range []struct {
		name, ecosystem, of, fields, purl string
		want                              api.AssessmentStatus
		reason                            string
	}{
		{"last affected", "npm", "a", `"ranges":[{"type":"SEMVER","events":[{"introduced":"1.0.0"},{"last_affected":"1.2.0"}]}]`, "pkg:npm/a@1.2.0", api.AssessmentAffected, "up to 1.2.0"},
		{"after the last affected", "npm", "a", `"ranges":[{"type":"SEMVER","events":[{"introduced":"1.0.0"},{"last_affected":"1.2.0"}]}]`, "pkg:npm/a@1.2.1", api.AssessmentFixed, ""},
		{"before it came", "npm", "a", `"ranges":[{"type":"SEMVER","events":[{"introduced":"1.0.0"},{"fixed":"1.2.0"}]}]`, "pkg:npm/a@0.9.0", api.AssessmentNotAffected, "the fault begins with 1.0.0"},
		{"never fixed", "npm", "a", `"ranges":[{"type":"SEMVER","events":[{"introduced":"0"}]}]`, "pkg:npm/a@9.0.0", api.AssessmentAffected, "no version is fixed"},
		{"events in another order", "npm", "a", `"ranges":[{"type":"SEMVER","events":[{"fixed":"3.1.0"},{"introduced":"3.0.0"},{"fixed":"1.2.0"},{"introduced":"0"}]}]`, "pkg:npm/a@2.0.0", api.AssessmentFixed, ""},
		{"the second interval", "npm", "a", `"ranges":[{"type":"SEMVER","events":[{"fixed":"3.1.0"},{"introduced":"3.0.0"},{"fixed":"1.2.0"},{"introduced":"0"}]}]`, "pkg:npm/a@3.0.5", api.AssessmentAffected, "from 3.0.0, below 3.1.0"},
		{"listed", "PyPI", "Jinja_2", `"versions":["1.0","1.1"]`, "pkg:pypi/jinja-2@1.1", api.AssessmentAffected, "one of 1.0, 1.1"},
		{"not listed", "PyPI", "jinja2", `"versions":["1.0","1.1"]`, "pkg:pypi/jinja2@1.2", api.AssessmentNotAffected, "none of the affected versions"},
		{"commits only", "PyPI", "jinja2", `"ranges":[{"type":"GIT","repo":"x","events":[{"introduced":"0"}]}]`, "pkg:pypi/jinja2@1.2", api.AssessmentUnknown, "commits"},
		{"no versions", "PyPI", "jinja2", `"ranges":[]`, "pkg:pypi/jinja2@1.2", api.AssessmentUnknown, "names no versions"},
		{"a kind that is not known", "PyPI", "jinja2", `"ranges":[{"type":"MOON","events":[{"introduced":"0"}]}]`, "pkg:pypi/jinja2@1.2", api.AssessmentUnknown, ""},
		{"an event that is not known", "PyPI", "jinja2", `"ranges":[{"type":"ECOSYSTEM","events":[{"introduced":"0"},{"limit":"2"}]}]`, "pkg:pypi/jinja2@1.2", api.AssessmentUnknown, "not known"},
		{"an ecosystem that is not known", "Moon", "a", `"versions":["1"]`, "pkg:pypi/jinja2@1.2", api.AssessmentUnknown, `no ecosystem "Moon"`},
		{"versions without an order", "Go", "a", `"ranges":[{"type":"SEMVER","events":[{"introduced":"0"},{"introduced":"x y"},{"fixed":"1.0.0"}]}]`, "pkg:golang/a@1.2.0", api.AssessmentUnknown, "no order"},
		{"a version that is none", "Go", "a", `"ranges":[{"type":"SEMVER","events":[{"introduced":"0"},{"fixed":"1.0.0"}]}]`, "pkg:golang/a@%28devel%29", api.AssessmentUnknown, "no version of go"},
		{"a rolling release", "Red Hat:enterprise_linux:9::baseos", "openssl", `"ranges":[{"type":"ECOSYSTEM","events":[{"introduced":"0"},{"fixed":"1:3.0.7-24.el9"}]}]`, "pkg:rpm/redhat/openssl-libs@3.0.7-16.el9?epoch=1&distro=rhel-9.2&upstream=openssl-3.0.7-16.el9.src.rpm", api.AssessmentAffected, "below 1:3.0.7-24.el9"},
		{"a lost epoch", "Red Hat:enterprise_linux:9::baseos", "openssl", `"ranges":[{"type":"ECOSYSTEM","events":[{"introduced":"0"},{"fixed":"1:3.0.7-24.el9"}]}]`, "pkg:rpm/redhat/openssl-libs@3.0.7-30.el9?distro=rhel-9.2&upstream=openssl-3.0.7-30.el9.src.rpm", api.AssessmentUnknown, "epoch"},
		{"its own name", "AlmaLinux:9", "openssl-libs", `"ranges":[{"type":"ECOSYSTEM","events":[{"introduced":"0"},{"fixed":"1:3.0.7-24.el9"}]}]`, "pkg:rpm/almalinux/openssl-libs@3.0.7-16.el9?epoch=1&distro=almalinux-9.3&upstream=openssl-3.0.7-16.el9.src.rpm", api.AssessmentAffected, ""},
		{"the version of the source", "Debian:12", "gcc-defaults", `"ranges":[{"type":"ECOSYSTEM","events":[{"introduced":"0"},{"fixed":"1.204"}]}]`, "pkg:deb/debian/gcc@4%3A12.2.0-3?distro=debian-12&upstream=gcc-defaults%401.203", api.AssessmentAffected, "gcc is 4:12.2.0-3"},
		{"a channel", "Ubuntu:Pro:22.04:LTS", "bash", `"ranges":[{"type":"ECOSYSTEM","events":[{"introduced":"0"},{"fixed":"5.1-6ubuntu1.1+esm1"}]}]`, "pkg:deb/ubuntu/bash@5.1-6ubuntu1?distro=ubuntu-22.04", api.AssessmentUnknown, "Ubuntu:Pro:22.04"},
	} {
		t.Run(c.name, func(t *testing.T) {
			have := assess(t, osv(t, c.ecosystem, c.of, c.fields), c.purl)
			must.EqOp(t, c.want, have.Status, must.Sprint(have.Reason))
			must.StrContains(t, have.Reason, c.reason)
		})
	}
}

func TestAssess_IsNeverSafeByIgnorance(t *testing.T) {
	debian := osv(t, "Debian:12", "openssl", `"ranges":[{"type":"ECOSYSTEM","events":[{"introduced":"0"},{"fixed":"3.0.16-1~deb12u1"}]}]`)
	for name, c := range map[string]struct {
		purls  []string
		want   api.AssessmentStatus
		reason string
	}{
		"no source packages named":       {[]string{"pkg:deb/debian/libssl3@3.0.15-1?distro=debian-12"}, api.AssessmentUnknown, "names no source packages"},
		"of another release, none named": {[]string{"pkg:deb/debian/libssl3@3.0.15-1?distro=debian-11"}, api.AssessmentNotAffected, "none of its packages"},
		"kept aside":                     {[]string{"openssl"}, api.AssessmentUnknown, "nothing can be compared with"},
		"without a version":              {[]string{"pkg:deb/debian/openssl?distro=debian-12"}, api.AssessmentUnknown, "no version"},
		"its source, without a version":  {[]string{"pkg:deb/debian/libssl3?distro=debian-12&upstream=openssl"}, api.AssessmentUnknown, "no version"},
		"one fixed, one not": {
			[]string{"pkg:deb/debian/libssl3@3.0.16-1~deb12u1?distro=debian-12&upstream=openssl", "pkg:deb/debian/openssl@3.0.15-1?distro=debian-12"},
			api.AssessmentAffected, "openssl is 3.0.15-1",
		},
	} {
		t.Run(name, func(t *testing.T) {
			have := assess(t, debian, c.purls...)
			must.EqOp(t, c.want, have.Status, must.Sprint(have.Reason))
			must.StrContains(t, have.Reason, c.reason)
		})
	}
}

func TestAssess_TakesNoStaleInventoryForSafe(t *testing.T) {
	a := osv(t, "npm", "a", `"versions":["1.0.0"]`)
	now := time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC)
	o := advisory.Options{Now: now, MaxAge: 24 * time.Hour}
	safe := a.Assess(advisory.NewIndex(installed(t, "pkg:npm/a@2.0.0")), o)
	must.EqOp(t, api.AssessmentUnknown, safe.Status)
	must.StrContains(t, safe.Reason, "stale: it was taken on 2026-02-01; by the packages it names, it would be not affected")
	must.EqOp(t, api.AssessmentAffected, a.Assess(advisory.NewIndex(installed(t, "pkg:npm/a@1.0.0")), o).Status, must.Sprint("a hit is one at any age"))
	o.MaxAge = 90 * 24 * time.Hour
	must.EqOp(t, api.AssessmentNotAffected, a.Assess(advisory.NewIndex(installed(t, "pkg:npm/a@2.0.0")), o).Status)
	undated := installed(t)
	undated.TakenAt = time.Time{}
	must.StrContains(t, a.Assess(advisory.NewIndex(undated), o).Reason, "does not say when it was taken")
}

func TestFromPatch_ComparesWhatThePatchNames(t *testing.T) {
	patch := api.Patch{Name: "xz", Severity: api.SeverityCritical, Fixes: []string{"CVE-2024-3094"}, Affects: []api.Affected{
		{Ecosystem: "deb", Package: "liblzma5", From: "5.6.0", Below: "5.6.1+really5.4.5-1"},
		{Ecosystem: "deb", Source: "xz-utils", Release: "Debian:13", Versions: []string{"5.6.0-0.2"}, Arch: "amd64"},
	}}
	a := advisory.FromPatch(patch)
	for purl, want := range map[string]api.AssessmentStatus{
		"pkg:deb/debian/liblzma5@5.4.1-0.2?distro=debian-12&upstream=xz-utils":             api.AssessmentNotAffected,
		"pkg:deb/debian/liblzma5@5.6.1-1?distro=debian-12&upstream=xz-utils":               api.AssessmentAffected,
		"pkg:deb/debian/liblzma5@5.6.1%2Breally5.4.5-1?distro=debian-12&upstream=xz-utils": api.AssessmentFixed,
		"pkg:deb/debian/xz-utils@5.6.0-0.2?arch=amd64&distro=debian-13":                    api.AssessmentAffected,
		"pkg:deb/debian/xz-utils@5.6.0-0.2?arch=arm64&distro=debian-13":                    api.AssessmentNotAffected,
		"pkg:deb/debian/xz-utils@5.6.0-0.2?distro=debian-13":                               api.AssessmentUnknown,
		"pkg:deb/debian/xz-utils@5.6.0-0.2?arch=amd64&distro=debian-12":                    api.AssessmentNotAffected,
		"pkg:deb/debian/xz-utils@5.6.1-1?arch=amd64&distro=debian-13":                      api.AssessmentNotAffected,
	} {
		have := assess(t, a, purl, "pkg:deb/debian/libc6@2.36-9?distro=debian-13&upstream=glibc")
		must.EqOp(t, want, have.Status, must.Sprint(purl, have.Reason))
	}
	must.EqOp(t, api.AssessmentUnknown, assess(t, advisory.FromPatch(api.Patch{Name: "x"})).Status)
}

func TestParseOSV_RefusesWhatItCannotRead(t *testing.T) {
	for document, want := range map[string]string{
		``:                                    "no OSV document: syntax error",
		`{}`:                                  "it has no id",
		`{"id":7}`:                            "no OSV document",
		`{"id":"X","schema_version":"2.0.0"}`: `schema version "2.0.0"; want 1`,
		`{"id":"X","affected":` + strings.Repeat("[", 20_000): "no OSV document",
		strings.Repeat(" ", advisory.DocumentMax+1):           "larger than 32 MiB",
	} {
		_, err := advisory.ParseOSV("x.json", []byte(document))
		must.ErrorContains(t, err, want)
		must.True(t, api.IsCode(err, api.CodeInvalid))
	}
	a, err := advisory.ParseOSV("x.json", []byte(`{"id":"X","withdrawn":"2026-01-02T00:00:00Z","affected":[{"package":{"ecosystem":"npm","name":"a"},"versions":["1.0.0"]}],"database_specific":{"severity":"MODERATE"}}`))
	must.NoError(t, err)
	must.EqOp(t, api.SeverityMedium, a.Severity)
	have := assess(t, a, "pkg:npm/a@1.0.0")
	must.EqOp(t, api.AssessmentNotAffected, have.Status)
	must.EqOp(t, "the advisory was withdrawn on 2026-01-02", have.Reason)
}

func TestAssess_NamesTheEventThatNobodyKnows(t *testing.T) {
	for event, want := range map[string]string{
		`{"retired":"2"}`: `that is not known: "retired"`,
		`{"limit":"2"}`:   `that is not known: limit "2"`,
		`{}`:              "that is not known: it is empty",
	} {
		a, err := advisory.ParseOSV("x.json", []byte(`{"id":"X-1","affected":[{"package":{"ecosystem":"Debian:12","name":"bash"},
			"ranges":[{"type":"ECOSYSTEM","events":[{"introduced":"0"},`+event+`]}]}]}`))
		must.NoError(t, err)
		have := assess(t, a, "pkg:deb/debian/bash@5.2.15-2?arch=amd64&distro=debian-12")
		must.EqOp(t, api.AssessmentUnknown, have.Status)
		must.StrContains(t, have.Reason, want)
	}
}

func TestAssess_TrustsNoInventoryFromTheFuture(t *testing.T) {
	a, err := advisory.ParseOSV("x.json", []byte(`{"id":"X-1","affected":[{"package":{"ecosystem":"Debian:12","name":"bash"},
		"ranges":[{"type":"ECOSYSTEM","events":[{"introduced":"0"},{"fixed":"5.2"}]}]}]}`))
	must.NoError(t, err)
	index := advisory.NewIndex(installed(t, "pkg:deb/debian/bash@5.2.15-2?arch=amd64&distro=debian-12"))
	taken := time.Date(2026, 2, 1, 0, 0, 0, 0, time.UTC)
	for now, want := range map[time.Time]api.AssessmentStatus{
		taken: api.AssessmentFixed, taken.Add(-time.Second): api.AssessmentUnknown, taken.Add(2 * time.Hour): api.AssessmentUnknown,
	} {
		have := a.Assess(index, advisory.Options{Now: now, MaxAge: time.Hour})
		must.EqOp(t, want, have.Status, must.Sprint(have.Reason))
	}
}
