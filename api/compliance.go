package api

import "time"

// Compliance is how far the fleet is with every advisory that patches say, or that the
// server which has answered reads from its directory.
type Compliance struct {
	At              time.Time            `json:"at"`
	Targets         int                  `json:"targets"` // that run
	Advisories      []AdvisoryCompliance `json:"advisories"`
	Vulnerabilities []Vulnerability      `json:"vulnerabilities"`
	// Unread says of each patch whose documents can't be read why; nothing is known of
	// what it fixes.
	Unread []string `json:"unread,omitempty"`
	// Problems say what of the directory of advisories, of the server that has answered, can't
	// be read, and of which advisories nobody knows whether they are about what runs.
	Problems []string `json:"problems,omitempty"`
}

// ComplianceStatus is where a target is with an advisory.
type ComplianceStatus string

// The statuses, the gravest first. Unknown is never safe. Excepted is what would be
// affected, unknown or fixed without a statement that took it out.
const (
	ComplianceAffected    ComplianceStatus = "affected"
	ComplianceUnknown     ComplianceStatus = "unknown"
	ComplianceExcepted    ComplianceStatus = "excepted"
	ComplianceFixed       ComplianceStatus = "fixed"
	ComplianceNotAffected ComplianceStatus = "not_affected"
)

// ComplianceCounts is how many targets have each status.
type ComplianceCounts struct {
	Affected    int `json:"affected"`
	Unknown     int `json:"unknown"`
	Excepted    int `json:"excepted"`
	Fixed       int `json:"fixed"`
	NotAffected int `json:"not_affected"`
}

// AdvisoryCompliance is how far the fleet is with one advisory.
type AdvisoryCompliance struct {
	Advisory
	Faults  []string  `json:"faults"`  // CVE names that it is about; its ID where it names none
	Patches []string  `json:"patches"` // that say it, or say that they fix it, by name
	Known   time.Time `json:"known"`   // when the cluster first knew it; of one from the directory, when it was published
	ComplianceCounts
	Times *FixTimes `json:"times,omitempty"` // nil when no rollout has fixed it anywhere
	// Targets are all but those that are not affected, the gravest first.
	Targets  []TargetCompliance `json:"targets"`
	Unlisted int                `json:"unlisted,omitempty"` // further ones, which are counted only
}

// FixTimes is how long it took to fix targets, from when the cluster first knew the
// advisory to the end of the rollout that fixed the target. Of n times in order, the
// median is the ceil(n/2)-th, and P90 the ceil(9n/10)-th.
type FixTimes struct {
	Targets int      `json:"targets"` // that have a time
	Median  Duration `json:"median"`
	P90     Duration `json:"p90"`
}

// TargetCompliance is where one target is with an advisory.
type TargetCompliance struct {
	Target     TargetRef        `json:"target"`
	Status     ComplianceStatus `json:"status"`
	Reason     string           `json:"reason"`
	Hit        int              `json:"hit"`                  // instances that run something that is affected
	Instances  int              `json:"instances"`            // of the target
	Packages   []string         `json:"packages,omitempty"`   // that are affected
	Exceptions []Exception      `json:"exceptions,omitempty"` // that took packages out, or the target by people
	// Until is the first moment at which people do not put up with it any more; zero where
	// statements alone take it out.
	Until time.Time `json:"until,omitzero"`
	// Rollout is the last one that completed here and carried out a patch that says the
	// advisory.
	Rollout   string    `json:"rollout,omitempty"`
	Completed time.Time `json:"completed,omitzero"`    // the end of Rollout
	TimeToFix *Duration `json:"time_to_fix,omitempty"` // of a fixed target that was not known to be safe before Rollout
}

// Vulnerability is a fault by its name, over all advisories about it: of what they say of a
// target, the gravest holds.
type Vulnerability struct {
	Name       string     `json:"name"`       // CVE name, or the ID of an advisory that names none
	Advisories []string   `json:"advisories"` // IDs
	Patches    []string   `json:"patches"`    // names
	Severity   Severity   `json:"severity,omitempty"`
	Score      float64    `json:"score,omitempty"` // CVSS base score, 0 to 10
	Exploited  *Exploited `json:"exploited,omitempty"`
	EPSS       *EPSS      `json:"epss,omitempty"`
	Known      time.Time  `json:"known"` // when the cluster first knew it
	ComplianceCounts
}
