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

// ViaDev is how everybody comes in where authentication is off: nobody is known then.
const ViaDev = "dev"

// Identity is who a caller was found to be.
type Identity struct {
	Name         string       `json:"name"`
	Subject      string       `json:"subject,omitempty"` // of the token: one for each person or program, whatever it logs in with
	Via          string       `json:"via"`               // jwt, vault-token, or ViaDev
	Groups       []string     `json:"groups,omitempty"`
	Capabilities []Capability `json:"capabilities"`
}

// Can reports whether the identity holds c.
func (i Identity) Can(c Capability) bool {
	return slices.Contains(i.Capabilities, c)
}

// Is reports whether the identity may be the person of a name and a subject: it has the
// same subject, or the same name. Two names with one subject are one person who has two
// tokens.
func (i Identity) Is(name, subject string) bool {
	return i.Name == name || (i.Subject != "" && i.Subject == subject)
}
