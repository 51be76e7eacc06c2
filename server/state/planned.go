package state

import "github.com/oakumhq/oakum/api"

// Planned returns one target of a plan. A plan of thousands of targets is not copied
// whole for it.
func (s *Store) Planned(plan string, target api.TargetRef) (api.PlannedTarget, bool) {
	p := s.t.plans.get(s.read(), plan)
	if p == nil {
		return api.PlannedTarget{}, false
	}
	for i := range p.Waves {
		for j := range p.Waves[i].Targets {
			if t := &p.Waves[i].Targets[j]; t.Target.TargetRef == target {
				return s.planned.Copy(t), true
			}
		}
	}
	return api.PlannedTarget{}, false
}
