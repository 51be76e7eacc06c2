package api

import "time"

// Inventory is what is installed in one thing that runs, as one document says it.
type Inventory struct {
	Source   string    `json:"source"`            // where it was read, such as a path
	Format   string    `json:"format"`            // such as "CycloneDX 1.6"
	Subject  string    `json:"subject,omitempty"` // what the document describes, in its own words
	Digest   string    `json:"digest,omitempty"`  // of what the document describes: "sha256:" and 64 hex digits
	TakenAt  time.Time `json:"taken_at,omitzero"`
	Releases []string  `json:"releases,omitempty"` // distributions of its packages, sorted, such as "Debian:12"
	Packages []Package `json:"packages"`
	Aside    []Aside   `json:"aside,omitempty"` // entries that nothing can be compared with
}

// Package is one installed package. Packages of a distribution are of its release, and
// built from a source package.
type Package struct {
	Ecosystem     string `json:"ecosystem"`         // "deb", "rpm", "go", ... or the type of its package URL
	Release       string `json:"release,omitempty"` // such as "Debian:12.4"; "Debian" when the release is not known
	Name          string `json:"name"`
	Version       string `json:"version"`
	Arch          string `json:"arch,omitempty"`
	Source        string `json:"source,omitempty"`         // source package, where its name is another
	SourceVersion string `json:"source_version,omitempty"` // where it is another than Version
	Module        string `json:"module,omitempty"`         // module stream of an rpm package, such as "nodejs:18"
	PURL          string `json:"purl"`                     // package URL, as the document has it
}

// Aside is an entry of a document that is no package which can be compared.
type Aside struct {
	Name   string `json:"name"`
	Source string `json:"source,omitempty"` // source package, where its name is another
	Reason string `json:"reason"`
}

// InventoryDiff is what differs between two inventories.
type InventoryDiff struct {
	From    string                `json:"from"` // source of the former inventory
	To      string                `json:"to"`
	Changes []InventoryDifference `json:"changes"`
}

// InventoryDifference is one package that differs. Several installed versions are
// sorted, with commas between them.
type InventoryDifference struct {
	Ecosystem string `json:"ecosystem"`
	PackageChange
}
