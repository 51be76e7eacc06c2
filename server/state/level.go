package state

import (
	"slices"
	"time"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/server/state/levels"
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

// level is level 5 for a submission whose scripts need what former servers don't know,
// or that says more of simulations, and level 4 for one with a doubt, sources or codes of
// refusals.
func (p *PatchSubmit) level() int {
	newer := 1
	for _, w := range p.Plan.Waves {
		for i := range w.Targets {
			newer = max(newer, levels.OfDecision(&w.Targets[i].Decision), levels.OfTarget(&w.Targets[i].Target))
			if len(w.Targets[i].Green) > 0 {
				newer = max(newer, levels.Seven)
			}
			if levels.Counted(w.Targets[i].Assessment) {
				newer = levels.Eight
			}
		}
	}
	for i := range p.Rollouts {
		newer = max(newer, levels.OfRollout(&p.Rollouts[i]))
	}
	newer = max(newer, levels.OfApply(p.Patch.Apply), levels.OfAffected(p.Patch.Affects))
	if p.Patch.Advisory != nil || p.Patch.VEX != nil || len(p.Plan.NothingToDo) > 0 || p.Plan.Exposure != nil || p.Patch.Submitter != "" || p.Former != nil {
		newer = max(newer, levels.Seven)
	}
	if len(p.Plan.Sources) > 0 || slices.ContainsFunc(p.Plan.Refusals, func(r api.Refusal) bool { return r.Code != "" }) {
		newer = max(newer, levels.Four)
	}
	return newer
}

// fit leaves out, below level 8, how many instances are hit, by which no server decides
// anything; below level 7, the digests of what tasks run, the documents of the patch
// and whom it affects, and what green gets of the traffic, by which a former server decides
// nothing, and who submitted it but for the name; below level 6, that a
// rollback goes at once and that no revert is rehearsed, below level 5 what only newer
// servers know of simulations, and below level 4 doubts. An approval that was asked for in
// doubt is then one that only a person ends.
func (p *PatchSubmit) fit(level int) Command {
	if level >= levels.Eight {
		return p
	}
	out := *p
	if level == levels.Seven {
		out.Plan.Waves = slices.Clone(p.Plan.Waves)
		for i := range out.Plan.Waves {
			w := &out.Plan.Waves[i]
			w.Targets = slices.Clone(w.Targets)
			for j := range w.Targets {
				w.Targets[j].Assessment = levels.FitAssessment(w.Targets[j].Assessment)
			}
		}
		return &out
	}
	out.Patch.Submitter, out.Former = "", nil
	out.Patch.Advisory, out.Patch.VEX, out.Plan.NothingToDo, out.Plan.Exposure = nil, nil, nil, nil
	if level < levels.Four {
		out.Plan.Sources = nil
		out.Plan.Refusals = slices.Clone(p.Plan.Refusals)
		for i := range out.Plan.Refusals {
			out.Plan.Refusals[i].Code = ""
		}
	}
	out.Patch.Apply = levels.FitApply(p.Patch.Apply, level)
	out.Plan.Waves = slices.Clone(p.Plan.Waves)
	for i := range out.Plan.Waves {
		w := &out.Plan.Waves[i]
		w.Targets = slices.Clone(w.Targets)
		for j := range w.Targets {
			t := &w.Targets[j]
			t.Target = levels.FitTarget(t.Target)
			t.Decision, t.Assessment, t.Exposure, t.Green = levels.FitDecision(t.Decision, level), nil, nil, nil
		}
	}
	out.Rollouts = slices.Clone(p.Rollouts)
	for i := range out.Rollouts {
		r := &out.Rollouts[i]
		r.Submitter = ""
		r.Apply, r.Decision = levels.FitApply(r.Apply, level), levels.FitDecision(r.Decision, level)
	}
	return &out
}

// level is level 7 for a rollout that knows people by their subjects, or what its leaders
// have counted, level 6 for one that counts former instances which were not healthy,
// level 5 for one whose scripts need it, and level 4 for one with a doubt.
// Such a rollout was submitted at that level, so that no transition need leave a doubt
// out.
func (t *RolloutTransition) level() int { return levels.OfRollout(&t.Rollout) }

// fit leaves out, below level 7, in which order the waves go, why the target was selected,
// that the job's own deadline holds, what leaders have counted, which each then does for
// its own term, and all of people but their names, below level 6, that
// a rollback goes at once and how many instances were not healthy before, below level 5
// what only newer servers know of simulations and of neighbours, and below level 2 who announced the open effect, and what got worse at
// neighbours.
func (t *RolloutTransition) fit(level int) Command {
	if level >= levels.Seven {
		return t
	}
	out := *t
	r := &out.Rollout
	doubt := r.Decision.Doubt
	r.Decision = levels.FitDecision(r.Decision, level)
	r.Decision.Doubt = doubt // whose rollout was submitted at its level
	r.Restorable, r.Drift = time.Time{}, nil
	r.Submitter, r.Spans = "", api.Spans{}
	r.Approvals = slices.Clone(r.Approvals)
	for i := range r.Approvals {
		r.Approvals[i].Subject, r.Approvals[i].Of = "", ""
	}
	if level >= levels.Six {
		return &out
	}
	if r.Former != nil {
		former := *r.Former
		former.Unhealthy = 0
		r.Former = &former
	}
	if level >= levels.Five {
		return &out
	}
	r.Apply = levels.FitApply(r.Apply, level)
	r.Verdict = levels.FitVerdict(r.Verdict, level)
	r.Stages = slices.Clone(r.Stages)
	for i := range r.Stages {
		r.Stages[i].Verdict = levels.FitVerdict(r.Stages[i].Verdict, level)
	}
	if level < levels.Two && r.Effect != nil {
		unsigned := *r.Effect
		unsigned.By, unsigned.Term = "", 0
		r.Effect = &unsigned
	}
	return &out
}

// level is level 7 for a change with digests of what tasks run, level 4 for one that says
// how often a source failed, and level 2 for one that says what changed or which sources
// are forgotten.
func (g *GraphChange) level() int {
	counted := func(s api.SourceStatus) bool { return s.Failures > 0 || !s.Failing.IsZero() || !s.Failed.IsZero() }
	switch {
	case slices.ContainsFunc(g.Targets, func(t api.Target) bool { return levels.OfTarget(&t) == levels.Seven }):
		return levels.Seven
	case slices.ContainsFunc(g.Sources, counted):
		return levels.Four
	case len(g.RemoveSources) > 0 || g.Delta != nil:
		return levels.Two
	}
	return 1
}

// fit leaves out, below level 2, what changed and which sources are forgotten, and
// below level 4 how often sources failed, and below level 7 the digests of what tasks run.
func (g *GraphChange) fit(level int) Command {
	if level >= levels.Seven {
		return g
	}
	out := *g
	out.Targets = slices.Clone(g.Targets)
	for i := range out.Targets {
		out.Targets[i] = levels.FitTarget(out.Targets[i])
		out.Targets[i].Launch = "" // a plan asks Nomad for it, and not the graph
	}
	if level >= levels.Four {
		return &out
	}
	if level < levels.Two {
		out.Delta, out.RemoveSources = nil, nil
	}
	out.Sources = slices.Clone(g.Sources)
	for i := range out.Sources {
		s := &out.Sources[i]
		s.Failures, s.Failing, s.Failed = 0, time.Time{}, time.Time{}
	}
	return &out
}

// level is level 3 for profiles that say when their target was seen last, or that
// have sketches of the hours of the week.
func (p *ProfilesPut) level() int {
	sketched := func(b api.Baseline) bool { return len(b.HourSketches) > 0 }
	if slices.ContainsFunc(p.Profiles, func(f api.Profile) bool { return !f.Seen.IsZero() || slices.ContainsFunc(f.KPIs, sketched) }) {
		return levels.Three
	}
	return 1
}

// fit leaves out, below level 3, the sketches of the hours of the week. From then
// on it leaves out the means of the hours that have no new sketches, which the
// state has already.
func (p *ProfilesPut) fit(level int) Command {
	out := &ProfilesPut{Profiles: slices.Clone(p.Profiles)}
	for i := range out.Profiles {
		f := &out.Profiles[i]
		f.KPIs = slices.Clone(f.KPIs)
		if level < levels.Three {
			f.Seen = time.Time{}
		}
		for j := range f.KPIs {
			b := &f.KPIs[j]
			switch {
			case level < levels.Three:
				b.HourSketches = nil
			case len(b.HourSketches) == 0:
				b.Hours = nil
			}
		}
	}
	return out
}
