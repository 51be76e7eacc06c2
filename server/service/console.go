package service

import (
	"context"
	"fmt"
	"slices"

	"github.com/oakumhq/oakum/api"
)

// Roles of twins, as twin.Treatment and twin.Reverted.
const (
	roleTreatment = "treatment"
	roleRevert    = "revert"
)

// Consoles reads what the machine of a sandbox job has written. The error has code
// not_found when the job has no machine.
type Consoles interface {
	Console(ctx context.Context, job api.SandboxObject) (string, error)
}

// Console returns what a machine of a simulation wrote: from Nomad while the simulation
// owns the machine's job, from its record afterwards, and where its node has removed what
// the machine wrote. Role is "control", "treatment",
// "revert" or "bake"; pair counts from 1, and 0 means the newest.
func (s *Service) Console(ctx context.Context, id, role string, pair int) (api.Console, error) {
	sim, ok := s.store.Simulation(id)
	if !ok {
		return api.Console{}, noSimulation(id)
	}
	job, owned := ownedJob(sim, role, pair)
	var away error
	if owned {
		term := s.current()
		if term == nil {
			return api.Console{}, notLeading()
		}
		text, err := term.Consoles.Console(ctx, job)
		if err == nil {
			return api.Console{Role: role, Pair: job.Pair, Live: true, Text: text}, nil
		}
		away = err
	}
	if sim.Impact != nil {
		for _, t := range slices.Backward(sim.Impact.Twins) {
			if t.Role == role && (pair == 0 || t.Pair == pair) {
				return api.Console{Role: role, Pair: t.Pair, Text: t.Console}, nil
			}
		}
	}
	if owned {
		return api.Console{}, away
	}
	whose := role
	if pair > 0 {
		whose = fmt.Sprintf("%s of pair %d", role, pair)
	}
	return api.Console{}, api.Errorf(api.CodeNotFound, "simulation/%s: it is %s and has no %s", id, sim.Status, whose)
}

// ownedJob is the newest job of a role that a simulation has not removed. In the phase
// revert, the job of the treatment runs the former version.
func ownedJob(sim api.Simulation, role string, pair int) (api.SandboxObject, bool) {
	reverts := sim.Progress != nil && sim.Progress.Phase == api.PhaseRevert
	switch {
	case role == roleRevert && reverts:
		role = roleTreatment
	case role == roleTreatment && reverts && (pair == 0 || pair == sim.Progress.Pair):
		return api.SandboxObject{}, false
	}
	for _, o := range slices.Backward(sim.Owned) {
		if o.Kind == api.ObjectJob && o.Role == role && (pair == 0 || o.Pair == pair) {
			return o, true
		}
	}
	return api.SandboxObject{}, false
}
