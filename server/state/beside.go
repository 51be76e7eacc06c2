package state

import (
	"slices"
	"strings"
	"sync"

	"github.com/oakumhq/oakum/api"
)

// abreast keeps what Beside last answered for each plan with open rollouts, since
// each of them asks once a second and after every change.
type abreast struct {
	mu    sync.Mutex
	index uint64 // of the rollouts' last change that the answers are of
	plans map[string][]api.Rollout
}

func (a *abreast) clear() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.index, a.plans = 0, nil
}

// of returns what is kept for a plan at an index, or makes it.
func (a *abreast) of(plan string, index uint64, list func() []api.Rollout) []api.Rollout {
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

// Beside returns the rollouts that another of the plan has to mind: those of
// the plan, and all that have not ended, by ID. Each has only what tells where
// it is: ID, plan, patch, wave, target, status, resume, and an empty former job
// when its own is known. The list is shared with others who ask, and must not be
// changed.
func (s *Store) Beside(plan string) []api.Rollout {
	txn, m := s.now()
	index := m.Topics[api.TopicRollout]
	return s.abreast.of(plan, index, func() []api.Rollout {
		out := []api.Rollout{}
		for r := range s.t.rollouts.allBy(txn, indexPlan, plan) {
			out = append(out, brief(r))
		}
		for r := range s.t.rollouts.allBy(txn, indexOpen) {
			if r.Plan != plan {
				out = append(out, brief(r))
			}
		}
		slices.SortFunc(out, func(a, b api.Rollout) int { return strings.Compare(a.ID, b.ID) })
		return out
	})
}

// brief is what tells where a rollout is.
func brief(r *api.Rollout) api.Rollout {
	out := api.Rollout{ID: r.ID, Plan: r.Plan, Patch: r.Patch, Wave: r.Wave, Target: r.Target, Status: r.Status, Resume: r.Resume}
	if r.Former != nil {
		out.Former = &api.FormerJob{}
	}
	return out
}
