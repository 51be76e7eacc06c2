package state

import (
	"fmt"
	"time"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/server/state/levels"
)

// ProofReasonMax bounds the reason of a proof, in bytes: it names at most a few packages.
const ProofReasonMax = 4096

// RolloutProve says what the inventories of what a target runs say of the fault that a
// complete rollout was to fix. The time of the proof is that of the entry. Expect is the
// ModifyIndex of the rollout that was looked at.
type RolloutProve struct {
	ID     string               `json:"id"`
	Expect uint64               `json:"expect"`
	Status api.AssessmentStatus `json:"status"`
	Reason string               `json:"reason"`
}

// Type is the command's number.
func (*RolloutProve) Type() Type { return TypeRolloutProve }

func (*RolloutProve) level() int { return levels.Eight }

// apply changes nothing but the proof: the end of a rollout stands.
func (p *RolloutProve) apply(c *change) error {
	old := c.t.rollouts.get(c.txn, p.ID)
	if old == nil {
		return api.Errorf(api.CodeNotFound, "rollout %q does not exist", p.ID)
	}
	text := map[api.AssessmentStatus]string{
		api.AssessmentFixed:       "%s does not have the fault any more that patch %q fixes: %s",
		api.AssessmentNotAffected: "%s does not have the fault that patch %q fixes: %s",
		api.AssessmentAffected:    "%s is still affected after patch %q: %s",
		api.AssessmentUnknown:     "nobody knows whether %s has the fault after patch %q: %s",
	}[p.Status]
	switch {
	case text == "":
		return api.Errorf(api.CodeInvalid, "rollout %s: want a proof that is affected, fixed, not_affected or unknown, have %q", p.ID, p.Status)
	case len(p.Reason) > ProofReasonMax:
		return api.Errorf(api.CodeInvalid, "rollout %s: the reason of its proof has more than %d bytes", p.ID, ProofReasonMax)
	case old.Status != api.RolloutComplete:
		return api.Errorf(api.CodeConflict, "rollout %s is %s: only one that is complete has a proof", p.ID, old.Status)
	case p.Expect != old.ModifyIndex:
		return api.Errorf(api.CodeStaleIndex, "rollout %s changed at index %d, this proof was made for index %d", p.ID, old.ModifyIndex, p.Expect)
	}
	next := *old
	next.Proof, next.ModifyIndex = &api.FixProof{Status: p.Status, At: c.at, Reason: p.Reason}, c.index
	c.t.rollouts.put(c.txn, &next)
	c.event(api.TopicRollout, "proof_"+string(p.Status), next.ID, fmt.Sprintf(text, next.Target, next.Patch, p.Reason), noteOf(&next, next.Status))
	return nil
}

// UnprovenRollouts returns the complete rollouts that ended after a time, after which nobody
// knows the fault of their patch to be gone, by ID. For each target that is the last one that
// has touched its job, unless another one is under way there or has left it half-way. Each
// has its ID, plan, patch and its digest, target, status, end, proof and indexes.
func (s *Store) UnprovenRollouts(after time.Time) []api.Rollout {
	last := map[api.TargetRef]*api.Rollout{}
	for r := range s.t.rollouts.all(s.read()) {
		touched := r.Former != nil && r.Status != api.RolloutRolledBack && (r.Status != api.RolloutCancelled || len(r.Stages) > 0)
		if touched || r.Status == api.RolloutComplete {
			last[r.Target] = r // by ID, which is by age
		}
	}
	var out []api.Rollout
	for r := range s.t.rollouts.all(s.read()) {
		if last[r.Target] != r || r.Status != api.RolloutComplete || r.Proof.Safe() || !r.Ended.After(after) {
			continue
		}
		light := outline(r)
		light.PatchDigest, light.Ended, light.CreateIndex, light.ModifyIndex = r.PatchDigest, r.Ended, r.CreateIndex, r.ModifyIndex
		if r.Proof != nil {
			proof := *r.Proof
			light.Proof = &proof
		}
		out = append(out, light)
	}
	return out
}
