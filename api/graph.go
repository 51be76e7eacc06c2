package api

import "time"

// EvidenceClass says what kind of fact an evidence is.
type EvidenceClass string

// Classes of evidence.
const (
	EvidenceDeclared EvidenceClass = "declared" // an upstream in a registration, a dependency block
	EvidenceAllowed  EvidenceClass = "allowed"  // an intention that permits the pair
	EvidenceObserved EvidenceClass = "observed" // traffic was seen
	EvidenceDenied   EvidenceClass = "denied"   // an intention that forbids the pair, or refused attempts
	EvidenceShared   EvidenceClass = "shared"   // both use the same node or volume
)

// EdgeState is what all evidence of a pair says together.
type EdgeState string

// Edge states. Only a certain edge orders patches; a possible one widens the
// upper bound of a blast radius.
const (
	EdgeConfirmed          EdgeState = "confirmed"           // declared or exactly allowed, and observed
	EdgeDeclaredOnly       EdgeState = "declared_only"       // declared or exactly allowed, never observed
	EdgeObservedUndeclared EdgeState = "observed_undeclared" // observed under a wildcard or default allow
	EdgeObservedDenied     EdgeState = "observed_denied"     // observed though denied
	EdgeDenied             EdgeState = "denied"              // denied and not observed: not an edge
	EdgeShared             EdgeState = "shared"              // resource sharing only
)

// Certain reports whether the state is proof of a dependency.
func (s EdgeState) Certain() bool {
	switch s {
	case EdgeConfirmed, EdgeObservedUndeclared, EdgeObservedDenied:
		return true
	case EdgeDeclaredOnly, EdgeDenied, EdgeShared:
		return false
	}
	return false
}

// Possible reports whether the state may be a dependency.
func (s EdgeState) Possible() bool { return s.Certain() || s == EdgeDeclaredOnly }

// Evidence is one reason to believe in an edge.
type Evidence struct {
	Source         string        `json:"source"` // consul-intentions, consul-upstreams, prometheus, nomad-placement, policy
	Class          EvidenceClass `json:"class"`
	Exact          bool          `json:"exact,omitempty"` // names both ends, no wildcard
	Detail         string        `json:"detail,omitempty"`
	FirstSeen      time.Time     `json:"first_seen,omitzero"`
	LastSeen       time.Time     `json:"last_seen,omitzero"`
	BytesPerSecond float64       `json:"bytes_per_second,omitempty"`
}

// Edge says that From depends on To (service names).
type Edge struct {
	From     string     `json:"from"`
	To       string     `json:"to"`
	State    EdgeState  `json:"state"`
	Evidence []Evidence `json:"evidence"` // sorted by source, class, detail
}

// Service is a node of the graph. Targets are the task groups behind it.
type Service struct {
	Name      string      `json:"name"`
	Targets   []TargetRef `json:"targets,omitempty"`
	Instances int         `json:"instances"`
	Healthy   int         `json:"healthy"`
	Nodes     []string    `json:"nodes,omitempty"`
}

// Criticality is the graph's view of one service: the parts are shown so that
// a person can check the sum.
type Criticality struct {
	Service         string   `json:"service"`
	BlastRadius     int      `json:"blast_radius"`     // transitive dependants over certain edges
	BlastRadiusMax  int      `json:"blast_radius_max"` // the same over possible edges
	Dependants      []string `json:"dependants,omitempty"`
	SinglePoint     bool     `json:"single_point"`        // some entry cannot reach some other service without it
	Dominates       []string `json:"dominates,omitempty"` // the services it stands before
	SingleInstance  bool     `json:"single_instance"`
	Component       int      `json:"component"` // services of one cycle share a number
	Score           float64  `json:"score"`     // 0 to 1, the sum of Parts
	Parts           []Part   `json:"parts"`
	SharedNodesWith []string `json:"shared_nodes_with,omitempty"`
}

// Part is one summand of a score.
type Part struct {
	Name   string  `json:"name"`
	Value  float64 `json:"value"`
	Reason string  `json:"reason"`
}

// SourceStatus says how far one source of facts can be trusted now.
type SourceStatus struct {
	Name    string    `json:"name"`
	OK      bool      `json:"ok"`
	Since   time.Time `json:"since,omitzero"`   // of the present state
	LastOK  time.Time `json:"last_ok,omitzero"` // last good answer
	Error   string    `json:"error,omitempty"`
	Partial string    `json:"partial,omitempty"` // what is known to be missing
}

// Graph is the application as it is known now.
type Graph struct {
	Index       uint64         `json:"index"`
	At          time.Time      `json:"at,omitzero"`
	Services    []Service      `json:"services"`    // sorted by name
	Edges       []Edge         `json:"edges"`       // sorted by from, to
	Criticality []Criticality  `json:"criticality"` // sorted by service
	Targets     []TargetView   `json:"targets"`     // sorted by reference
	Sources     []SourceStatus `json:"sources"`     // sorted by name
}

// TargetView is a target with the policies' word on whether it is critical.
type TargetView struct {
	Target   Target `json:"target"`
	Critical bool   `json:"critical"`
	Why      string `json:"why"` // the policy block and the values that decided
}

// GraphImpact answers: what would suffer without this service.
type GraphImpact struct {
	Service     string      `json:"service"`
	Certain     []string    `json:"certain"`  // dependants over certain edges, sorted
	Possible    []string    `json:"possible"` // further dependants over possible edges
	Criticality Criticality `json:"criticality"`
}

// GraphChange is what the mapper learned since its last change: only what is
// different.
type GraphChange struct {
	At             time.Time      `json:"at"`
	Edges          []Edge         `json:"edges,omitempty"`           // new or changed
	RemoveEdges    [][2]string    `json:"remove_edges,omitempty"`    // from, to
	Services       []Service      `json:"services,omitempty"`        // new or changed
	RemoveServices []string       `json:"remove_services,omitempty"` //
	Targets        []Target       `json:"targets,omitempty"`         // new or changed
	RemoveTargets  []TargetRef    `json:"remove_targets,omitempty"`
	Sources        []SourceStatus `json:"sources,omitempty"` // new or changed
}
