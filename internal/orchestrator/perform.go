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

// placeTimeout is how long Nomad may take to place the instances of an effect
// before the effect counts as failed. Scheduling takes under a second when there
// is room, so a minute means that there is none.
const placeTimeout = time.Minute

// unplacedAfter is how long Nomad may take to place the instances of a stage until the
// rollout says that it waits for them. It then waits for as long as Nomad tries.
const unplacedAfter = 10 * time.Second

// lateTimeout is how long a registration may be on its way to Nomad after we gave
// up waiting for its answer. Our requests end within seconds, and Nomad's servers
// keep a request for a new leader of theirs no longer than that.
const lateTimeout = 2 * time.Minute

// unprovenMost is how long one leader waits for the job to be proven before a rollout begins.
// A deployment that nobody promotes may go on for ever, and the rollout has its place in
// the budget meanwhile.
const unprovenMost = time.Hour

// errSuperseded ends an effect whose rollout has moved on without it.
var errSuperseded = errors.New("the effect was superseded")

// execution is what a worker remembers of an open effect between its turns. A new
// leader remembers nothing, and therefore verifies first.
type execution struct {
	effect    string                // its ID
	quiet     time.Time             // since when this leader has sent nothing for it
	performed time.Time             // since when a view shows it, or Nomad has it; zero while Nomad does not answer
	refused   error                 // why the last try did not go through
	result    *rollout.EffectResult // known, but not yet recorded
	images    *inquiry              // about the next stage, whatever the effect; nil before the first
	proof     *inquiry              // about the first stage, likewise
	steady    rollout.Steady        // since when instances are healthy, likewise
	unwell    unwell                // before the rollout
	renewed   time.Time             // since when this leader waits for a new deployment of the patched job; zero when it does not
	unproven  time.Time             // since when this leader has found the job unproven; zero when it is not
	counting  counting              // of the spans of the rollout, likewise
	due       time.Time             // when the next of them will have been so for long enough; zero when none
}

// carryOut takes the open effect one step further, and records its outcome
// when there is one, against whatever the rollout is by then.
func (o *Orchestrator) carryOut(ctx context.Context, log *slog.Logger, r api.Rollout, a *execution) progress {
	log = log.With("effect", r.Effect.ID, "kind", r.Effect.Kind)
	if a.effect != r.Effect.ID {
		*a = execution{effect: r.Effect.ID, quiet: o.Monotonic(), images: a.images, proof: a.proof, steady: a.steady, due: a.due, counting: a.counting}
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
		res.ID = r.Effect.ID
		a.result = &res
		log.Info("effect ends", "ok", res.OK, "outcome", res.Outcome)
	}
	progressed, err := o.step(ctx, r, a, rollout.Finished{EffectResult: *a.result})
	if e := api.AsError(err); err != nil && r.Effect.Kind == api.EffectSimulate && a.result.OK && e.Code == api.CodeConflict {
		// Servers of an older version can't keep what the simulation said: nothing
		// follows from it, and a person may have it done again.
		a.result = &rollout.EffectResult{ID: r.Effect.ID, Outcome: "record what it said: " + e.Message}
		progressed, err = o.step(ctx, r, a, rollout.Finished{EffectResult: *a.result})
	}
	return recorded(log, progressed, err)
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
func (o *Orchestrator) perform(ctx context.Context, log *slog.Logger, r api.Rollout, a *execution) (rollout.EffectResult, bool) {
	if o.stalled(ctx, log, r, a) {
		return rollout.EffectResult{}, false
	}
	switch r.Effect.Kind {
	case api.EffectSimulate:
		return o.simulate(ctx, log, r)
	case api.EffectTag:
		return o.tag(ctx, log, r, a)
	case api.EffectStage:
		return o.drive(ctx, log, r, a, func(ctx context.Context, v *rollout.JobView) error {
			mode := r.Stages[r.Effect.Stage-1].Mode
			return o.Mover.Stage(ctx, move(r), mode, rollout.StageSize(r, *v), r.Effect.Expect)
		})
	case api.EffectSettle:
		return o.drive(ctx, log, r, a, func(ctx context.Context, _ *rollout.JobView) error {
			return o.Mover.EndStage(ctx, move(r), r.Effect.Expect)
		})
	case api.EffectPromote:
		return o.drive(ctx, log, r, a, func(ctx context.Context, _ *rollout.JobView) error {
			return o.Mover.Promote(ctx, move(r))
		})
	case api.EffectFinish:
		return o.release(ctx, log, r, a, api.BuildPatched)
	case api.EffectRollback:
		return o.drive(ctx, log, r, a, func(ctx context.Context, v *rollout.JobView) error {
			return o.Mover.Rollback(ctx, move(r), rollout.BackSize(r, *v), v.ModifyIndex)
		})
	case api.EffectUnpace:
		return o.release(ctx, log, r, a, api.BuildFormer)
	}
	return rollout.EffectResult{Outcome: fmt.Sprintf("unknown kind of effect %q", r.Effect.Kind)}, true
}

// drive verifies the open effect, and performs it if it is absent. The next turn
// verifies again, until the result is there. It waits for a source that does not
// answer; a person sees the hold in the rollout's status.
func (o *Orchestrator) drive(ctx context.Context, log *slog.Logger, r api.Rollout, a *execution,
	do func(context.Context, *rollout.JobView) error,
) (rollout.EffectResult, bool) {
	view, hold := o.view(ctx, r, a)
	if hold != nil {
		a.performed = time.Time{} // the time for it does not run while nobody answers
		o.recordAway(ctx, log, r, a, hold)
		return rollout.EffectResult{}, false
	}
	if view.Gone != nil {
		o.tick(ctx, log, r, a, o.lost(ctx, r, view.Gone))
		return rollout.EffectResult{}, false
	}
	progress, shown := rollout.Verify(r, *view)
	switch progress {
	case rollout.Complete:
		return rollout.EffectResult{OK: true, Outcome: shown, Index: view.ModifyIndex}, true
	case rollout.Unneeded:
		// A registration that was sent and not answered may still be on its
		// way, and nothing in the job keeps it out.
		if o.Monotonic().Sub(a.quiet) < lateTimeout {
			o.recordAway(ctx, log, r, a, nil)
			return rollout.EffectResult{}, false
		}
		return rollout.EffectResult{OK: true, Outcome: shown, Index: view.ModifyIndex}, true
	case rollout.Blocked:
		return rollout.EffectResult{Outcome: shown, Overtaken: true}, true
	case rollout.Pending:
		a.refused = nil
		if a.performed.IsZero() {
			a.performed = o.Monotonic() // by an earlier leader, or by us with the reply lost
		}
	case rollout.Absent:
		if hold := o.withheld(r, view); hold != nil { // it has not begun in the world, and doesn't
			a.performed, a.refused = time.Time{}, nil
			o.tick(ctx, log, r, a, rollout.Observation{Closed: []api.Hold{*hold}, Job: view})
			return rollout.EffectResult{}, false
		}
		a.refused = do(ctx, view)
		a.quiet = o.Monotonic()
		switch code := api.AsError(a.refused); {
		case a.refused == nil || code.Code == api.CodeConflict:
			// It is performed, or the view was old: the next view shows which.
			// The time for it runs while views go on to show nothing.
			a.refused = nil
			if a.performed.IsZero() {
				a.performed = o.Monotonic()
			}
		case code.Code == api.CodeInvalid || code.Code == api.CodeNotFound:
			return rollout.EffectResult{Outcome: code.Message}, true
		case waits(a.refused): // nothing was registered, and what runs may fail meanwhile
			a.performed = time.Time{}
			o.tick(ctx, log, r, a, rollout.Observation{Away: []api.Hold{*away("nomad", a.refused)}, Job: view})
			return rollout.EffectResult{}, false
		default:
			log.Warn("perform effect", "error", a.refused)
			if r.Effect.Kind == api.EffectSettle && a.performed.IsZero() { // no stage waits for it for long
				a.performed = o.Monotonic()
			}
		}
	}
	if holds := o.unplaced(r, view, a); len(holds) > 0 || view.Failed && a.refused == nil && r.Effect.Kind == api.EffectStage {
		o.tick(ctx, log, r, a, rollout.Observation{Away: holds, Job: view}) // it turns back where an instance has failed
		if len(holds) > 0 {
			return rollout.EffectResult{}, false
		}
	}
	if !a.performed.IsZero() && o.Monotonic().Sub(a.performed) > placeTimeout {
		if view.Failed && view.Others != "" && r.Effect.Kind == api.EffectStage { // the next look asks for its instances once more
			return rollout.EffectResult{Outcome: "the deployment has failed: " + view.Others, Overtaken: true}, true
		}
		return rollout.EffectResult{Outcome: fmt.Sprintf("nomad did not do it within %s: %s", placeTimeout, shown)}, true
	}
	if a.refused != nil {
		hold = away("nomad", a.refused)
	}
	o.recordAway(ctx, log, r, a, hold)
	return rollout.EffectResult{}, false
}

// waits reports whether an effect was not performed since Nomad lacks room, or since other
// groups of the job are not healthy.
func waits(err error) bool {
	_, full := errors.AsType[*rollout.NoRoom](err)
	_, others := errors.AsType[*rollout.Unsettled](err)
	return full || others
}

// unplaced holds an effect that Nomad has had for a while and can't carry out for lack of
// room, or of nodes; that is not the patch's doing.
func (o *Orchestrator) unplaced(r api.Rollout, view *rollout.JobView, a *execution) []api.Hold {
	if a.performed.IsZero() || o.Monotonic().Sub(a.performed) <= unplacedAfter {
		return nil
	}
	why := rollout.Unplaced(r, *view)
	if why == "" {
		return nil
	}
	return []api.Hold{{Source: "instances", Reason: why}}
}

// recordAway records the hold of an effect that waits for a source, or without a
// hold that the source is back.
func (o *Orchestrator) recordAway(ctx context.Context, log *slog.Logger, r api.Rollout, a *execution, hold *api.Hold) {
	if hold == nil && len(r.Holds) == 0 {
		return
	}
	var obs rollout.Observation
	if hold != nil {
		obs.Away = []api.Hold{*hold}
	}
	o.tick(ctx, log, r, a, obs)
}

// tick records what was observed instead of performing the effect.
func (o *Orchestrator) tick(ctx context.Context, log *slog.Logger, r api.Rollout, a *execution, obs rollout.Observation) {
	if _, err := o.step(ctx, r, a, rollout.Tick{Observation: obs}); err != nil {
		log.Warn("record a hold", "error", err)
	}
}

// lost is the observation of a target that is gone. Before the look that ends the
// rollout it takes our mark off a job that is still registered.
func (o *Orchestrator) lost(ctx context.Context, r api.Rollout, gone *rollout.Gone) rollout.Observation {
	registered := gone.Loss == rollout.JobStopped || gone.Loss == rollout.GroupRemoved
	if !registered || !rollout.SeenGone(r) {
		return rollout.Observation{Gone: gone}
	}
	err := o.Tagger.Untag(ctx, move(r))
	if api.IsCode(err, api.CodeUnavailable) || api.IsCode(err, api.CodeTimeout) {
		return rollout.Observation{Away: []api.Hold{*away("nomad", err)}}
	}
	if err != nil {
		o.Logger.Warn("remove the version tag", "rollout_id", r.ID, "error", err)
	}
	return rollout.Observation{Gone: gone}
}

// release gives the job its own update block back, under the build that the rollout
// ends with, and takes our mark off it.
func (o *Orchestrator) release(ctx context.Context, log *slog.Logger, r api.Rollout, a *execution, build api.Build) (rollout.EffectResult, bool) {
	res, done := o.drive(ctx, log, r, a, func(ctx context.Context, v *rollout.JobView) error {
		// A settled deployment makes the patched job version stable, so that
		// the job's own auto_revert can never fall back behind it; so the
		// next view has to show it settled. A rollback does not wait for that.
		if build == api.BuildPatched && rollout.Unpromoted(*v) {
			return o.Mover.Renew(ctx, move(r), v.ModifyIndex)
		}
		if !v.Settled {
			err := o.Mover.Settle(ctx, move(r))
			if err == nil && build == api.BuildPatched && v.Others != "" {
				err = &rollout.Unsettled{Target: r.Target, Others: v.Others}
			}
			if err != nil || build == api.BuildPatched {
				return err
			}
		}
		if build == api.BuildPatched && rollout.Revertible(*v) {
			return o.renew(ctx, r, v, a)
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

// renewAfter is how long one leader waits before it has Nomad deploy a patched job once more
// whose last deployment came to nothing: each is an evaluation and a version of the job.
const renewAfter = 5 * time.Minute

// renew has Nomad begin another deployment of a patched job that it does not call stable: an
// instance, mostly of another group, has failed the one before for good, and Nomad starts it
// again under a new one. Until one is successful the job's own auto_revert stays away, for it
// would take the patch off together with what failed.
func (o *Orchestrator) renew(ctx context.Context, r api.Rollout, v *rollout.JobView, a *execution) error {
	now := o.Monotonic()
	due := v.Failed && a.renewed.IsZero() || !a.renewed.IsZero() && now.Sub(a.renewed) >= renewAfter
	if due || a.renewed.IsZero() { // else Nomad may not have begun the deployment yet
		a.renewed = now
	}
	if due {
		return o.Mover.Renew(ctx, move(r), v.ModifyIndex)
	}
	why := fmt.Sprintf("no deployment of job version %d was successful", v.Version)
	if v.Failed {
		why = fmt.Sprintf("the one of job version %d has failed", v.Version)
	}
	if v.Others != "" {
		why += ", " + v.Others
	}
	return &rollout.Unsettled{Target: r.Target, Others: why + "; the job's auto_revert would take the patch off, and is restored after one that succeeds"}
}

// unproven holds while a deployment of the job is under way: a version that may yet fail,
// or wait for its promotion, is none to return to. Nor is one whose deployment has failed,
// or has not begun, while healthy instances run another version.
func unproven(view *rollout.JobView) *api.Hold {
	switch another := func(in api.Instance) bool { return in.Build != api.BuildFormer && in.Health == api.Healthy }; {
	case view.Gone != nil:
	case !view.Settled:
		return &api.Hold{Source: "job", Reason: fmt.Sprintf("a deployment of job version %d is under way; the rollout goes on when that is over", view.Version)}
	case slices.ContainsFunc(view.Instances, another):
		why := ""
		if view.Failed {
			why = ", whose deployment has failed"
		}
		return &api.Hold{Source: "job", Reason: fmt.Sprintf("instances run another version than %d%s; the rollout goes on when all run the same", view.Version, why)}
	case view.Failed && rollout.Unhealthy(*view) > 0:
		return &api.Hold{Source: "job", Reason: fmt.Sprintf(
			"the deployment of job version %d has failed, and %d of %d instances are not healthy; the rollout goes on when they are",
			view.Version, rollout.Unhealthy(*view), view.Count)}
	}
	return nil
}

// unwell is how many instances were not healthy before a rollout, as a few looks show.
type unwell struct {
	since time.Time // of the first look
	least int
}

// look takes another view. It reports whether the number is known: all are healthy, or
// those that are not have had the time in which checks that miss pass again. A rollback
// does not wait for as many, so one bad look must not count.
func (u *unwell) look(view *rollout.JobView, now time.Time) bool {
	n := rollout.Unhealthy(*view)
	if u.since.IsZero() {
		u.since, u.least = now, n
	}
	u.least = min(u.least, n)
	return u.least == 0 || now.Sub(u.since) >= view.Grace()
}

// tag captures the job and marks its version.
func (o *Orchestrator) tag(ctx context.Context, log *slog.Logger, r api.Rollout, a *execution) (rollout.EffectResult, bool) {
	former, err := o.Reader.Capture(ctx, r.Target)
	if err == nil {
		captured := r
		captured.Former = former // in the record when the effect is done, not by a hold
		view, hold := o.view(ctx, captured, a)
		if hold != nil {
			o.recordAway(ctx, log, r, a, hold)
			return rollout.EffectResult{}, false
		}
		hold = unproven(view)
		switch {
		case hold == nil:
			a.unproven = time.Time{}
		case a.unproven.IsZero():
			a.unproven = o.Monotonic()
		case o.Monotonic().Sub(a.unproven) >= unprovenMost:
			return rollout.EffectResult{Outcome: fmt.Sprintf("%s; it was not within %s", hold.Reason, unprovenMost)}, true
		}
		if hold != nil || !a.unwell.look(view, o.Monotonic()) {
			o.recordAway(ctx, log, r, a, hold)
			return rollout.EffectResult{}, false
		}
		if view.Unchanged { // since the plan was made, or there was no time to ask then
			return rollout.EffectResult{OK: true, Unchanged: true, Outcome: fmt.Sprintf("job version %d is what the patch asks for already", former.Version)}, true
		}
		former.Unhealthy = a.unwell.least
		err = o.Tagger.Tag(ctx, move(captured))
	}
	if err == nil {
		return rollout.EffectResult{
			OK: true, Former: former, Outcome: fmt.Sprintf("job version %d is the one to return to", former.Version),
		}, true
	}
	if api.IsCode(err, api.CodeNotFound) {
		if gone, lookErr := o.Reader.Gone(ctx, r.Target); lookErr == nil && gone != nil {
			o.tick(ctx, log, r, a, o.lost(ctx, r, gone))
			return rollout.EffectResult{}, false
		}
	}
	if api.IsCode(err, api.CodeNotFound) || api.IsCode(err, api.CodeInvalid) {
		return rollout.EffectResult{Outcome: api.AsError(err).Message}, true
	}
	o.recordAway(ctx, log, r, a, away("nomad", err))
	return rollout.EffectResult{}, false
}

// simulate runs the twins and records the simulation beside the rollout. Twins
// change nothing in production: whatever the log does not take now is carried out anew.
func (o *Orchestrator) simulate(term context.Context, log *slog.Logger, r api.Rollout) (rollout.EffectResult, bool) {
	ctx, stop := o.whileOpen(term, r)
	defer stop()
	sim, err := o.beginSimulation(ctx, r)
	if err != nil {
		return unrecorded(log, sim.ID, err)
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
		OK: err == nil,
	}
	if res.OK {
		res.Verdict, res.Apply = impact.Says(), withDigests(baked, impact.Twins)
	}
	if res.OK && res.Verdict != api.SimulationReject && o.Redecide != nil {
		decision, err := o.Redecide(r, impact)
		res.Decision = &decision
		if err != nil {
			res.OK, res.Decision = false, nil
			res.Outcome = fmt.Sprintf("the verdict of the simulation is %s, but the policies do not decide on its impact: %s", res.Verdict, api.AsError(err).Message)
		}
	}
	// The record is kept even when the rollout was aborted in the meantime.
	if err := o.Recorder.RecordSimulation(term, sim); err != nil && res.OK {
		return unrecorded(log, sim.ID, err)
	}
	return res, ctx.Err() == nil
}

// unrecorded is what follows when the log did not take a simulation. One that it will
// never take ends the effect, so that a person sees why; any other is tried again.
func unrecorded(log *slog.Logger, id string, err error) (rollout.EffectResult, bool) {
	log.Warn("record a simulation", "simulation_id", id, "error", err)
	if e := api.AsError(err); e.Code == api.CodeInvalid || e.Code == api.CodeInternal {
		return rollout.EffectResult{Outcome: "record the simulation: " + e.Message}, true
	}
	return rollout.EffectResult{}, false
}

// beginSimulation records that a simulation runs, under the ID of its effect. A
// former leader may have recorded the end of that simulation and no outcome of the
// effect. Its record stays, and the simulation runs anew under an ID with a number.
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
