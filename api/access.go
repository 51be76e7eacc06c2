package api

import (
	"slices"
	"time"
)

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

// Capabilities are all of them.
func Capabilities() []Capability {
	return []Capability{CapRead, CapPolicyWrite, CapPatchSubmit, CapSimulate, CapApprove, CapRollout, CapOperator}
}

// ViaDev is how everybody comes in where authentication is off: nobody is known then.
const ViaDev = "dev"

// Identity is who a caller was found to be.
type Identity struct {
	Name         string       `json:"name"`
	Subject      string       `json:"subject,omitempty"` // of the token: one for each person or program, whatever it logs in with
	Via          string       `json:"via"`               // jwt, vault-token, or ViaDev
	Groups       []string     `json:"groups,omitempty"`
	Capabilities []Capability `json:"capabilities"`     // what it may do, at least somewhere
	Grants       []Grant      `json:"grants,omitempty"` // where, by the rules that apply; nil: everywhere, as with authentication off
	Expires      time.Time    `json:"expires,omitzero"` // when the server takes the token no more; zero for never
}

// Grant is what one auth rule gives to a caller, or denies.
type Grant struct {
	Rule         string       `json:"rule"`
	Deny         bool         `json:"deny,omitempty"` // takes the capabilities away, whatever other rules give
	Capabilities []Capability `json:"capabilities"`
	Namespaces   []string     `json:"namespaces,omitempty"` // globs of Nomad namespaces; empty for all
	Jobs         []string     `json:"jobs,omitempty"`       // globs of job IDs; empty for all
}

// Can reports whether the identity holds c, at least somewhere. Package access says where.
func (i Identity) Can(c Capability) bool {
	return slices.Contains(i.Capabilities, c)
}

// Is reports whether the identity may be the person of a name and a subject: it has the
// same subject, or the same name. Two names with one subject are one person who has two
// tokens.
func (i Identity) Is(name, subject string) bool {
	return i.Name == name || (i.Subject != "" && i.Subject == subject)
}
