package state

import (
	"slices"
	"strings"
	"sync"

	"github.com/oakumhq/oakum/api"
)

// outlines keeps the last answer of Outlines for each plan with open rollouts: each of
// them asks once a second and after every change.
type outlines struct {
	mu    sync.Mutex
	index uint64 // of the rollouts' last change that the answers are of
	plans map[string][]api.Rollout
}

func (a *outlines) clear() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.index, a.plans = 0, nil
}

// of returns what is kept for a plan at an index, or makes it.
func (a *outlines) of(plan string, index uint64, list func() []api.Rollout) []api.Rollout {
	a.mu.Lock()
	defer a.mu.Unlock()
	if index < a.index {
		return list() // a reader that is behind the others
	}
	if index > a.index || a.plans == nil {
		a.index, a.plans = index, map[string][]api.Rollout{}
	}
	known, ok := a.plans[plan]
	if !ok {
		known = list()
		a.plans[plan] = known
	}
	return known
}

// Outlines returns the rollouts that a rollout of the plan waits for, or shares a
// budget with: all of the plan, all that have not ended, and the complete ones of the same
// patch on targets where it failed in the plan, by ID. Each has its ID, plan, patch, wave,
// target, status, resume, holds and indexes, and an empty former job when its own is known.
// One that failed has the policies that applied. The list is shared and must not be changed.
func (s *Store) Outlines(plan string) []api.Rollout {
	txn, m := s.now()
	index := m.Topics[api.TopicRollout]
	return s.outlines.of(plan, index, func() []api.Rollout {
		out := []api.Rollout{}
		failed := map[api.TargetRef]string{}
		for r := range s.t.rollouts.allBy(txn, indexPlan, plan) {
			out = append(out, outline(r))
			if r.Status.Failed() {
				failed[r.Target] = r.PatchDigest
			}
		}
		if len(failed) > 0 {
			for r := range s.t.rollouts.all(txn) {
				if digest, ok := failed[r.Target]; ok && r.Status == api.RolloutComplete && r.Plan != plan && r.PatchDigest == digest {
					out = append(out, outline(r))
				}
			}
		}
		for r := range s.t.rollouts.allBy(txn, indexOpen) {
			if r.Plan != plan {
				out = append(out, outline(r))
			}
		}
		slices.SortFunc(out, func(a, b api.Rollout) int { return strings.Compare(a.ID, b.ID) })
		return out
	})
}

// outline is a rollout without its stages, effects and decision.
func outline(r *api.Rollout) api.Rollout {
	out := api.Rollout{
		ID: r.ID, Plan: r.Plan, Patch: r.Patch, PatchDigest: r.PatchDigest, Wave: r.Wave, Target: r.Target, Status: r.Status, Resume: r.Resume,
		Holds: r.Holds, CreateIndex: r.CreateIndex, ModifyIndex: r.ModifyIndex,
	}
	if r.Former != nil {
		out.Former = &api.FormerJob{}
	}
	if r.Status.Failed() {
		for _, b := range r.Decision.Because {
			if b.Field == api.FieldPolicy {
				out.Decision.Because = append(out.Decision.Because, api.Because{Field: b.Field, Policy: b.Policy})
			}
		}
	}
	return out
}
