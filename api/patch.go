package api

import "time"

// Severity of a patch.
type Severity string

// Severities, least first.
const (
	SeverityLow      Severity = "low"
	SeverityMedium   Severity = "medium"
	SeverityHigh     Severity = "high"
	SeverityCritical Severity = "critical"
)

// Severities lists the severities, least first.
func Severities() []string {
	return []string{string(SeverityLow), string(SeverityMedium), string(SeverityHigh), string(SeverityCritical)}
}

// Patch is a desired change to the jobs of its targets, with what it fixes.
type Patch struct {
	Name        string           `json:"name"`
	Description string           `json:"description,omitempty"`
	Severity    Severity         `json:"severity"`
	Fixes       []string         `json:"fixes,omitempty"` // CVE and advisory identifiers
	Affects     []Affected       `json:"affects,omitempty"`
	Advisory    *PatchDocument   `json:"advisory,omitempty"` // OSV document of what the patch fixes
	VEX         *PatchDocument   `json:"vex,omitempty"`      // statements about whom the fault does not affect
	Targets     []TargetSelector `json:"targets"`
	Apply       []Apply          `json:"apply"`
	Digest      string           `json:"digest"` // hex SHA-256 over the parsed patch without the fields below
	File        SourceFile       `json:"file"`
	SubmittedBy string           `json:"submitted_by,omitempty"`
	Submitter   string           `json:"submitter,omitempty"` // the subject of SubmittedBy
	SubmittedAt time.Time        `json:"submitted_at,omitzero"`

	CreateIndex uint64 `json:"create_index,omitempty"`
	ModifyIndex uint64 `json:"modify_index,omitempty"`
}

// SourceFile is an HCL file as it was submitted; Files are the contents that
// its file() calls read, by the path written there.
type SourceFile struct {
	Name  string            `json:"name"`
	Text  string            `json:"text"`
	Files map[string]string `json:"files,omitempty"`
}

// PatchDocument is a document that came with a patch; File.Files has its contents.
type PatchDocument struct {
	Name   string `json:"name"`   // path as the patch writes it
	Digest string `json:"digest"` // hex SHA-256 of the contents
}

// Affected names packages that have the fault, and their versions: the listed ones, and
// those from From on up to Below or Last.
type Affected struct {
	Ecosystem string   `json:"ecosystem"`               // "deb", "rpm", ...
	Package   string   `json:"package"`                 // installed package; empty when Source is given
	Source    string   `json:"source,omitempty"`        // source package: all packages that are built from it
	Release   string   `json:"release,omitempty"`       // of the distribution, such as "Debian:12"; empty for all
	From      string   `json:"from,omitempty"`          // first version with the fault; empty for all that are older
	Below     string   `json:"below"`                   // first version that is not affected
	Last      string   `json:"last_affected,omitempty"` // last version with the fault, where no fix is named
	Versions  []string `json:"versions,omitempty"`      // further versions with the fault
	Arch      string   `json:"arch,omitempty"`          // such as "amd64"; empty for all
}

// TargetSelector chooses targets: a namespace, job name globs, and an HCL
// condition over target (its source text, empty when there is none).
type TargetSelector struct {
	Namespace string   `json:"namespace"`
	Jobs      []string `json:"jobs"`
	Groups    []string `json:"groups,omitempty"`
	Where     string   `json:"where,omitempty"`
}

// ApplyKind says how a patch changes a task.
type ApplyKind string

// The kinds of change: another disk image, a script run inside a copy of the
// VM's disk, or another task configuration.
const (
	ApplyImage  ApplyKind = "image"
	ApplyScript ApplyKind = "script"
	ApplyJob    ApplyKind = "job"
)

// Apply is one change to one task of the target.
type Apply struct {
	Kind   ApplyKind         `json:"kind"`
	Task   string            `json:"task"`
	Image  string            `json:"image,omitempty"`  // ApplyImage: absolute path on the clients; with Source, below the task's folder
	Source string            `json:"source,omitempty"` // ApplyImage: URL that Nomad's artifact block fetches Image from; empty for what the clients have
	Script string            `json:"script,omitempty"` // ApplyScript: the script's text
	Config map[string]any    `json:"config,omitempty"` // ApplyJob: driver configuration keys to set
	Env    map[string]string `json:"env,omitempty"`    // ApplyJob: environment variables to set

	Payloads []Payload `json:"payloads,omitempty"` // ApplyScript: files that the script needs
	// Reboot says that the patched machine must run the newest kernel of its image.
	Reboot bool    `json:"reboot,omitempty"`
	Verify *Verify `json:"verify,omitempty"` // proves the fix
	Digest string  `json:"digest,omitempty"` // hex SHA-256 of Image; empty while it is not known
}

// Payload is a file that a script needs. Nomad fetches it by its checksum before the
// script's machine is cut off.
type Payload struct {
	Name     string `json:"name"`     // label of the block, "deb" or "files"
	Source   string `json:"source"`   // URL that Nomad's artifact block can fetch
	Checksum string `json:"checksum"` // "sha256:" and 64 hex digits
}

// Verify is a command that proves the fix in a patched machine.
type Verify struct {
	Command string `json:"command"`          // for /bin/sh -c in the machine; status 0 proves the fix
	Expect  string `json:"expect,omitempty"` // text that its output must hold; empty for any output
}

// Quarantine keeps a patch that was rolled back from being offered to that
// target again until somebody lifts it.
type Quarantine struct {
	Patch       string    `json:"patch"`
	Digest      string    `json:"digest"` // of the content that was rolled back; other content of the name may be offered
	Target      TargetRef `json:"target"`
	Reason      string    `json:"reason"`
	Rollout     string    `json:"rollout"`
	Since       time.Time `json:"since"`
	CreateIndex uint64    `json:"create_index,omitempty"`
	ModifyIndex uint64    `json:"modify_index,omitempty"`
}
