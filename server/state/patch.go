package state

import (
	"fmt"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/server/state/levels"
)

// maxEnded is how many ended rollouts, and how many ended simulations, are
// kept. BenchmarkSnapshot measures what they weigh; at two hundred targets a
// week it is the history of a year.
func maxEnded(level int) int {
	if level < levels.Two {
		return 5_000 // with the former job and every instance, some 30 KiB each
	}
	return 10_000
}

// PatchSubmit stores a patch, the plan made for it, and a rollout for each
// planned target: all of it or nothing. A patch whose rollouts have ended may
// be submitted again, with the same content or another.
type PatchSubmit struct {
	Patch    api.Patch     `json:"patch"`
	Plan     api.Plan      `json:"plan"`
	Rollouts []api.Rollout `json:"rollouts"`
	// Former is the ModifyIndex of the patch of that name whose place this one takes, and 0
	// of a new name. Nil is what older servers send, which put it in the place of any.
	Former *uint64 `json:"former,omitempty"`
}

// Type is the command's number.
func (*PatchSubmit) Type() Type { return TypePatchSubmit }

func (p *PatchSubmit) apply(c *change) error {
	if err := p.check(c); err != nil {
		return err
	}
	patch := &p.Patch
	if patch.SubmittedAt.IsZero() {
		patch.SubmittedAt = c.at
	}
	if patch.SubmittedBy == "" {
		patch.SubmittedBy = c.by
	}
	patch.CreateIndex, patch.ModifyIndex = c.index, c.index
	if old := c.t.patches.get(c.txn, patch.Name); old != nil {
		patch.CreateIndex = old.CreateIndex
	}
	c.t.patches.put(c.txn, patch)
	c.t.plans.put(c.txn, &p.Plan)
	c.event(api.TopicPatch, "patch_submitted", patch.Name,
		fmt.Sprintf("%s for %d targets in %d waves", sentence("patch %q was submitted", patch.Name, patch.SubmittedBy), len(p.Rollouts), len(p.Plan.Waves)),
		patchNote{Digest: patch.Digest, Plan: p.Plan.ID, Rollouts: len(p.Rollouts)})

	for i := range p.Rollouts {
		r := &p.Rollouts[i]
		if r.Created.IsZero() {
			r.Created = c.at
		}
		if r.Since.IsZero() {
			r.Since = c.at
		}
		if r.SubmittedBy == "" {
			r.SubmittedBy = patch.SubmittedBy
		}
		r.CreateIndex, r.ModifyIndex = c.index, c.index
		c.t.rollouts.put(c.txn, r)
		c.event(api.TopicRollout, "rollout_"+string(r.Status), r.ID, rolloutText(r), noteOf(r, ""))
	}
	forgetFormers(c)
	p.forget(c)
	return nil
}

// forgetFormers takes the former jobs from rollouts whose time to be taken back is over: they
// are the most of what a rollout weighs.
func forgetFormers(c *change) {
	if c.old.Level < levels.Seven {
		return // none has such a time
	}
	var over []*api.Rollout
	for r := range c.t.rollouts.all(c.txn) {
		if r.Status == api.RolloutComplete && !r.Restorable.IsZero() && !r.Restorable.After(c.at) && r.Former != nil && len(r.Former.Job) > len("null") {
			over = append(over, r)
		}
	}
	for _, r := range over {
		slim := *r
		forgetFormer(&slim)
		c.t.rollouts.put(c.txn, &slim)
	}
}

// forget drops the oldest ended rollouts beyond the limit, and the plans that
// have no rollout left.
func (p *PatchSubmit) forget(c *change) {
	var ended []string
	for r := range c.t.rollouts.all(c.txn) {
		if r.Status.Ended() {
			ended = append(ended, r.ID)
		}
	}
	most := maxEnded(c.old.Level)
	if len(ended) <= most {
		return
	}
	for _, id := range ended[:len(ended)-most] {
		c.t.rollouts.remove(c.txn, id)
	}
	used := map[string]bool{p.Plan.ID: true}
	for r := range c.t.rollouts.all(c.txn) {
		used[r.Plan] = true
	}
	var unused []string
	for plan := range c.t.plans.all(c.txn) {
		if !used[plan.ID] {
			unused = append(unused, plan.ID)
		}
	}
	for _, id := range unused {
		c.t.plans.remove(c.txn, id)
	}
}

// patchNote is the payload of a patch's event.
type patchNote struct {
	Digest   string `json:"digest"`
	Plan     string `json:"plan"`
	Rollouts int    `json:"rollouts"`
}

// check refuses a submission that must not be stored. It returns every reason, so
// that a pipeline need not be run once for each.
func (p *PatchSubmit) check(c *change) error {
	if err := named("patch", p.Patch.Name); err != nil {
		return err
	}
	if err := named("plan", p.Plan.ID); err != nil {
		return err
	}
	if c.t.plans.get(c.txn, p.Plan.ID) != nil {
		return api.Errorf(api.CodeConflict, "plan %s exists already", p.Plan.ID)
	}
	if err := p.checkRollouts(c); err != nil {
		return err
	}
	if err := p.checkFormer(c); err != nil {
		return err
	}
	refusal := api.Errorf(api.CodeConflict, "patch %q can't be submitted now", p.Patch.Name)
	for r := range c.t.rollouts.allBy(c.txn, indexOpen) {
		if r.Patch == p.Patch.Name && r.PatchDigest != p.Patch.Digest {
			refusal.Details = append(refusal.Details, fmt.Sprintf(
				"rollout %s of %s still carries out other content of that name: wait for it, abort it, or give the patch another name", r.ID, r.Target))
		}
	}
	for i := range p.Rollouts {
		target := p.Rollouts[i].Target
		if other := c.t.rollouts.getBy(c.txn, indexOpen, targetKey(target)); other != nil {
			refusal.Details = append(refusal.Details, fmt.Sprintf(
				"%s is being patched by rollout %s of patch %q (%s)", target, other.ID, other.Patch, other.Status))
		}
		if q := c.t.quarantines.get(c.txn, quarantineKey(p.Patch.Name, target)); q != nil && q.Digest == p.Patch.Digest {
			refusal.Details = append(refusal.Details, fmt.Sprintf(
				"%s is quarantined from this patch since %s: %s", target, q.Since.Format("2006-01-02 15:04:05 MST"), q.Reason))
		}
	}
	if len(refusal.Details) > 0 {
		return refusal
	}
	return nil
}

// checkFormer refuses to take the place of another patch than the submitter was found to
// have a right to.
func (p *PatchSubmit) checkFormer(c *change) error {
	if p.Former == nil {
		return nil
	}
	now := uint64(0)
	if former := c.t.patches.get(c.txn, p.Patch.Name); former != nil {
		now = former.ModifyIndex
	}
	if now != *p.Former {
		return api.Errorf(api.CodeConflict, "patch %q: a patch of that name was submitted at the same moment; look at it, then submit again or give this one another name", p.Patch.Name)
	}
	return nil
}

// checkRollouts refuses rollouts that don't belong to the patch and plan.
func (p *PatchSubmit) checkRollouts(c *change) error {
	ids, targets := map[string]bool{}, map[api.TargetRef]bool{}
	for i := range p.Rollouts {
		r := &p.Rollouts[i]
		if err := named("rollout", r.ID); err != nil {
			return err
		}
		if err := checkTarget("rollout "+r.ID, r.Target); err != nil {
			return err
		}
		if ids[r.ID] || c.t.rollouts.get(c.txn, r.ID) != nil {
			return api.Errorf(api.CodeConflict, "rollout %s exists already", r.ID)
		}
		if targets[r.Target] {
			return api.Errorf(api.CodeInvalid, "rollout %s: target %s has another one in the same plan", r.ID, r.Target)
		}
		if r.Patch != p.Patch.Name || r.PatchDigest != p.Patch.Digest || r.Plan != p.Plan.ID {
			return api.Errorf(api.CodeInvalid, "rollout %s: it belongs to another patch or plan", r.ID)
		}
		if r.Status == "" || r.Status.Ended() || r.Effect != nil {
			return api.Errorf(api.CodeInvalid, "rollout %s: want it to be at its start, it is %q", r.ID, r.Status)
		}
		ids[r.ID], targets[r.Target] = true, true
	}
	return nil
}
