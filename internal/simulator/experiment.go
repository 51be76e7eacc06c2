package simulator

import (
	"context"

	"github.com/oakumhq/oakum/api"
)

// compare boots both twins, measures them and removes them.
func (s *Simulator) compare(ctx context.Context, r Request, pair *pair, task, run string, bank *panel) (api.Impact, error) {
	defer func() {
		// The caller's context may have ended, and the twins must be removed all
		// the same.
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), teardownMax)
		defer cancel()
		if err := pair.stop(ctx); err != nil {
			// The measurement is still true. The next simulation, or the next
			// leader, sweeps.
			s.o.Logger.Error("twins are left behind", "simulation_id", r.ID, "error", err)
		}
	}()
	if err := pair.start(ctx, r, task, run, s.o); err != nil {
		return api.Impact{}, err
	}
	impact, err := s.try(ctx, r, pair, bank)
	if err != nil {
		return api.Impact{}, err
	}
	impact.Twins = pair.describe()
	return impact, nil
}

// try waits until both twins serve, measures them, and concludes.
func (s *Simulator) try(ctx context.Context, r Request, p *pair, bank *panel) (api.Impact, error) {
	fault, err := p.await(ctx, s.o)
	if err != nil {
		return api.Impact{}, err
	}
	if fault != "" {
		return api.Impact{Negative: true, Reason: fault, KPIs: []api.KPIEffect{}}, nil
	}
	return s.measure(ctx, r, p, bank)
}
