package orchestrator

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/internal/fleet"
)

// check holds what must be so at every moment.
func (w *world) check() {
	touching := 0
	for i := range w.refs {
		r := w.rollout(fmt.Sprintf("r%d", i))
		w.checkEffects(r)
		w.checkForward(r)
		w.checkUndecided(r)
		j := w.jobs[r.Target]
		if !w.foreign[j.ref.Job] {
			w.checkInstances(r, j)
			w.checkBack(r, j)
		}
		if !r.Status.Ended() && (r.Former != nil || r.Status == api.RolloutRunning) && !takenBack(r) {
			touching++
		}
	}
	if r := w.rollout("r0"); !w.unsure && r.Decision.Budget.Targets > 0 && touching > r.Decision.Budget.Targets {
		w.fail("%d rollouts are under way, the budget is %d", touching, r.Decision.Budget.Targets)
	}
}

// takenBack reports whether a person takes a rollout back after its end. That waits for no
// room in a budget, and leaves none to those that begin.
func takenBack(r api.Rollout) bool {
	return r.Status == api.RolloutRollingBack && slices.ContainsFunc(r.Effects, func(e api.Effect) bool {
		return e.Kind == api.EffectFinish && e.Status == api.EffectDone
	})
}

// checkEffects: effects are numbered without a gap, so at most one is open,
// and all but the open one have an outcome.
func (w *world) checkEffects(r api.Rollout) {
	for i, e := range r.Effects {
		if e.ID != fmt.Sprintf("%s.%d", r.ID, i+1) || e.Status == api.EffectIntended {
			w.fail("%s: effect %d of the record is %s %s", r.ID, i+1, e.ID, e.Status)
		}
	}
	if r.Effect != nil && r.Effect.ID != fmt.Sprintf("%s.%d", r.ID, len(r.Effects)+1) {
		w.fail("%s: the open effect is %s after %d", r.ID, r.Effect.ID, len(r.Effects))
	}
}

// checkHoldsAreToldOnce: the record has one line for a rollout that begins to hold.
func (w *world) checkHoldsAreToldOnce() {
	lines := 0
	for _, e := range w.store.Events(w.logIndex, 0) {
		if e.Topic == api.TopicRollout && strings.Contains(e.Text, " is holding with patch ") {
			lines++
		}
	}
	if lines > 1 {
		w.fail("the record tells of a hold in %d lines at index %d", lines, w.logIndex)
	}
}

// checkForward: never two stages in flight, and none without a good word.
func (w *world) checkForward(r api.Rollout) {
	for i, s := range r.Stages {
		if i+1 < len(r.Stages) && s.Judged.IsZero() {
			w.fail("%s: stage %d began before stage %d was judged", r.ID, i+2, s.Number)
		}
		word := fmt.Sprintf("%s/%d", r.Target.Job, s.Number)
		if !s.Judged.IsZero() && r.Decision.Judge.Enabled && !w.promised[word] {
			w.fail("%s: stage %d was passed without a verdict", r.ID, s.Number)
		}
	}
	if r.Former != nil && r.Former.Launch != "" {
		if len(r.Stages) > 0 {
			w.fail("%s has a stage, and its job has no instances", r.ID)
		}
		return
	}
	if n := len(r.Stages); r.Status == api.RolloutComplete && r.Former != nil && (n == 0 || r.Stages[n-1].Judged.IsZero()) {
		w.fail("%s is complete and its last stage was never judged", r.ID)
	}
}

// checkUndecided: what a simulation could not decide is never taken for passed. A person
// who knows that approves, or one instance goes first.
func (w *world) checkUndecided(r api.Rollout) {
	sim, simulated := w.store.Simulation(r.Simulation)
	if simulated && sim.Status == api.SimulationInconclusive && r.Undecided == nil {
		w.fail("%s: its simulation could not decide, and nothing follows", r.ID)
	}
	if r.Undecided == nil || r.Former == nil {
		return
	}
	switch r.Undecided.Follows {
	case api.InconclusiveApprove:
		if !slices.ContainsFunc(r.Approvals, func(a api.Approval) bool { return !a.At.Before(r.Undecided.At) }) {
			w.fail("%s touches the job, and nobody has approved since its simulation could not decide", r.ID)
		}
	case api.InconclusiveOneFirst:
		if len(r.Stages) > 0 && r.Stages[0].Instances != 1 {
			w.fail("%s: its simulation could not decide, and %d instances go first", r.ID, r.Stages[0].Instances)
		}
	default:
		w.fail("%s touches the job, and its policy holds when a simulation can't decide", r.ID)
	}
}

// asked is how many patched instances the newest stage effect asks for, and
// how many the one before did.
func asked(r api.Rollout) (now, before int) {
	effects := r.Effects
	if r.Effect != nil {
		effects = append(slices.Clip(effects), *r.Effect)
	}
	for _, e := range effects {
		if e.Kind == api.EffectStage {
			now, before = e.Want, now
		}
	}
	return now, before
}

// checkInstances asks the model what runs: never more patched instances than
// asked for, former ones that died and came back patched aside, and no more
// away at once than the step and the budget allow.
func (w *world) checkInstances(r api.Rollout, j *worldJob) {
	patched, away := 0, 0
	for _, a := range w.fleet.Instances(j.ref) {
		if !isPatched(buildOf(a.Group)) {
			continue
		}
		patched++
		if !a.Answers() && !j.hurt[a.ID] {
			away++
		}
	}
	now, before := asked(r)
	if patched > now+j.overshot {
		w.fail("%s: %d instances run the patch, %d were asked for and %d came back patched", r.ID, patched, now, j.overshot)
	}
	inPlace := len(r.Stages) > 0 && r.Stages[len(r.Stages)-1].Mode == api.StageInPlace
	if g := &w.job(j.ref).Groups[0]; !inPlace || g.Update.Canary > 0 && !j.system || !isPatched(buildOf(g)) {
		return
	}
	step := now - before
	if b := w.mayBeAway(r); b > 0 && len(r.Stages) == 1 {
		step = min(step, b)
	}
	if len(r.Stages) > 1 && r.Stages[len(r.Stages)-2].Mode == api.StageBeside {
		step = now // the canaries end when the in-place stage begins
	}
	if away > max(1, step) {
		w.fail("%s: %d instances are away at once, the step is %d", r.ID, away, step)
	}
}

// checkBack asks the model what a rollback has taken away: never more instances that
// answered than the budget lets be away at once, or without one the job's own update
// block. What is down by a fault or by the patch is not its doing.
func (w *world) checkBack(r api.Rollout, j *worldJob) {
	away := 0
	for _, a := range w.fleet.Instances(j.ref) {
		if j.taken[a.ID] && !j.hurt[a.ID] {
			away++
		}
	}
	allowed := w.mayBeAway(r)
	if allowed == 0 {
		return
	}
	if w.jumped {
		allowed++ // what returned may seem late
	}
	if away > allowed && !r.Decision.Rollback.AtOnce {
		w.fail("%s: the rollback has taken %d instances away at once, and may take %d", r.ID, away, allowed)
	}
	w.mostBack = max(w.mostBack, away)
}

// checkPace asks the model, when a stage takes its next instances, how many patched ones
// have not answered for the job's min_healthy_time: fewer than may be away at once, but
// for those that a fault has hurt.
func (w *world) checkPace(r api.Rollout) {
	j, allowed := w.jobs[r.Target], w.mayBeAway(r)
	if w.foreign[j.ref.Job] || w.stale > 0 || allowed == 0 || len(r.Stages) == 0 || r.Stages[len(r.Stages)-1].Mode != api.StageInPlace {
		return
	}
	early := 0
	for _, a := range w.fleet.Instances(j.ref) {
		since, answers := j.since[a.ID]
		if isPatched(buildOf(a.Group)) && !j.hurt[a.ID] && !a.Canary && (!answers || w.now().Sub(since) < w.minHealthy) {
			early++
		}
	}
	if early >= allowed {
		w.fail("%s takes more instances, and %d have not answered for %s", r.ID, early, w.minHealthy)
	}
}

// checkRoom asks the view that a stage was performed by whether its instances leave no more
// away than the budget allows, whatever took the others.
func (w *world) checkRoom(r api.Rollout, mode api.StageMode, delta int) {
	seen, allowed := w.views[r.ID], r.Decision.Budget.Instances
	if allowed == 0 || mode != api.StageInPlace || w.stale > 0 || len(seen) == 0 || w.foreign[r.Target.Job] {
		return
	}
	v := seen[len(seen)-1]
	down, healthy := v.Count, 0
	var former []api.Instance
	for _, in := range v.Instances {
		switch {
		case in.Canary:
			return // they end with this registration
		case in.Build != api.BuildPatched:
			former = append(former, in)
		}
		if in.Health == api.Healthy {
			down--
		}
	}
	slices.SortFunc(former, func(a, b api.Instance) int {
		return cmp.Or(cmp.Compare(len(a.Name), len(b.Name)), cmp.Compare(a.Name, b.Name))
	})
	for _, in := range former[:min(delta, len(former))] {
		if in.Health == api.Healthy {
			healthy++
		}
	}
	if v.PerNode { // nobody knows which of them go
		healthy, down = 0, down+v.Lost
		for _, in := range former {
			if in.Health == api.Healthy {
				healthy = min(healthy+1, delta)
			}
		}
	}
	if healthy > 0 && down+healthy > allowed {
		w.fail("%s takes %d healthy instances, %d are down already and the budget is %d", r.ID, healthy, down, allowed)
	}
}

// checkReturned: a rollout is rolled back when as many instances answer as before it, but
// for those that a fault has hurt since the view that it was decided by.
func (w *world) checkReturned(r api.Rollout) {
	j := w.jobs[r.Target]
	well := 0
	for _, a := range w.fleet.Instances(j.ref) {
		if a.Answers() || j.hurt[a.ID] {
			well++
		}
	}
	if want := w.wants(j) - r.Former.Unhealthy; well < want && w.stale == 0 && !w.foreign[j.ref.Job] {
		w.fail("%s is rolled back, and %d instances are well, %d were before", r.ID, well, want)
	}
}

// checkBlame: a rollout does not turn back for the health of its instances while none of
// them fails but those whose nodes are lost, as far as the record of it goes, nor, once its
// stage was ready, while what has replaced them starts. A canary that
// crashes while nobody leads ends its deployment, and Nomad takes all of them away.
func (w *world) checkBlame(was, next api.Rollout) {
	byHealth := strings.Contains(next.Reason, "healthy") || strings.HasPrefix(next.Reason, "nomad did not do it")
	if w.jobs[next.Target].crashed || was.Status == api.RolloutRollingBack || next.Status != api.RolloutRollingBack || !byHealth || w.stale > 0 || w.foreign[next.Target.Job] {
		return
	}
	j, seen, last := w.jobs[next.Target], next.Instances, api.Stage{}
	if views := w.views[next.ID]; was.Effect != nil && len(views) > 0 {
		seen = views[len(views)-1].Instances // the record has those of the intent
	}
	if n := len(next.Stages); n > 0 {
		last = next.Stages[n-1]
	}
	starts := !last.Ready.IsZero() && next.Spans.Lapsed < next.Decision.Deadline // what replaces an instance of the stage has its time
	for _, in := range seen {
		if starts && in.Health == api.Pending && !j.ever[in.ID] {
			continue
		}
		if a, err := w.fleet.Alloc(in.ID); in.Build == api.BuildPatched && in.Health != api.Healthy && err == nil && a.Client != fleet.ClientLost {
			return
		}
	}
	w.fail("%s turns back, and no patched instance fails but by what the world did: %s", next.ID, next.Reason)
}

// registered holds a registration that Nomad accepted against the intents.
func (w *world) registered(id, effect string, kind api.EffectKind) {
	w.performed[effect]++
	if n := w.performed[effect]; n > 1 {
		w.fail("effect %s was performed %d times", effect, n)
	}
	r := w.rollout(id)
	switch {
	case r.Status.Ended():
		w.fail("%s has ended, and effect %s (%s) changes its job", id, effect, kind)
	case r.Effect != nil && (r.Effect.ID == effect || r.Effect.Kind == kind):
	case r.Status == api.RolloutRollingBack: // a late one; the rollback undoes it
	case len(r.Effects) > 0 && r.Effects[len(r.Effects)-1].ID == effect && r.Effects[len(r.Effects)-1].Status == api.EffectFailed:
	default:
		w.fail("effect %s (%s) is performed and not open", effect, kind)
	}
}

// neverFails: only what somebody else did to its job ends a rollout in another way.
func (w *world) neverFails(r api.Rollout) {
	if !w.foreign[r.Target.Job] {
		w.fail("%s ended as %s: %s", r.ID, r.Status, r.Reason)
	}
}

// final holds what an ended rollout leaves behind.
func (w *world) final(r api.Rollout) {
	j := w.jobs[r.Target]
	if w.exits.left[j.ref.Job] {
		w.finalExit(r)
		return
	}
	calm := w.good && w.rate == 0 && w.meddling == 0 && !w.excused[j.ref.Job] && !w.waves.held[r.ID]
	if calm && r.Status != api.RolloutComplete {
		w.fail("nothing speaks against %s, and it is %s: %s", r.ID, r.Status, r.Reason)
	}
	if w.outskirts.refused[r.Target.Job] && r.Status == api.RolloutComplete && !w.foreign[j.ref.Job] {
		w.fail("%s was told of a denied attempt, its policy turns back, and it is complete", r.ID)
	}
	want, left := "", strings.HasPrefix(r.Reason, "rollback given up by ada: every instance runs the former version")
	switch r.Status {
	case api.RolloutFailed:
		if !left {
			w.neverFails(r)
			return
		}
		want = w.captured[r.Former.Digest]
	case api.RolloutComplete:
		want = patchOf(w.captured[r.Former.Digest])
	case api.RolloutRolledBack:
		want = w.captured[r.Former.Digest]
	case api.RolloutCancelled, api.RolloutRejected:
		want = specFormer
	default:
		w.neverFails(r)
		return
	}
	g := &w.job(j.ref).Groups[0]
	if w.foreign[j.ref.Job] && buildOf(g) != want {
		return // somebody changed it, before or after the end
	}
	if buildOf(g) != want || *g.Update != *w.ownPace() {
		w.fail("%s is %s and its job is %s, its update block %+v", r.ID, r.Status, buildOf(g), *g.Update)
	}
	if n, all := w.running(j.ref, want), len(w.fleet.Instances(j.ref)); n != w.wants(j) || all != w.wants(j) {
		w.fail("%s is %s and %d of %d instances run %s, the group has %d", r.ID, r.Status, n, all, want, w.wants(j))
	}
}
