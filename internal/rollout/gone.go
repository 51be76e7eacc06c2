package rollout

import (
	"fmt"
	"slices"
	"time"

	"github.com/oakumhq/oakum/api"
)

// Loss is how a target went away.
type Loss string

// Losses. After each of them there is nothing to patch and nothing to take back.
const (
	JobStopped       Loss = "job_stopped"
	JobPurged        Loss = "job_purged"
	GroupRemoved     Loss = "group_removed" // the job was registered without the group
	NamespaceRemoved Loss = "namespace_removed"
)

// Gone says that a target is not there any more. It is a fact: an answer of Nomad's
// leader that is no older than what the rollout knows, and never the lack of one.
type Gone struct {
	Loss Loss
	// Build and Pace are what a stopped job has when it is started as it is. Build is
	// empty before the rollout touches the job, and after any other loss.
	Build api.Build
	Pace  Pace
}

// goneFor is for how long a target must be gone before its rollout ends: a script that
// stops a job and starts it again takes some seconds.
const goneFor = 15 * time.Second

// SeenGone reports whether earlier looks have found that the target is gone, for so long
// that one more ends the rollout.
func SeenGone(r api.Rollout) bool {
	return slices.ContainsFunc(r.Holds, ofTarget) && r.Spans.Gone.D() >= goneFor
}

func ofTarget(h api.Hold) bool { return h.Source == sourceTarget }

// gone ends the rollout when looks in a row have found for some time that its target is
// gone: one may fall between a stop and a start. It reports whether the step is over.
// Nothing is registered, for that would start a job that somebody has stopped.
func (m *machine) gone(g *Gone) bool {
	m.Holds = slices.DeleteFunc(m.Holds, ofTarget)
	if g == nil {
		m.Spans.Gone = 0
		return false
	}
	what := g.describe(m.Target)
	if !SeenGone(m.was) {
		m.Holds = m.stamp(append(m.Holds, api.Hold{Source: sourceTarget, Reason: fmt.Sprintf("%s; the rollout ends when it is still so after %s", what, goneFor)}))
		return true
	}
	if m.Effect != nil {
		m.close(api.EffectFailed, what)
	}
	back := m.Status == api.RolloutRollingBack
	if back {
		what = m.Reason + "; " + what
	}
	switch last := lastStage(m.Rollout); {
	case last == nil:
		m.enter(api.RolloutCancelled, "%s; no instance had been touched", what)
	case back && !CalledOff(m.Rollout):
		m.enter(api.RolloutFailed, "%s before the rollback was done%s", what, g.owed(m.Rollout))
	case back:
		m.enter(api.RolloutCancelled, "%s before the rollback was done%s", what, g.owed(m.Rollout))
	default:
		patched := JobView{Instances: m.Instances}.Tally().Patched
		m.enter(api.RolloutCancelled, "%s; stage %d was under way, and %d of %d instances ran the patch%s",
			what, last.Number, patched, m.Former.Count, g.owed(m.Rollout))
	}
	return true
}

// describe says what became of the target.
func (g *Gone) describe(t api.TargetRef) string {
	switch g.Loss {
	case JobStopped:
		return fmt.Sprintf("job %s was stopped by somebody", t.Job)
	case JobPurged:
		return fmt.Sprintf("job %s is gone (purged)", t.Job)
	case GroupRemoved:
		return fmt.Sprintf("group %s is no longer in job %s", t.Group, t.Job)
	case NamespaceRemoved:
		return fmt.Sprintf("namespace %s is gone, and job %s with it", t.Namespace, t.Job)
	}
	return fmt.Sprintf("target %s is gone", t)
}

// owed says, as the end of a reason, what a stopped job has of the rollout when
// somebody starts it as it is. A rollback would have returned it, and can't: its
// registration is what starts a job.
func (g *Gone) owed(r api.Rollout) string {
	var has string
	switch {
	case g.Build == api.BuildPatched && g.Pace == PaceOwn:
		has = "the patch"
	case g.Build == api.BuildPatched:
		has = "the patch, with the rollout's update block"
	case g.Build == api.BuildFormer && g.Pace == PaceHeld:
		has = "the former version with the rollout's update block"
	default:
		return ""
	}
	return fmt.Sprintf("; started as it is, it runs %s: `nomad job revert -namespace=%s %s %d` starts it as it was before",
		has, r.Target.Namespace, r.Target.Job, r.Former.Version)
}
