package orchestrator

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/internal/rollout"
)

// observeTimeout bounds the requests of one tick, so that a silent source becomes a
// hold and not a stuck worker.
const observeTimeout = 15 * time.Second

// move is the rollout's job with its two forms.
func move(r api.Rollout) rollout.Move {
	return rollout.Move{Target: r.Target, Rollout: r.ID, Former: r.Former, Apply: r.Apply}
}

// observe gathers the observation of one tick. A source that does not answer
// becomes a reason to hold.
func (o *Orchestrator) observe(turn context.Context, r api.Rollout, a *execution) rollout.Observation {
	ctx, cancel := context.WithTimeout(turn, observeTimeout)
	defer cancel()
	var obs rollout.Observation
	if r.Former == nil {
		obs.Closed = o.closed(r, nil)
		if gone, err := o.Reader.Gone(ctx, r.Target); err == nil && gone != nil {
			obs.Gone = gone
			return obs // that nothing is known keeps nobody waiting
		}
		switch {
		case r.Status == api.RolloutWaiting:
			obs.Gate = o.gate(r)
		case r.Status == api.RolloutAwaitingApproval && r.Decision.InDoubt() && o.Reconsider != nil:
			o.reconsider(r, &obs)
		}
		return obs
	}
	o.denied(r, &obs)
	view, hold := o.view(ctx, r, a)
	if hold == nil && view.Gone != nil {
		return o.lost(ctx, r, view.Gone)
	}
	obs.Job, obs.Closed = view, o.closed(r, view)
	if hold != nil {
		obs.Away = append(obs.Away, *hold)
		return obs
	}
	if o.prove(turn, r, a, &obs) && rollout.Judging(r) {
		o.judge(ctx, r, &obs)
	}
	if len(obs.Away) == 0 && rollout.AwaitsAdvice(r) {
		o.advise(ctx, r, &obs)
	}
	if obs.Advice != nil && obs.Advice.Action == api.AdviceStage && len(obs.Closed) == 0 {
		o.holdForImages(turn, r, a, &obs)
	}
	return obs
}

// reconsider asks whether an approval that was asked for in doubt is still needed.
// While the graph is not whole nothing is decided; any other reason why the policies
// don't decide becomes a hold.
func (o *Orchestrator) reconsider(r api.Rollout, obs *rollout.Observation) {
	decision, err := o.Reconsider(r)
	switch {
	case err == nil:
		obs.Anew = &decision
	case !api.IsCode(err, api.CodeUnavailable):
		obs.Away = append(obs.Away, api.Hold{Source: sourcePolicies, Reason: api.AsError(err).Message})
	}
}

// view reads the job, and merges the checks that Consul has of its instances. An instance
// is healthy when both have said so for as long as the job's update block asks for.
func (o *Orchestrator) view(ctx context.Context, r api.Rollout, a *execution) (*rollout.JobView, *api.Hold) {
	view, err := o.Reader.View(ctx, move(r))
	if err != nil {
		return nil, away("nomad", err)
	}
	if floor := rollout.Floor(r); view.ModifyIndex < floor {
		return nil, &api.Hold{Source: "nomad", Reason: fmt.Sprintf(
			"nomad gives an older view of the job, of modify index %d; it has been at %d", view.ModifyIndex, floor)}
	}
	if view.Gone != nil {
		return view, nil
	}
	if o.Checks != nil && len(r.Former.Checked) > 0 {
		health, err := o.Checks.Checks(ctx, r.Former.Checked)
		if err != nil {
			return nil, away("consul", err)
		}
		merge(view, health)
	}
	if a.steady == nil {
		a.steady = rollout.Steady{}
	}
	steady := a.steady.Look(r, *view, o.Monotonic())
	a.due = a.steady.Due(steady)
	return &steady, nil
}

// merge takes the health of instances that Nomad calls healthy from Consul. Its critical
// is not yet a lost instance, which may be starting: the stage's deadline and grace decide
// when waiting ends.
func merge(view *rollout.JobView, health map[string]api.Health) {
	for i, in := range view.Instances {
		if in.Health == api.Healthy && health[in.ID] != api.Healthy {
			view.Instances[i].Health = api.Pending
			view.Instances[i].Because = "its checks in consul do not pass"
		}
	}
}

// away is a reason to hold: a source that gave an error instead of an answer, or a stage
// that has no room.
func away(source string, err error) *api.Hold {
	if full, ok := errors.AsType[*rollout.NoRoom](err); ok {
		return &api.Hold{Source: "room", Reason: full.Error()}
	}
	if others, ok := errors.AsType[*rollout.Unsettled](err); ok {
		return &api.Hold{Source: "job", Reason: others.Error()}
	}
	return &api.Hold{Source: source, Reason: source + " gives no answer: " + api.AsError(err).Message}
}

// judge asks for one look of the judge when the interval since the last one is over.
func (o *Orchestrator) judge(ctx context.Context, r api.Rollout, obs *rollout.Observation) {
	now := o.Now().UTC()
	stage := r.Stages[len(r.Stages)-1]
	stands := len(obs.Closed) > 0 || rollout.Overshot(r, *obs.Job) != nil
	if r.Verdict != nil && (r.Status == api.RolloutRunning || stands) {
		// A look in the future was another leader's, by a clock that is ahead.
		if since := now.Sub(r.Verdict.At); since >= 0 && since < r.Decision.Judge.Interval.D() {
			return
		}
	}
	q := Question{
		Target: r.Target, Spec: r.Decision.Judge, Stage: stage.Number, State: r.Judge, Started: stage.Ready, Now: now,
	}
	for _, in := range obs.Job.Instances {
		switch {
		case in.Health != api.Healthy:
		case in.Build == api.BuildPatched:
			q.Canary = append(q.Canary, in.ID)
		case in.Build == api.BuildFormer:
			q.Stable = append(q.Stable, in.ID)
		}
	}
	verdict, state, err := o.Judge.Look(ctx, q)
	if err != nil {
		obs.Away = append(obs.Away, api.Hold{Source: "prometheus", Reason: "the judge has no data: " + api.AsError(err).Message})
		return
	}
	r.Instances = obs.Job.Instances
	verdict = o.attribute(r, verdict)
	obs.Verdict, obs.Judge = &verdict, &state
}

// advise asks the strategy what comes next.
func (o *Orchestrator) advise(ctx context.Context, r api.Rollout, obs *rollout.Observation) {
	target, err := o.Reader.Target(ctx, r.Target)
	if err != nil {
		obs.Away = append(obs.Away, *away("nomad", err))
		return
	}
	view := api.StrategyView{
		Rollout: r.ID, Target: target, Critical: r.Decision.Critical, Config: r.Decision.Strategy.Config,
		Stages: rollout.Advised(r.Stages), Instances: obs.Job.Instances, Neighbours: o.Neighbourhood.Services(r.Target), Verdict: r.Verdict,
	}
	advice, err := o.Adviser.Advise(ctx, r.Decision.Strategy.Name, view)
	if err != nil {
		obs.Away = append(obs.Away, api.Hold{
			Source: "strategy", Reason: fmt.Sprintf("strategy %s gives no advice: %v", r.Decision.Strategy.Name, err),
		})
		return
	}
	obs.Advice = &advice
}

// holdForImages keeps the strategy's advice back until the nodes have the images that were
// tried.
func (o *Orchestrator) holdForImages(ctx context.Context, r api.Rollout, a *execution, obs *rollout.Observation) {
	right, wrong := o.imagesRight(ctx, r, a)
	if right {
		return
	}
	obs.Advice = nil
	if wrong != "" {
		obs.Away = append(obs.Away, api.Hold{Source: "image", Reason: wrong})
	}
}

// gate asks the other rollouts, the windows and freezes, and the quiet hour whether a
// rollout may start.
func (o *Orchestrator) gate(r api.Rollout) rollout.Gate {
	if turn := rollout.Turn(r, o.Store.Outlines(r.Plan), o.Neighbourhood); !turn.Open {
		return turn // the policies are asked about those alone whose turn it is
	}
	d, hold := o.calendar(r)
	if hold != nil {
		return rollout.Gate{Reason: hold.Reason}
	}
	if reason := o.opens(d); reason != "" {
		return rollout.Gate{Reason: reason}
	}
	if q := r.Quiet; q != nil && o.Now().Before(q.At) {
		return rollout.Gate{Reason: q.Reason}
	}
	return rollout.Gate{Open: true}
}
