package api

import "time"

// PatchForce is how far the job of a target is what a patch makes of it.
type PatchForce string

// Forces.
const (
	ForceWhole   PatchForce = "in_force"     // the job asks for it, and every instance runs it
	ForcePartly  PatchForce = "partly"       // the job asks for it, and some instances run another version
	ForceNone    PatchForce = "not_in_force" // the job asks for something else
	ForceGone    PatchForce = "gone"         // there is no such target any more
	ForceUnknown PatchForce = "unknown"      // Nomad did not say
)

// PatchStatus is where a patch is in force now, as Nomad has the jobs.
type PatchStatus struct {
	Patch   string          `json:"patch"`
	At      time.Time       `json:"at"`
	Targets []PatchedTarget `json:"targets"` // those that it had a rollout for, sorted
}

// PatchedTarget is one target that a patch had a rollout for.
type PatchedTarget struct {
	Target     TargetRef     `json:"target"`
	Force      PatchForce    `json:"force"`
	Reason     string        `json:"reason"`
	Rollout    string        `json:"rollout"` // the last one
	Status     RolloutStatus `json:"status"`  // of that rollout
	Ended      time.Time     `json:"ended,omitzero"`
	Restorable time.Time     `json:"restorable,omitzero"` // until when that rollout may be taken back
	Automatic  bool          `json:"automatic,omitempty"` // whether it goes back by itself when its target gets worse until then
	Aftermath  *Aftermath    `json:"aftermath,omitempty"` // what the KPIs have shown since that rollout; nil where nobody has looked
	Proof      *FixProof     `json:"proof,omitempty"`     // whether the fault was gone after it; nil where nobody has looked
}
