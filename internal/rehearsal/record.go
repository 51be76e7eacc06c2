package rehearsal

import (
	"context"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/internal/blame"
	"github.com/oakumhq/oakum/internal/orchestrator"
)

// record stands for the replicated state in one play.
type record struct {
	rollouts []api.Rollout
	at       map[string]int // by ID
	index    uint64
}

var (
	_ orchestrator.Store    = (*record)(nil)
	_ orchestrator.Recorder = (*record)(nil)
)

func newRecord(rollouts []api.Rollout) *record {
	r := &record{rollouts: rollouts, at: map[string]int{}}
	for i := range rollouts {
		r.at[rollouts[i].ID] = i
	}
	return r
}

// BegunRollouts lists the rollouts that are under way and have a stage.
func (r *record) BegunRollouts() []api.Rollout {
	var out []api.Rollout
	for i := range r.rollouts {
		if blame.Begun(r.rollouts[i]) {
			out = append(out, r.rollouts[i])
		}
	}
	return out
}

// Outlines lists all rollouts, since a play has only the rollouts of one plan.
func (r *record) Outlines(string) []api.Rollout { return r.rollouts }

// Brake is off in a play.
func (*record) Brake() api.Brake { return api.Brake{} }

// Rollout returns one rollout.
func (r *record) Rollout(id string) (api.Rollout, bool) {
	i, ok := r.at[id]
	if !ok {
		return api.Rollout{}, false
	}
	return r.rollouts[i], true
}

// Watch returns nil, a channel that never fires: a play decides itself when to
// look.
func (*record) Watch(...api.Topic) <-chan struct{} { return nil }

// Transition stores the next state of a rollout.
func (r *record) Transition(_ context.Context, _ string, next api.Rollout, expect uint64) error {
	i := r.at[next.ID]
	if r.rollouts[i].ModifyIndex != expect {
		return api.Errorf(api.CodeStaleIndex, "rollout %s has moved on", next.ID)
	}
	r.index++
	next.ModifyIndex = r.index
	r.rollouts[i] = next
	return nil
}

// RecordSimulation keeps nothing: a rehearsal runs no twins.
func (*record) RecordSimulation(context.Context, api.Simulation) error { return nil }
