package service

import (
	"context"
	"fmt"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/server/state"
)

// ValidatePolicy checks a policy file by itself and with all others in force.
func (s *Service) ValidatePolicy(file api.SourceFile) error {
	_, err := s.policies.Check(file)
	return err
}

// ApplyPolicy puts a policy file in force, in place of the one of its name.
func (s *Service) ApplyPolicy(ctx context.Context, file api.SourceFile, by api.Identity) (api.Policy, error) {
	p, err := s.policies.Check(file)
	if err != nil {
		return api.Policy{}, err
	}
	p.AppliedBy, p.AppliedAt = by.Name, s.now()
	if _, err := s.opt.Log.Apply(ctx, &state.PolicyPut{Policy: p}, by.Name); err != nil {
		return api.Policy{}, err
	}
	p, _ = s.store.Policy(p.Name)
	return p, nil
}

// DeletePolicy takes a policy file out of force. A file that ships with Oakum
// stays, so that every target always has a decision.
func (s *Service) DeletePolicy(ctx context.Context, name string, by api.Identity) error {
	p, ok := s.store.Policy(name)
	if !ok {
		return api.Errorf(api.CodeNotFound, "no policy %q", name)
	}
	if p.Builtin {
		return api.Errorf(api.CodeConflict, "policy %q ships with oakum; apply a file of the same name to replace it", name)
	}
	_, err := s.opt.Log.Apply(ctx, &state.PolicyDelete{Name: name}, by.Name)
	return err
}

// ShipPolicies puts the policy files that come with this version in force. A file
// that somebody applied in place of one of them stays.
func (s *Service) ShipPolicies(ctx context.Context, files []api.SourceFile) error {
	for _, file := range files {
		p, err := s.policies.parse(file)
		if err != nil {
			return err
		}
		if have, ok := s.store.Policy(p.Name); ok && (have.File.Text == file.Text || !have.Builtin) {
			continue
		}
		p.Builtin, p.AppliedBy = true, "oakum "+s.opt.Version
		if _, err := s.opt.Log.Apply(ctx, &state.PolicyPut{Policy: p}, p.AppliedBy); err != nil {
			return fmt.Errorf("ship policy %s: %w", p.Name, err)
		}
	}
	return nil
}
