package simulator

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/internal/judge"
	"github.com/oakumhq/oakum/internal/simulator/evidence"
	"github.com/oakumhq/oakum/internal/stats"
	"github.com/oakumhq/oakum/internal/twin"
)

const (
	// revertRequests is how many requests the former version is sent. When it answers
	// fewer than two thirds of them well, and the control answers nearly all, that is no
	// chance.
	revertRequests = 40
	// revertEvery is the longest pause between two of them: a target that is hardly asked
	// anything is asked more often here.
	revertEvery = time.Second
	// revertEnds is how much of the simulation's time the removal of the twins is left.
	revertEnds = 10 * time.Second
)

// errNoTime says that a simulation has no time for the rehearsal of the revert.
var errNoTime = errors.New("there was no time left (simulator.timeout)")

// keepsData reports whether a target has data that outlives its instances.
func keepsData(m *machine) bool { return len(m.Data)+len(m.Uncarried) > 0 }

// reserve is how much time of the simulation the rehearsal of the revert needs, from
// what its pair has shown.
func (e *experiment) reserve(p *pair) time.Duration {
	if len(p.treatment().Data) == 0 || e.request.Spec.Revert == api.RevertOff {
		return 0
	}
	return p.control().healthy + revertRequests*e.askEvery() + revertEnds
}

// askEvery is the pause between two requests to the former version.
func (e *experiment) askEvery() time.Duration {
	return min(time.Duration(float64(time.Second)/e.request.rate.PerSecond), revertEvery)
}

// ends reports whether the experiment ends with this turn: the patch is rejected, or all
// is decided, or no other pair fits into the simulation's time.
func (e *experiment) ends(ctx context.Context, r turn, left int, p *pair) bool {
	now := time.Now()
	switch {
	case left <= 1, e.panel.Rejected(now):
		return true
	case !r.alike && (e.likeness[0] != nil || len(e.plan) < alikeFrom) && e.panel.Decided(now) && !e.egress.open():
		return true
	case !e.affordable(ctx, e.reserve(p)):
		e.short(e.plan[len(e.plan)-left+1])
		return true
	}
	return false
}

// rehearseRevert has the former version start over the data that the treatment of a pair
// left. It returns a faultError when that does not serve. What keeps it from trying is
// the sandbox's, and never the patch's.
func (e *experiment) rehearseRevert(ctx context.Context, p *pair) error {
	m := p.treatment()
	switch {
	case e.request.Spec.Revert == api.RevertOff:
		return nil
	case !keepsData(m):
		e.revert = &api.Revert{Outcome: api.RevertNothing, Reason: "the target keeps no data beyond its instances: there is nothing to carry over"}
		return nil
	case len(m.Data) == 0:
		e.revert = &api.Revert{Outcome: api.RevertUntried, Reason: "no twin has " + strings.Join(m.Uncarried, ", ")}
		return nil
	}
	e.revert = &api.Revert{Data: m.Data}
	e.enter(ctx, p.turn, api.PhaseRevert, 1)
	within := ctx
	if end, ok := ctx.Deadline(); ok {
		var cancel context.CancelFunc
		within, cancel = context.WithDeadlineCause(ctx, end.Add(-2*e.o.Look), errNoTime)
		defer cancel()
	}
	err := e.serveAgain(within, p)
	if ctx.Err() != nil {
		return fmt.Errorf("rehearse the revert: %w", context.Cause(ctx))
	}
	if fault, ok := errors.AsType[*faultError](err); ok {
		e.revert.Outcome, e.revert.Reason = api.RevertFails, fault.why
		return &faultError{"the patch can't be reverted: the former version does not serve on the data that the patched one left: " + fault.why}
	}
	if err != nil {
		e.revert.Outcome, e.revert.Reason = api.RevertUntried, err.Error()
	}
	return nil
}

// serveAgain replaces the treatment by the former version, and asks that as often as it
// takes to see whether it serves.
func (e *experiment) serveAgain(ctx context.Context, p *pair) error {
	m, err := p.takeBack(ctx, e)
	if err != nil {
		return err
	}
	if err := p.placed(ctx, m, e.o.HealthyWithin); err != nil {
		return err
	}
	m.connect(e.o, e.request.Target.Meta[metaSend])
	limit := patiently(e.o, p.control().ran)
	if err := p.serving(ctx, m, func() time.Duration { return limit }); err != nil {
		if (errors.Is(err, errLate) || errors.Is(err, errDead)) && !errors.Is(err, errUnasked) {
			return p.blame(ctx, err.Error())
		}
		return wrap(err, "start the former version")
	}
	ask := e.askAgain
	if m.inside != nil {
		ask = e.askAgainInside
	}
	got, err := ask(ctx, p, m)
	e.revert.Requests, e.revert.Failures = got.requests, got.failures
	if err != nil {
		return err
	}
	e.revert.Outcome, e.revert.Reason = e.weigh(got)
	if e.revert.Outcome == api.RevertFails {
		return p.blame(ctx, e.revert.Reason)
	}
	return nil
}

// takeBack replaces the treatment of a pair by the former version, over the data that
// the treatment leaves. The treatment is described before, while its console is there.
func (p *pair) takeBack(ctx context.Context, e *experiment) (*machine, error) {
	former := p.treatment()
	p.replaced = append(p.replaced, p.describeOne(ctx, former))
	spec := p.spec(e, former.state.Node)
	spec.Job, spec.Former = former.job, former.state.Alloc
	m := &machine{role: twin.Reverted, job: former.job}
	// From here on the job is that of the former version, also when the reply is lost.
	p.machines[slices.Index(p.machines, former)] = m
	if former.target != nil {
		former.target.Close()
	}
	started, err := p.sandbox.StartTwin(ctx, spec)
	if err != nil {
		return nil, wrap(err, "start the former version")
	}
	m.Machine = started
	return m, nil
}

// answers counts what the former version was sent.
type answers struct{ requests, failures int }

func (a *answers) add(failed bool) {
	a.requests++
	if failed {
		a.failures++
	}
}

// hopeless reports whether the former version fails however it answers what is left.
func (e *experiment) hopeless(a answers) bool {
	outcome, _ := e.weigh(answers{max(a.requests, revertRequests), a.failures})
	return outcome == api.RevertFails
}

// weigh compares how often the former version has answered well with how often the
// control did. It fails when it is clearly below the floor, within its part of the
// policy's false_alarm.
func (e *experiment) weigh(a answers) (api.RevertOutcome, string) {
	chance := evidence.PartOfRevert * e.request.Judge.FalseAlarm / 2
	good, all := e.panel.Control()
	usual := float64(good) / float64(max(all, 1))
	least, _ := stats.ShareBounds(good, all, chance)
	_, most := stats.ShareBounds(a.requests-a.failures, a.requests, chance)
	share := 1 - float64(a.failures)/float64(max(a.requests, 1))
	why := fmt.Sprintf("it answers %s of %s well, and the control answered %s of its own",
		judge.Format(share, judge.UnitShare), evidence.CountOf(a.requests, "request"), judge.Format(usual, judge.UnitShare))
	switch {
	case most < floorShare*least:
		return api.RevertFails, why
	case share < floorShare*usual:
		return api.RevertUndecided, why
	case a.requests < revertRequests || good == 0: // a load that ended early, or a control of which nothing is known
		return api.RevertUndecided, why + fmt.Sprintf("; %d requests are needed", revertRequests)
	}
	return api.RevertServes, ""
}

// askAgain sends a machine requests of the workload.
func (e *experiment) askAgain(ctx context.Context, p *pair, m *machine) (answers, error) {
	ticker := time.NewTicker(e.askEvery())
	defer ticker.Stop()
	var got answers
	for _, which := range e.workload.warming()[:revertRequests] {
		err := m.target.Send(ctx, e.workload.Requests[which])
		if ctx.Err() != nil {
			return got, fmt.Errorf("ask the former version: %w", context.Cause(ctx))
		}
		got.add(err != nil)
		if err != nil {
			if err := p.lives(ctx, m, got); err != nil || e.hopeless(got) {
				return got, err
			}
		}
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return got, fmt.Errorf("ask the former version: %w", context.Cause(ctx))
		}
	}
	return got, p.lives(ctx, m, got)
}

// askAgainInside starts the load of a twin that is no machine, and counts its answers,
// those of its warm-up too.
func (e *experiment) askAgainInside(ctx context.Context, p *pair, m *machine) (answers, error) {
	var got answers
	if err := m.inside.loads.StartLoad(ctx, m.Machine, m.state.Alloc); err != nil {
		return got, unlessDead(ctx, wrap(err, "start the load of the former version"), func() error { return p.lives(ctx, m, got) })
	}
	err := poll(ctx, func() (bool, error) {
		reports, err := m.inside.read(ctx)
		if err != nil {
			return false, wrap(err, "read the load of the former version")
		}
		for _, r := range reports {
			for _, a := range r.Answers {
				got.add(a.Failed)
			}
		}
		if err := m.failed(); err != nil {
			return false, err
		}
		enough := got.requests >= revertRequests || m.inside.last.Phase == twin.LoadDone || e.hopeless(got)
		return enough, p.lives(ctx, m, got)
	})
	return got, err
}

// lives returns a faultError when the former version has died, and another error when
// the sandbox is at fault.
func (p *pair) lives(ctx context.Context, m *machine, got answers) error {
	state, err := p.sandbox.InspectTwin(ctx, m.Machine)
	if err != nil {
		return wrap(err, "look at the former version")
	}
	if state.Phase != twin.Running {
		return p.blame(ctx, fmt.Sprintf("it died after %s: %s", evidence.CountOf(got.requests, "request"), state.Why))
	}
	return nil
}

// revertDoubts are why the rehearsal of the revert leaves the run inconclusive.
func (e *experiment) revertDoubts() []string {
	if e.request.Spec.Revert == api.RevertOff || !e.keeps {
		return nil
	}
	if e.revert == nil {
		e.revert = &api.Revert{Outcome: api.RevertUntried, Reason: "the run ended before"}
	}
	required := e.request.Spec.Revert == api.RevertRequired
	switch {
	case e.revert.Outcome == api.RevertUndecided:
		return []string{"the former version hardly serves on the data that the patched one left: " + e.revert.Reason}
	case e.revert.Outcome == api.RevertUntried && required:
		return []string{"the policy requires a rehearsed revert: " + e.revert.Reason}
	case len(e.uncarried) > 0 && required:
		return []string{"the policy requires a rehearsed revert, and no twin has " + strings.Join(e.uncarried, ", ")}
	}
	return nil
}

// revertNote says for the record what the rehearsal of the revert showed, or "".
func (e *experiment) revertNote() string {
	if e.revert == nil {
		return ""
	}
	switch e.revert.Outcome {
	case api.RevertServes:
		text := "; the former version serves on the data that the patched one left (" + strings.Join(e.revert.Data, ", ") + ")"
		if len(e.uncarried) > 0 {
			text += ", without " + strings.Join(e.uncarried, ", ")
		}
		return text
	case api.RevertUntried:
		return "; the revert was not rehearsed: " + cmp.Or(e.revert.Reason, "the reason is not known")
	case api.RevertFails, api.RevertUndecided, api.RevertNothing: // a reason of the run says it, or nothing need be said
	}
	return ""
}
