// Package levels says which cluster level may carry which field of the replicated
// state, and how servers of a former level know what newer ones keep.
//
// The package is pure: what it is given is not changed, and what it returns may share
// with it what no one changes.
package levels

import (
	"fmt"
	"reflect"
	"slices"
	"time"

	"github.com/oakumhq/oakum/api"
)

// The cluster level is what every server of the cluster can read and keep. It
// rises by one when the last server has been upgraded, and never falls. This
// file says which level may carry what: a server below it would drop a field
// that it does not know, and its state would differ from the others'.
const (
	// Two brought packed entries, transitions as changes, budget.targets held by the
	// state machine, autopilot's configuration, ended rollouts without what only
	// carrying them out needs, neighbours in verdicts, who announced an effect, and what
	// changed in the graph.
	Two = 2
	// Three brought the hours of the week of profiles, which a record need not repeat,
	// and the end of a profile with its target.
	Three = 3
	// Four brought doubts that lapse: why an approval was asked for, how often a source
	// has failed, and the codes of refusals.
	Four = 4
	// Five brought what simulations own and how far they are, their third verdict and
	// who cancelled them, pairs and pools, what follows when they
	// can't decide, scripts with payloads, a reboot and a proof, and when a neighbour was
	// last seen to be worse.
	Five = 5
	// Six brought the brake, rollbacks at once, how many instances were not healthy
	// before a rollout, the rehearsal of reverts, ranges of affected packages, and stubs and
	// the environment of twins.
	Six = 6
	// Seven brought inventories, and the digests of what tasks run; documents in patches,
	// an advisory and statements; whom a patch affects, and what follows from that:
	// selection, order and exposure of a plan; what green gets of the traffic before it is
	// judged; load programs; images with a source; the
	// job's own deadline; the spans that leaders have counted; by what machines of
	// simulations differed, and that the simulation of an open rollout is kept; jobs with
	// runs, and the types of jobs; the subjects of people who submit and approve; and that a
	// complete rollout may be taken back, and what became of its job.
	Seven = 7
	// Eight brought how far servers are with reading inventories by themselves, and what
	// inventories say after a rollout of the fault that it was to fix; and days on which
	// windows do not open; and how many instances of a planned target are hit, by the versions
	// that they run; and the limits of failures of single policies, pauses between waves, and
	// that a person lets a rollout begin in spite of others that failed; and how much
	// notifiers were told; and what KPIs show after a rollout, with rollbacks for it; and the
	// versions of policies.
	Eight = 8
	// Supported is the newest cluster level that this binary knows.
	Supported = Eight
)

// OfRollout is the level that what a rollout does and was decided to do needs.
func OfRollout(r *api.Rollout) int {
	newer := max(OfApply(r.Apply), OfDecision(&r.Decision))
	switch {
	case r.Proof != nil, r.Aftermath != nil: // it ended in a cluster of level 8
		return Eight
	case newer >= Eight, r.Despite != 0, r.Spans.Pause != 0:
		return Eight
	case r.Former != nil && r.Former.Launch != "": // a former server would look for its instances
		return Seven
	case r.Spans != (api.Spans{}), !r.Restorable.IsZero(), r.Drift != nil, r.Submitter != "",
		slices.ContainsFunc(r.Approvals, func(a api.Approval) bool { return a.Subject != "" || a.Of != "" }):
		return Seven
	case r.Former != nil && r.Former.Unhealthy > 0:
		return max(newer, Six)
	case r.Undecided != nil:
		return max(newer, Five) // a former server would go on as if the patch had passed
	}
	return newer
}

// OfApply is the level that changes of a patch need.
func OfApply(list []api.Apply) int {
	if slices.ContainsFunc(list, func(a api.Apply) bool { return a.Source != "" }) {
		return Seven // a former server would look for the image on the clients
	}
	if slices.ContainsFunc(list, func(a api.Apply) bool {
		return len(a.Payloads) > 0 || a.Reboot || a.Verify != nil || a.Digest != ""
	}) {
		return Five
	}
	return 1
}

// OfAffected is the level that the affected packages of a patch need. A former server
// would take every version below the fix for affected, of any release.
func OfAffected(list []api.Affected) int {
	plain := func(a api.Affected) bool {
		return a.Source == "" && a.Release == "" && a.From == "" && a.Last == "" && len(a.Versions) == 0 && a.Arch == ""
	}
	if slices.ContainsFunc(list, func(a api.Affected) bool { return !plain(a) }) {
		return Six
	}
	return 1
}

// OfDecision is the level that a decision needs.
func OfDecision(d *api.Decision) int {
	switch {
	case slices.ContainsFunc(d.Windows, func(w api.Window) bool { return len(w.Except) > 0 }):
		return Eight // a former server would open the window on those days
	case d.Rollback.Automatic: // a former server would not watch on
		return Eight
	case len(d.Budget.PolicyFailures) > 0, d.Pause != 0:
		return Eight // a former server would start targets beyond the limit, or at once
	case d.Rollback.Window != 0, d.Order != "", d.Selection != nil, d.Simulate.Program != nil, d.JobDeadline, d.Approval.Self, d.Approval.Expires != 0:
		return Seven
	case d.Rollback.AtOnce, d.Simulate.Revert != "", d.Simulate.Data != "", len(d.Simulate.Stubs) > 0, len(d.Simulate.Env) > 0:
		return Six
	case !reflect.DeepEqual(d.Simulate, api.SimulateSpec{Required: d.Simulate.Required, Duration: d.Simulate.Duration, Workload: d.Simulate.Workload}):
		return Five
	case d.Doubt != nil:
		return Four
	}
	return 1
}

// fitSimulate is how servers below level 6 know a simulation's wishes. They would also
// forget that the revert must be rehearsed, that twins must not have production's data,
// that a load program sends the requests, and below level 5 that a rollout must hold: such
// wishes are left in, so that the command is refused. Nothing else of it makes a patch go
// further than a former server lets it go.
func fitSimulate(s api.SimulateSpec, level int) api.SimulateSpec {
	if s.Revert == api.RevertOff {
		s.Revert = ""
	}
	s.Stubs, s.Env = nil, nil
	if level >= Five {
		return s
	}
	out := api.SimulateSpec{Required: s.Required, Duration: s.Duration, Workload: s.Workload, Revert: s.Revert, Data: s.Data, Program: s.Program}
	if s.OnInconclusive == api.InconclusiveHold {
		out.OnInconclusive = s.OnInconclusive
	}
	return out
}

// FitApply is how servers before level 5 know the changes of a patch. They would run
// a script without its payloads, and without a proof: those stay in, so that the command
// is refused. The digest of an image is left out, and former servers check none.
func FitApply(list []api.Apply, level int) []api.Apply {
	if level >= Five {
		return list
	}
	out := slices.Clone(list)
	for i := range out {
		out[i].Digest = ""
	}
	return out
}

// Counted reports whether an assessment counts instances.
func Counted(a *api.TargetAssessment) bool {
	return a != nil && (a.Hit != 0 || a.Instances != 0 || len(a.Versions) > 0)
}

// FitAssessment is an assessment as servers below level 8 keep it.
func FitAssessment(a *api.TargetAssessment) *api.TargetAssessment {
	if !Counted(a) {
		return a
	}
	out := *a
	out.Hit, out.Instances, out.Versions = 0, 0, nil
	return &out
}

// OfTarget is the level that what is known of a target needs.
func OfTarget(t *api.Target) int {
	if t.Type != "" || t.Launch != "" || t.Unfit != "" || slices.ContainsFunc(t.Tasks, func(task api.Task) bool { return task.Digest != "" }) {
		return Seven
	}
	return 1
}

// FitTarget is a target as servers below level 7 know it: they know no digests
// of what its tasks run, and targets of service jobs alone.
func FitTarget(t api.Target) api.Target {
	if OfTarget(&t) == 1 {
		return t
	}
	t.Type, t.Unfit = "", ""
	t.Tasks = slices.Clone(t.Tasks)
	for i := range t.Tasks {
		t.Tasks[i].Digest = ""
	}
	return t
}

// FitDecision is a decision as servers below level 7 keep it.
func FitDecision(d api.Decision, level int) api.Decision {
	d.Order, d.Selection, d.Approval.Self, d.JobDeadline = "", nil, false, false
	d.Approval.Expires, d.Rollback.Window = 0, 0
	if level >= Six {
		return d
	}
	d.Rollback.AtOnce = false
	d.Simulate = fitSimulate(d.Simulate, level)
	if level < Four {
		d.Doubt = nil
	}
	return d
}

// FitVerdict is a verdict as servers below level 5 keep it.
func FitVerdict(v *api.Verdict, level int) *api.Verdict {
	if v == nil || len(v.Neighbours) == 0 {
		return v
	}
	out := *v
	out.Neighbours = nil
	if level >= Two {
		out.Neighbours = slices.Clone(v.Neighbours)
		for i := range out.Neighbours {
			out.Neighbours[i].Seen, out.Neighbours[i].Exposure = time.Time{}, 0
		}
	}
	return &out
}

// FitSimulation is a simulation as servers before level 5 keep it.
func FitSimulation(s api.Simulation) api.Simulation {
	out := api.Simulation{
		ID: s.ID, Patch: s.Patch, Target: s.Target, Rollout: s.Rollout, Status: s.Status, Reason: s.Reason, Started: s.Started, Ended: s.Ended,
		CreateIndex: s.CreateIndex, ModifyIndex: s.ModifyIndex,
	}
	if s.Status == api.SimulationInconclusive || s.Status == api.SimulationCancelled {
		out.Status, out.Reason = api.SimulationFailed, fmt.Sprintf("%s: %s", s.Status, s.Reason)
	}
	if s.Impact == nil {
		return out
	}
	out.Impact = &api.Impact{Negative: s.Impact.Negative, Reason: s.Impact.Reason, KPIs: s.Impact.KPIs, Requests: s.Impact.Requests}
	if s.Impact.Twins != nil {
		out.Impact.Twins = make([]api.Twin, 0, len(s.Impact.Twins))
	}
	for _, t := range s.Impact.Twins {
		out.Impact.Twins = append(out.Impact.Twins, api.Twin{
			Role: t.Role, Job: t.Job, Alloc: t.Alloc, Image: t.Image, ImageDigest: t.ImageDigest, HealthyAfter: t.HealthyAfter,
		})
	}
	return out
}
