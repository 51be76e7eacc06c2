package service

import (
	"context"

	"github.com/oakumhq/oakum/api"
)

// DiscoverKPIs says which KPIs the metrics of one target, or of all when it is nil, can
// show. kpis names those of its own that the block to paste shall have. The error has code
// not_found when there is no such target.
func (s *Service) DiscoverKPIs(ctx context.Context, target *api.TargetRef, kpis []string) (api.KPIDiscovery, error) {
	if target != nil {
		if _, err := s.opt.Fleet.Target(ctx, *target); err != nil {
			return api.KPIDiscovery{}, err
		}
	}
	return s.opt.Metrics.Discover(ctx, target, kpis, s.now())
}

// CheckKPIs asks the queries of the KPIs that are learned and of those by which the
// policies in force judge, or only of some KPIs. The error has code not_found for a KPI that
// is in force nowhere.
func (s *Service) CheckKPIs(ctx context.Context, kpis []string) (api.KPICheck, error) {
	library, err := s.policies.Library()
	if err != nil {
		return api.KPICheck{}, err
	}
	return s.opt.Metrics.Check(ctx, library.Judged(), kpis)
}
