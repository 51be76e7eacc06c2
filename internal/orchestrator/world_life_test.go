package orchestrator

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"time"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/server/state"
)

// run is the life of a world: faults, then peace, then silence.
func (w *world) run() {
	for range 60 + w.rng.IntN(120) {
		if w.ended() {
			break
		}
		time.Sleep(w.between(100*time.Millisecond, 2*time.Second))
		w.weather()
		w.step()
	}
	w.faults = false
	clear(w.down)
	w.outskirts.sick, w.outskirts.hides = time.Time{}, 0
	w.doubts.heal()
	w.say("peace")
	w.brakeInPeace()
	for w.broken == nil && !w.release() {
		time.Sleep(time.Second)
		w.step()
	}
	for i := range 1500 {
		if w.broken != nil || w.ended() {
			break
		}
		time.Sleep(time.Second)
		w.step()
		w.ends()
		w.exits.end(w)
		if i%20 == 19 {
			w.help(i)
		}
	}
	if w.broken == nil && !w.ended() {
		w.fail("a rollout never ends")
	}
	w.silence()
	w.term.cancel()
}

// step lets the world go on for a moment and gives every worker a turn.
func (w *world) step() {
	w.arrive()
	w.hurry()
	w.advance()
	if w.term == nil || w.term.over() {
		w.elect()
	}
	w.survey()
	for _, i := range w.rng.Perm(len(w.refs)) {
		id := fmt.Sprintf("r%d", i)
		for range 3 {
			if w.term.over() || w.broken != nil || w.turn(id) != busy {
				break
			}
		}
	}
	w.check()
}

func (w *world) turn(id string) progress {
	if w.now().Before(w.idle) {
		return idle
	}
	a := w.tries[id]
	if a == nil {
		a = &execution{}
		w.tries[id] = a
	}
	w.turns++
	before := w.rollout(id)
	if before.Status.Ended() && w.turns%20 != 0 {
		return over
	}
	w.term.acting, w.term.kind = "", ""
	w.outskirts.forget()
	w.waves.turn = w.logIndex
	if before.Effect != nil {
		w.term.acting, w.term.kind = before.Effect.ID, before.Effect.Kind
	}
	p := w.orch.turn(w.term.ctx, w.orch.Logger, id, a)
	after := w.rollout(id)
	if after.ModifyIndex != before.ModifyIndex {
		w.say("%s is %s: %s%s", id, after.Status, after.Reason, openEffect(after))
	}
	return p
}

// rollout reads what the log last made of a rollout, without a copy for each
// look at it.
func (w *world) rollout(id string) api.Rollout {
	if w.cachedAt != w.logIndex {
		w.cached, w.cachedAt = map[string]api.Rollout{}, w.logIndex
	}
	r, ok := w.cached[id]
	if !ok {
		if r, ok = w.store.Rollout(id); !ok {
			w.fail("rollout %s is gone", id)
		}
		w.cached[id] = r
	}
	return r
}

func openEffect(r api.Rollout) string {
	if r.Effect == nil {
		return ""
	}
	return fmt.Sprintf(" [%s %s want=%d expect=%d]", r.Effect.ID, r.Effect.Kind, r.Effect.Want, r.Effect.Expect)
}

// elect begins a term, sometimes on a server that knows the state from a
// snapshot alone.
func (w *world) elect() {
	if w.term != nil {
		w.struck(hitLeader)
		if w.rate > 0 {
			w.reset()
		}
		w.idle = w.now().Add(w.between(0, 10*time.Second))
		if w.chance(0.2) {
			w.restore()
		}
	}
	ctx, cancel := context.WithCancel(context.Background())
	w.term = &term{w: w, ctx: ctx, cancel: cancel}
	w.tries = map[string]*execution{}
	o := Options{
		Store: w.store, Recorder: w.term, Reader: w.term, Mover: w.term, Tagger: w.term, Judge: w.term, Adviser: w.term,
		Simulator: w.term, Neighbourhood: alone{}, Opens: w.opens, Calendar: w.calendar, Audited: func() error { return w.brakes.unrecorded }, Now: w.clock, Monotonic: w.now,
		Logger: slog.New(slog.DiscardHandler),
	}
	if w.checked {
		o.Checks = w.term
	}
	if w.outskirts.rng != nil {
		o.Neighbourhood = vicinity{w: w}
	}
	if w.doubts.rng != nil {
		clear(w.doubts.read)
		o.Reconsider = w.reconsider
	}
	w.orch = New(o)
	w.say("a term begins")
}

func (w *world) restore() {
	var buf bytes.Buffer
	snap, err := w.fsm.Snapshot()
	if err == nil {
		err = snap.Persist(&sink{&buf})
	}
	next := state.NewStore()
	if err == nil {
		err = next.Restore(&buf)
	}
	if err != nil {
		w.fail("restore a snapshot: %v", err)
		return
	}
	w.store, w.fsm = next, state.NewFSM(next)
	w.struck(hitRestore)
	w.say("the next leader has the state from a snapshot")
}

// sink is a snapshot's destination in memory.
type sink struct{ io.Writer }

func (*sink) ID() string    { return "snapshot" }
func (*sink) Close() error  { return nil }
func (*sink) Cancel() error { return nil }

// arrive delivers what was late.
func (w *world) arrive() {
	due := w.later
	w.later = nil
	for _, d := range due {
		if w.now().Before(d.at) {
			w.later = append(w.later, d)
			continue
		}
		w.say("late: %s: %v", d.what, d.do())
		w.check()
	}
}

func (w *world) ended() bool {
	for i := range w.refs {
		if !w.rollout(fmt.Sprintf("r%d", i)).Status.Ended() {
			return false
		}
	}
	return true
}

// silence waits for what is still on its way, and holds that the end was one.
func (w *world) silence() {
	if w.broken != nil {
		return
	}
	var index uint64
	for i := range 150 {
		if i == 30 { // what the log took late is there by now, and each source is whole
			index = w.store.Index()
		}
		time.Sleep(time.Second)
		w.step()
	}
	if w.store.Index() != index && w.broken == nil {
		w.fail("the log grows after every rollout has ended")
	}
	for _, r := range w.store.Rollouts() {
		w.final(r)
	}
}
