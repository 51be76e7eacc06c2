package orchestrator

import (
	"fmt"
	"time"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/internal/rollout"
	"github.com/oakumhq/oakum/server/state"
	"github.com/oakumhq/oakum/server/state/levels"
)

// weather is what goes wrong by itself between two turns.
func (w *world) weather() {
	if w.chance(w.rate / 3) {
		source := []string{"nomad", "consul", "prometheus", "strategy"}[w.rng.IntN(4)]
		w.down[source] = w.now().Add(w.between(time.Second, time.Minute))
		w.say("%s goes away until %s", source, w.down[source].Format("04:05"))
	}
	if w.term != nil && w.chance(w.rate/5) {
		w.term.crash("between two turns")
	}
	if w.chance(w.rate / 20) {
		w.reset()
	}
	w.doubts.sky(w)
	w.interlude("between two turns")
}

// night is when windows are open: for a while, again and again.
type night struct{ every, open time.Duration }

// opens is what Opens answers: by the clock of whoever asks.
func (w *world) opens(_ api.Decision, now time.Time) (time.Time, string) {
	if w.night == nil || w.peaceful() {
		return now, ""
	}
	since := now.Sub(now.Truncate(w.night.every))
	if since < w.night.open {
		return now, ""
	}
	return now.Add(w.night.every - since), "the night is over"
}

// peaceful tells the last part of a world, in which everything must end.
func (w *world) peaceful() bool { return !w.faults }

// interlude is what others do, at any moment.
func (w *world) interlude(where string) {
	w.advance()
	if !w.faults {
		return
	}
	w.outside(where)
	w.reach(where)
	w.leave(where)
	w.join(where)
	i := w.rng.IntN(len(w.refs))
	j := w.jobs[w.refs[i]]
	switch {
	case w.chance(w.meddling):
		action := []string{"approve", "approve", "pause", "resume", "resume", "promote", "promote", "abort", "rollback"}[w.rng.IntN(9)]
		w.command(fmt.Sprintf("r%d", i), action, where)
	case w.chance(w.meddling / 20):
		w.befall(j, []string{accidentTheirs, accidentScale}[w.rng.IntN(2)], where)
	case w.chance(w.rate / 10):
		w.befall(j, []string{accidentRestart, accidentCrash, accidentNode, accidentDrain, accidentFull, accidentBeside}[w.rng.IntN(6)], where)
	}
}

// command is a person's word.
func (w *world) command(id, action, where string) {
	r, ok := w.store.Rollout(id)
	if !ok {
		return
	}
	next, err := rollout.Step(r, rollout.Command{Action: action, By: api.Identity{Name: "ada"}}, w.clock())
	if err == nil {
		if r.Effect != nil {
			w.cover.hit(boundary{r.Effect.Kind, atOpen}, hitPerson)
		}
		if n := len(r.Stages); action == "promote" && n > 0 {
			w.promised[fmt.Sprintf("%s/%d", r.Target.Job, n)] = true
		}
		var entry []byte
		entry, err = w.fsm.Encode(&state.RolloutTransition{Kind: action, Expect: r.ModifyIndex, Rollout: next}, w.clock(), "ada")
		if err == nil {
			err = w.apply(entry)
		}
		if newer := next.Despite != r.Despite && w.store.Level() < levels.Eight; newer != (err != nil) {
			w.fail("%s %s: %v", action, id, err)
		}
	}
	w.say("ada: %s %s (%s): %v", action, id, where, err)
	w.check()
}

// help is what an operator does in peace about a rollout that waits.
func (w *world) help(i int) {
	for _, r := range w.store.OpenRollouts() {
		action := ""
		switch {
		case i > 1200 || (i > 200 && r.Status == api.RolloutRollingBack):
			action = "abort"
		case r.Status == api.RolloutAwaitingApproval:
			action = "approve"
		case r.Status == api.RolloutPaused:
			action = "resume"
		case r.Blocked() && r.Holds[0].Source == api.HoldDependency && w.store.Level() >= levels.Eight && i < 400:
			action = "resume"
			w.waves.tally.Insisted++
		case r.Blocked():
			action = "abort"
			w.waves.tally.Blocked++
		case r.Status == api.RolloutHolding:
			action = []string{"resume", "promote", "abort"}[w.rng.IntN(3)]
		case r.Status == api.RolloutRunning && i > 900:
			action = "rollback"
		}
		if action != "" {
			w.command(r.ID, action, "in peace")
		}
	}
}
