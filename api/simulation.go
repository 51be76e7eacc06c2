package api

import "time"

// SimulationStatus is where a sandbox run is.
type SimulationStatus string

// Simulation statuses. Passed, rejected and inconclusive carry an impact. Failed could
// not be carried out, and cancelled was ended by a person; both say nothing about the
// patch.
const (
	SimulationRunning      SimulationStatus = "running"
	SimulationPassed       SimulationStatus = "passed"
	SimulationRejected     SimulationStatus = "rejected"
	SimulationInconclusive SimulationStatus = "inconclusive"
	SimulationFailed       SimulationStatus = "failed"
	SimulationCancelled    SimulationStatus = "cancelled"
)

// SimulationVerdict is what a simulation says about a patch.
type SimulationVerdict string

// Verdicts of a simulation. Inconclusive never means pass.
const (
	SimulationPass      SimulationVerdict = "pass"
	SimulationReject    SimulationVerdict = "reject"
	SimulationUndecided SimulationVerdict = "inconclusive"
)

// SimulationVerdicts lists the verdicts.
func SimulationVerdicts() []string {
	return []string{string(SimulationPass), string(SimulationReject), string(SimulationUndecided)}
}

// Simulation is one run of control and treatment twins.
type Simulation struct {
	ID          string              `json:"id"`
	Patch       string              `json:"patch"`
	Target      TargetRef           `json:"target"`
	Rollout     string              `json:"rollout,omitempty"` // empty for `oakum simulate`
	Status      SimulationStatus    `json:"status"`
	Reason      string              `json:"reason,omitempty"`
	Started     time.Time           `json:"started"`
	Ended       time.Time           `json:"ended,omitzero"`
	Impact      *Impact             `json:"impact,omitempty"`
	By          string              `json:"by,omitempty"`        // who asked for it; empty for a rollout's
	Affects     []Affected          `json:"affects,omitempty"`   // packages that the patch is to bring up to date; empty for a rollout's
	Severity    Severity            `json:"severity,omitempty"`  // of the patch, by which simulations queue
	Apply       []Apply             `json:"apply,omitempty"`     // what it tries; empty for a rollout's
	Decision    *Decision           `json:"decision,omitempty"`  // of the policies when it was asked for; nil for a rollout's
	Progress    *SimulationProgress `json:"progress,omitempty"`  // while it runs
	Owned       []SandboxObject     `json:"owned,omitempty"`     // what it made and has not removed
	Unremoved   string              `json:"unremoved,omitempty"` // why something of it could not be removed; the leader tries again
	CancelledBy string              `json:"cancelled_by,omitempty"`
	CreateIndex uint64              `json:"create_index,omitempty"`
	ModifyIndex uint64              `json:"modify_index,omitempty"`
}

// End records how the run ended: with an impact, or with the error that kept it from
// being carried out.
func (s *Simulation) End(at time.Time, impact Impact, err error) {
	s.Ended = at
	if err != nil {
		s.Status, s.Reason = SimulationFailed, AsError(err).Message
		return
	}
	s.Status, s.Reason, s.Impact = SimulationPassed, impact.Reason, &impact
	switch impact.Says() {
	case SimulationReject:
		s.Status = SimulationRejected
	case SimulationUndecided:
		s.Status = SimulationInconclusive
	case SimulationPass:
	}
}

// Impact is what a patch changed in the sandbox.
type Impact struct {
	Verdict  SimulationVerdict `json:"verdict,omitempty"` // empty in records of older servers
	Reasons  []string          `json:"reasons,omitempty"` // of the verdict, the weightiest first
	Negative bool              `json:"negative"`          // the verdict is reject
	Reason   string            `json:"reason"`
	KPIs     []KPIEffect       `json:"kpis"` // Stable is the control, Canary the treatment
	Twins    []Twin            `json:"twins"`
	Requests int               `json:"requests"`           // sent to each twin
	Content  string            `json:"content,omitempty"`  // hex SHA-256 of what the verdict depends on; empty when it is not known
	SameAs   string            `json:"same_as,omitempty"`  // ID of the simulation that measured this, when it is another one
	Pairs    int               `json:"pairs,omitempty"`    // pairs of boots that were compared
	Power    []Power           `json:"power,omitempty"`    // what this run could have seen
	Boots    []BootSpread      `json:"boots,omitempty"`    // what machines of this run differed by; several of a KPI add up
	Series   []Series          `json:"series,omitempty"`   // at most 64 points of each KPI over all pairs
	Proofs   []Proof           `json:"proofs,omitempty"`   // of the fix
	Packages []PackageChange   `json:"packages,omitempty"` // of the packages that the patch names
	Revert   *Revert           `json:"revert,omitempty"`   // of the patch; nil when the run ended before
}

// Says is the verdict of the impact. An older server's record has only Negative.
func (i *Impact) Says() SimulationVerdict {
	switch {
	case i.Verdict != "":
		return i.Verdict
	case i.Negative:
		return SimulationReject
	}
	return SimulationPass
}

// Series is what both arms of a pair showed over time, for people to look at. Points of
// one index belong together. A measure that is missing is negative.
type Series struct {
	KPI       string    `json:"kpi"`
	Unit      string    `json:"unit,omitempty"`
	Pair      int       `json:"pair"`  // from 1
	Every     Duration  `json:"every"` // between two points
	Control   []float64 `json:"control"`
	Treatment []float64 `json:"treatment"`
}

// Power is the smallest change of a KPI that a simulation of this length finds 95 times
// of 100.
type Power struct {
	KPI   string  `json:"kpi"`
	Ratio float64 `json:"ratio"` // treatment ÷ control, above 1
}

// BootSpread is by how much machines differ that boot from the same image: an estimate of
// the variance of the logarithm of one's figure ÷ the other's, from pair to pair.
type BootSpread struct {
	KPI      string  `json:"kpi"`
	Variance float64 `json:"variance"` // less Within; below 0 where the pairs differed by less than that
	Within   float64 `json:"within"`   // the variance that a pair has from its own looks and requests
	Freedom  float64 `json:"freedom"`  // degrees of freedom of the estimate, above 0
}

// Proof is a command that was to prove the fix, and what it said.
type Proof struct {
	Command string `json:"command"`
	Where   string `json:"where"` // "image" or "machine"
	OK      bool   `json:"ok"`
	Output  string `json:"output,omitempty"` // its end
}

// Revert says whether the former version serves on the data that the patched one left.
type Revert struct {
	Outcome  RevertOutcome `json:"outcome"`
	Reason   string        `json:"reason,omitempty"`   // of every outcome but serves
	Data     []string      `json:"data,omitempty"`     // what was carried over, in words
	Requests int           `json:"requests,omitempty"` // that the former version was sent
	Failures int           `json:"failures,omitempty"` // of them
}

// RevertOutcome is what became of the rehearsal of a revert.
type RevertOutcome string

// Outcomes of the rehearsal of a revert. Only fails rejects.
const (
	RevertServes    RevertOutcome = "serves"
	RevertFails     RevertOutcome = "fails"
	RevertUndecided RevertOutcome = "inconclusive" // it served, and it is not clear whether as well as the control
	RevertUntried   RevertOutcome = "untried"
	RevertNothing   RevertOutcome = "nothing" // the target keeps no data beyond its instance
)

// PackageChange is the version of a package before and after the patch.
type PackageChange struct {
	Name   string `json:"name"`
	Before string `json:"before,omitempty"`
	After  string `json:"after,omitempty"`
}

// Twin is one VM of a simulation.
type Twin struct {
	Role         string   `json:"role"` // control, treatment, or revert: the former version on the treatment's data
	Job          string   `json:"job"`
	Alloc        string   `json:"alloc"`
	Image        string   `json:"image"`
	ImageDigest  string   `json:"image_digest,omitempty"` // hex SHA-256 of what it ran
	HealthyAfter Duration `json:"healthy_after"`
	Pair         int      `json:"pair,omitempty"`    // number of the pair, from 1; 0 for the two controls beside the pairs
	Node         string   `json:"node,omitempty"`    // ID
	Kernel       string   `json:"kernel,omitempty"`  // that its machine ran, such as "6.1.0-37-amd64"; empty when neither its console nor its guest agent says
	Console      string   `json:"console,omitempty"` // the last 4 KiB that its machine wrote
}

// Phases of a simulation that runs, in their order. Boot, warm-up and load come once
// for each pair. Verify is for an image that the patch brings; where a script makes the
// image, its proof is a part of the bake. Revert is for a target with data.
const (
	PhaseQueued = "queued" // it waits for its turn, or for the verdict on the same content
	PhaseBake   = "bake"
	PhaseVerify = "verify"
	PhaseBoot   = "boot"
	PhaseWarmUp = "warm-up"
	PhaseLoad   = "load"
	PhaseRevert = "revert"
	PhaseRemove = "remove"
)

// SimulationProgress is how far a simulation is. It is recorded when the phase or the
// pair changes.
type SimulationProgress struct {
	Phase    string      `json:"phase"`
	Position int         `json:"position,omitempty"` // in the queue when it joined it, from 1
	Waits    string      `json:"waits,omitempty"`    // ID of the simulation whose verdict it waits for
	Pair     int         `json:"pair,omitempty"`
	Pairs    int         `json:"pairs,omitempty"`
	Requests int         `json:"requests,omitempty"` // answered by each twin
	KPIs     []KPIEffect `json:"kpis,omitempty"`     // the evidence so far
	Left     Duration    `json:"left,omitempty"`     // an estimate
	At       time.Time   `json:"at"`
}

// Kinds of objects that a simulation makes.
const (
	ObjectJob   = "job"
	ObjectImage = "image"
)

// RoleDiscard is the role of a job that removes an image.
const RoleDiscard = "discard"

// SandboxObject is something that a simulation made. It is recorded before it exists
// and until it is removed.
type SandboxObject struct {
	Kind      string `json:"kind"`
	Role      string `json:"role,omitempty"` // of a job: "control", "treatment", "bake", ...
	Pair      int    `json:"pair,omitempty"` // of a twin's job, from 1
	Namespace string `json:"namespace,omitempty"`
	Name      string `json:"name"`           // ID of the job, or path of the image
	Node      string `json:"node,omitempty"` // ID; of an image
}

// Is reports whether both are the same object, whatever else is told of it.
func (o SandboxObject) Is(other SandboxObject) bool {
	return o.Kind == other.Kind && o.Namespace == other.Namespace && o.Name == other.Name && o.Node == other.Node
}

// Console is what a machine of a simulation wrote to its console.
type Console struct {
	Role string `json:"role"`
	Pair int    `json:"pair,omitempty"` // from 1
	Live bool   `json:"live"`           // read from Nomad now; otherwise from the record
	Text string `json:"text"`           // its end, at most 64 KiB live and 4 KiB recorded
}
