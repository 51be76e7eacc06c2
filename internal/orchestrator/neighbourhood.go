package orchestrator

import (
	"time"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/internal/blame"
	"github.com/oakumhq/oakum/internal/rollout"
)

// Neighbourhood answers for the targets and services around a rollout's target.
// It knows the graph and the baselines that are in the state of this server, so it
// always answers; how old the graph's evidence is, its sources say.
type Neighbourhood interface {
	// Adjacent reports whether an edge joins two targets.
	Adjacent(a, b api.TargetRef) bool
	// Targets lists the targets that an edge joins to one, its callers first.
	Targets(ref api.TargetRef) []api.Target
	// Services names the services that an edge joins to a target's, sorted.
	Services(ref api.TargetRef) []string
	// Attempts lists what a target's services began to try after since although
	// it is denied, the oldest first.
	Attempts(ref api.TargetRef, since time.Time) []api.Attempt
	// Worse lists the KPIs of a target that are clearly worse now than its
	// baseline, by the margins given. Each says since when, and whether that was
	// before began.
	Worse(ref api.TargetRef, began, now time.Time, margins []api.KPISpec) []api.NeighbourEffect
}

// attribute asks what got worse around a rollout, and completes the verdict with
// it and with the vote on which rollout explains it.
func (o *Orchestrator) attribute(r api.Rollout, v api.Verdict) api.Verdict {
	around := o.Neighbourhood.Targets(r.Target)
	var open []api.Rollout
	if len(around) > 0 { // else no other rollout can have hurt it, nor be hurt
		open = o.Store.BegunRollouts()
	}
	margins := blame.Margins(r, o.Margins)
	measured := map[api.TargetRef][]api.NeighbourEffect{}
	for _, t := range around {
		if blame.On(open, t.TargetRef) == nil {
			measured[t.TargetRef] = o.Neighbourhood.Worse(t.TargetRef, r.Stages[0].Began, v.At, margins)
		}
	}
	v.Neighbours = blame.Neighbours(r, v.At, open, around, measured)
	return blame.Attribute(r, v, open, o.Neighbourhood.Targets)
}

// denied asks for the denied attempts that are new since the patch.
func (o *Orchestrator) denied(r api.Rollout) []api.Attempt {
	since, patched := rollout.AttemptsSince(r)
	if !patched {
		return nil
	}
	return o.Neighbourhood.Attempts(r.Target, since)
}
