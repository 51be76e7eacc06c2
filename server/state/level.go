package state

import (
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
	// Level2 brought packed entries, transitions as changes, budget.targets held by the
	// state machine, autopilot's configuration, ended rollouts without what only
	// carrying them out needs, neighbours in verdicts, who announced an effect, and what
	// changed in the graph.
	Level2 = 2
	// Level3 brought the hours of the week of profiles, which a record need not repeat,
	// and the end of a profile with its target.
	Level3 = 3
	// Level4 brought doubts that lapse: why an approval was asked for, how often a source
	// has failed, and the codes of refusals.
	Level4 = 4
	// Level5 brought what simulations own and how far they are, their third verdict and
	// who cancelled them, pairs and pools, what follows when they
	// can't decide, scripts with payloads, a reboot and a proof, and when a neighbour was
	// last seen to be worse.
	Level5 = 5
	// Level6 brought the brake, rollbacks at once, how many instances were not healthy
	// before a rollout, the rehearsal of reverts, ranges of affected packages, and stubs and
	// the environment of twins.
	Level6 = 6
	// Level7 brought inventories, and the digests of what tasks run; documents in patches,
	// an advisory and statements; whom a patch affects, and what follows from that:
	// selection, order and exposure of a plan; what green gets of the traffic before it is
	// judged; load programs; images with a source; the
	// job's own deadline; the spans that leaders have counted; by what machines of
	// simulations differed, and that the simulation of an open rollout is kept; jobs with
	// runs, and the types of jobs; the subjects of people who submit and approve; and that a
	// complete rollout may be taken back, and what became of its job.
	Level7 = 7
	// Level8 brought how far servers are with reading inventories by themselves, and what
	// inventories say after a rollout of the fault that it was to fix; and days on which
	// windows do not open; and how many instances of a planned target are hit, by the versions
	// that they run; and the limits of failures of single policies, pauses between waves, and
	// that a person lets a rollout begin in spite of others that failed; and how much
	// notifiers were told.
	Level8 = 8
	// SupportedLevel is the newest cluster level that this binary knows.
	SupportedLevel = Level8
)

// fitted is a command that says less to a cluster of an older level.
type fitted interface {
	Command
	// fit returns the command as servers of a level keep it. The receiver, and
	// whatever it shares with its maker, is not changed.
	fit(level int) Command
}

// fit returns a command as a cluster of a level takes it. What a cluster can't
// take at all, such as a newer type of command, is for Encode to refuse.
func fit(cmd Command, level int) Command {
	if f, ok := cmd.(fitted); ok {
		return f.fit(level)
	}
	return cmd
}

// level is Level5 for a submission whose scripts need what former servers don't know,
// or that says more of simulations, and Level4 for one with a doubt, sources or codes of
// refusals.
func (p *PatchSubmit) level() int {
	newer := 1
	for _, w := range p.Plan.Waves {
		for i := range w.Targets {
			newer = max(newer, decisionLevel(&w.Targets[i].Decision), targetLevel(&w.Targets[i].Target))
			if len(w.Targets[i].Green) > 0 {
				newer = max(newer, Level7)
			}
			if counted(w.Targets[i].Assessment) {
				newer = Level8
			}
		}
	}
	for i := range p.Rollouts {
		newer = max(newer, rolloutLevel(&p.Rollouts[i]))
	}
	newer = max(newer, applyLevel(p.Patch.Apply), affectsLevel(p.Patch.Affects))
	if p.Patch.Advisory != nil || p.Patch.VEX != nil || len(p.Plan.NothingToDo) > 0 || p.Plan.Exposure != nil || p.Patch.Submitter != "" || p.Former != nil {
		newer = max(newer, Level7)
	}
	if len(p.Plan.Sources) > 0 || slices.ContainsFunc(p.Plan.Refusals, func(r api.Refusal) bool { return r.Code != "" }) {
		newer = max(newer, Level4)
	}
	return newer
}

// rolloutLevel is the level that what a rollout does and was decided to do needs.
func rolloutLevel(r *api.Rollout) int {
	newer := max(applyLevel(r.Apply), decisionLevel(&r.Decision))
	switch {
	case r.Proof != nil: // it ended in a cluster of Level8
		return Level8
	case newer >= Level8, r.Despite != 0, r.Spans.Pause != 0:
		return Level8
	case r.Former != nil && r.Former.Launch != "": // a former server would look for its instances
		return Level7
	case r.Spans != (api.Spans{}), !r.Restorable.IsZero(), r.Drift != nil, r.Submitter != "",
		slices.ContainsFunc(r.Approvals, func(a api.Approval) bool { return a.Subject != "" || a.Of != "" }):
		return Level7
	case r.Former != nil && r.Former.Unhealthy > 0:
		return max(newer, Level6)
	case r.Undecided != nil:
		return max(newer, Level5) // a former server would go on as if the patch had passed
	}
	return newer
}

// applyLevel is the level that changes of a patch need.
func applyLevel(list []api.Apply) int {
	if slices.ContainsFunc(list, func(a api.Apply) bool { return a.Source != "" }) {
		return Level7 // a former server would look for the image on the clients
	}
	if slices.ContainsFunc(list, func(a api.Apply) bool {
		return len(a.Payloads) > 0 || a.Reboot || a.Verify != nil || a.Digest != ""
	}) {
		return Level5
	}
	return 1
}

// affectsLevel is the level that the affected packages of a patch need. A former server
// would take every version below the fix for affected, of any release.
func affectsLevel(list []api.Affected) int {
	plain := func(a api.Affected) bool {
		return a.Source == "" && a.Release == "" && a.From == "" && a.Last == "" && len(a.Versions) == 0 && a.Arch == ""
	}
	if slices.ContainsFunc(list, func(a api.Affected) bool { return !plain(a) }) {
		return Level6
	}
	return 1
}

// decisionLevel is the level that a decision needs.
func decisionLevel(d *api.Decision) int {
	switch {
	case slices.ContainsFunc(d.Windows, func(w api.Window) bool { return len(w.Except) > 0 }):
		return Level8 // a former server would open the window on those days
	case len(d.Budget.PolicyFailures) > 0, d.Pause != 0:
		return Level8 // a former server would start targets beyond the limit, or at once
	case d.Rollback.Window != 0, d.Order != "", d.Selection != nil, d.Simulate.Program != nil, d.JobDeadline, d.Approval.Self, d.Approval.Expires != 0:
		return Level7
	case d.Rollback.AtOnce, d.Simulate.Revert != "", d.Simulate.Data != "", len(d.Simulate.Stubs) > 0, len(d.Simulate.Env) > 0:
		return Level6
	case !reflect.DeepEqual(d.Simulate, api.SimulateSpec{Required: d.Simulate.Required, Duration: d.Simulate.Duration, Workload: d.Simulate.Workload}):
		return Level5
	case d.Doubt != nil:
		return Level4
	}
	return 1
}

// formerSimulate is how servers of a level below Level6 know a simulation's wishes. They
// would also forget that the revert must be rehearsed, that twins must not have
// production's data, that a load program sends the requests, and below Level5 that a rollout must hold: such wishes are left in,
// so that the command is refused. Nothing else of it makes a patch go further than a
// former server lets it go.
func formerSimulate(s api.SimulateSpec, level int) api.SimulateSpec {
	if s.Revert == api.RevertOff {
		s.Revert = ""
	}
	s.Stubs, s.Env = nil, nil
	if level >= Level5 {
		return s
	}
	out := api.SimulateSpec{Required: s.Required, Duration: s.Duration, Workload: s.Workload, Revert: s.Revert, Data: s.Data, Program: s.Program}
	if s.OnInconclusive == api.InconclusiveHold {
		out.OnInconclusive = s.OnInconclusive
	}
	return out
}

// formerApply is how servers before Level5 know the changes of a patch. They would run
// a script without its payloads, and without a proof: those stay in, so that the command
// is refused. The digest of an image is left out, and former servers check none.
func formerApply(list []api.Apply, level int) []api.Apply {
	if level >= Level5 {
		return list
	}
	out := slices.Clone(list)
	for i := range out {
		out[i].Digest = ""
	}
	return out
}

// counted reports whether an assessment counts instances.
func counted(a *api.TargetAssessment) bool {
	return a != nil && (a.Hit != 0 || a.Instances != 0 || len(a.Versions) > 0)
}

// uncounted is an assessment as servers of a level below Level8 keep it.
func uncounted(a *api.TargetAssessment) *api.TargetAssessment {
	if !counted(a) {
		return a
	}
	out := *a
	out.Hit, out.Instances, out.Versions = 0, 0, nil
	return &out
}

// fit leaves out, below Level8, how many instances are hit, by which no server decides
// anything; below Level7, the digests of what tasks run, the documents of the patch
// and whom it affects, and what green gets of the traffic, by which a former server decides
// nothing, and who submitted it but for the name; below Level6, that a
// rollback goes at once and that no revert is rehearsed, below Level5 what only newer
// servers know of simulations, and below Level4 doubts. An approval that was asked for in
// doubt is then one that only a person ends.
func (p *PatchSubmit) fit(level int) Command {
	if level >= Level8 {
		return p
	}
	out := *p
	if level == Level7 {
		out.Plan.Waves = slices.Clone(p.Plan.Waves)
		for i := range out.Plan.Waves {
			w := &out.Plan.Waves[i]
			w.Targets = slices.Clone(w.Targets)
			for j := range w.Targets {
				w.Targets[j].Assessment = uncounted(w.Targets[j].Assessment)
			}
		}
		return &out
	}
	out.Patch.Submitter, out.Former = "", nil
	out.Patch.Advisory, out.Patch.VEX, out.Plan.NothingToDo, out.Plan.Exposure = nil, nil, nil, nil
	if level < Level4 {
		out.Plan.Sources = nil
		out.Plan.Refusals = slices.Clone(p.Plan.Refusals)
		for i := range out.Plan.Refusals {
			out.Plan.Refusals[i].Code = ""
		}
	}
	out.Patch.Apply = formerApply(p.Patch.Apply, level)
	out.Plan.Waves = slices.Clone(p.Plan.Waves)
	for i := range out.Plan.Waves {
		w := &out.Plan.Waves[i]
		w.Targets = slices.Clone(w.Targets)
		for j := range w.Targets {
			t := &w.Targets[j]
			t.Target = formerTarget(t.Target)
			t.Decision, t.Assessment, t.Exposure, t.Green = formerDecision(t.Decision, level), nil, nil, nil
		}
	}
	out.Rollouts = slices.Clone(p.Rollouts)
	for i := range out.Rollouts {
		r := &out.Rollouts[i]
		r.Submitter = ""
		r.Apply, r.Decision = formerApply(r.Apply, level), formerDecision(r.Decision, level)
	}
	return &out
}

// targetLevel is the level that what is known of a target needs.
func targetLevel(t *api.Target) int {
	if t.Type != "" || t.Launch != "" || t.Unfit != "" || slices.ContainsFunc(t.Tasks, func(task api.Task) bool { return task.Digest != "" }) {
		return Level7
	}
	return 1
}

// formerTarget is a target as servers of a level below Level7 know it: they know no digests
// of what its tasks run, and targets of service jobs alone.
func formerTarget(t api.Target) api.Target {
	if targetLevel(&t) == 1 {
		return t
	}
	t.Type, t.Unfit = "", ""
	t.Tasks = slices.Clone(t.Tasks)
	for i := range t.Tasks {
		t.Tasks[i].Digest = ""
	}
	return t
}

// formerDecision is a decision as servers of a level below Level7 keep it.
func formerDecision(d api.Decision, level int) api.Decision {
	d.Order, d.Selection, d.Approval.Self, d.JobDeadline = "", nil, false, false
	d.Approval.Expires, d.Rollback.Window = 0, 0
	if level >= Level6 {
		return d
	}
	d.Rollback.AtOnce = false
	d.Simulate = formerSimulate(d.Simulate, level)
	if level < Level4 {
		d.Doubt = nil
	}
	return d
}

// level is Level7 for a rollout that knows people by their subjects, or what its leaders
// have counted, Level6 for one that counts former instances which were not healthy,
// Level5 for one whose scripts need it, and Level4 for one with a doubt.
// Such a rollout was submitted at that level, so that no transition need leave a doubt
// out.
func (t *RolloutTransition) level() int { return rolloutLevel(&t.Rollout) }

// fit leaves out, below Level7, in which order the waves go, why the target was selected,
// that the job's own deadline holds, what leaders have counted, which each then does for
// its own term, and all of people but their names, below Level6, that
// a rollback goes at once and how many instances were not healthy before, below Level5
// what only newer servers know of simulations and of neighbours, and below Level2 who announced the open effect, and what got worse at
// neighbours.
func (t *RolloutTransition) fit(level int) Command {
	if level >= Level7 {
		return t
	}
	out := *t
	r := &out.Rollout
	doubt := r.Decision.Doubt
	r.Decision = formerDecision(r.Decision, level)
	r.Decision.Doubt = doubt // whose rollout was submitted at its level
	r.Restorable, r.Drift = time.Time{}, nil
	r.Submitter, r.Spans = "", api.Spans{}
	r.Approvals = slices.Clone(r.Approvals)
	for i := range r.Approvals {
		r.Approvals[i].Subject, r.Approvals[i].Of = "", ""
	}
	if level >= Level6 {
		return &out
	}
	if r.Former != nil {
		former := *r.Former
		former.Unhealthy = 0
		r.Former = &former
	}
	if level >= Level5 {
		return &out
	}
	r.Apply = formerApply(r.Apply, level)
	r.Verdict = formerVerdict(r.Verdict, level)
	r.Stages = slices.Clone(r.Stages)
	for i := range r.Stages {
		r.Stages[i].Verdict = formerVerdict(r.Stages[i].Verdict, level)
	}
	if level < Level2 && r.Effect != nil {
		unsigned := *r.Effect
		unsigned.By, unsigned.Term = "", 0
		r.Effect = &unsigned
	}
	return &out
}

// formerVerdict is a verdict as servers of a level below Level5 keep it.
func formerVerdict(v *api.Verdict, level int) *api.Verdict {
	if v == nil || len(v.Neighbours) == 0 {
		return v
	}
	out := *v
	out.Neighbours = nil
	if level >= Level2 {
		out.Neighbours = slices.Clone(v.Neighbours)
		for i := range out.Neighbours {
			out.Neighbours[i].Seen, out.Neighbours[i].Exposure = time.Time{}, 0
		}
	}
	return &out
}

// level is Level7 for a change with digests of what tasks run, Level4 for one that says
// how often a source failed, and Level2 for one that says what changed or which sources
// are forgotten.
func (g *GraphChange) level() int {
	counted := func(s api.SourceStatus) bool { return s.Failures > 0 || !s.Failing.IsZero() || !s.Failed.IsZero() }
	switch {
	case slices.ContainsFunc(g.Targets, func(t api.Target) bool { return targetLevel(&t) == Level7 }):
		return Level7
	case slices.ContainsFunc(g.Sources, counted):
		return Level4
	case len(g.RemoveSources) > 0 || g.Delta != nil:
		return Level2
	}
	return 1
}

// fit leaves out, below Level2, what changed and which sources are forgotten, and
// below Level4 how often sources failed, and below Level7 the digests of what tasks run.
func (g *GraphChange) fit(level int) Command {
	if level >= Level7 {
		return g
	}
	out := *g
	out.Targets = slices.Clone(g.Targets)
	for i := range out.Targets {
		out.Targets[i] = formerTarget(out.Targets[i])
		out.Targets[i].Launch = "" // a plan asks Nomad for it, and not the graph
	}
	if level >= Level4 {
		return &out
	}
	if level < Level2 {
		out.Delta, out.RemoveSources = nil, nil
	}
	out.Sources = slices.Clone(g.Sources)
	for i := range out.Sources {
		s := &out.Sources[i]
		s.Failures, s.Failing, s.Failed = 0, time.Time{}, time.Time{}
	}
	return &out
}

// level is Level3 for profiles that say when their target was seen last, or that
// have sketches of the hours of the week.
func (p *ProfilesPut) level() int {
	sketched := func(b api.Baseline) bool { return len(b.HourSketches) > 0 }
	if slices.ContainsFunc(p.Profiles, func(f api.Profile) bool { return !f.Seen.IsZero() || slices.ContainsFunc(f.KPIs, sketched) }) {
		return Level3
	}
	return 1
}

// fit leaves out, below Level3, the sketches of the hours of the week. From then
// on it leaves out the means of the hours that have no new sketches, which the
// state has already.
func (p *ProfilesPut) fit(level int) Command {
	out := &ProfilesPut{Profiles: slices.Clone(p.Profiles)}
	for i := range out.Profiles {
		f := &out.Profiles[i]
		f.KPIs = slices.Clone(f.KPIs)
		if level < Level3 {
			f.Seen = time.Time{}
		}
		for j := range f.KPIs {
			b := &f.KPIs[j]
			switch {
			case level < Level3:
				b.HourSketches = nil
			case len(b.HourSketches) == 0:
				b.Hours = nil
			}
		}
	}
	return out
}
