package api

import (
	"math/bits"
	"strconv"
	"strings"
	"time"
)

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
	EdgeObservedUndeclared EdgeState = "observed_undeclared" // observed under a wildcard or default allow
	EdgeObservedOffMesh    EdgeState = "observed_off_mesh"   // observed outside of the mesh, which knows nothing of it
	EdgeObservedDenied     EdgeState = "observed_denied"     // observed though denied
	EdgeDeclaredOnly       EdgeState = "declared_only"       // declared or exactly allowed, not observed
	EdgeDeclaredStale      EdgeState = "declared_stale"      // the same, for so long that it should be removed
	EdgeUnknown            EdgeState = "unknown"             // what would decide is hidden or missing
	EdgeDenied             EdgeState = "denied"              // denied and not observed: not an edge
	EdgeDeniedAttempted    EdgeState = "denied_attempted"    // denied, and tried all the same: not an edge
	EdgeShared             EdgeState = "shared"              // resource sharing only
)

// Certain reports whether the state is proof of a dependency.
func (s EdgeState) Certain() bool {
	switch s {
	case EdgeConfirmed, EdgeObservedUndeclared, EdgeObservedOffMesh, EdgeObservedDenied:
		return true
	case EdgeDeclaredOnly, EdgeDeclaredStale, EdgeUnknown, EdgeDenied, EdgeDeniedAttempted, EdgeShared:
		return false
	}
	return false
}

// Possible reports whether the state may be a dependency.
func (s EdgeState) Possible() bool {
	return s.Certain() || s == EdgeDeclaredOnly || s == EdgeDeclaredStale || s == EdgeUnknown
}

// Evidence is one reason to believe in an edge. A measurement is zero when its
// source does not report it.
type Evidence struct {
	Source      string        `json:"source"` // consul-intentions, consul-upstreams, prometheus, nomad-placement, nomad-services, policy
	Class       EvidenceClass `json:"class"`
	Exact       bool          `json:"exact,omitempty"`       // names both ends, no wildcard
	Conditional bool          `json:"conditional,omitempty"` // holds for some requests only
	OffMesh     bool          `json:"off_mesh,omitempty"`    // seen by what watches more than the mesh
	Attempt     bool          `json:"attempt,omitempty"`     // refused attempts, as opposed to a rule
	Detail      string        `json:"detail,omitempty"`
	FirstSeen   time.Time     `json:"first_seen,omitzero"`
	LastSeen    time.Time     `json:"last_seen,omitzero"`
	Days        Days          `json:"days,omitempty"` // on which days traffic was seen

	BytesPerSecond    float64 `json:"bytes_per_second,omitempty"`
	RequestsPerSecond float64 `json:"requests_per_second,omitempty"`
	ErrorsPerSecond   float64 `json:"errors_per_second,omitempty"`
	LatencySeconds    float64 `json:"latency_seconds,omitempty"` // mean of a request
	Connections       float64 `json:"connections,omitempty"`     // open now
	Endpoints         int     `json:"endpoints,omitempty"`       // instances that the caller's proxy knows
	Healthy           int     `json:"healthy,omitempty"`         // those that it would use
}

// MaxDays bounds how many days Days looks back.
const MaxDays = 366

// Days says on which days something was seen. It is a bitmap in hexadecimal
// digits: bit 0 is the day (UTC) of LastSeen beside it, bit n is n days earlier.
// Empty means never. Nothing has to be written again while time goes by
// without a sight.
type Days string

// day numbers the days of UTC.
func day(t time.Time) int64 { return t.Unix() / int64(24*time.Hour/time.Second) }

// words reads the bitmap, the lowest 64 days first. Digits that are none count
// as zero.
func (d Days) words() [(MaxDays + 63) / 64]uint64 {
	var out [(MaxDays + 63) / 64]uint64
	for i := range out {
		end := len(d) - 16*i
		if end <= 0 {
			break
		}
		word, err := strconv.ParseUint(string(d[max(0, end-16):end]), 16, 64)
		if err == nil {
			out[i] = word
		}
	}
	return out
}

// Seen returns the bitmap with the day of now set, for something that was seen
// last at last; days that are keep or more before now are forgotten. keep is
// at most MaxDays.
func (d Days) Seen(last, now time.Time, keep int) Days {
	keep = min(keep, MaxDays)
	words := d.words()
	var next [len(words)]uint64
	shift := max(0, day(now)-day(last))
	for i := range int64(keep) {
		from := i - shift
		if from >= 0 && words[from/64]&(1<<(from%64)) != 0 {
			next[i/64] |= 1 << (i % 64)
		}
	}
	next[0] |= 1
	var text strings.Builder
	for i := len(next) - 1; i >= 0; i-- {
		switch {
		case text.Len() > 0:
			const digits = 16
			word := strconv.FormatUint(next[i], 16)
			text.WriteString(strings.Repeat("0", digits-len(word)) + word)
		case next[i] != 0:
			text.WriteString(strconv.FormatUint(next[i], 16))
		}
	}
	return Days(text.String())
}

// Count is on how many days it was seen.
func (d Days) Count() int {
	sum := 0
	for _, w := range d.words() {
		sum += bits.OnesCount64(w)
	}
	return sum
}

// Edge says that From depends on To (service names). Gateways and load
// balancers are no ends of it: those that all of its traffic goes through are in Via.
type Edge struct {
	From     string     `json:"from"`
	To       string     `json:"to"`
	State    EdgeState  `json:"state"`
	Via      []string   `json:"via,omitempty"` // sorted
	Evidence []Evidence `json:"evidence"`      // sorted by source, class, detail

	// What follows is worked out when the graph is read.
	Confidence float64     `json:"confidence,omitempty"` // 1 while it is seen, then half after each half-life; 0 for what was never seen
	Redundancy *Redundancy `json:"redundancy,omitempty"`
}

// Attempt is a pair of which calls are refused: no edge, but a sign.
type Attempt struct {
	From  string    `json:"from"`
	To    string    `json:"to"`
	Since time.Time `json:"since"` // when it was tried first
	Rule  string    `json:"rule"`  // what refuses it
}

// Redundancy says what stands between a caller and the loss of what it calls.
type Redundancy struct {
	Instances int `json:"instances"` // of the service that is called
	Healthy   int `json:"healthy"`   // as the caller's proxy sees it where that is known, else by health checks
	Nodes     int `json:"nodes"`
	Racks     int `json:"racks,omitempty"` // 0 when racks are not known
}

// Service is a node of the graph. Targets are the task groups behind it.
type Service struct {
	Name      string      `json:"name"`
	Kind      string      `json:"kind,omitempty"` // empty for an ordinary service; gateway, or outside for what is beyond the mesh
	Targets   []TargetRef `json:"targets,omitempty"`
	Instances int         `json:"instances"`
	Healthy   int         `json:"healthy"`
	Nodes     []string    `json:"nodes,omitempty"`
	Racks     []string    `json:"racks,omitempty"`
	Volumes   []string    `json:"volumes,omitempty"` // host volumes as node/name, CSI volumes as csi/name
}

// Kinds of services that are not ordinary ones.
const (
	KindGateway = "gateway" // passes on what others ask for
	KindOutside = "outside" // another datacenter, peer or partition
)

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

// GraphWithout answers: what would suffer if a node, a rack or a volume were
// lost. Down services have no instance elsewhere; hurt ones depend on one of
// them.
type GraphWithout struct {
	Place    string         `json:"place"`    // a node's name, rack/NAME, or a volume as services list it
	Down     []string       `json:"down"`     // services that lose all of their instances, sorted
	Weakened []LostInstance `json:"weakened"` // services that lose some of them, sorted by service
	Certain  []string       `json:"certain"`  // hurt over certain edges, sorted
	Possible []string       `json:"possible"` // hurt by possible edges on top
	CutOff   []string       `json:"cut_off"`  // no entry reaches them any more, sorted
}

// LostInstance is a service that stands partly in the place that is lost.
type LostInstance struct {
	Service string `json:"service"`
	Left    int    `json:"left"` // places of that kind that remain
}

// FindingKind says what a finding is about.
type FindingKind string

// Kinds of findings.
const (
	FindingUndeclared    FindingKind = "undeclared"     // observed and not declared: an intention to add
	FindingOffMesh       FindingKind = "off_mesh"       // observed outside of the mesh
	FindingThoughDenied  FindingKind = "though_denied"  // observed although it is denied
	FindingStale         FindingKind = "stale"          // declared and not used for long: an intention to remove
	FindingSinglePoint   FindingKind = "single_point"   // a service that others cannot do without
	FindingDeniedAttempt FindingKind = "denied_attempt" // somebody tries what is forbidden
	FindingUnknown       FindingKind = "unknown"        // what would decide is hidden or missing
	FindingSource        FindingKind = "source"         // a source that is away or partial
)

// Finding is something that a person should look at, with what to do about it.
type Finding struct {
	Kind FindingKind `json:"kind"`
	From string      `json:"from,omitempty"`
	To   string      `json:"to"` // the service, or the source's name
	Text string      `json:"text"`
	Do   string      `json:"do"` // what would settle it
}

// GraphFindings are all findings of a graph.
type GraphFindings struct {
	Index    uint64    `json:"index"`
	At       time.Time `json:"at,omitzero"`
	Findings []Finding `json:"findings"` // sorted by kind, from, to
}

// EdgeDelta is an edge that came, went or changed its state.
type EdgeDelta struct {
	From   string    `json:"from"`
	To     string    `json:"to"`
	Before EdgeState `json:"before,omitempty"` // empty when it is new
	After  EdgeState `json:"after,omitempty"`  // empty when it is gone
}

// GraphDelta lists the changes of a graph: edges by from and to, services by name.
type GraphDelta struct {
	Edges     []EdgeDelta `json:"edges,omitempty"`
	Added     []string    `json:"added,omitempty"`     // services
	Removed   []string    `json:"removed,omitempty"`   // services
	Truncated bool        `json:"truncated,omitempty"` // there was more than is listed
}

// Empty reports whether nothing changed.
func (d GraphDelta) Empty() bool {
	return len(d.Edges) == 0 && len(d.Added) == 0 && len(d.Removed) == 0 && !d.Truncated
}

// GraphDiff lists the changes between two indexes of the record.
type GraphDiff struct {
	From  uint64     `json:"from"` // exclusive
	To    uint64     `json:"to"`   // inclusive
	Delta GraphDelta `json:"delta"`
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
	Sources        []SourceStatus `json:"sources,omitempty"`        // new or changed
	RemoveSources  []string       `json:"remove_sources,omitempty"` // no longer configured, and nothing of theirs is left
	Delta          *GraphDelta    `json:"delta,omitempty"`          // for the record, what people would call a change
}
