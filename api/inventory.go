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

// InventoryOrigin is how an inventory came to be kept.
type InventoryOrigin string

// The origins: a person or a pipeline gave it, it was read from the image, a job names it in
// its meta, or it was read on a client node of Nomad.
const (
	InventoryPut   InventoryOrigin = "put"
	InventoryImage InventoryOrigin = "image"
	InventoryNamed InventoryOrigin = "named"
	InventoryNode  InventoryOrigin = "node"
)

// InventoryRecord is an inventory that the cluster keeps, without its packages.
type InventoryRecord struct {
	// Of is what it describes: a digest, "sha256:" and 64 hex digits, the name of an image
	// whose digest nobody knows, or a client node of Nomad, "node://" and its ID.
	Of       string          `json:"of"`
	Hash     string          `json:"hash"` // hex SHA-256 of its packages, releases and entries kept aside
	Origin   InventoryOrigin `json:"origin"`
	Source   string          `json:"source"` // where it was read, such as a path
	Format   string          `json:"format"`
	Subject  string          `json:"subject,omitempty"` // what the document describes, in its own words
	Releases []string        `json:"releases,omitempty"`
	Packages int             `json:"packages"`
	Aside    int             `json:"aside,omitempty"`    // entries that nothing can be compared with
	TakenAt  time.Time       `json:"taken_at,omitzero"`  // by the document; zero where it does not say
	PutAt    time.Time       `json:"put_at"`             // when it was kept
	PutBy    string          `json:"put_by,omitempty"`   // who asked for it
	Seen     time.Time       `json:"seen,omitzero"`      // when something that runs it was last seen
	Pieces   []string        `json:"pieces"`             // hex SHA-256 of each piece that it is stored in
	Bytes    int             `json:"bytes"`              // of all pieces
	Differs  bool            `json:"differs,omitempty"`  // another one of the same thing has other packages
	Replaces []string        `json:"replaces,omitempty"` // hashes of those that it took the place of

	CreateIndex uint64 `json:"create_index"`
	ModifyIndex uint64 `json:"modify_index"`
}

// Age is the time since what an inventory says was so: since its document was made, or
// since it was kept, where the document does not say.
func (r *InventoryRecord) Age(now time.Time) time.Duration {
	if r.TakenAt.IsZero() {
		return now.Sub(r.PutAt)
	}
	return now.Sub(r.TakenAt)
}

// InventoryReading is how far the servers are with reading an inventory by themselves. It
// is kept for as long as something runs what is read, so that a failure is told, and the
// next leader goes on where this one was.
type InventoryReading struct {
	Key    string          `json:"key"`    // of the reading, such as "image:/images/web.qcow2"
	Origin InventoryOrigin `json:"origin"` // which the inventory has
	Of     string          `json:"of"`     // what is read: a digest, the name of an image, or a node
	Target TargetRef       `json:"target"` // one that runs it; empty for nodes
	Task   string          `json:"task"`
	// JobModifyIndex is the target's, when the reading began.
	JobModifyIndex uint64          `json:"job_modify_index,omitempty"`
	Owned          []SandboxObject `json:"owned,omitempty"` // jobs of readings that may still be there
	Began          time.Time       `json:"began"`
	Ended          time.Time       `json:"ended,omitzero"`     // zero while it is read
	Digest         string          `json:"digest,omitempty"`   // that was read last: "sha256:" and 64 hex digits
	DigestAt       time.Time       `json:"digest_at,omitzero"` // when the reading began that has read Digest
	Failures       int             `json:"failures,omitempty"` // in a row
	Error          string          `json:"error,omitempty"`    // of the last one; empty after a success
	Next           time.Time       `json:"next,omitzero"`      // when it is tried again; zero after a success
	Differs        bool            `json:"differs,omitempty"`  // what bears the name of an image was found to differ, and not to be the same since

	ModifyIndex uint64 `json:"modify_index"`
}

// TargetInventory says which inventory there is of what one task of a target runs.
type TargetInventory struct {
	Target TargetRef `json:"target"`
	Task   string    `json:"task"`
	Image  string    `json:"image,omitempty"`  // as the job names it
	Digest string    `json:"digest,omitempty"` // of what the task runs; empty while nobody knows
	// Basis says how the digest is known: "job", "simulation" with its ID, or "reading" with
	// the time of it.
	Basis   string           `json:"basis,omitempty"`
	Record  *InventoryRecord `json:"record,omitempty"`
	Missing string           `json:"missing,omitempty"` // why there is no inventory
}

// InventoryGiven says of what an inventory is that somebody gives: of a digest, of an image
// by its name, or of what a task of a target runs now. Without any, the document says it.
type InventoryGiven struct {
	Source  string `json:"source,omitempty"`  // where it was read, such as a path
	Digest  string `json:"digest,omitempty"`  // "sha256:" and 64 hex digits
	Image   string `json:"image,omitempty"`   // as a job names it
	Target  string `json:"target,omitempty"`  // namespace/job/group
	Task    string `json:"task,omitempty"`    // of Target; may be empty where it has one
	Replace bool   `json:"replace,omitempty"` // take the place of others of the same thing
}

// InventoryReceipt is the answer to an inventory that was given.
type InventoryReceipt struct {
	Record   InventoryRecord `json:"record"`
	Known    bool            `json:"known,omitempty"`    // one with the same packages was kept already
	Targets  []TargetRef     `json:"targets"`            // that run what it describes
	Unlisted string          `json:"unlisted,omitempty"` // why nobody knows what runs it
	Differs  []string        `json:"differs,omitempty"`  // hashes of others of the same thing, with other packages
}
