package inventory

import (
	"errors"
	"fmt"

	"github.com/oakumhq/oakum/api"
)

// AffectedError is why a block can't be compared, and the argument that says so; without
// one, it is the label or what is missing.
type AffectedError struct {
	Argument string
	Cause    error
}

// CheckAffected reads the label and the release, and refuses what can't be compared with
// any version and what exists nowhere: it would find nobody affected.
func CheckAffected(a *api.Affected, label, release string) *AffectedError {
	var err error
	if a.Ecosystem, a.Release, err = ParseEcosystem(label); err == nil {
		err = CheckRelease(a.Release)
	}
	if err != nil {
		return &AffectedError{"", err}
	}
	if err := withRelease(a, release); err != nil {
		return &AffectedError{"release", err}
	}
	for _, check := range []AffectedError{
		{"package", CheckName(a.Ecosystem, a.Package)},
		{"source", checkSource(a)},
		{"arch", CheckArch(a.Ecosystem, a.Arch)},
		{"", checkComplete(a)},
		{"from", checkVersion(a, a.From)},
		{"below", checkVersion(a, a.Below)},
		{"versions", checkVersion(a, a.Versions...)},
	} {
		if check.Cause != nil {
			return &check
		}
	}
	if a.From == "" {
		return nil
	}
	if n, err := Compare(a.Ecosystem, a.From, a.Below); err != nil || n >= 0 {
		return &AffectedError{"from", fmt.Errorf("from %s is not older than below %s", a.From, a.Below)}
	}
	return nil
}

// withRelease takes the argument "release", which may say what the label says.
func withRelease(a *api.Affected, text string) error {
	if text == "" {
		return nil
	}
	ecosystem, release, err := ParseEcosystem(text)
	if err == nil {
		err = CheckRelease(release)
	}
	switch {
	case err != nil:
		return fmt.Errorf("release %q: want a distribution and its version: %w", text, err)
	case release == "":
		return fmt.Errorf("release %q: want a distribution and its version, such as Debian:12", text)
	case ecosystem != a.Ecosystem:
		return fmt.Errorf("release %q has packages of %s, not of %s", text, ecosystem, a.Ecosystem)
	case a.Release != "" && a.Release != release:
		return fmt.Errorf("release %q is another one than the label's, %s", text, a.Release)
	}
	a.Release = release
	return nil
}

// checkSource refuses a source package in an ecosystem that has none.
func checkSource(a *api.Affected) error {
	if a.Source != "" && a.Ecosystem != "deb" && a.Ecosystem != "rpm" && a.Ecosystem != "apk" {
		return fmt.Errorf("packages of %s have no source package", a.Ecosystem)
	}
	return CheckName(a.Ecosystem, a.Source)
}

// checkComplete refuses a block that does not say which packages, or which versions.
func checkComplete(a *api.Affected) error {
	switch {
	case (a.Package == "") == (a.Source == ""):
		return errors.New("want one of package (an installed package) and source (all that are built from a source package)")
	case a.Below == "" && len(a.Versions) == 0:
		return errors.New("want below (the first version without the fault), versions (a list of those with it), or both")
	case a.Below == "" && a.From != "":
		return errors.New("from is where a range begins; want below, where it ends")
	}
	return nil
}

// checkVersion refuses what the ecosystem does not take for versions. An argument that
// was left out is no version, and passes; an empty one in a list was refused before.
func checkVersion(a *api.Affected, versions ...string) error {
	for _, v := range versions {
		if v == "" {
			continue
		}
		if _, err := Compare(a.Ecosystem, v, v); err != nil {
			return err
		}
	}
	return nil
}
