package api

import "time"

// Advisory is what one document, or a patch, says of a fault.
type Advisory struct {
	ID        string     `json:"id"`
	Source    string     `json:"source"`             // where it was read, such as a path
	Aliases   []string   `json:"aliases,omitempty"`  // other names of the same fault
	Upstream  []string   `json:"upstream,omitempty"` // faults that it is about
	Summary   string     `json:"summary,omitempty"`
	Severity  Severity   `json:"severity,omitempty"`
	Score     float64    `json:"score,omitempty"`  // CVSS base score, 0 to 10
	Vector    string     `json:"vector,omitempty"` // CVSS vector that the score is of
	Published time.Time  `json:"published,omitzero"`
	Withdrawn time.Time  `json:"withdrawn,omitzero"`
	Exploited *Exploited `json:"exploited,omitempty"` // known to be exploited
	EPSS      *EPSS      `json:"epss,omitempty"`
}

// Exploited is what a catalogue of exploited faults (KEV) says of one.
type Exploited struct {
	Name       string `json:"name"`          // of the fault
	Added      string `json:"added"`         // date, such as 2026-02-27
	Due        string `json:"due,omitempty"` // date until when it is to be patched
	Ransomware bool   `json:"ransomware"`    // known to be used by ransomware
}

// EPSS is how probable it is that a fault will be exploited in the next 30 days.
type EPSS struct {
	Name        string  `json:"name"`        // of the fault
	Probability float64 `json:"probability"` // 0 to 1
	Percentile  float64 `json:"percentile"`  // 0 to 1: the share of faults that are no more probable
}

// AssessmentStatus is the answer of an assessment.
type AssessmentStatus string

// The answers. Unknown is never safe.
const (
	AssessmentAffected    AssessmentStatus = "affected"
	AssessmentNotAffected AssessmentStatus = "not_affected"
	AssessmentFixed       AssessmentStatus = "fixed"
	AssessmentUnknown     AssessmentStatus = "unknown"
)

// Assessment is what the comparison of one inventory with one advisory says.
type Assessment struct {
	Advisory   string            `json:"advisory"`  // its ID
	Inventory  string            `json:"inventory"` // its source
	Subject    string            `json:"subject,omitempty"`
	Digest     string            `json:"digest,omitempty"`
	TakenAt    time.Time         `json:"taken_at,omitzero"`
	Status     AssessmentStatus  `json:"status"`
	Reason     string            `json:"reason"`
	Packages   []AffectedPackage `json:"packages,omitempty"`   // that are affected
	Exceptions []Exception       `json:"exceptions,omitempty"` // packages that a statement took out
}

// TargetAssessment is what the inventories of a target say of the advisories of a patch:
// the gravest of all answers.
type TargetAssessment struct {
	Status     AssessmentStatus  `json:"status"`
	Reason     string            `json:"reason"`
	Advisories []string          `json:"advisories,omitempty"` // that affect it, or of which nobody knows
	Severity   Severity          `json:"severity,omitempty"`   // the highest of them
	Score      float64           `json:"score,omitempty"`      // likewise: CVSS base score, 0 to 10
	Exploited  bool              `json:"exploited,omitempty"`  // one of them is known to be exploited
	Fixed      map[string]string `json:"fixed,omitempty"`      // first version without the fault, by affected package
	Exceptions []Exception       `json:"exceptions,omitempty"` // that took packages out
	// Hit is how many of its Instances run something that is affected. Both are 0 where nobody
	// has counted, as in plans of former servers.
	Hit       int `json:"hit,omitempty"`
	Instances int `json:"instances,omitempty"`
	// Versions are those of its job that its instances run, by version; empty where all
	// of them run what the registered job asks for.
	Versions []VersionAssessment `json:"versions,omitempty"`
}

// VersionAssessment is what an assessment says of the instances that run one version of a job.
type VersionAssessment struct {
	JobVersion uint64           `json:"job_version"`
	Instances  int              `json:"instances"`
	Digests    []string         `json:"digests,omitempty"` // of what they run, as far as they are known; sorted
	Status     AssessmentStatus `json:"status"`
	Reason     string           `json:"reason"`
}

// AffectedPackage is an installed package that has a fault.
type AffectedPackage struct {
	Package
	Range string `json:"range"`           // of versions with the fault, in words
	Fixed string `json:"fixed,omitempty"` // first version without it
}

// Exception is a statement that a package is not affected, although its version is.
type Exception struct {
	Package       string    `json:"package,omitempty"` // empty for all of the inventory
	Version       string    `json:"version,omitempty"`
	Document      string    `json:"document"`
	Author        string    `json:"author,omitempty"`
	At            time.Time `json:"at,omitzero"`
	Justification string    `json:"justification"`
}

// AffectedReport is the answer to who is affected by what.
type AffectedReport struct {
	Advisories  []Advisory   `json:"advisories"`
	Assessments []Assessment `json:"assessments"`
}
