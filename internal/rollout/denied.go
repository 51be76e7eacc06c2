package rollout

import (
	"fmt"
	"slices"
	"time"

	"github.com/oakumhq/oakum/api"
)

// AttemptsSince is the moment after which a new denied attempt speaks against the
// patch: the first stage began, or a person went on in spite of earlier attempts. It
// reports false while no instance is patched.
//
// The beginning of the stage counts, not its readiness: a program shows most by what
// it calls while it starts, and the metrics have that within the seconds in which
// its checks turn good.
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

// denied turns back when the target has begun to try what is denied and the policy
// wants that. It reports whether it did.
func (m *machine) denied(o Observation) bool {
	a, ok := m.attempt(o)
	if !ok || !m.Decision.Rollback.OnDenied || o.Job.Build == api.BuildForeign {
		return false
	}
	m.turnBack("%s", describeAttempt(a))
	return true
}

// deniedHolds is a hold for the same reason, where the policy leaves it to a person. While
// nobody knows what the target tries, such a hold stays.
func (m *machine) deniedHolds(o Observation) []api.Hold {
	if o.DeniedUnknown {
		return slices.DeleteFunc(slices.Clone(m.Holds), func(h api.Hold) bool { return h.Source != sourceGraph })
	}
	a, ok := m.attempt(o)
	if !ok || m.Decision.Rollback.OnDenied {
		return nil
	}
	return []api.Hold{{Source: sourceGraph, Reason: describeAttempt(a) + "; resume or roll back by hand"}}
}

// attempt is the first attempt that is new since the patch. It reports false when
// there is none.
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

// accept notes that a person goes on in spite of the denied attempts so far: only one
// that begins after now counts again.
func (m *machine) accept() {
	if slices.ContainsFunc(m.Holds, func(h api.Hold) bool { return h.Source == sourceGraph }) {
		m.Accepted = m.now
	}
}

func describeAttempt(a api.Attempt) string {
	return fmt.Sprintf("%s tries to reach %s since %s, after the patch, and is refused: %s",
		a.From, a.To, a.Since.UTC().Format("15:04:05 MST"), a.Rule)
}
