// Package orchestrator carries out rollouts on the leader. For each open rollout
// one worker observes the world, lets package rollout decide, records the decision
// in the replicated state, and performs the effect that the decision opened: intent
// in the log, effect with compare-and-set, verified, outcome in the log.
//
// It owns no state: a new leader starts fresh workers, and each verifies an
// effect that it finds open before it repeats anything.
//
// A worker takes turns. A turn ends after at most one change of the world, so that
// a person's command takes effect between any two changes. Only a simulation takes
// longer.
//
// Goroutines: Run, one worker per open rollout, under each simulating worker one
// watcher that ends the simulation when it has been superseded, and under a worker
// one for each inquiry about its stage.
package orchestrator

import (
	"context"
	"log/slog"
	"reflect"
	"slices"
	"sync"
	"time"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/internal/blame"
	"github.com/oakumhq/oakum/internal/rollout"
)

// Store is the replicated state as the orchestrator reads it.
type Store interface {
	// BegunRollouts returns the rollouts that are under way and have a stage.
	BegunRollouts() []api.Rollout
	// Outlines returns the rollouts of a plan and all open ones.
	Outlines(plan string) []api.Rollout
	Rollout(id string) (api.Rollout, bool)
	// Brake is the cluster's brake.
	Brake() api.Brake
	Watch(topics ...api.Topic) <-chan struct{}
}

// Recorder writes to the replicated state.
type Recorder interface {
	// Transition stores next if the rollout still has modify index expect;
	// otherwise the error has code stale_index.
	Transition(ctx context.Context, kind string, next api.Rollout, expect uint64) error
	RecordSimulation(ctx context.Context, s api.Simulation) error
}

// Reader reads jobs.
type Reader interface {
	View(ctx context.Context, m rollout.Move) (*rollout.JobView, error)
	// Gone says what became of a target that is not there any more; nil when it is there,
	// which may be half a minute old.
	Gone(ctx context.Context, ref api.TargetRef) (*rollout.Gone, error)
	Capture(ctx context.Context, ref api.TargetRef) (*api.FormerJob, error)
	Target(ctx context.Context, ref api.TargetRef) (api.Target, error)
}

// Mover changes jobs. Nomad drops a registration that equals the present one, so
// the registrations of two stages differ even when they move equally many instances.
type Mover interface {
	Stage(ctx context.Context, m rollout.Move, mode api.StageMode, delta int, expect uint64) error
	EndStage(ctx context.Context, m rollout.Move, expect uint64) error
	Promote(ctx context.Context, m rollout.Move) error
	Settle(ctx context.Context, m rollout.Move) error
	Rollback(ctx context.Context, m rollout.Move, size int, expect uint64) error
	Renew(ctx context.Context, m rollout.Move, expect uint64) error
	Unpace(ctx context.Context, m rollout.Move, build api.Build, expect uint64) error
}

// Tagger marks the job version that a rollout returns to.
type Tagger interface {
	Tag(ctx context.Context, m rollout.Move) error
	Untag(ctx context.Context, m rollout.Move) error
}

// Checker reads the health of instances by the services that they registered.
type Checker interface {
	Checks(ctx context.Context, services []string) (map[string]api.Health, error)
}

// Judge compares patched with former instances.
type Judge interface {
	Look(ctx context.Context, q Question) (api.Verdict, api.JudgeState, error)
}

// Question is the judge's input for one look.
type Question struct {
	Target  api.TargetRef
	Spec    api.JudgeSpec
	Stage   int
	State   *api.JudgeState
	Canary  []string // allocation IDs
	Stable  []string // allocation IDs; empty when every instance is patched
	Started time.Time
	Now     time.Time
}

// Adviser is the host of the strategies.
type Adviser interface {
	Advise(ctx context.Context, strategy string, view api.StrategyView) (api.Advice, error)
}

// Simulator tries a patch on twins.
type Simulator interface {
	Simulate(ctx context.Context, id string, r api.Rollout, target api.Target) (api.Impact, []api.Apply, error)
}

// Options are the orchestrator's parts. Checks may be nil: health is then
// Nomad's word alone.
type Options struct {
	Store         Store
	Recorder      Recorder
	Reader        Reader
	Mover         Mover
	Tagger        Tagger
	Checks        Checker
	Judge         Judge
	Adviser       Adviser
	Simulator     Simulator
	Images        Images   // nil compares no images before a stage
	Terminal      Terminal // nil proves no fix in production
	Neighbourhood Neighbourhood
	// Margins are the limits by which neighbours are held against their baselines,
	// for the KPIs that a rollout's own policy does not judge.
	Margins []api.KPISpec
	// Redecide asks the policies once more when a simulation has shown what the
	// patch does; nil leaves the decision of the plan.
	Redecide func(api.Rollout, api.Impact) (api.Decision, error)
	// Reconsider asks the policies anew about a rollout that waits for an approval which
	// was asked for in doubt. An error of code unavailable says that the graph is not
	// whole, any other error why the policies don't decide. A nil function leaves the
	// doubt to a person.
	Reconsider func(api.Rollout) (api.Decision, error)
	// Calendar returns the windows and freezes that the policies in force have for a
	// rollout. It is asked before every effect that goes forward; an error holds the
	// rollout. A nil function leaves those of the plan.
	Calendar func(api.Rollout) (api.Decision, error)
	// Audited is an error while no audit device takes entries: nothing goes forward then.
	// A nil function holds nothing.
	Audited func() error
	// Opens returns the first moment at which windows and freezes let a rollout start.
	// The reason says why it may not start now; it is empty if it may.
	Opens    func(api.Decision, time.Time) (time.Time, string)
	Interval time.Duration // between two turns of a worker
	// Now is the leader's clock; nil means the system's. It may jump, and two leaders'
	// clocks may differ: a time that the former one recorded can lie in the future. It says
	// when windows and freezes are, and what people read.
	Now func() time.Time
	// Monotonic is the clock that spans are measured with: within a term it does not jump,
	// and no time of it leaves the leader's memory. Nil means Now, which with the system's
	// clock has a monotonic reading.
	Monotonic func() time.Time
	// CountMost is the most that counts between two turns of a worker; 0 means half a minute,
	// or two intervals where that is more.
	CountMost time.Duration
	Logger    *slog.Logger
}

// Orchestrator performs rollouts during one term of leadership.
type Orchestrator struct {
	Options
	// starting has room for one rollout, from the moment it asks the gate until its
	// start is in the log. Of two rollouts at once, both would find room in a budget
	// that allows one.
	starting chan struct{}
}

// DefaultInterval is the time between two turns of a worker where no configuration
// says otherwise.
const DefaultInterval = time.Second

// New returns an orchestrator; Run starts it.
func New(o Options) *Orchestrator {
	if o.Interval <= 0 {
		o.Interval = DefaultInterval
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Monotonic == nil {
		o.Monotonic = o.Now
	}
	if o.CountMost <= 0 {
		o.CountMost = max(countMost, 2*o.Interval)
	}
	return &Orchestrator{Options: o, starting: make(chan struct{}, 1)}
}

// Run works until ctx ends, which is when leadership does. It returns after
// every worker has stopped.
func (o *Orchestrator) Run(ctx context.Context) error {
	var wg sync.WaitGroup
	defer wg.Wait()
	var mu sync.Mutex
	working := map[string]bool{}
	again := make(chan struct{}, 1)
	for {
		changed := o.Store.Watch(api.TopicRollout, api.TopicBrake)
		for _, r := range o.Store.Outlines("") { // of no plan: the open ones
			mu.Lock()
			start := !working[r.ID]
			if start {
				working[r.ID] = true
			}
			mu.Unlock()
			if start {
				wg.Go(func() {
					o.work(ctx, r.ID)
					mu.Lock()
					delete(working, r.ID)
					mu.Unlock()
					if now, ok := o.Store.Rollout(r.ID); ok && !now.Status.Ended() {
						select { // it was taken back while its worker ended
						case again <- struct{}{}:
						default:
						}
					}
				})
			}
		}
		select {
		case <-changed:
		case <-again:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// work carries one rollout until it ends or ctx does.
func (o *Orchestrator) work(ctx context.Context, id string) {
	log := o.Logger.With("rollout_id", id)
	w := o.Worker(id)
	defer func() { w.execution.images.stop(); w.execution.proof.stop() }()
	for ctx.Err() == nil {
		changed := o.Store.Watch(api.TopicRollout, api.TopicBrake)
		switch o.turn(ctx, log, id, &w.execution) {
		case over:
			return
		case busy:
			continue
		case idle:
		}
		timer := time.NewTimer(o.rest(id, &w.execution))
		select {
		case <-timer.C:
		case <-changed:
			// A person's command, or another rollout that this one waited
			// for, or what this turn has recorded of the world.
		case <-ctx.Done():
		}
		timer.Stop()
	}
}

// hasty is how many looks a worker takes in an interval while an effect on the job is open:
// Nomad carries most out within a fraction of a second.
const hasty = 4

// rest is how long a worker waits for its next turn: less than an interval while an effect
// on the job is open, and where an instance is about to have been healthy for long enough.
// An effect that waits in Nomad is not asked for more often than that, since each dry run is work for
// Nomad's scheduler.
func (o *Orchestrator) rest(id string, a *execution) time.Duration {
	r, _ := o.Store.Rollout(id)
	if r.Effect != nil && r.Effect.Kind != api.EffectSimulate && !waits(a.refused) {
		return o.Interval / hasty
	}
	if left := a.due.Sub(o.Monotonic()); left > 0 {
		return min(left, o.Interval)
	}
	return o.Interval
}

// progress is what a worker does after a turn.
type progress int

const (
	idle progress = iota // wait for the interval or for a change
	busy                 // take the next turn at once
	over                 // the rollout has ended
)

// Worker carries one rollout turn by turn for a caller with a clock of its own, such
// as a rehearsal. A turn does not wait, and nothing goes on between two turns. Run
// has workers of its own.
type Worker struct {
	orchestrator *Orchestrator
	id           string
	execution    execution
}

// Worker returns a worker that has done nothing yet.
func (o *Orchestrator) Worker(id string) *Worker { return &Worker{orchestrator: o, id: id} }

// Turn takes one turn. It reports whether the next may be taken at once. Otherwise
// nothing happens before the world or another rollout has changed, the judge's next
// look is due, or Due has come.
func (w *Worker) Turn(ctx context.Context) bool {
	o := w.orchestrator
	return o.turn(ctx, o.Logger, w.id, &w.execution) == busy
}

// Due is when an instance that is healthy will have been so for its job's
// min_healthy_time, as of the last turn; zero when none waits for that.
func (w *Worker) Due() time.Time { return w.execution.due }

// turn takes the open effect one step further, or observes, decides and records. It
// keeps nothing but a and reads everything else anew, so that any turn may be the
// last of a term.
func (o *Orchestrator) turn(ctx context.Context, log *slog.Logger, id string, a *execution) progress {
	r, ok := o.Store.Rollout(id)
	if !ok || r.Status.Ended() {
		o.unmark(ctx, log, r)
		return over
	}
	r = a.counting.count(r, o.Monotonic(), o.CountMost)
	if r.Effect != nil {
		return o.carryOut(ctx, log, r, a)
	}
	if r.Former == nil && r.Status == api.RolloutWaiting {
		select {
		case o.starting <- struct{}{}:
			defer func() { <-o.starting }()
		case <-ctx.Done():
			return idle
		}
	}
	obs := o.observe(ctx, r, a)
	return o.record(ctx, log, r, a, rollout.Tick{Observation: obs})
}

// unmark takes our mark off the job of a rollout that was given up, whose own steps would
// have removed it. The job's history may then collect the version.
func (o *Orchestrator) unmark(ctx context.Context, log *slog.Logger, r api.Rollout) {
	marked := slices.ContainsFunc(r.Effects, func(e api.Effect) bool { return e.Kind == api.EffectTag })
	if !marked || r.Status != api.RolloutFailed && r.Status != api.RolloutCancelled {
		return
	}
	if err := o.Tagger.Untag(ctx, move(r)); err != nil && !api.IsCode(err, api.CodeNotFound) {
		log.Warn("remove the version tag", "error", err)
	}
}

// record steps a rollout.
func (o *Orchestrator) record(ctx context.Context, log *slog.Logger, r api.Rollout, a *execution, ev rollout.Event) progress {
	progressed, err := o.step(ctx, r, a, ev)
	return recorded(log, progressed, err)
}

// recorded is what follows a step, and logs what could not be written.
func recorded(log *slog.Logger, progressed bool, err error) progress {
	switch {
	case err != nil:
		log.Warn("record a step of the rollout", "error", err)
	case progressed:
		return busy
	}
	return idle
}

// step decides and records. It reports whether an effect was opened or the
// status changed, so that the worker goes on at once.
func (o *Orchestrator) step(ctx context.Context, r api.Rollout, a *execution, ev rollout.Event) (bool, error) {
	next, err := rollout.Step(r, ev, o.Now().UTC())
	if err != nil {
		return false, err
	}
	if same(r, next) && !rollout.Recount(a.counting.recorded, next) {
		return false, nil
	}
	err = o.Recorder.Transition(ctx, kind(r, next), next, r.ModifyIndex)
	if api.IsCode(err, api.CodeStaleIndex) {
		return true, nil // somebody was faster: read it again
	}
	if err != nil {
		return false, err
	}
	a.counting.wrote(next)
	return next.Effect != nil || next.Status != r.Status || len(next.Effects) != len(r.Effects), nil
}

// same reports whether a step changed nothing at all. What most steps change is
// compared first: the comparison of everything else costs as much as a step.
func same(a, b api.Rollout) bool {
	if a.Status != b.Status || a.Reason != b.Reason || len(a.Effects) != len(b.Effects) || len(a.Stages) != len(b.Stages) {
		return false
	}
	return reflect.DeepEqual(a, b)
}

// Kinds of transitions. The record has an event of its own for all but the last.
const (
	kindLapse   = "doubt_lapsed"
	kindBlame   = "blame" // the verdict blames another rollout, and did not before
	kindBlocked = "blocked"
	kindObserve = "observe"
)

// kind names a transition for the record. One that does no more than change the status
// or close an effect has no name of its own: the record tells of both by themselves.
func kind(from, to api.Rollout) string {
	switch {
	case from.Decision.InDoubt() && !to.Decision.InDoubt():
		return kindLapse
	case from.Effect == nil && to.Effect != nil && to.Effect.Kind == api.EffectStage && len(to.Stages) > len(from.Stages):
		return "stage_advance"
	case from.Effect == nil && to.Effect != nil, from.Effect != nil && to.Effect != nil && from.Effect.ID != to.Effect.ID:
		return "effect_intend"
	case from.Effect != nil && to.Effect == nil:
		return "effect_finish"
	case blockedBy(to) != "" && blockedBy(to) != blockedBy(from):
		return kindBlocked
	case to.Status != from.Status:
		return kindObserve
	case blame.Other(to) != "" && blame.Other(to) != blame.Other(from):
		return kindBlame
	case to.Judge != nil && !reflect.DeepEqual(from.Judge, to.Judge):
		return "judge"
	}
	return kindObserve
}

// blockedBy is the source of the hold by which what failed elsewhere keeps a rollout from
// starting; "" when nothing does. Its status does not change by that, so that nobody would
// be told.
func blockedBy(r api.Rollout) string {
	if !r.Blocked() {
		return ""
	}
	return r.Holds[0].Source
}
