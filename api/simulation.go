package api

import "time"

// SimulationStatus is where a sandbox run is.
type SimulationStatus string

// Simulation statuses. Passed and rejected carry an impact; failed could not
// be carried out and is no statement about the patch.
const (
	SimulationRunning  SimulationStatus = "running"
	SimulationPassed   SimulationStatus = "passed"
	SimulationRejected SimulationStatus = "rejected"
	SimulationFailed   SimulationStatus = "failed"
)

// Simulation is one run of control and treatment twins.
type Simulation struct {
	ID          string           `json:"id"`
	Patch       string           `json:"patch"`
	Target      TargetRef        `json:"target"`
	Rollout     string           `json:"rollout,omitempty"` // empty for `oakum simulate`
	Status      SimulationStatus `json:"status"`
	Reason      string           `json:"reason,omitempty"`
	Started     time.Time        `json:"started"`
	Ended       time.Time        `json:"ended,omitzero"`
	Impact      *Impact          `json:"impact,omitempty"`
	CreateIndex uint64           `json:"create_index,omitempty"`
	ModifyIndex uint64           `json:"modify_index,omitempty"`
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
	if impact.Negative {
		s.Status = SimulationRejected
	}
}

// Impact is what a patch changed in the sandbox.
type Impact struct {
	Negative bool        `json:"negative"`
	Reason   string      `json:"reason"`
	KPIs     []KPIEffect `json:"kpis"` // Stable is the control, Canary the treatment
	Twins    []Twin      `json:"twins"`
	Requests int         `json:"requests"` // sent to each twin
}

// Twin is one VM of a simulation.
type Twin struct {
	Role         string   `json:"role"` // control or treatment
	Job          string   `json:"job"`
	Alloc        string   `json:"alloc"`
	Image        string   `json:"image"`
	ImageDigest  string   `json:"image_digest,omitempty"` // hex SHA-256 of what it ran
	HealthyAfter Duration `json:"healthy_after"`
}
