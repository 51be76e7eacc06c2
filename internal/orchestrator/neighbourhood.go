package orchestrator

import (
	"slices"
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
	// Chained reports whether a depends on b, or b on a, directly or through others.
	Chained(a, b api.TargetRef) bool
	// Targets lists the targets that an edge joins to one, its callers first.
	Targets(ref api.TargetRef) []api.Target
	// Services names the services that an edge joins to a target's, sorted.
	Services(ref api.TargetRef) []string
	// Attempts lists what a target's services began to try after since although
	// it is denied, the oldest first. It is false while nobody knows what they are.
	Attempts(ref api.TargetRef, since time.Time) ([]api.Attempt, bool)
	// Gone reports whether Nomad no longer has a target. It is false while nobody knows.
	Gone(ref api.TargetRef) bool
	// LastMinute lists what the last minute of a target shows of the KPIs that have
	// margins. Since is zero of those that are not clearly worse than their baseline;
	// else it says since when, and Earlier whether that was before began. A KPI of
	// which nothing can be said is not listed.
	LastMinute(ref api.TargetRef, began, now time.Time, margins []api.KPISpec) []api.NeighbourEffect
}

// attribute asks what got worse around a rollout, and completes the verdict with
// it and with the vote on which rollout explains it.
func (o *Orchestrator) attribute(r api.Rollout, v api.Verdict) api.Verdict {
	around := o.around(r)
	var open []api.Rollout
	if len(around) > 0 { // else no other rollout can have hurt it, nor be hurt
		open = o.Store.BegunRollouts()
	}
	margins := blame.Margins(r, o.Margins)
	minutes := map[api.TargetRef][]api.NeighbourEffect{}
	for _, t := range around {
		if blame.On(open, t.TargetRef) == nil {
			minutes[t.TargetRef] = o.Neighbourhood.LastMinute(t.TargetRef, r.Stages[0].Began, v.At, margins)
		}
	}
	v.Neighbours = blame.Neighbours(r, v.At, open, around, minutes, margins)
	return blame.Attribute(r, v, open, o.around)
}

// around lists the targets that an edge joins to a rollout's, and those that its newest
// verdict names and no edge joins any more: while a source is away or partial, the graph
// may lack edges and targets. A target that is gone suffers no more.
func (o *Orchestrator) around(r api.Rollout) []api.Target {
	around := slices.Clone(o.Neighbourhood.Targets(r.Target))
	for _, e := range blame.Named(r) {
		listed := slices.ContainsFunc(around, func(t api.Target) bool { return t.TargetRef == e.Target })
		if !listed && !o.Neighbourhood.Gone(e.Target) {
			around = append(around, api.Target{TargetRef: e.Target})
		}
	}
	return around
}

// denied asks for the denied attempts that are new since the patch.
func (o *Orchestrator) denied(r api.Rollout, obs *rollout.Observation) {
	since, patched := rollout.AttemptsSince(r)
	if !patched {
		return
	}
	attempts, known := o.Neighbourhood.Attempts(r.Target, since)
	obs.Denied, obs.DeniedUnknown = attempts, !known
}
