package service

import (
	"context"
	"slices"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/internal/rollout"
	"github.com/oakumhq/oakum/server/state"
)

// commandTries is how often a person's command is tried against a rollout that
// moves on at the same time: a rollout moves about once a second.
const commandTries = 10

// Rollout carries out a person's command to a rollout: approve, pause, resume,
// unapprove, promote, abort or rollback. It returns the rollout after the command.
func (s *Service) Rollout(ctx context.Context, id, action string, by api.Identity, note string) (api.Rollout, error) {
	if action == "approve" && by.Subject == "" && by.Via != api.ViaDev {
		return api.Rollout{}, &api.Error{
			Code:    api.CodePermissionDenied,
			Message: "approve rollout " + id + ": nobody knows who holds this token, so that it can't be told from another's",
			Details: []string{"an approval needs an identity token, or a Vault token with an entity; root tokens have none"},
		}
	}
	for range commandTries {
		r, ok := s.store.Rollout(id)
		if !ok {
			return api.Rollout{}, api.Errorf(api.CodeNotFound, "no rollout %q", id)
		}
		if action == "rollback" && r.Status == api.RolloutComplete {
			if err := s.latest(r); err != nil {
				return api.Rollout{}, err
			}
		}
		next, err := rollout.Step(r, rollout.Command{Action: action, By: by, Note: note}, s.now())
		if err != nil {
			return api.Rollout{}, err
		}
		cmd := &state.RolloutTransition{Kind: action, Expect: r.ModifyIndex, Rollout: next}
		_, err = s.opt.Log.Apply(ctx, cmd, by.Name)
		if api.IsCode(err, api.CodeStaleIndex) {
			continue
		}
		if err != nil {
			return api.Rollout{}, err
		}
		r, _ = s.store.Rollout(id)
		return r, nil
	}
	return api.Rollout{}, api.Errorf(api.CodeConflict, "rollout %s keeps moving on; try again", id)
}

// latest refuses to take a complete rollout back while a later one has changed its job, for
// any of its groups: the job is not as the first has left it. One that has failed can't be
// taken back, so it keeps nothing from going back: the job says what it has left.
func (s *Service) latest(r api.Rollout) error {
	for _, later := range slices.Backward(s.store.Later(r)) {
		if later.Status != api.RolloutFailed {
			return api.Errorf(api.CodeConflict, "rollback rollout %s: rollout %s of patch %s has changed %s since (%s); take that back first",
				r.ID, later.ID, later.Patch, later.Target, later.Status)
		}
	}
	return nil
}
