package orchestrator

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/internal/rollout"
)

// placeTimeout is how long Nomad may take to place what an effect asked for
// before the effect counts as failed: scheduling takes under a second when
// there is room, so a minute means that there is none.
const placeTimeout = time.Minute

// lateTimeout is how long a registration may be on its way to Nomad after we
// gave up waiting for its answer: our requests end within seconds, and so does
// what Nomad's servers hold for a new leader of theirs.
const lateTimeout = 2 * time.Minute

// errSuperseded ends an effect whose rollout has moved on without it.
var errSuperseded = errors.New("the effect was superseded")

// attempt is what a worker remembers of an open effect between its turns. A
// new leader has none of it, and therefore verifies first.
type attempt struct {
	effect    string
	quiet     time.Time             // since when nothing has been sent, as far as this leader knows
	performed time.Time             // when the world was seen or made to change, since it answers
	refused   error                 // why the last try did not go through
	result    *rollout.EffectResult // known, but not yet recorded
}

// carryOut takes the open effect one step further, and records its outcome
// when there is one, against whatever the rollout is by then.
func (o *Orchestrator) carryOut(ctx context.Context, log *slog.Logger, r api.Rollout, a *attempt) pace {
	log = log.With("effect", r.Effect.ID, "kind", r.Effect.Kind)
	if a.effect != r.Effect.ID {
		*a = attempt{effect: r.Effect.ID, quiet: o.Now()}
		log.Info("effect begins", "target", r.Target.String(), "want", r.Effect.Want)
	}
	if a.result == nil {
		res, done := o.perform(ctx, log, r, a)
		if ctx.Err() != nil {
			log.Info("effect left open", "cause", context.Cause(ctx))
			return idle
		}
		if !done {
			return idle
		}
		res.ID, res.At = r.Effect.ID, o.Now().UTC()
		a.result = &res
		log.Info("effect ends", "ok", res.OK, "outcome", res.Outcome)
	}
	return o.record(ctx, log, r, rollout.Finished{EffectResult: *a.result})
}

// whileOpen returns a context that ends when the effect is no longer the
// rollout's open one. stop waits for the watcher.
func (o *Orchestrator) whileOpen(ctx context.Context, r api.Rollout) (context.Context, func()) {
	ctx, cancel := context.WithCancelCause(ctx)
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			changed := o.Store.Watch(api.TopicRollout)
			now, ok := o.Store.Rollout(r.ID)
			if !ok || now.Effect == nil || now.Effect.ID != r.Effect.ID {
				cancel(errSuperseded)
				return
			}
			select {
			case <-changed:
			case <-ctx.Done():
				return
			}
		}
	}()
	return ctx, func() { cancel(nil); <-done }
}

// perform dispatches on the kind of effect. It reports whether the outcome is
// known.
func (o *Orchestrator) perform(ctx context.Context, log *slog.Logger, r api.Rollout, a *attempt) (rollout.EffectResult, bool) {
	switch r.Effect.Kind {
	case api.EffectSimulate:
		return o.simulate(ctx, log, r)
	case api.EffectTag:
		return o.tag(ctx, log, r)
	case api.EffectStage:
		return o.drive(ctx, log, r, a, staged(r), o.doStage(r))
	case api.EffectPromote:
		return o.drive(ctx, log, r, a, promoted, func(ctx context.Context, _ *rollout.JobView) error {
			return o.Mover.Promote(ctx, move(r))
		})
	case api.EffectFinish:
		return o.release(ctx, log, r, a, api.BuildPatched)
	case api.EffectRollback:
		return o.drive(ctx, log, r, a, returned(r), func(ctx context.Context, v *rollout.JobView) error {
			return o.Mover.Rollback(ctx, move(r), v.ModifyIndex)
		})
	case api.EffectUnpace:
		return o.release(ctx, log, r, a, api.BuildFormer)
	}
	return rollout.EffectResult{Outcome: fmt.Sprintf("unknown kind of effect %q", r.Effect.Kind)}, true
}

// progress is what a look says about an effect.
type progress int

const (
	absent  progress = iota // not performed
	pending                 // performed, its result is on the way
	reached                 // its result is there
	blocked                 // somebody else changed the job
	spared                  // its result is there, and not by it
)

// drive verifies, and performs if the effect is absent; the next turn verifies
// again, until the result is there. What does not answer is waited for; a
// person sees the hold in the rollout's status.
func (o *Orchestrator) drive(ctx context.Context, log *slog.Logger, r api.Rollout, a *attempt,
	check func(*rollout.JobView) (progress, string), do func(context.Context, *rollout.JobView) error,
) (rollout.EffectResult, bool) {
	view, hold := o.look(ctx, r)
	if hold != nil {
		a.performed = time.Time{} // what does not answer has no time to run out
		o.tellAway(ctx, log, r, hold)
		return rollout.EffectResult{}, false
	}
	state, told := check(view)
	if state == spared {
		// A registration that was sent and not answered may still be on its
		// way, and nothing in the job keeps it out.
		if o.Now().Sub(a.quiet) < lateTimeout {
			o.tellAway(ctx, log, r, nil)
			return rollout.EffectResult{}, false
		}
		state = reached
	}
	switch state {
	case reached:
		return rollout.EffectResult{OK: true, Outcome: told, Index: view.ModifyIndex}, true
	case blocked:
		return rollout.EffectResult{Outcome: told, Index: view.ModifyIndex}, true
	case pending:
		a.refused = nil
		if a.performed.IsZero() {
			a.performed = o.Now() // by an earlier leader, or by us with the reply lost
		}
	case spared: // settled above
	case absent:
		a.refused = do(ctx, view)
		a.quiet = o.Now()
		switch code := api.AsError(a.refused); {
		case a.refused == nil || code.Code == api.CodeConflict:
			// Done, or the view was old: the next look tells. When it goes on
			// telling that nothing was done, the time for it runs.
			a.refused = nil
			if a.performed.IsZero() {
				a.performed = o.Now()
			}
		case code.Code == api.CodeInvalid || code.Code == api.CodeNotFound:
			return rollout.EffectResult{Outcome: code.Message}, true
		default:
			log.Warn("perform effect", "error", a.refused)
		}
	}
	if !a.performed.IsZero() && o.Now().Sub(a.performed) > placeTimeout {
		return rollout.EffectResult{Outcome: fmt.Sprintf("nomad did not do it within %s: %s", placeTimeout, told)}, true
	}
	if a.refused != nil {
		hold = away("nomad", a.refused)
	}
	o.tellAway(ctx, log, r, hold)
	return rollout.EffectResult{}, false
}

// tellAway records that an effect waits for a source, or that the source is
// back.
func (o *Orchestrator) tellAway(ctx context.Context, log *slog.Logger, r api.Rollout, hold *api.Hold) {
	if hold == nil && len(r.Holds) == 0 {
		return
	}
	var obs rollout.Observation
	if hold != nil {
		obs.Away = []api.Hold{*hold}
	}
	if _, err := o.step(ctx, r, rollout.Tick{Observation: obs}); err != nil {
		log.Warn("record a hold", "error", err)
	}
}

// staged checks a stage: enough instances run the patch in the job version that
// is registered, so that canaries which Nomad is about to stop don't count. A
// registration that is already there is never repeated, and none is made for
// what is there already: a former instance that died comes back patched.
func staged(r api.Rollout) func(*rollout.JobView) (progress, string) {
	return func(v *rollout.JobView) (progress, string) {
		n := 0
		for _, in := range v.Instances {
			if in.Build == api.BuildPatched && in.JobVersion == v.Version {
				n++
			}
		}
		told := fmt.Sprintf("job version %d: %d of %d instances run the patch", v.Version, n, v.Count)
		ours := v.Build == api.BuildPatched && v.Pace == rollout.PaceHeld
		switch {
		case v.ModifyIndex == r.Effect.Expect:
			switch {
			case !ours || r.Stages[r.Effect.Stage-1].Mode != api.StageInPlace:
				return absent, told
			case kept(r) >= r.Effect.Want:
				return reached, told
			case staying(v) >= r.Effect.Want:
				return spared, told
			}
			return absent, told
		case ours && n >= r.Effect.Want:
			return reached, told
		case ours:
			return pending, told
		}
		return blocked, fmt.Sprintf("the job was changed by somebody else: its modify index is %d, not %d", v.ModifyIndex, r.Effect.Expect)
	}
}

// staying counts the patched instances that outlive the next registration:
// Nomad stops canaries that nobody promoted.
func staying(v *rollout.JobView) int {
	n := 0
	for _, in := range v.Instances {
		if in.Build == api.BuildPatched && !in.Canary {
			n++
		}
	}
	return n
}

// kept is what staying must be at least, by the rollout's own record: a view's
// instances may be older than its job.
func kept(r api.Rollout) int {
	n := 0
	for _, e := range r.Effects {
		if e.Kind != api.EffectStage || e.Status != api.EffectDone {
			continue
		}
		if s := r.Stages[e.Stage-1]; s.Mode == api.StageInPlace || s.Promoted {
			n = max(n, e.Want)
		}
	}
	return n
}

func (o *Orchestrator) doStage(r api.Rollout) func(context.Context, *rollout.JobView) error {
	return func(ctx context.Context, v *rollout.JobView) error {
		mode := r.Stages[r.Effect.Stage-1].Mode
		// What the effect wants was counted among the instances that the rollout
		// recorded with it; a view of now may be older than that.
		recorded := staying(&rollout.JobView{Instances: r.Instances})
		delta := r.Effect.Want - max(staying(v), recorded, kept(r))
		if allowed := rollout.Allowed(r.Decision.Budget, r.Former.Count); mode == api.StageInPlace && allowed > 0 && !canaries(r) {
			delta = min(delta, allowed)
		}
		return o.Mover.Stage(ctx, move(r), mode, max(1, delta), r.Effect.Expect)
	}
}

// canaries reports whether an earlier stage left patched instances beside the
// former ones, which the next registration ends.
func canaries(r api.Rollout) bool {
	return slices.ContainsFunc(r.Stages[:r.Effect.Stage-1], func(s api.Stage) bool { return s.Mode == api.StageBeside && !s.Promoted })
}

// promoted checks that the former instances are gone.
func promoted(v *rollout.JobView) (progress, string) {
	t := v.Tally()
	told := fmt.Sprintf("%d instances run the patch, %d the former version", t.Patched, t.Former)
	switch {
	case v.Build != api.BuildPatched:
		return blocked, "the job was changed by somebody else"
	case v.Promoted && t.Former == 0:
		return reached, told
	case v.Promoted:
		return pending, told
	}
	return absent, told
}

// returned checks a rollback: the former build is registered, by us. When a
// stage was ever begun its registration may still be on its way although the
// job looks untouched, so only a registration of our own counts: it moves the
// modify index, and the late one finds its compare-and-set broken. Whether
// every instance has followed is the next tick's question.
func returned(r api.Rollout) func(*rollout.JobView) (progress, string) {
	return func(v *rollout.JobView) (progress, string) {
		switch v.Build {
		case api.BuildFormer:
			if rollout.Stranded(*v) {
				return absent, ""
			}
			if v.Pace == rollout.PaceHeld || len(r.Stages) == 0 {
				return reached, fmt.Sprintf("job version %d is the former one again", v.Version)
			}
			return absent, ""
		case api.BuildPatched:
			return absent, ""
		case api.BuildForeign:
		}
		return blocked, fmt.Sprintf("the job was changed by somebody else: version %d is neither the former nor the patched one", v.Version)
	}
}

// release gives the job its own update block back and takes our mark off it.
func (o *Orchestrator) release(ctx context.Context, log *slog.Logger, r api.Rollout, a *attempt, build api.Build) (rollout.EffectResult, bool) {
	check := func(v *rollout.JobView) (progress, string) {
		told := fmt.Sprintf("job version %d runs everywhere at its own pace", v.Version)
		switch {
		case v.Build != build:
			return blocked, fmt.Sprintf("the job was changed by somebody else: version %d", v.Version)
		case v.Pace == rollout.PaceOwn:
			return reached, told
		}
		return absent, told
	}
	res, done := o.drive(ctx, log, r, a, check, func(ctx context.Context, v *rollout.JobView) error {
		// A settled deployment makes the patched job version stable, so that
		// the job's own auto_revert can never fall back behind it; so the
		// next look has to see it settled. A rollback does not wait for that.
		if !v.Settled {
			if err := o.Mover.Settle(ctx, move(r)); err != nil || build == api.BuildPatched {
				return err
			}
		}
		return o.Mover.Unpace(ctx, move(r), build, v.ModifyIndex)
	})
	if res.OK {
		if err := o.Tagger.Untag(ctx, move(r)); err != nil {
			log.Warn("remove the version tag", "error", err)
		}
	}
	return res, done
}

// tag captures the job and marks its version.
func (o *Orchestrator) tag(ctx context.Context, log *slog.Logger, r api.Rollout) (rollout.EffectResult, bool) {
	former, err := o.Reader.Capture(ctx, r.Target)
	if err == nil {
		m := move(r)
		m.Former = former
		err = o.Tagger.Tag(ctx, m)
	}
	if err == nil {
		return rollout.EffectResult{
			OK: true, Former: former, Outcome: fmt.Sprintf("job version %d is the one to return to", former.Version),
		}, true
	}
	if api.IsCode(err, api.CodeNotFound) || api.IsCode(err, api.CodeInvalid) {
		return rollout.EffectResult{Outcome: api.AsError(err).Message}, true
	}
	o.tellAway(ctx, log, r, away("nomad", err))
	return rollout.EffectResult{}, false
}

// simulate runs the twins and records the simulation beside the rollout. Twins
// change nothing in production: whatever the log does not take is carried out anew.
func (o *Orchestrator) simulate(term context.Context, log *slog.Logger, r api.Rollout) (rollout.EffectResult, bool) {
	ctx, stop := o.whileOpen(term, r)
	defer stop()
	sim, err := o.beginSimulation(ctx, r)
	if err != nil {
		log.Warn("record that a simulation begins", "simulation_id", sim.ID, "error", err)
		return rollout.EffectResult{}, false
	}
	target, err := o.Reader.Target(ctx, r.Target)
	var impact api.Impact
	var baked []api.Apply
	if err == nil {
		impact, baked, err = o.Simulator.Simulate(ctx, sim.ID, r, target)
	}
	if term.Err() != nil {
		return rollout.EffectResult{}, false // it goes on under the next leader, by the same name
	}
	sim.End(o.Now().UTC(), impact, err)
	res := rollout.EffectResult{
		Simulation: sim.ID, Apply: baked, Outcome: sim.Reason,
		OK: err == nil, Rejected: sim.Status == api.SimulationRejected,
	}
	if res.OK && !res.Rejected && o.Redecide != nil {
		decision, err := o.Redecide(r, impact)
		res.Decision = &decision
		if err != nil {
			res.OK, res.Decision = false, nil
			res.Outcome = fmt.Sprintf("the patch passed, but the policies do not decide on its impact: %s", api.AsError(err).Message)
		}
	}
	// The record is kept even when the rollout was aborted in the meantime.
	if err := o.Recorder.RecordSimulation(term, sim); err != nil && res.OK {
		log.Warn("record how a simulation ended", "simulation_id", sim.ID, "error", err)
		return rollout.EffectResult{}, false
	}
	return res, ctx.Err() == nil
}

// beginSimulation records that a simulation runs, under the name of its effect.
// A former leader may have recorded how that ended and no outcome of the effect;
// what it kept stays, and the simulation is carried out anew under a name beside.
func (o *Orchestrator) beginSimulation(ctx context.Context, r api.Rollout) (api.Simulation, error) {
	sim := api.Simulation{
		ID: r.Effect.ID, Patch: r.Patch, Target: r.Target, Rollout: r.ID,
		Status: api.SimulationRunning, Started: o.Now().UTC(),
	}
	for n := 2; ; n++ {
		err := o.Recorder.RecordSimulation(ctx, sim)
		if !api.IsCode(err, api.CodeConflict) {
			return sim, err
		}
		sim.ID = fmt.Sprintf("%s-%d", r.Effect.ID, n)
	}
}
