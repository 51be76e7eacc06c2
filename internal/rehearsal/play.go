package rehearsal

import (
	"context"
	"fmt"
	"log/slog"
	"math"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/internal/calendar"
	"github.com/oakumhq/oakum/internal/judge"
	"github.com/oakumhq/oakum/internal/orchestrator"
	"github.com/oakumhq/oakum/internal/planner"
	"github.com/oakumhq/oakum/internal/rollout"
)

const (
	// horizon ends a play that does not end by itself. A quarter is longer than
	// any plan that people wait for.
	horizon = 90 * 24 * time.Hour
	// turnsMost bounds the turns of a rollout at one moment. A step forward takes
	// three turns. A hundred turns mean that the rollout goes round in a circle.
	turnsMost = 100
)

// play is one run of a plan, with one seed and one kind of patch.
type play struct {
	*scene
	ctx      context.Context //nolint:containedctx // a play is one call
	now      time.Time
	which    int // behaviour
	record   *record
	sites    sites
	parts    []*part
	byTarget map[api.TargetRef]*part
	orch     *orchestrator.Orchestrator
	err      error
}

// part is one rollout of a play.
type part struct {
	*member
	index     int   // in the record
	site      *site // nil before it begins
	worker    *orchestrator.Worker
	seed      uint64 // of the play
	src       *rand.Rand
	judgement *judgement
	wake      time.Time // when it has its next turn; zero for never
	quiet     bool      // it waits for another rollout
	tally     tally
}

// tally is what the report needs of a rollout.
type tally struct {
	started  time.Time // it left waiting
	first    time.Time // the first patched instance was healthy
	turned   time.Time // it turned back
	why      string    // it did
	requests float64   // that patched instances had
	held     string    // it held for a person, and why
	approved string    // it waited for an approval, and why
}

// newPlay prepares a play with a seed and a behaviour.
func newPlay(ctx context.Context, s *scene, seed uint64, which int) *play {
	p := &play{scene: s, ctx: ctx, now: s.opt.At, which: which, byTarget: map[api.TargetRef]*part{}}
	n := 0
	mint := func() string { n++; return fmt.Sprintf("r%d", n) }
	p.sites = sites{at: map[api.TargetRef]*site{}, open: func(ref api.TargetRef) (*site, error) { return p.byTarget[ref].open(p) }}
	p.record = newRecord(planner.Rollouts(s.plan, baked(s.patch), mint, p.now))
	p.orch = orchestrator.New(orchestrator.Options{
		Store: p.record, Recorder: p.record, Reader: p.sites, Mover: p.sites, Tagger: p.sites, Judge: p, Adviser: s.opt,
		Neighbourhood: neighbourhood{scene: s}, Opens: calendar.Opens, Interval: s.facts.Tick.D(), Now: func() time.Time { return p.now }, CountMost: math.MaxInt64,
		Logger: slog.New(slog.DiscardHandler),
	})
	for i, m := range s.members {
		// A target draws from the seed alone, so it is equally lucky with every
		// patch.
		at := &part{member: m, index: i, seed: seed, src: rand.New(rand.NewPCG(seed, uint64(i))), worker: p.orch.Worker(p.record.rollouts[i].ID), wake: p.now}
		p.byTarget[m.planned.Target.TargetRef] = at
		p.parts = append(p.parts, at)
	}
	return p
}

// baked returns the patch with images in the place of its scripts, as the sandbox
// makes them.
func baked(patch api.Patch) api.Patch {
	patch.Apply = slices.Clone(patch.Apply)
	for i, a := range patch.Apply {
		if a.Kind == api.ApplyScript {
			patch.Apply[i] = api.Apply{Kind: api.ApplyImage, Task: a.Task, Image: "/baked"}
		}
	}
	return patch
}

// open makes the site of a rollout that begins.
func (at *part) open(p *play) (*site, error) {
	var err error
	boot := func() time.Duration { return at.boots[at.src.IntN(len(at.boots))] }
	at.site, err = newSite(&at.planned.Target, at.src.Uint64(), p.now, boot, p.behaviour())
	if err != nil && p.err == nil {
		p.err = err
	}
	return at.site, err
}

func (p *play) behaviour() behaviour { return p.behaviours[p.which] }

func (p *play) rollout(at *part) *api.Rollout { return &p.record.rollouts[at.index] }

// run plays until every rollout has ended, or until nothing more will happen.
func (p *play) run() error {
	end := p.now.Add(horizon)
	for p.err == nil && p.ctx.Err() == nil {
		for p.round() {
		}
		next := p.next()
		if next.IsZero() || next.After(end) {
			break
		}
		p.pass(next)
	}
	if p.err != nil {
		return p.err
	}
	return context.Cause(p.ctx)
}

// round gives every rollout that is due its turns. It reports whether more may
// happen at this moment.
func (p *play) round() bool {
	again := false
	for _, at := range p.parts {
		if at.wake.IsZero() || at.wake.After(p.now) {
			continue
		}
		before := p.rollout(at)
		was, status, blocked := before.UnderWay(), before.Status, before.Blocked()
		p.turns(at)
		after := p.rollout(at)
		at.note(after, p.now)
		p.scheduleTurn(at)
		if (was && !after.UnderWay()) || (after.Status.Ended() && !status.Ended()) || (after.Blocked() && !blocked) {
			again = p.wakeWaiting() || again
		}
	}
	return again
}

// wakeWaiting wakes the rollouts that wait for another one, after one has ended or was blocked.
func (p *play) wakeWaiting() bool {
	woken := false
	wave := 0
	for _, at := range p.parts {
		if r := p.rollout(at); r.Status.Ended() || r.Blocked() {
			continue
		}
		if wave == 0 {
			wave = at.wave
		}
		if at.quiet && at.wave == wave { // later ones wait for this wave
			at.wake, at.quiet, woken = p.now, false, true
		}
	}
	return woken
}

// turns gives a rollout turns until nothing more changes at this moment.
func (p *play) turns(at *part) {
	for range turnsMost {
		r := p.rollout(at)
		if r.Status.Ended() {
			return
		}
		if done := p.actForPeople(at, r); done {
			continue
		}
		if waits(r) {
			return
		}
		// In production the worker's own records wake it.
		index := r.ModifyIndex
		if !at.worker.Turn(p.ctx) && p.rollout(at).ModifyIndex == index {
			return
		}
	}
	p.err = api.Errorf(api.CodeInternal, "rehearse %s: its rollout goes round in circles (%s)", at.planned.Target.TargetRef, p.rollout(at).Reason)
}

// waits reports whether a rollout waits for its simulation. A turn of the
// orchestrator would run the twins.
func waits(r *api.Rollout) bool {
	return r.Effect != nil && r.Effect.Kind == api.EffectSimulate
}

// actForPeople acts for the people and the sandbox when their time has come. It reports
// whether something was done.
func (p *play) actForPeople(at *part, r *api.Rollout) bool {
	switch {
	case waits(r):
		if p.due(r.Effect.Intended.Add(at.trial(r))) {
			p.step(at, rollout.Finished{EffectResult: p.passed(at, r)})
			return true
		}
	case r.Status == api.RolloutAwaitingApproval:
		if p.due(r.Since.Add(p.opt.People)) {
			by := api.Identity{Name: fmt.Sprintf("person %d", len(r.Approvals)+1)}
			if from := r.Decision.Approval.From; from != "" {
				by.Groups = []string{from}
			}
			p.step(at, rollout.Command{Action: "approve", By: by})
			return true
		}
	case held(r) != "":
		if p.due(r.Holds[0].Since.Add(p.opt.People)) {
			p.step(at, rollout.Command{Action: p.answer(r), By: api.Identity{Name: "person 1"}})
			return true
		}
	}
	return false
}

// due reports whether a time has come.
func (p *play) due(when time.Time) bool { return !p.now.Before(when) }

// trial is how long the simulation of a rollout takes.
func (at *part) trial(r *api.Rollout) time.Duration {
	// The time is drawn from the seed and the effect, so every call returns the
	// same one.
	src := rand.New(rand.NewPCG(^at.seed, uint64(at.index)<<32|uint64(len(r.Effects)))) //nolint:gosec // both count up from zero
	return at.trials[src.IntN(len(at.trials))]
}

// passed is the result of a simulation that found nothing, with the policies'
// decision after it.
func (p *play) passed(at *part, r *api.Rollout) rollout.EffectResult {
	res := rollout.EffectResult{ID: r.Effect.ID, OK: true, Simulation: r.Effect.ID, Outcome: "the twins do not differ"}
	impact := api.Impact{Reason: res.Outcome}
	for _, k := range r.Decision.Judge.KPIs {
		impact.KPIs = append(impact.KPIs, api.KPIEffect{KPI: k.KPI, Kind: api.VerdictPromote, Ratio: 1})
	}
	in := p.input
	in.Now = p.now
	decision, err := planner.Redecide(in, at.planned, r.Decision, impact)
	if err != nil {
		res.OK, res.Outcome = false, api.AsError(err).Message
		return res
	}
	res.Decision = &decision
	return res
}

// held returns the reason of a hold that only a person ends. It is empty for any
// other state.
func held(r *api.Rollout) string {
	if r.Status != api.RolloutHolding || len(r.Holds) == 0 {
		return ""
	}
	switch h := r.Holds[0]; h.Source {
	case "window", "budget": // these end by themselves
		return ""
	default:
		return h.Reason
	}
}

// answer is the command of a person about a hold. The person promotes a harmless
// patch where that is possible, and rolls everything else back.
func (p *play) answer(r *api.Rollout) string {
	n := len(r.Stages)
	if p.behaviour().bad() || n == 0 || r.Stages[n-1].Ready.IsZero() || !r.Stages[n-1].Judged.IsZero() {
		return "rollback"
	}
	return "promote"
}

// step records an event of a rollout.
func (p *play) step(at *part, ev rollout.Event) {
	r := p.rollout(at)
	next, err := rollout.Step(*r, ev, p.now)
	if err == nil {
		err = p.record.Transition(p.ctx, "", next, r.ModifyIndex)
	}
	if err != nil && p.err == nil {
		p.err = fmt.Errorf("rehearse %s: %w", at.planned.Target.TargetRef, err)
	}
}

// next is the earliest time at which a rollout is due. It is zero when none is.
func (p *play) next() time.Time {
	var first time.Time
	for _, at := range p.parts {
		if !at.wake.IsZero() && (first.IsZero() || at.wake.Before(first)) {
			first = at.wake
		}
	}
	return first
}

// pass moves the time on, and counts the requests of patched instances in between.
func (p *play) pass(until time.Time) {
	for _, at := range p.parts {
		if at.site == nil || p.rollout(at).Status.Ended() {
			continue
		}
		at.count(until)
		at.site.advance(until)
	}
	p.now = until
}

// Look gives the orchestrator a verdict about a rollout's stage.
func (p *play) Look(_ context.Context, q orchestrator.Question) (api.Verdict, api.JudgeState, error) {
	at := p.byTarget[q.Target]
	j, err := p.judging(at, len(q.Canary), len(q.Stable))
	if err != nil {
		return api.Verdict{}, api.JudgeState{}, err
	}
	j.ahead(p.now, len(q.Canary), len(q.Stable), at.perInstance)
	v, state := j.verdict(p.now)
	return v, state, nil
}

// judging returns the judgement of a rollout's present stage.
func (p *play) judging(at *part, canary, stable int) (*judgement, error) {
	r := p.rollout(at)
	stage := r.Stages[len(r.Stages)-1]
	fresh := r.Judge != nil && r.Judge.Stage == 0 // a person resumed it
	if j := at.judgement; j != nil && j.stage == stage.Number && !fresh {
		return j, nil
	}
	var references map[string]judge.Reference
	if j := at.judgement; j != nil && j.bank != nil {
		references = j.bank.References()
	}
	j, err := at.newJudgement(stage.Number, stage.Ready, canary, stable, p.which, references, at.src, p.facts.Tick.D())
	if err != nil {
		return nil, err
	}
	if p.now.After(j.last) {
		j.last = p.now // the deployment of the stage was ended before the first look
	}
	at.judgement = j
	return j, nil
}
