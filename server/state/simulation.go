package state

import (
	"fmt"
	"reflect"
	"slices"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/server/state/levels"
)

// SimulationPut stores a simulation, in place of the one with its ID. What that one
// owns stays, since only a SimulationNote changes it.
type SimulationPut struct {
	Simulation api.Simulation `json:"simulation"`
}

// Type is the command's number.
func (*SimulationPut) Type() Type { return TypeSimulationPut }

func (s *SimulationPut) apply(c *change) error {
	next := &s.Simulation
	if err := named("simulation", next.ID); err != nil {
		return err
	}
	if next.Status == "" {
		return api.Errorf(api.CodeInvalid, "simulation %s: want a status, have none", next.ID)
	}
	next.CreateIndex, next.ModifyIndex = c.index, c.index
	old := c.t.simulations.get(c.txn, next.ID)
	if old != nil {
		if old.Status != api.SimulationRunning {
			return api.Errorf(api.CodeConflict, "simulation %s has ended: it is %s", old.ID, old.Status)
		}
		next.CreateIndex, next.Owned, next.Unremoved = old.CreateIndex, old.Owned, old.Unremoved
	}
	if next.Status != api.SimulationRunning {
		next.Progress = nil
	}
	c.t.simulations.put(c.txn, next)
	if old == nil {
		forgetSimulations(c)
	}
	c.touch(api.TopicSimulation)
	if old == nil || old.Status != next.Status {
		text := fmt.Sprintf("simulation of patch %q for %s: %s", next.Patch, next.Target, next.Status)
		if next.Reason != "" {
			text += ": " + next.Reason
		}
		c.event(api.TopicSimulation, "simulation_"+string(next.Status), next.ID, text, nil)
	}
	return nil
}

// forgetSimulations drops the oldest ended ones beyond the limit. One that owns
// something stays: without it nobody would remove that. So does that of a rollout which
// has not ended: the policies look at its impact for as long as the rollout goes on.
func forgetSimulations(c *change) {
	asked := map[string]bool{}
	if c.old.Level >= levels.Seven {
		for r := range c.t.rollouts.allBy(c.txn, indexOpen) {
			asked[r.Simulation] = true
		}
	}
	var ended []string
	for s := range c.t.simulations.all(c.txn) {
		if s.Status != api.SimulationRunning && len(s.Owned) == 0 && !asked[s.ID] {
			ended = append(ended, s.ID)
		}
	}
	for len(ended) > maxEnded(c.old.Level) {
		c.t.simulations.remove(c.txn, ended[0])
		ended = ended[1:]
	}
}

// SimulationNote adds to the record of a simulation what changes while the rest of it
// stays: what it owns, and how far it is.
type SimulationNote struct {
	ID       string                  `json:"id"`
	Own      []api.SandboxObject     `json:"own,omitempty"`      // about to be made
	Disown   []api.SandboxObject     `json:"disown,omitempty"`   // gone, or not the simulation's any more
	Progress *api.SimulationProgress `json:"progress,omitempty"` // of one that runs
	// Unremoved says why something that it owns could not be removed.
	Unremoved string `json:"unremoved,omitempty"`
}

// Type is the command's number.
func (*SimulationNote) Type() Type { return TypeSimulationNote }

func (*SimulationNote) level() int { return levels.Five }

func (n *SimulationNote) apply(c *change) error {
	old := c.t.simulations.get(c.txn, n.ID)
	if old == nil {
		return api.Errorf(api.CodeNotFound, "simulation %q does not exist", n.ID)
	}
	if err := n.check(old); err != nil {
		return err
	}
	next := *old
	next.ModifyIndex = c.index
	next.Owned = slices.DeleteFunc(slices.Clone(old.Owned), func(o api.SandboxObject) bool {
		return slices.ContainsFunc(n.Disown, o.Is) || slices.ContainsFunc(n.Own, o.Is)
	})
	next.Owned = append(next.Owned, n.Own...)
	if n.Progress != nil {
		next.Progress = n.Progress
	}
	if n.Unremoved != "" && n.Unremoved != old.Unremoved {
		next.Unremoved = n.Unremoved
		c.event(api.TopicSimulation, "simulation_unremoved", n.ID,
			fmt.Sprintf("simulation of patch %q for %s left something behind, and the leader tries again: %s", next.Patch, next.Target, n.Unremoved), nil)
	}
	if len(next.Owned) == 0 {
		next.Owned, next.Unremoved = nil, ""
	}
	c.t.simulations.put(c.txn, &next)
	c.touch(api.TopicSimulation)
	return nil
}

// check holds that a simulation that has ended makes nothing more, so that no run
// outlives its end. It may still start the job that removes an image of its own.
func (n *SimulationNote) check(old *api.Simulation) error {
	for _, o := range n.Own {
		if o.Kind == "" || o.Name == "" {
			return api.Errorf(api.CodeInvalid, "simulation %s: want the kind and the name of what it owns, have %q %q", n.ID, o.Kind, o.Name)
		}
	}
	makes := func(o api.SandboxObject) bool { return o.Role != api.RoleDiscard }
	if old.Status != api.SimulationRunning && (n.Progress != nil || slices.ContainsFunc(n.Own, makes)) {
		return api.Errorf(api.CodeConflict, "simulation %s has ended: it is %s", old.ID, old.Status)
	}
	return nil
}

// level is that of the simulation's decision and changes, level 7 for one that says by what machines
// differed, level 6 for one that says something of the revert, and level 5 for one that says
// more than servers before can keep.
func (s *SimulationPut) level() int {
	newer := levels.OfApply(s.Simulation.Apply)
	if older := levels.FitSimulation(s.Simulation); !reflect.DeepEqual(&older, &s.Simulation) {
		newer = max(newer, levels.Five)
	}
	if d := s.Simulation.Decision; d != nil {
		newer = max(newer, levels.OfDecision(d))
	}
	switch i := s.Simulation.Impact; {
	case i == nil:
	case len(i.Boots) > 0:
		newer = levels.Seven
	case i.Revert != nil:
		newer = max(newer, levels.Six)
	}
	return newer
}

// fit leaves out, below level 7, by what machines differed, and what the decision says that
// is newer, below level 6, how the revert went, and below level 5 all that former
// servers don't keep. Those before level 5 also know neither an inconclusive nor a cancelled simulation: both are recorded as failed, which says
// nothing about the patch, and never as passed.
func (s *SimulationPut) fit(level int) Command {
	switch {
	case level >= levels.Seven:
		return s
	case level < levels.Five:
		return &SimulationPut{Simulation: levels.FitSimulation(s.Simulation)}
	}
	out := *s
	if d := s.Simulation.Decision; d != nil {
		out.Simulation.Decision = new(levels.FitDecision(*d, level))
	}
	if i := s.Simulation.Impact; i != nil {
		impact := *i
		impact.Boots, out.Simulation.Impact = nil, &impact
		if level < levels.Six {
			impact.Revert = nil
		}
	}
	return &out
}
