package api

import (
	"encoding/json"
	"slices"
	"time"
)

// RolloutStatus is where a rollout is.
type RolloutStatus string

// Rollout statuses.
const (
	RolloutPending          RolloutStatus = "pending"
	RolloutSimulating       RolloutStatus = "simulating"
	RolloutAwaitingApproval RolloutStatus = "awaiting_approval"
	RolloutWaiting          RolloutStatus = "waiting" // for a window, a freeze, a budget or an earlier wave
	RolloutRunning          RolloutStatus = "running"
	RolloutPaused           RolloutStatus = "paused"  // by a person
	RolloutHolding          RolloutStatus = "holding" // by Oakum, because it is in doubt
	RolloutRollingBack      RolloutStatus = "rolling_back"
	RolloutComplete         RolloutStatus = "complete"
	RolloutRolledBack       RolloutStatus = "rolled_back"
	RolloutRejected         RolloutStatus = "rejected"
	RolloutFailed           RolloutStatus = "failed"
	RolloutCancelled        RolloutStatus = "cancelled"
)

// Ended reports whether the rollout will not change any more.
func (s RolloutStatus) Ended() bool {
	switch s {
	case RolloutComplete, RolloutRolledBack, RolloutRejected, RolloutFailed, RolloutCancelled:
		return true
	case RolloutPending, RolloutSimulating, RolloutAwaitingApproval, RolloutWaiting, RolloutRunning,
		RolloutPaused, RolloutHolding, RolloutRollingBack:
		return false
	}
	return false
}

// Failed reports whether the rollout ended because its patch could not be carried out, or was
// found bad: its target runs the former version.
func (s RolloutStatus) Failed() bool {
	return s == RolloutRolledBack || s == RolloutFailed || s == RolloutRejected
}

// Rollout is one target's patch being carried out.
type Rollout struct {
	ID          string        `json:"id"`
	Plan        string        `json:"plan"` // the submission that it belongs to
	Patch       string        `json:"patch"`
	PatchDigest string        `json:"patch_digest"`
	Apply       []Apply       `json:"apply"`
	Target      TargetRef     `json:"target"`
	Wave        int           `json:"wave"`
	Status      RolloutStatus `json:"status"`
	Reason      string        `json:"reason"` // why it has this status, one sentence
	Since       time.Time     `json:"since"`  // of the status
	Decision    Decision      `json:"decision"`
	Quiet       *Quiet        `json:"quiet,omitempty"` // when it starts, where the policy prefers low load
	Approvals   []Approval    `json:"approvals,omitempty"`
	Simulation  string        `json:"simulation,omitempty"` // ID of the last one
	Undecided   *Undecided    `json:"undecided,omitempty"`  // what follows the simulation, where it could not decide
	Former      *FormerJob    `json:"former,omitempty"`     // set when the rollout first touches the job
	Stages      []Stage       `json:"stages,omitempty"`     // those begun so far
	Holds       []Hold        `json:"holds,omitempty"`      // what Oakum waits for now
	Resume      RolloutStatus `json:"resume,omitempty"`     // status to return to after a pause or a hold
	Accepted    time.Time     `json:"accepted,omitzero"`    // a person went on in spite of the denied attempts until then
	Despite     uint64        `json:"despite,omitempty"`    // a person goes on in spite of the failures of other rollouts up to this index of the record
	Judge       *JudgeState   `json:"judge,omitempty"`
	Verdict     *Verdict      `json:"verdict,omitempty"` // the last one
	Effect      *Effect       `json:"effect,omitempty"`  // the open intent; there is at most one
	Effects     []Effect      `json:"effects,omitempty"` // finished ones, oldest first
	Instances   []Instance    `json:"instances,omitempty"`
	Spans       Spans         `json:"spans,omitzero"`
	SubmittedBy string        `json:"submitted_by,omitempty"`
	Submitter   string        `json:"submitter,omitempty"` // the subject of whoever submitted the patch
	Created     time.Time     `json:"created"`
	Ended       time.Time     `json:"ended,omitzero"`
	// Restorable is until when a rollout that is complete may be taken back: the record
	// keeps the former job for it. Zero when it may not.
	Restorable time.Time `json:"restorable,omitzero"`
	// Drift says what became of a patch that was carried out; nil while its job is as the
	// rollout left it, as far as anybody has looked.
	Drift *Drift `json:"drift,omitempty"`
	// Aftermath is what the KPIs of the target have shown since the rollout was complete; nil
	// until something could be said of them.
	Aftermath *Aftermath `json:"aftermath,omitempty"`
	// Proof says whether the fault is gone that the patch is to fix; nil until somebody has
	// looked, for a patch that names no packages, and unless the rollout is complete.
	Proof       *FixProof `json:"proof,omitempty"`
	CreateIndex uint64    `json:"create_index,omitempty"`
	ModifyIndex uint64    `json:"modify_index,omitempty"`
}

// Drift is what was found of the job of a rollout after its end.
type Drift struct {
	At     time.Time `json:"at"`     // when it was found
	Reason string    `json:"reason"` // what the job runs instead, one sentence
}

// Aftermath is what the KPIs that the stages of a rollout were judged by have shown after its
// end, held against the target's own baseline.
type Aftermath struct {
	Well  time.Time         `json:"well,omitzero"`  // when a look first found them well
	Since time.Time         `json:"since,omitzero"` // since when they are worse; zero when they are well
	Worse []NeighbourEffect `json:"worse,omitempty"`
	// Reason says what is worse, one sentence.
	Reason string `json:"reason,omitempty"`
	// Else says why Oakum does not take the patch for the cause; empty when nothing else
	// explains what got worse.
	Else string `json:"else,omitempty"`
}

// FixProof is what the inventories of what a target runs after a rollout say of the fault that
// its patch is to fix.
type FixProof struct {
	Status AssessmentStatus `json:"status"`
	At     time.Time        `json:"at"`     // when this was found
	Reason string           `json:"reason"` // which package at which version, or why nobody knows
}

// Safe reports whether the target is known not to have the fault.
func (p *FixProof) Safe() bool {
	return p != nil && (p.Status == AssessmentFixed || p.Status == AssessmentNotAffected)
}

// Spans are times that leaders have counted while they looked at the rollout, each by its
// own clock: what passes while nobody leads, or while a clock jumps, is in none of them.
// Deadlines are held against these, and no times of two machines are compared. A record
// may lag behind what its leader has counted since.
type Spans struct {
	Batch  Duration `json:"batch,omitempty"`  // the present batch of the stage waits for its instances; holds and pauses don't count
	Lapsed Duration `json:"lapsed,omitempty"` // the present stage has had too few healthy instances
	Effect Duration `json:"effect,omitempty"` // of a rollback: since the last effect ended
	Gone   Duration `json:"gone,omitempty"`   // looks have found the target gone
	Pause  Duration `json:"pause,omitempty"`  // it waits for the pause after the wave before it
}

// Undecided says that the simulation of a rollout could not decide, and what follows.
type Undecided struct {
	At      time.Time `json:"at"`
	Reason  string    `json:"reason"`  // why it could not
	Follows string    `json:"follows"` // InconclusiveApprove, InconclusiveHold or InconclusiveOneFirst
}

// UnderWay reports whether the rollout has left waiting and not ended, so that
// it counts towards the budget. A pause or a hold may begin before the former
// job is known.
func (r *Rollout) UnderWay() bool {
	if r.Status.Ended() {
		return false
	}
	return r.Former != nil || r.Status == RolloutRunning || r.Status == RolloutRollingBack || r.Resume == RolloutRunning
}

// FormerJob is the job as it was before the rollout touched it.
type FormerJob struct {
	Version     uint64          `json:"version"`
	ModifyIndex uint64          `json:"modify_index"`
	Count       int             `json:"count"`               // of the target's group
	Unhealthy   int             `json:"unhealthy,omitempty"` // instances that were not healthy then: a rollback does not wait for them
	Digest      string          `json:"digest"`              // of the job without its update blocks
	Checked     []string        `json:"checked,omitempty"`   // the target's services with health checks in Consul
	Launch      Launch          `json:"launch,omitempty"`    // of a job that has runs: it has no instances, and no stages
	Job         json.RawMessage `json:"job"`                 // Nomad's own JSON, for the rollback
}

// StageMode says how a stage puts patched instances into the world.
type StageMode string

// Stage modes: in place replaces former instances; beside starts canaries next
// to all former ones, which stay until the promotion.
const (
	StageInPlace StageMode = "in_place"
	StageBeside  StageMode = "beside"
)

// Stage is a share of the target's instances.
type Stage struct {
	Number    int       `json:"number"`  // from 1
	Percent   int       `json:"percent"` // 0: one instance before the strategy's own stages
	Mode      StageMode `json:"mode"`
	Instances int       `json:"instances"`         // patched ones that it wants: CeilPercent of the target's, at least 1
	Asked     int       `json:"asked,omitempty"`   // how many of them its batches have asked for so far
	Promoted  bool      `json:"promoted,omitzero"` // beside: the former ones were taken away
	Began     time.Time `json:"began"`
	Deadline  time.Time `json:"deadline"`        // when its instances must be healthy, for people: Spans.Batch decides; moved on by holds
	Lapsed    time.Time `json:"lapsed,omitzero"` // since when it has too few healthy instances again
	Ready     time.Time `json:"ready,omitzero"`  // all its instances were healthy
	Judged    time.Time `json:"judged,omitzero"` // its verdict was promote
	Verdict   *Verdict  `json:"verdict,omitempty"`
}

// CeilPercent is ceil(percent × count ÷ 100), the number of instances that a
// percentage of a target means everywhere: 10 % of 3 is 1. Neither may be negative.
func CeilPercent(percent, count int) int { return (percent*count + 99) / 100 }

// JudgeState lets the next leader go on with a judgement. Bank is opaque to
// everybody but the judge.
type JudgeState struct {
	Stage   int             `json:"stage"`
	Started time.Time       `json:"started"`
	Looks   int             `json:"looks"`
	Bank    json.RawMessage `json:"bank"`
}

// Hold is a reason to wait: which source is away, since when.
type Hold struct {
	Source string    `json:"source"` // dependency, failures, pause, nomad, consul, prometheus, strategy, judge, brake, health, freeze, window, budget, job, target, graph, policies, simulator, image, verify, instances, room
	Since  time.Time `json:"since"`
	Reason string    `json:"reason"`
}

// Sources of holds that wait for what other rollouts of the plan came to. No other rollout
// waits for one that has such a hold.
const (
	HoldDependency = "dependency" // the target is chained to one where the patch failed
	HoldFailures   = "failures"   // more targets of the patch failed than the budget allows
)

// HoldPause is the source of a hold that waits for the pause between two waves.
const HoldPause = "pause"

// Blocked reports whether other rollouts of the plan have failed so that this one does not
// begin by itself.
func (r *Rollout) Blocked() bool {
	return r.Former == nil && slices.ContainsFunc(r.Holds, Hold.blocks)
}

func (h Hold) blocks() bool { return h.Source == HoldDependency || h.Source == HoldFailures }

// EffectKind is a change that a rollout makes to the world.
type EffectKind string

// Effects. Each is performed as intent, compare-and-set, verify, outcome.
const (
	EffectSimulate EffectKind = "simulate" // run the twins
	EffectTag      EffectKind = "tag"      // tag the former job version
	EffectStage    EffectKind = "stage"    // let Stage.Instances instances run the patch
	EffectSettle   EffectKind = "settle"   // end the deployment of a stage that waits, so that the job can be scaled
	EffectPromote  EffectKind = "promote"  // beside: take the former instances away
	EffectFinish   EffectKind = "finish"   // mark the deployment healthy, restore the update block
	EffectRollback EffectKind = "rollback" // return the next instances to the former job
	EffectUnpace   EffectKind = "unpace"   // restore the former update block after a rollback
)

// Forward reports whether the effect takes the patch further. A rollback, and what ends
// one or the deployment of a stage, does not.
func (k EffectKind) Forward() bool {
	return k != EffectRollback && k != EffectUnpace && k != EffectSettle
}

// EffectStatus is what became of an intent.
type EffectStatus string

// Effect statuses.
const (
	EffectIntended EffectStatus = "intended"
	EffectDone     EffectStatus = "done"
	EffectFailed   EffectStatus = "failed"
)

// Effect is one change to the world, from intent to outcome.
type Effect struct {
	ID       string       `json:"id"`   // rollout ID and a number
	Kind     EffectKind   `json:"kind"` //
	Stage    int          `json:"stage,omitempty"`
	Want     int          `json:"want,omitempty"`   // stage: patched instances after it; rollback: former ones
	Expect   uint64       `json:"expect,omitempty"` // job modify index that the compare-and-set asks for
	Index    uint64       `json:"index,omitempty"`  // job modify index at which the outcome was seen
	Status   EffectStatus `json:"status"`
	Outcome  string       `json:"outcome,omitempty"`
	Intended time.Time    `json:"intended"`
	By       string       `json:"by,omitempty"`   // server that announced it
	Term     uint64       `json:"term,omitempty"` // of its leadership
	Ended    time.Time    `json:"ended,omitzero"`
}

// Approval is a person's recorded consent.
type Approval struct {
	By      string    `json:"by"`
	Subject string    `json:"subject,omitempty"`
	Groups  []string  `json:"groups,omitempty"`
	At      time.Time `json:"at"`
	Note    string    `json:"note,omitempty"`
	// Of is the digest of what was consented to: what the patch changes, and how and when it
	// goes. A consent to something else does not count. Empty of one that an older server
	// recorded, which counts for anything.
	Of string `json:"of,omitempty"`
}
