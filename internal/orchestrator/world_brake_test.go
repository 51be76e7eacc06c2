package orchestrator

import (
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/shoenig/test/must"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/server/state"
	"github.com/oakumhq/oakum/server/state/levels"
)

// brakes is how often people reach for the brake of a world. It has luck of its own, so
// that a world without it goes the way that it went before there was any.
type brakes struct {
	rng        *rand.Rand // nil in a world whose brake nobody touches
	restless   float64    // to put it on or take it off, at an interlude
	until      time.Time  // peace: it stays on until then
	turning    []string   // rollouts that were on their way back when that began
	freeze     api.Freeze // that a policy in force has; the zero value when none has one
	unread     bool       // nobody can read the policies
	unrecorded error      // why no audit device takes entries
	tally      brakesTally
}

// brakesTally counts what came of it.
type brakesTally struct {
	On, Held, Refused int // times that it was put on; rollouts that held for it; entries that the log refused
	Back              int // rollouts that ended their way back under it
	Frozen, Unknown   int // rollouts that held for a freeze; that held because nobody knew
}

func (t *brakesTally) add(o brakesTally) {
	t.On, t.Held, t.Refused, t.Back = t.On+o.On, t.Held+o.Held, t.Refused+o.Refused, t.Back+o.Back
	t.Frozen, t.Unknown = t.Frozen+o.Frozen, t.Unknown+o.Unknown
}

// positive holds that everything happened; what is rare, in many worlds only.
func (t *brakesTally) positive(tt *testing.T) {
	tt.Helper()
	happened := map[string]int{"was held": t.Held, "went back to its end": t.Back, "was held by a freeze": t.Frozen}
	if *seeds >= 2000 {
		happened["met a log that knew better"], happened["was held by what nobody knew"] = t.Refused, t.Unknown
	}
	for name, n := range happened {
		must.Positive(tt, n, must.Sprintf("no rollout %s under the brake or a freeze: the worlds test too little", name))
	}
}

// newBrakes draws whether people reach for the brake.
func (w *world) newBrakes(n int64) {
	rng := rand.New(rand.NewPCG(uint64(n), 0x0b4a))
	if w.store.Level() < levels.Six || rng.Float64() < 0.65 {
		return
	}
	w.brakes = brakes{rng: rng, restless: []float64{0.002, 0.01, 0.05}[rng.IntN(3)]}
}

// reach has somebody put the brake on or take it off, at any moment.
func (w *world) reach(where string) {
	b := &w.brakes
	if b.rng == nil {
		return
	}
	if b.rng.Float64() < b.restless {
		w.legislate(where)
	}
	if b.rng.Float64() >= b.restless {
		return
	}
	w.brake(!w.store.Brake().On, where)
}

// legislate has somebody apply a policy with a freeze, or take it out of force, or break
// the policies.
func (w *world) legislate(where string) {
	b := &w.brakes
	if b.unread = b.rng.Float64() < 0.2; b.unread {
		w.say("nobody can read the policies (%s)", where)
		return
	}
	b.freeze = api.Freeze{}
	if b.rng.Float64() < 0.6 {
		length := time.Duration(5+b.rng.IntN(60)) * time.Second
		b.freeze = api.Freeze{Name: "world/now", From: w.now().Add(-time.Hour), To: w.now().Add(length), Reason: "trading freeze"}
	}
	w.say("the policies in force have %s (%s)", b.freeze, where)
}

// calendar is what the policies in force say, whatever the decision of a rollout has.
func (w *world) calendar(r api.Rollout) (api.Decision, error) {
	if w.brakes.unread {
		return api.Decision{}, api.Errorf(api.CodeInvalid, "freeze.hcl:1,1: unclosed block")
	}
	d := api.Decision{Target: r.Target, Windows: r.Decision.Windows}
	if !w.brakes.freeze.From.IsZero() {
		d.Freezes = []api.Freeze{w.brakes.freeze}
	}
	return d, nil
}

// brake puts the brake on or takes it off.
func (w *world) brake(on bool, where string) {
	cmd := &state.BrakeSet{On: on, Reason: "checkout is slow"}
	entry, err := w.fsm.Encode(cmd, w.clock(), "ada")
	if err == nil {
		err = w.apply(entry)
	}
	if err != nil {
		w.fail("brake %v: %v", on, err)
		return
	}
	if on {
		w.brakes.tally.On++
	}
	w.say("ada: %s (%s)", w.store.Brake(), where)
}

// brakedPeace is how long peace begins under the brake: long enough for a way back that
// waits five minutes between its tries.
const brakedPeace = 15 * time.Minute

// brakeInPeace begins peace under the brake, where there is one.
func (w *world) brakeInPeace() {
	b := &w.brakes
	b.freeze, b.unread = api.Freeze{}, false
	if b.rng == nil || b.rng.Float64() < 0.5 {
		if w.store.Brake().On {
			w.brake(false, "in peace")
		}
		return
	}
	if !w.store.Brake().On {
		w.brake(true, "in peace")
	}
	b.until = w.now().Add(brakedPeace)
	for _, r := range w.store.OpenRollouts() {
		if r.Status == api.RolloutRollingBack {
			b.turning = append(b.turning, r.ID)
		}
	}
}

// release ends the brake of peace, and holds that whatever was on its way back has
// arrived by then. It reports whether the brake is off.
func (w *world) release() bool {
	b := &w.brakes
	if b.until.IsZero() {
		return true
	}
	done := true
	for _, id := range b.turning {
		done = done && wentBack(w.rollout(id))
	}
	if !done && w.now().Before(b.until) {
		return false
	}
	for _, id := range b.turning {
		if r := w.rollout(id); !wentBack(r) && !w.foreign[r.Target.Job] {
			w.fail("%s does not get back under the brake: %s", id, r.Reason)
		}
	}
	b.until = time.Time{}
	w.brake(false, "in peace")
	return true
}

// wentBack reports whether a rollout has ended, or has registered the former job with its
// own update block: what it waits for then, the brake has no part in.
func wentBack(r api.Rollout) bool {
	n := len(r.Effects)
	unpaced := n > 0 && r.Effects[n-1].Kind == api.EffectUnpace && r.Effects[n-1].Status == api.EffectDone
	return r.Status.Ended() || r.Effect == nil && unpaced
}

// begins holds a change of the world against the brake and the policies in force, at the
// moment at which the orchestrator asks for it.
func (w *world) begins(kind api.EffectKind) {
	if w.store.Brake().On && kind.Forward() {
		w.fail("%s begins, and %s", kind, w.store.Brake())
	}
	if kind != api.EffectStage && kind != api.EffectPromote {
		return // it moves no instance
	}
	d, err := w.calendar(api.Rollout{})
	if err != nil {
		w.fail("%s begins, and nobody knows whether it may: %v", kind, err)
	}
	if f, on := d.Frozen(w.clock()); on {
		w.fail("%s begins in %s", kind, f)
	}
}

// intended holds an entry of the log against the brake: it opens no forward effect.
func (w *world) intended(was []api.Rollout, refused error) {
	if refused != nil && strings.Contains(refused.Error(), "can't begin, the brake is on") {
		w.brakes.tally.Refused++
	}
	for _, r := range was {
		now, _ := w.store.Rollout(r.ID)
		if e := now.Effect; e != nil && e.Kind.Forward() && (r.Effect == nil || r.Effect.ID != e.ID) {
			w.fail("%s: %s is announced, and %s", r.ID, e.Kind, w.store.Brake())
		}
		if now.Status == api.RolloutRolledBack && r.Status != now.Status {
			w.brakes.tally.Back++
		}
		if now.Status == api.RolloutHolding && r.Status != now.Status && now.Holds[0].Source == sourceBrake {
			w.brakes.tally.Held++
		}
	}
}

// underBrake are the open rollouts while the brake is on.
func (w *world) underBrake() []api.Rollout {
	if !w.store.Brake().On {
		return nil
	}
	return w.store.OpenRollouts()
}

// held counts what a rollout begins to hold for.
func (b *brakes) held(was, next api.Rollout) {
	if next.Status != api.RolloutHolding || was.Status == next.Status {
		return
	}
	switch next.Holds[0].Source {
	case sourceFreeze:
		b.tally.Frozen++
	case sourcePolicies:
		b.tally.Unknown++
	}
}

// upgradeAll raises the cluster to the newest level.
func (w *world) upgradeAll(t *testing.T) {
	t.Helper()
	for level := w.store.Level() + 1; level <= levels.Supported; level++ {
		w.must(&state.LevelSet{Level: level})
	}
	must.NoError(t, w.broken)
}
