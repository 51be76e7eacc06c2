package inventory_test

import (
	"testing"

	"github.com/shoenig/test/must"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/internal/inventory"
)

func TestParseEcosystem_ReadsOSVAndPatches(t *testing.T) {
	for text, want := range map[string][2]string{
		"deb": {"deb", ""}, "Go": {"go", ""}, "crates.io": {"cargo", ""},
		"Debian":                                    {"deb", "Debian"},
		"Debian:12":                                 {"deb", "Debian:12"},
		"Ubuntu:22.04:LTS":                          {"deb", "Ubuntu:22.04"},
		"Ubuntu:Pro:22.04:LTS":                      {"deb", "Ubuntu:Pro:22.04"},
		"Debian:bookworm":                           {"deb", "Debian:12"},
		"Ubuntu:jammy":                              {"deb", "Ubuntu:22.04"},
		"Alpine:v3.20":                              {"apk", "Alpine:v3.20"},
		"Alpine:3.20":                               {"apk", "Alpine:v3.20"},
		"Red Hat:enterprise_linux:9::appstream":     {"rpm", "Red Hat:9"},
		"Red Hat:rhel_eus:9.2::baseos":              {"rpm", "Red Hat:rhel_eus:9.2"},
		"Red Hat:openshift:4.14::el9":               {"rpm", "Red Hat:openshift 4.14:9"},
		"AlmaLinux:9":                               {"rpm", "AlmaLinux:9"},
		"SUSE:Linux Enterprise Server 15 SP4":       {"rpm", "SUSE:15.4"},
		"SUSE:Linux Enterprise Module for X 15 SP4": {"rpm", "SUSE:Linux Enterprise Module for X:15.4"},
		"openSUSE:Leap 15.5":                        {"rpm", "openSUSE:15.5"},
		"openSUSE:Tumbleweed":                       {"rpm", "openSUSE:Tumbleweed"},
	} {
		ecosystem, release, err := inventory.ParseEcosystem(text)
		must.NoError(t, err)
		must.Eq(t, want, [2]string{ecosystem, release}, must.Sprint(text))
	}
	for text, want := range map[string]string{
		"Debain:12": "Debian:12", "debian:12": "Debian:12", "rhel:9": "Red Hat:9", "alpine:3.20": "Alpine:v3.20", "bookworm": "Debian:12", "dbe": "deb",
	} {
		_, _, err := inventory.ParseEcosystem(text)
		must.ErrorContains(t, err, `did you mean "`+want+`"?`)
	}
	_, _, err := inventory.ParseEcosystem("")
	must.ErrorContains(t, err, "there is no ecosystem")
}

func TestCheckRelease_RefusesWhatNoDistributionHas(t *testing.T) {
	for _, release := range []string{
		"", "Debian", "Debian:7", "Debian:14", "Ubuntu:22.04", "Ubuntu:Pro:22.04", "Ubuntu:Pro:FIPS:22.04", "Alpine:v3.20", "Alpine:edge", "Wolfi",
		"Red Hat:9", "Red Hat:9.2", "Red Hat:rhel_eus:9.2", "Red Hat:openshift 4.14:9", "SUSE:15.4", "openSUSE:Tumbleweed",
		"Fedora:42", "Azure Linux:3", "Amazon Linux:2023", "Photon OS:5.0", "Alpaquita:stream",
	} {
		must.NoError(t, inventory.CheckRelease(release), must.Sprint(release))
	}
	for release, want := range map[string]string{
		"Debian:99": "want one such as Debian:12", "Debian:0": "no release", "Debian:12.4": `did you mean "Debian:12"?`,
		"Debian:v12": `did you mean "Debian:12"?`, "Debian:jammy": `did you mean "Ubuntu:22.04"?`, "Debian:Pro:12": "no release",
		"Debian:bokworm": "no release", "Ubuntu:22.04.3": `did you mean "Ubuntu:22.04"?`, "Ubuntu:22": "no release",
		"Alpine:v3.20.1": `did you mean "Alpine:v3.20"?`, "Alpine:v4.20": "no release", "Red Hat:90": "no release", "SUSE:bogus": "no release",
	} {
		must.ErrorContains(t, inventory.CheckRelease(release), want, must.Sprint(release))
	}
}

func TestCovers_KeepsReleasesAndChannelsApart(t *testing.T) {
	for _, c := range []struct {
		advisory, installed string
		want                inventory.Cover
	}{
		{"", "", inventory.CoverYes},
		{"", "Debian:12", inventory.CoverYes},
		{"Debian:12", "Debian:12", inventory.CoverYes},
		{"Debian:12", "Debian:12.4", inventory.CoverYes},
		{"Debian:1", "Debian:12", inventory.CoverNo},
		{"Debian:12.4", "Debian:12", inventory.CoverUnclear},
		{"Alpine:v3.20.1", "Alpine:v3.20", inventory.CoverUnclear},
		{"Debian:11", "Debian:12", inventory.CoverNo},
		{"Debian:12", "Ubuntu:12", inventory.CoverNo},
		{"Debian", "Debian:12", inventory.CoverYes},
		{"Debian:12", "Debian", inventory.CoverUnclear},
		{"Debian:12", "", inventory.CoverUnclear},
		{"Alpine:v3.2", "Alpine:v3.20.1", inventory.CoverNo},
		{"Alpine:v3.20", "Alpine:v3.20.1", inventory.CoverYes},
		{"Ubuntu:Pro:22.04", "Ubuntu:22.04", inventory.CoverUnclear},
		{"Ubuntu:Pro:20.04", "Ubuntu:22.04", inventory.CoverNo},
		{"Red Hat:9", "Red Hat:9.4", inventory.CoverYes},
		{"Red Hat:rhel_eus:9.2", "Red Hat:9.2", inventory.CoverUnclear},
		{"Red Hat:rhel_eus:9.2", "Red Hat:9.4", inventory.CoverNo},
		{"Red Hat:openshift 4.14:9", "Red Hat:9.2", inventory.CoverUnclear},
	} {
		must.EqOp(t, c.want, inventory.Covers(c.advisory, c.installed), must.Sprint(c))
	}
}

func TestLocate_KnowsBothEndsOfARange(t *testing.T) {
	xz := api.Affected{Ecosystem: "deb", Package: "xz-utils", From: "5.6.0", Below: "5.6.1+really5.4.5-1"}
	for _, c := range []struct {
		a       api.Affected
		version string
		want    inventory.Place
	}{
		{xz, "5.4.1-0.2", inventory.PlaceBefore},
		{xz, "5.6.0-0.2", inventory.PlaceWithin},
		{xz, "5.6.1-1", inventory.PlaceWithin},
		{xz, "5.6.1+really5.4.5-1", inventory.PlaceAfter},
		{api.Affected{Ecosystem: "go", Last: "1.2.3"}, "1.2.3", inventory.PlaceWithin},
		{api.Affected{Ecosystem: "go", Last: "1.2.3"}, "1.2.4", inventory.PlaceAfter},
		{api.Affected{Ecosystem: "go"}, "9.9.9", inventory.PlaceWithin},
		{api.Affected{Ecosystem: "pypi", Versions: []string{"1.0", "1.1"}}, "1.0.0", inventory.PlaceWithin},
		{api.Affected{Ecosystem: "pypi", Versions: []string{"1.0", "1.1"}}, "1.2", inventory.PlaceUnlisted},
		{api.Affected{Ecosystem: "rpm", Below: "1:18.20.4-1.module+el8.10.0"}, "1:18.19.0-1.module+el8.9.0", inventory.PlaceWithin},
		{api.Affected{Ecosystem: "rpm", Below: "0:3.0.7-24.el9"}, "3.0.7-16.el9", inventory.PlaceWithin},
	} {
		have, err := inventory.Locate(c.a, c.version)
		must.NoError(t, err, must.Sprint(c))
		must.EqOp(t, c.want, have, must.Sprint(c))
	}
}

func TestLocate_RefusesWhatNobodyCanCompare(t *testing.T) {
	for _, c := range []struct {
		a       api.Affected
		version string
		want    string
	}{
		{api.Affected{Ecosystem: "rpm", Below: "1:1.1.1k-9.el8"}, "1.1.1k-6.el8", "one has an epoch"},
		{api.Affected{Ecosystem: "rpm", Below: "1.1.1k-9.el8"}, "1:1.1.1k-6.el8", "one has an epoch"},
		{api.Affected{Ecosystem: "rpm", Below: "1:18.2-1.module+el8"}, "1:10.2-1.el8", "one is of a module stream"},
		{api.Affected{Ecosystem: "rpm", Below: "1:18.2-1.module+el8"}, "1:20.2-1.module+el8", "of different module streams"},
		{api.Affected{Ecosystem: "swift", Below: "2"}, "1", "there is no ecosystem"},
		{api.Affected{Ecosystem: "go", Below: "1.2.3"}, "(devel)", "no version of go"},
	} {
		_, err := inventory.Locate(c.a, c.version)
		must.ErrorContains(t, err, c.want)
	}
}
