package rollout

import (
	"fmt"
	"time"

	"github.com/oakumhq/oakum/api"
)

// A rollout that is complete can be taken back for a while: its record keeps the former
// job. The way back is that of any rollback, and begins from the job as it is then.

// Found is what somebody who looked at the job of a complete rollout has found.
type Found struct {
	Drift string // what the job runs in the place of the patch; empty when it runs the patch
}

// keepFormer notes until when the former job may be had back.
func (m *machine) keepFormer() {
	if window := m.Decision.Rollback.Window.D(); window > 0 {
		m.Restorable = m.now.Add(window)
	}
}

// Restores reports whether the record of a rollout still has what a rollback after its end
// needs.
func Restores(r api.Rollout) bool {
	return r.Status == api.RolloutComplete && !r.Restorable.IsZero() && r.Former != nil && len(r.Former.Job) > len("null")
}

// after reacts to an event of a rollout that has ended.
func (m *machine) after(ev Event) error {
	switch ev := ev.(type) {
	case Command:
		return m.takeBack(ev)
	case Found:
		m.found(ev)
	case Watched:
		m.watched(ev)
	case Tick, Finished: // they come late
	}
	return nil
}

// takeBack begins the rollback of a complete rollout.
func (m *machine) takeBack(c Command) error {
	switch {
	case c.Action != "rollback" || m.Status != api.RolloutComplete:
		return refuse(c, m.Rollout, "it has ended")
	case m.Former == nil:
		return refuse(c, m.Rollout, "it has ended, and there is nothing to take back")
	case m.Restorable.IsZero():
		return refuse(c, m.Rollout, "it has ended, and its record does not keep the former job: rollback.window says for how long that is kept")
	case !m.now.Before(m.Restorable) || !Restores(m.Rollout):
		return refuse(c, m.Rollout, fmt.Sprintf("it has ended, and could be taken back until %s (rollback.window)", m.Restorable.UTC().Format("2006-01-02 15:04:05 MST")))
	}
	m.reopen()
	m.turnBack("rollback asked for by %s%s", c.By.Name, note(c))
	return nil
}

// reopen takes from a complete rollout what says that it has ended.
func (m *machine) reopen() {
	m.Ended, m.Restorable, m.Drift, m.Proof, m.Spans = time.Time{}, time.Time{}, nil, nil, api.Spans{}
}

// found notes that the job of a complete rollout does not run the patch any more, or that it
// does again.
func (m *machine) found(f Found) {
	switch {
	case !Restores(m.Rollout) || !m.now.Before(m.Restorable):
	case f.Drift == "":
		m.Drift = nil
	case m.Drift == nil || m.Drift.Reason != f.Drift:
		m.Drift = &api.Drift{At: m.now, Reason: f.Drift}
	}
}
