package api

import (
	"fmt"
	"time"
)

// Plan says which targets a patch goes to, in which order, how and when.
type Plan struct {
	ID       string    `json:"id"`
	Patch    string    `json:"patch"`
	Digest   string    `json:"digest"` // same input, same digest
	At       time.Time `json:"at"`
	Waves    []Wave    `json:"waves"`
	Refusals []Refusal `json:"refusals,omitempty"` // targets that the patch names but may not go to now
	Order    string    `json:"order"`              // why the waves are in this order
	Weak     []string  `json:"weak,omitempty"`     // sources that were missing when it was made: why critical targets need consent
	// Sources are the sources that were not whole when the plan was made. A source that
	// has only begun to fail is among them, and makes no doubt.
	Sources []SourceStatus `json:"sources,omitempty"`
	// NothingToDo are the targets that the patch is for and does not go to: their policies
	// select none like them, or it would change nothing there.
	NothingToDo []NothingToDo `json:"nothing_to_do,omitempty"`
	Exposure    *Exposure     `json:"exposure,omitempty"` // nil when nobody has asked who is affected
}

// PlanProgress is how far the rollouts of one plan are.
type PlanProgress struct {
	ID          string                `json:"id"`
	Patch       string                `json:"patch"`
	PatchDigest string                `json:"patch_digest"`
	Created     time.Time             `json:"created"`
	Open        int                   `json:"open"`     // rollouts that have not ended
	Rollouts    map[RolloutStatus]int `json:"rollouts"` // how many there are, by status
}

// PlanState is a plan as it was made, with its rollouts as they are now.
type PlanState struct {
	Plan     Plan      `json:"plan"`
	Rollouts []Rollout `json:"rollouts"`
}

// NothingToDo is a target that a patch need not go to.
type NothingToDo struct {
	Target TargetRef        `json:"target"`
	Status AssessmentStatus `json:"status,omitempty"`
	Reason string           `json:"reason"`
	// Unchanged says that every instance runs what the patch asks for already.
	Unchanged bool `json:"unchanged,omitempty"`
}

// MayBeAffected reports whether the target may have the fault all the same: its policies
// leave it out, and nobody knows that it is fixed or not affected.
func (n NothingToDo) MayBeAffected() bool {
	return !n.Unchanged && n.Status != AssessmentFixed && n.Status != AssessmentNotAffected
}

// Exposure is how much of a fault is open to the outside, as a plan goes on. Its unit is
// one target that is called from outside, has no dependants and a fault of score 10.
type Exposure struct {
	Before float64   `json:"before"` // of all targets that the patch is for
	Left   []float64 `json:"left"`   // after each wave; what targets have that are refused or left alone stays
}

// Wave is a set of targets that go together.
type Wave struct {
	Number  int             `json:"number"` // from 1
	Targets []PlannedTarget `json:"targets"`
	Opens   time.Time       `json:"opens,omitzero"`  // when the windows and freezes let it start
	Starts  time.Time       `json:"starts,omitzero"` // the quiet hour that its targets wait for, where they prefer low load
}

// Quiet is what became of the wish to start at low load.
type Quiet struct {
	At     time.Time `json:"at,omitzero"` // it does not start before; zero: as soon as it may
	Reason string    `json:"reason"`
}

// PlannedTarget is one target of a wave with what the policies decided.
type PlannedTarget struct {
	Target      Target      `json:"target"`
	Decision    Decision    `json:"decision"`
	Criticality Criticality `json:"criticality"`
	Quiet       *Quiet      `json:"quiet,omitempty"` // prefer = "lowest_load" only
	// Green is what the first stage gets of the traffic of each service, where it stands
	// beside the former instances.
	Green []GreenShare `json:"green,omitempty"`

	Assessment *TargetAssessment `json:"assessment,omitempty"` // nil when nobody has asked who is affected
	Exposure   *TargetExposure   `json:"exposure,omitempty"`   // nil likewise
}

// GreenShare is what of the traffic of a service the patched instances of a first stage get
// that stand beside all former ones: as many requests as any other instance, and before
// anybody has judged them, since nothing switches the traffic between the two sets.
type GreenShare struct {
	Service    string `json:"service"`
	Green      int    `json:"green"`      // patched instances of the first stage
	Of         int    `json:"of"`         // instances of the service by then, these among them
	Dependants int    `json:"dependants"` // of the service, transitive, over certain edges: whom it reaches
}

// Share is from 0 to 1; 1 where no instance is known.
func (g GreenShare) Share() float64 {
	if g.Of <= 0 {
		return 1
	}
	return float64(g.Green) / float64(g.Of)
}

// String says it in words.
func (g GreenShare) String() string {
	return fmt.Sprintf("green gets %d of %d of the traffic of service %s unjudged", g.Green, g.Of, g.Service)
}

// TargetExposure is a target's share of the exposure, with what it is made of.
type TargetExposure struct {
	Value  float64 `json:"value"`
	Hops   int     `json:"hops"`   // calls from the outside to it: 0 when the outside calls it, -1 when no path is known
	Reason string  `json:"reason"` // in words, with the values that made it
}

// Refusal says why a target is left out.
type Refusal struct {
	Target TargetRef `json:"target"`
	Code   ErrorCode `json:"code,omitempty"` // not_found: there is no such target; invalid: the policies can't decide; permission_denied: they forbid what the patch changes; conflict: it may not be patched now
	Reason string    `json:"reason"`
}

// DryRun is what Nomad's scheduler says beforehand of the first patched instance of a
// target, in the place of a former one.
type DryRun struct {
	Target   TargetRef `json:"target"`
	NoRoom   string    `json:"no_room,omitempty"`  // why no node takes it now; empty when one does
	Warnings []string  `json:"warnings,omitempty"` // of Nomad, about the patched job
	// Unchanged says that the target's job is what the patch makes of it already. Behind is
	// how many of its instances run another version all the same.
	Unchanged bool `json:"unchanged,omitempty"`
	Behind    int  `json:"behind,omitempty"`
}

// PatchSubmission is what a pipeline sends.
type PatchSubmission struct {
	File SourceFile `json:"file"`
}

// PatchReceipt is what it gets: the plan, and a rollout per target.
type PatchReceipt struct {
	Patch    Patch    `json:"patch"`
	Plan     Plan     `json:"plan"`
	Rollouts []string `json:"rollouts"`
	// Bake forecasts how long the first stage of each judged target takes, by
	// target ("namespace/job/group").
	Bake map[string]BakeTime `json:"bake,omitempty"`
	// Untried is how many targets of a large patch there was no time for to ask
	// Nomad whether it would take the patched job.
	Untried int `json:"untried,omitempty"`
	// DryRuns are the planned targets of which Nomad's scheduler has something to say
	// beforehand, sorted.
	DryRuns []DryRun `json:"dry_runs,omitempty"`
	// Brake is the brake while it is on: the rollouts wait until it is off.
	Brake *Brake `json:"brake,omitempty"`
}
