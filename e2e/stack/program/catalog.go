// Package program provides the programs of the real stack: Nomad, Consul,
// Vault, Prometheus and statsd_exporter. It takes what PATH has in a version
// of a range that the stack is made for, then what a cache of this user has,
// and builds only what is left, once for all checkouts of the machine.
//
// What it needs of the machine's own (QEMU and the tools that make disks) it
// takes from Debian.
package program

import (
	"fmt"
	"time"

	"golang.org/x/mod/semver"
)

// Program is one program of the stack.
type Program struct {
	Name string
	// From and Below bound the versions that are taken from PATH: of Nomad,
	// Consul and Vault the line of releases of the one that is built, since
	// they may change their interfaces with each; of the others all that are
	// promised to be compatible.
	From, Below string
	// Module is the path of the module to build it from, which is also the path
	// of its main package; the module that requires it is the folder of the
	// program's name in e2e/stack. Empty: Debian has a package of that name.
	Module string
	tags   string
	tell   string        // argument that makes it tell its version
	usual  time.Duration // of a build on two idle cores with nothing cached
}

// Catalog lists the programs, the quickest to build first.
func Catalog() []Program {
	return []Program{
		{Name: "prometheus", From: "v2.42.0", Below: "v3.0.0", tell: "--version"},
		{Name: "statsd_exporter", From: "v0.26.0", Below: "v1.0.0", tell: "--version", Module: "github.com/prometheus/statsd_exporter", usual: time.Minute},
		{Name: "consul", From: "v1.22.0", Below: "v1.23.0", tell: "version", Module: "github.com/hashicorp/consul", usual: 5 * time.Minute},
		{Name: "nomad", From: "v1.11.0", Below: "v1.12.0", tell: "version", Module: "github.com/hashicorp/nomad", usual: 6 * time.Minute},
		{Name: "vault", From: "v1.21.0", Below: "v1.22.0", tell: "version", Module: "github.com/hashicorp/vault", tags: "minimal", usual: 6 * time.Minute},
	}
}

// qemu comes from Debian alone, so that there is nothing to build instead of a
// version that is not taken.
func qemu() Program {
	return Program{Name: "qemu-system-x86_64", From: "v7.2.0", Below: "v11.0.0", tell: "--version"}
}

// Range says which versions are taken from PATH.
func (p Program) Range() string { return fmt.Sprintf("%s or later, below %s", p.From, p.Below) }

// takes reports whether a version of PATH is one that the stack is made for. A
// version before a release (1.11.0-beta.1) is not.
func (p Program) takes(version string) bool {
	return semver.IsValid(version) && semver.Prerelease(version) == "" &&
		semver.Compare(version, p.From) >= 0 && semver.Compare(version, p.Below) < 0
}
