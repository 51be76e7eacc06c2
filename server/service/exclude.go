package service

import (
	"maps"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/internal/blame"
)

// PatchedInstances names the instances that an open rollout has patched, by
// allocation ID. No baseline may be learned from them: a baseline holds what is
// usual without the patch.
func (s *Service) PatchedInstances() map[string]bool {
	ids := map[string]bool{}
	for _, r := range s.store.OpenRollouts() {
		for _, in := range r.Instances {
			if in.Build != api.BuildFormer {
				ids[in.ID] = true
			}
		}
	}
	return ids
}

// NearRollouts names the targets that an edge joins to a target whose rollout has
// begun to patch it, and those that its newest verdict names although no edge joins them
// any more. The patch may be the reason for what they show.
func (s *Service) NearRollouts() map[api.TargetRef]bool {
	refs := map[api.TargetRef]bool{}
	for _, r := range s.store.OpenRollouts() {
		if !r.UnderWay() || len(r.Stages) == 0 {
			continue
		}
		for _, t := range s.graph.Around(r.Target) {
			refs[t.TargetRef] = true
		}
		for _, e := range blame.Named(r) {
			refs[e.Target] = true
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	maps.Copy(refs, s.suspects)
	return refs
}
