package api

import "slices"

// Capability is one thing that a caller may do.
type Capability string

// Capabilities. Read covers every GET; operator covers raft and snapshots.
const (
	CapRead        Capability = "read"
	CapPolicyWrite Capability = "policy-write"
	CapPatchSubmit Capability = "patch-submit"
	CapSimulate    Capability = "simulate"
	CapApprove     Capability = "approve"
	CapRollout     Capability = "rollout-control" // pause, resume, promote, abort, rollback, lift quarantine, brake
	CapOperator    Capability = "operator"
)

// Identity is who a caller was found to be.
type Identity struct {
	Name         string       `json:"name"`
	Via          string       `json:"via"` // jwt, vault-token, dev
	Groups       []string     `json:"groups,omitempty"`
	Capabilities []Capability `json:"capabilities"`
}

// Can reports whether the identity holds c.
func (i Identity) Can(c Capability) bool {
	return slices.Contains(i.Capabilities, c)
}
