package orchestrator

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/hashicorp/raft"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/internal/fleet"
	"github.com/oakumhq/oakum/internal/fleet/adapter"
	"github.com/oakumhq/oakum/internal/rollout"
	"github.com/oakumhq/oakum/server/state"
	"github.com/oakumhq/oakum/server/state/levels"
)

// term is one term of leadership as the orchestrator meets the world: its
// ports to Nomad, Consul, the judge, the strategies, the simulator and the log.
// Every crossing may go wrong.
type term struct {
	w      *world
	ctx    context.Context //nolint:containedctx // the term is the context
	cancel context.CancelFunc
	acting string // the effect that the present turn carries out
	kind   api.EffectKind
}

func (t *term) over() bool { return t.ctx.Err() != nil }

// crash ends the term: nothing that it says is heard any more.
func (t *term) crash(where string) {
	t.w.say("crash %s", where)
	t.cancel()
}

// read is a call that changes nothing.
func (t *term) read(ctx context.Context, source string) error {
	w := t.w
	w.interlude("reading " + source)
	if err := ctx.Err(); err != nil {
		return err
	}
	if until := w.down[source]; w.now().Before(until) {
		return api.Errorf(api.CodeUnavailable, "%s: connection refused", source)
	}
	at := boundary{t.kind, atLook}
	if source == "simulator" {
		at.at = atAct
	}
	switch w.roll(at, faultError, faultSlow, faultCrash) {
	case faultCrash:
		t.crash("reading " + source)
		return ctx.Err()
	case faultError:
		w.say("%s answers a read with an error", source)
		return api.Errorf(api.CodeUnavailable, "%s: 500", source)
	case faultSlow:
		time.Sleep(w.between(time.Second, 20*time.Second))
		if ctx.Err() != nil {
			return api.Errorf(api.CodeTimeout, "%s: %v", source, ctx.Err())
		}
	}
	return nil
}

// write is a call that changes something: do may be performed before a crash,
// with its reply lost, twice, late, or not at all.
func (t *term) write(ctx context.Context, what string, do func() error) error {
	w := t.w
	w.interlude("before " + what)
	if err := ctx.Err(); err != nil {
		return err
	}
	if until := w.down["nomad"]; w.now().Before(until) {
		return api.Errorf(api.CodeUnavailable, "nomad: connection refused")
	}
	at := boundary{t.kind, atAct}
	fault := w.roll(at)
	if fault == faultNone && w.faults && w.rate > 0 && w.chance(w.haunt) {
		fault = faultLate
		w.cover.hit(at, fault.String())
	}
	if fault == faultSlow {
		time.Sleep(w.between(time.Second, 20*time.Second))
	}
	switch fault {
	case faultCrash:
		t.crash("before " + what)
		return ctx.Err()
	case faultError:
		w.say("%s: error, not performed", what)
		return api.Errorf(api.CodeUnavailable, "nomad: 500")
	case faultLate:
		w.say("%s: on its way, but late", what)
		w.later = append(w.later, delayed{at: w.now().Add(w.between(100*time.Millisecond, 2*time.Minute)), what: what, do: do})
		if id, _, ok := strings.Cut(t.acting, "."); ok && w.faults && w.chance(0.4) {
			w.command(id, "abort", "with "+what+" on its way")
		}
		return api.Errorf(api.CodeTimeout, "nomad: context deadline exceeded")
	}
	err := do()
	w.say("%s: %v", what, err)
	w.check()
	switch fault {
	case faultTwice:
		err = do()
		w.say("%s, once more: %v", what, err)
		w.check()
	case faultLost:
		w.say("%s: reply lost", what)
		err = api.Errorf(api.CodeUnavailable, "nomad: connection reset")
	case faultCrashAfter:
		t.crash("after " + what)
		err = ctx.Err()
	}
	w.interlude("after " + what)
	return err
}

// View may be an older one.
func (t *term) View(ctx context.Context, m rollout.Move) (*rollout.JobView, error) {
	if err := t.read(ctx, "nomad"); err != nil {
		return nil, err
	}
	now, err := t.w.nomad().View(ctx, m)
	if err != nil {
		return nil, err
	}
	seen := append(t.w.views[m.Rollout], now)
	t.w.views[m.Rollout] = seen[max(0, len(seen)-30):]
	v := *now
	if len(seen) > 1 && t.w.faults && t.w.chance(t.w.stale) {
		v = *seen[max(0, len(seen)-2-t.w.rng.IntN([]int{4, 28}[t.w.rng.IntN(2)]))]
		t.w.cover.hit(boundary{t.kind, atLook}, hitStale)
		t.w.say("a stale view of %s: index %d, not %d", m.Target.Job, v.ModifyIndex, now.ModifyIndex)
	}
	v.Instances = append([]api.Instance(nil), v.Instances...)
	return &v, nil
}

// Gone is asked between all other questions, so it strikes no fault of its own.
func (t *term) Gone(ctx context.Context, ref api.TargetRef) (*rollout.Gone, error) {
	if until := t.w.down["nomad"]; t.w.now().Before(until) {
		return nil, api.Errorf(api.CodeUnavailable, "nomad: connection refused")
	}
	return t.w.nomad().Gone(ctx, ref)
}

func (t *term) Capture(ctx context.Context, ref api.TargetRef) (*api.FormerJob, error) {
	t.w.begins(api.EffectTag)
	if err := t.read(ctx, "nomad"); err != nil {
		return nil, err
	}
	return t.w.capture(ctx, ref)
}

func (t *term) Target(ctx context.Context, ref api.TargetRef) (api.Target, error) {
	if err := t.read(ctx, "nomad"); err != nil {
		return api.Target{}, err
	}
	return t.w.nomad().Target(ctx, ref)
}

// register carries a registration out and holds it against the open intent.
func (t *term) register(ctx context.Context, kind api.EffectKind, m rollout.Move, do func(context.Context, adapter.Nomad) error) error {
	w, effect := t.w, t.acting
	what := fmt.Sprintf("register %s (%s %s)", m.Target.Job, effect, kind)
	return t.write(ctx, what, func() error {
		n := w.nomad()
		w.hurry()
		before, gone := w.job(m.Target).ModifyIndex, w.goneNow(m.Target)
		err := do(onItsWay(ctx), n)
		if gone != nil && err == nil {
			w.fail("effect %s registers %s, which was %s", effect, m.Target, gone.Loss)
		}
		if w.job(m.Target).ModifyIndex != before {
			w.registered(m.Rollout, effect, kind)
			w.advance()
		}
		return err
	})
}

func (t *term) Stage(ctx context.Context, m rollout.Move, mode api.StageMode, delta int, expect uint64) error {
	t.w.begins(api.EffectStage)
	t.w.checkPace(t.w.rollout(m.Rollout))
	t.w.checkRoom(t.w.rollout(m.Rollout), mode, delta)
	return t.register(ctx, api.EffectStage, m, func(ctx context.Context, n adapter.Nomad) error {
		err := n.Stage(ctx, m, mode, delta, expect)
		if err == nil && t.w.faults && t.w.fails.Float64() < 0.6 {
			t.w.failBeside(t.w.jobs[m.Target])
		}
		return err
	})
}

func (t *term) Rollback(ctx context.Context, m rollout.Move, size int, expect uint64) error {
	stood := t.w.answering(m.Target)
	return t.register(ctx, api.EffectRollback, m, func(ctx context.Context, n adapter.Nomad) error {
		err := n.Rollback(ctx, m, size, expect)
		if err == nil {
			t.w.jobs[m.Target].stood = stood
		}
		return err
	})
}

func (t *term) Renew(ctx context.Context, m rollout.Move, expect uint64) error {
	effect := t.acting
	return t.register(ctx, api.EffectFinish, m, func(ctx context.Context, n adapter.Nomad) error {
		err := n.Renew(ctx, m, expect)
		if err == nil {
			t.w.performed[effect]-- // the job gets its own update block by another registration
			t.w.renewed++
		}
		return err
	})
}

func (t *term) Unpace(ctx context.Context, m rollout.Move, build api.Build, expect uint64) error {
	kind := api.EffectUnpace
	if build == api.BuildPatched {
		kind = api.EffectFinish
	}
	t.w.begins(kind)
	return t.register(ctx, kind, m, func(ctx context.Context, n adapter.Nomad) error {
		stable := t.w.job(m.Target).Stable
		err := n.Unpace(ctx, m, build, expect)
		if err == nil && build == api.BuildPatched && !stable && t.reverted(m) {
			t.w.fail("%s has its auto_revert back, and the patched version was never stable", m.Target)
		}
		return err
	})
}

// reverted reports whether Nomad takes a job with instances back when a deployment at its
// own pace fails.
func (t *term) reverted(m rollout.Move) bool {
	var former fleet.Job
	if err := json.Unmarshal(m.Former.Job, &former); err != nil {
		t.w.fail("decode %s: %v", m.Target, err)
	}
	return m.Former.Launch == "" && slices.ContainsFunc(former.Groups, func(g fleet.Group) bool { return g.Update.AutoRevert })
}

// EndStage is known by its deployment, so that one that comes late ends no other.
func (t *term) EndStage(ctx context.Context, m rollout.Move, expect uint64) error {
	t.w.begins(api.EffectSettle)
	n := t.w.nomad()
	d := n.Latest(fleet.JobID{Namespace: m.Target.Namespace, ID: m.Target.Job})
	return t.write(ctx, "end the deployment of "+m.Target.Job, func() error {
		n := t.w.nomad()
		if now := n.Latest(fleet.JobID{Namespace: m.Target.Namespace, ID: m.Target.Job}); d != nil && now != d {
			return api.Errorf(api.CodeUnavailable, "can't change terminal deployment")
		}
		return n.EndStage(onItsWay(ctx), m, expect)
	})
}

func (t *term) Settle(ctx context.Context, m rollout.Move) error {
	_, settle := t.w.settling(m.Target)
	return t.write(ctx, "settle "+m.Target.Job, settle)
}

func (t *term) Promote(ctx context.Context, m rollout.Move) error {
	t.w.begins(api.EffectPromote)
	if err := t.Settle(ctx, m); err != nil {
		return err
	}
	dep, _ := t.w.settling(m.Target)
	if dep == "" {
		return api.Errorf(api.CodeConflict, "promote %s: its deployment is over", m.Target)
	}
	return t.write(ctx, "promote "+m.Target.Job, func() error { return t.w.nomad().PromoteDeployment(dep) })
}

func (t *term) Tag(ctx context.Context, m rollout.Move) error {
	return t.write(ctx, "tag "+m.Target.Job, func() error { return t.w.nomad().Tag(onItsWay(ctx), m) })
}

func (t *term) Untag(ctx context.Context, m rollout.Move) error {
	return t.write(ctx, "untag "+m.Target.Job, func() error { return t.w.nomad().Untag(onItsWay(ctx), m) })
}

func (t *term) Checks(ctx context.Context, services []string) (map[string]api.Health, error) {
	if err := t.read(ctx, "consul"); err != nil {
		return nil, err
	}
	t.w.advance()
	return t.w.checksOf(services[0]), nil
}

func (t *term) Look(ctx context.Context, q Question) (api.Verdict, api.JudgeState, error) {
	if err := t.read(ctx, "prometheus"); err != nil {
		return api.Verdict{}, api.JudgeState{}, err
	}
	w := t.w
	s := api.JudgeState{Stage: q.Stage, Started: q.Now, Looks: 1, Bank: json.RawMessage(`{"a":1}`)}
	if q.State != nil {
		s.Started, s.Looks = q.State.Started, q.State.Looks+1
	}
	v := api.Verdict{Kind: api.VerdictContinue, At: q.Now, Looks: s.Looks, Reason: "more data is needed"}
	switch {
	case w.chance(w.bad):
		w.excused[q.Target.Job] = true
		v.Kind, v.Reason = api.VerdictAbort, "latency is worse"
	case w.chance(0.3):
		v.Kind, v.Reason = api.VerdictPromote, "no worse"
		w.promised[fmt.Sprintf("%s/%d", q.Target.Job, q.Stage)] = true
	case w.chance(0.03):
		w.excused[q.Target.Job] = true
		v.Kind, v.Reason = api.VerdictInconclusive, "too little traffic"
	}
	w.say("judge on %s stage %d: %s", q.Target.Job, q.Stage, v.Kind)
	w.outskirts.said = v.Kind
	return v, s, nil
}

func (t *term) Advise(ctx context.Context, _ string, view api.StrategyView) (api.Advice, error) {
	if err := t.read(ctx, "strategy"); err != nil {
		return api.Advice{}, err
	}
	w := t.w
	switch {
	case w.faults && w.chance(0.02):
		return api.Advice{Action: api.AdviceHold, Reason: "a moment"}, nil
	case w.faults && w.chance(0.01):
		w.excused[view.Target.Job] = true
		return api.Advice{Action: api.AdviceRollback, Reason: "no"}, nil
	case w.faults && w.chance(0.02): // nonsense, to be refused
		return api.Advice{Action: api.AdviceFinish, Percent: -3}, nil
	}
	for _, s := range w.ladder {
		if w.jobs[view.Target.TargetRef].system && (!w.faults || !w.systems.odd()) {
			s.Mode = api.StageInPlace
		}
		if len(view.Stages) == 0 || s.Percent > view.Stages[len(view.Stages)-1].Percent {
			return s, nil
		}
	}
	if last := view.Stages[len(view.Stages)-1]; last.Mode == api.StageBeside && !last.Promoted {
		return api.Advice{Action: api.AdvicePromote, Reason: "green is good"}, nil
	}
	return api.Advice{Action: api.AdviceFinish, Reason: "done"}, nil
}

func (t *term) Simulate(ctx context.Context, _ string, r api.Rollout, _ api.Target) (api.Impact, []api.Apply, error) {
	w := t.w
	for range 3 {
		if err := t.read(ctx, "simulator"); err != nil {
			return api.Impact{}, nil, err
		}
		time.Sleep(time.Second)
	}
	if w.chance(0.1) {
		w.excused[r.Target.Job] = true
		return api.Impact{Negative: true, Reason: "the treatment does not boot"}, nil, nil
	}
	if w.undecided != nil && w.undecided() {
		if r.Decision.Inconclusive() == api.InconclusiveHold || w.store.Level() < levels.Five {
			w.excused[r.Target.Job] = true // somebody must have it tried again
		}
		return api.Impact{Verdict: api.SimulationUndecided, Reason: "the load covers nothing"}, nil, nil
	}
	return api.Impact{Reason: "no worse on " + r.Target.Job}, nil, nil
}

// Transition may be refused, lost, or commit after its term is over.
func (t *term) Transition(ctx context.Context, kind string, next api.Rollout, expect uint64) error {
	w, at := t.w, boundary{}
	w.heeded(next)
	w.brakes.held(w.rollout(next.ID), next)
	w.heedsFailures(w.rollout(next.ID), next)
	switch was := w.rollout(next.ID); {
	case next.Effect != nil && (was.Effect == nil || was.Effect.ID != next.Effect.ID):
		at = boundary{next.Effect.Kind, atIntent}
	case was.Effect != nil && next.Effect == nil:
		at = boundary{was.Effect.Kind, atOutcome}
	}
	moves := (rollout.JobView{Instances: next.Instances}).Tally().Former > 0
	if moves && len(next.Stages) > len(w.rollout(next.ID).Stages) && cut(next.Decision) {
		_, now := w.opens(next.Decision, w.clock())
		if _, before := w.opens(next.Decision, w.clock().Add(-observeTimeout)); now != "" && before != "" {
			w.fail("%s begins a stage, and %s", next.ID, now)
		}
	}
	w.checkBlame(w.rollout(next.ID), next)
	if next.Status == api.RolloutRolledBack {
		w.checkReturned(next)
	}
	return t.commit(ctx, at, kind+" of "+next.ID, &state.RolloutTransition{Kind: kind, Expect: expect, Rollout: next})
}

func (t *term) RecordSimulation(ctx context.Context, s api.Simulation) error {
	at := boundary{api.EffectSimulate, atIntent}
	if s.Status != api.SimulationRunning {
		at.at = atOutcome
	} else {
		t.w.begins(api.EffectSimulate)
	}
	return t.commit(ctx, at, "simulation "+s.ID, &state.SimulationPut{Simulation: s})
}

func (t *term) commit(ctx context.Context, at boundary, what string, cmd state.Command) error {
	w := t.w
	if ctx.Err() != nil || t.over() {
		return api.Errorf(api.CodeNoLeader, "not the leader")
	}
	entry, err := w.fsm.Encode(cmd, w.clock(), "s1")
	if err != nil {
		return err
	}
	if w.telling {
		w.sizes = append(w.sizes, len(entry))
	}
	fault := w.roll(at)
	if fault == faultNone && w.faults && w.doubts.haunts(cmd) {
		fault = faultLate
	}
	switch fault {
	case faultSlow:
		time.Sleep(w.between(100*time.Millisecond, 3*time.Second))
	case faultCrash:
		t.crash("before the log has " + what)
		return api.Errorf(api.CodeNoLeader, "leadership lost")
	case faultError:
		w.say("the log refuses %s", what)
		return api.Errorf(api.CodeTimeout, "apply: timed out")
	case faultLate:
		w.say("the log takes %s late", what)
		// Whoever looks at the gate until then does not see it; the state
		// machine does, from level 2 on.
		w.unsure = w.unsure || w.store.Level() < 2
		at := w.now().Add(w.between(100*time.Millisecond, 5*time.Second))
		w.later = append(w.later, delayed{at: at, what: "log " + what, do: func() error { return w.apply(entry) }})
		return api.Errorf(api.CodeTimeout, "apply: timed out")
	}
	if err := w.apply(entry); err != nil {
		w.say("log: %s: %v", what, err)
		return err
	}
	w.say("log: %s", what)
	w.check()
	switch fault {
	case faultTwice:
		_, step := cmd.(*state.RolloutTransition) // a running simulation may be stored again as it is
		if err := w.apply(entry); err == nil && step {
			w.fail("the log took %s twice", what)
		}
	case faultLost:
		w.say("the log took %s and nobody was told", what)
		return api.Errorf(api.CodeTimeout, "apply: timed out")
	case faultCrashAfter:
		t.crash("after the log has " + what)
		return api.Errorf(api.CodeNoLeader, "leadership lost")
	}
	return nil
}

// apply is the replicated log, committed.
func (w *world) apply(entry []byte) error {
	before, braked := w.standing(), w.underBrake()
	w.logIndex++
	err, _ := w.fsm.Apply(&raft.Log{Index: w.logIndex, Data: entry}).(error)
	w.lapsed(before, err)
	w.intended(braked, err)
	w.checkHoldsAreToldOnce()
	return err
}
