package rollout

import (
	"fmt"
	"slices"
	"time"

	"github.com/oakumhq/oakum/api"
)

// sourceGraph is the source of a hold that denied attempts cause.
const sourceGraph = "graph"

// AttemptsSince is since when a denied attempt that is new speaks against the
// patch: since the first stage began, or since a person went on in spite of
// earlier ones. It reports false while no instance is patched.
//
// The stage's begin counts and not its readiness: what a program calls while it
// starts is the most telling, and the metrics show it within the same seconds
// in which its checks turn good.
func AttemptsSince(r api.Rollout) (time.Time, bool) {
	if len(r.Stages) == 0 || r.Status.Ended() || r.Status == api.RolloutRollingBack {
		return time.Time{}, false
	}
	since := r.Stages[0].Began
	if r.Accepted.After(since) {
		since = r.Accepted
	}
	return since, true
}

// refused turns back when the target has begun to try what is denied, and the
// policy wants that.
func (m *machine) refused(o Observation) bool {
	a, ok := m.attempt(o)
	if !ok || !m.Decision.Rollback.OnDenied || o.Job.Build == api.BuildForeign {
		return false
	}
	m.turnBack("%s", describeAttempt(a))
	return true
}

// doubts is a hold for the same, where the policy leaves it to a person.
func (m *machine) doubts(o Observation) []api.Hold {
	a, ok := m.attempt(o)
	if !ok || m.Decision.Rollback.OnDenied {
		return nil
	}
	return []api.Hold{{Source: sourceGraph, Reason: describeAttempt(a) + "; resume or roll back by hand"}}
}

// attempt is the first of the attempts that are new since the patch.
func (m *machine) attempt(o Observation) (api.Attempt, bool) {
	since, touched := AttemptsSince(m.Rollout)
	if !touched {
		return api.Attempt{}, false
	}
	i := slices.IndexFunc(o.Denied, func(a api.Attempt) bool { return a.Since.After(since) })
	if i < 0 {
		return api.Attempt{}, false
	}
	return o.Denied[i], true
}

// accept notes that a person goes on although something is tried that is
// denied: only what is tried for the first time after now is news again.
func (m *machine) accept() {
	if slices.ContainsFunc(m.Holds, func(h api.Hold) bool { return h.Source == sourceGraph }) {
		m.Accepted = m.now
	}
}

func describeAttempt(a api.Attempt) string {
	return fmt.Sprintf("%s tries to reach %s since %s, after the patch, and is refused: %s",
		a.From, a.To, a.Since.UTC().Format("15:04:05 MST"), a.Rule)
}
