package state_test

import (
	"testing"
	"time"

	"github.com/shoenig/test/must"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/server/state"
	"github.com/oakumhq/oakum/server/state/levels"
)

// restorable ends a rollout as complete, until when it may be taken back.
func restorable(until time.Time) func(*api.Rollout) {
	return func(r *api.Rollout) {
		r.Status, r.Reason, r.Restorable = api.RolloutComplete, "done", until
		r.Former = &api.FormerJob{Version: 3, Job: []byte(`{"ID":"web"}`)}
	}
}

func back(r *api.Rollout) {
	r.Status, r.Reason, r.Restorable, r.Ended = api.RolloutRollingBack, "rollback asked for by ada", time.Time{}, time.Time{}
}

// TestTransition_TakesACompleteRolloutBack: while its time lasts, and nobody else has its
// target. Nothing else follows an end.
func TestTransition_TakesACompleteRolloutBack(t *testing.T) {
	t.Parallel()
	day := epoch().Add(24 * time.Hour)
	for name, c := range map[string]struct {
		end   func(*api.Rollout)
		other bool              // another rollout has the target by then
		group api.RolloutStatus // of a rollout of another group of the job by then; empty when there is none
		next  func(*api.Rollout)
		fails string
	}{
		"in time":                     {end: restorable(day), next: back},
		"too late":                    {end: restorable(epoch().Add(time.Second)), next: back, fails: "has ended: it is complete"},
		"the record keeps nothing":    {end: become(api.RolloutComplete, "done"), next: back, fails: "has ended: it is complete"},
		"it was rolled back":          {end: become(api.RolloutRolledBack, "slow"), next: back, fails: "has ended: it is rolled_back"},
		"another one has its target":  {end: restorable(day), other: true, next: back, fails: `can't go back: rollout q-0 of patch "ssl" has prod/web/vm (pending)`},
		"one moves another group":     {end: restorable(day), group: api.RolloutRunning, next: back, fails: `can't go back: rollout g-0 of patch "ssl" has prod/web/proxy (running)`},
		"one waits for another group": {end: restorable(day), group: api.RolloutWaiting, next: back},
		"it goes on":                  {end: restorable(day), next: become(api.RolloutRunning, "on"), fails: "can go back, and not become running"},
		"it becomes something else":   {end: restorable(day), next: become(api.RolloutFailed, "no"), fails: "can go back, and not become failed"},
		"its budget has no room left": {end: func(r *api.Rollout) { restorable(day)(r); r.Decision.Budget.Targets = 1 }, next: back},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			m := newMachine()
			for level := levels.Two; level <= levels.Seven; level++ {
				m.must(t, &state.LevelSet{Level: level})
			}
			m.must(t, submission("p", "d", web()))
			m.must(t, submission("d", "d", db()))
			must.NoError(t, m.turn("d-0", "start", become(api.RolloutRunning, "another target")))
			must.NoError(t, m.turn("p-0", "end", c.end))
			if c.other {
				m.must(t, submission("q", "d", web()))
			}
			if c.group != "" {
				m.must(t, submission("g", "d", api.TargetRef{Namespace: "prod", Job: "web", Group: "proxy"}))
				must.NoError(t, m.turn("g-0", "start", become(c.group, "another group")))
			}
			before, _ := m.store.Rollout("p-0")
			err := m.turn("p-0", "rollback", c.next)
			r, _ := m.store.Rollout("p-0")
			if c.fails != "" {
				must.ErrorContains(t, err, c.fails)
				must.Eq(t, before, r)
				return
			}
			must.NoError(t, err)
			must.EqOp(t, api.RolloutRollingBack, r.Status)
			must.Eq(t, `{"ID":"web"}`, string(r.Former.Job))
			open, ok := m.store.OpenRollout(web())
			must.True(t, ok)
			must.EqOp(t, "p-0", open.ID)
			must.NoError(t, m.turn("p-0", "end", become(api.RolloutRolledBack, "back")))
			r, _ = m.store.Rollout("p-0")
			must.Eq(t, "null", string(r.Former.Job))
			must.Len(t, 1, m.store.Quarantines())
		})
	}
}

// TestTransition_NotesDriftAndNothingElse: of a rollout that has ended, only what was found of
// its job changes.
func TestTransition_NotesDriftAndNothingElse(t *testing.T) {
	t.Parallel()
	m := newMachine()
	for level := levels.Two; level <= levels.Seven; level++ {
		m.must(t, &state.LevelSet{Level: level})
	}
	m.must(t, submission("p", "d", web()))
	must.NoError(t, m.turn("p-0", "end", restorable(epoch().Add(time.Hour))))
	must.NoError(t, m.turn("p-0", state.KindDrift, func(r *api.Rollout) {
		r.Reason, r.Drift = "another end", &api.Drift{At: epoch(), Reason: "the former job was registered"}
	}))
	r, _ := m.store.Rollout("p-0")
	must.EqOp(t, "done", r.Reason)
	must.EqOp(t, "the former job was registered", r.Drift.Reason)
	events := m.store.Events(0, 0)
	must.EqOp(t, `prod/web/vm does not run patch "ssl" any more: the former job was registered`, events[len(events)-1].Text)
	must.NoError(t, m.turn("p-0", state.KindDrift, func(r *api.Rollout) { r.Drift = nil }))
	events = m.store.Events(0, 0)
	must.EqOp(t, `prod/web/vm runs patch "ssl" again`, events[len(events)-1].Text)
}

// TestPatchSubmit_ForgetsFormerJobs: those of rollouts whose time to be taken back is over.
func TestPatchSubmit_ForgetsFormerJobs(t *testing.T) {
	t.Parallel()
	m := newMachine()
	for level := levels.Two; level <= levels.Seven; level++ {
		m.must(t, &state.LevelSet{Level: level})
	}
	m.must(t, submission("p", "d", web(), db()))
	must.NoError(t, m.turn("p-0", "end", restorable(epoch().Add(time.Duration(m.index+2)*time.Second))))
	must.NoError(t, m.turn("p-1", "end", restorable(epoch().Add(time.Hour))))
	must.Len(t, 2, m.store.RestorableRollouts(epoch()))
	m.must(t, submission("q", "d", api.TargetRef{Namespace: "prod", Job: "third", Group: "vm"}))
	over, _ := m.store.Rollout("p-0")
	kept, _ := m.store.Rollout("p-1")
	must.Eq(t, "null", string(over.Former.Job))
	must.EqOp(t, 3, over.Former.Version)
	must.Eq(t, `{"ID":"web"}`, string(kept.Former.Job))
	must.Len(t, 1, m.store.RestorableRollouts(epoch().Add(time.Minute)))
}
