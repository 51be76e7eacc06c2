package state

import (
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
	// SupportedLevel is the newest cluster level that this binary knows.
	SupportedLevel = Level4
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

// level is Level4 for a submission with a doubt, sources or codes of refusals.
func (p *PatchSubmit) level() int {
	inDoubt := func(t api.PlannedTarget) bool { return t.Decision.Doubt != nil }
	if len(p.Plan.Sources) > 0 ||
		slices.ContainsFunc(p.Plan.Refusals, func(r api.Refusal) bool { return r.Code != "" }) ||
		slices.ContainsFunc(p.Plan.Waves, func(w api.Wave) bool { return slices.ContainsFunc(w.Targets, inDoubt) }) ||
		slices.ContainsFunc(p.Rollouts, func(r api.Rollout) bool { return r.Decision.Doubt != nil }) {
		return Level4
	}
	return 1
}

// fit leaves doubts out below Level4. An approval that was asked for in doubt is
// then one that only a person ends.
func (p *PatchSubmit) fit(level int) Command {
	if level >= Level4 {
		return p
	}
	out := *p
	out.Plan.Sources = nil
	out.Plan.Refusals = slices.Clone(p.Plan.Refusals)
	for i := range out.Plan.Refusals {
		out.Plan.Refusals[i].Code = ""
	}
	out.Plan.Waves = slices.Clone(p.Plan.Waves)
	for i := range out.Plan.Waves {
		w := &out.Plan.Waves[i]
		w.Targets = slices.Clone(w.Targets)
		for j := range w.Targets {
			w.Targets[j].Decision.Doubt = nil
		}
	}
	out.Rollouts = slices.Clone(p.Rollouts)
	for i := range out.Rollouts {
		out.Rollouts[i].Decision.Doubt = nil
	}
	return &out
}

// level is Level4 for a rollout with a doubt. Such a rollout was submitted at
// that level, so that no transition need leave a doubt out.
func (t *RolloutTransition) level() int {
	if t.Rollout.Decision.Doubt != nil {
		return Level4
	}
	return 1
}

// fit leaves out, below Level2, who announced the open effect, and what got worse
// at neighbours.
func (t *RolloutTransition) fit(level int) Command {
	if level >= Level2 {
		return t
	}
	out := *t
	r := &out.Rollout
	if r.Effect != nil {
		unsigned := *r.Effect
		unsigned.By, unsigned.Term = "", 0
		r.Effect = &unsigned
	}
	r.Verdict = withoutNeighbours(r.Verdict)
	r.Stages = slices.Clone(r.Stages)
	for i := range r.Stages {
		r.Stages[i].Verdict = withoutNeighbours(r.Stages[i].Verdict)
	}
	return &out
}

func withoutNeighbours(v *api.Verdict) *api.Verdict {
	if v == nil || len(v.Neighbours) == 0 {
		return v
	}
	out := *v
	out.Neighbours = nil
	return &out
}

// level is Level4 for a change that says how often a source failed, and Level2
// for one that says what changed or which sources are forgotten.
func (g *GraphChange) level() int {
	counted := func(s api.SourceStatus) bool { return s.Failures > 0 || !s.Failing.IsZero() || !s.Failed.IsZero() }
	switch {
	case slices.ContainsFunc(g.Sources, counted):
		return Level4
	case len(g.RemoveSources) > 0 || g.Delta != nil:
		return Level2
	}
	return 1
}

// fit leaves out, below Level2, what changed and which sources are forgotten, and
// below Level4 how often sources failed.
func (g *GraphChange) fit(level int) Command {
	if level >= Level4 {
		return g
	}
	out := *g
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
