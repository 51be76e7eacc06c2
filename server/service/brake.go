package service

import (
	"context"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/server/state"
)

// Brake puts the brake on or takes it off, and returns it as it is then.
func (s *Service) Brake(ctx context.Context, want api.BrakeRequest, by api.Identity) (api.Brake, error) {
	check := api.Brake{On: want.On, By: by.Name, Reason: want.Reason}
	if err := check.Check(); err != nil {
		return api.Brake{}, err
	}
	if _, err := s.opt.Log.Apply(ctx, &state.BrakeSet{On: want.On, Reason: want.Reason}, by.Name); err != nil {
		return api.Brake{}, err
	}
	return s.store.Brake(), nil
}
