package rehearsal

import (
	"slices"
	"time"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/internal/calendar"
	"github.com/oakumhq/oakum/internal/rollout"
)

// scheduleTurn finds the time of a rollout's next turn: the first tick at which a turn
// can find something new. The turns of production in between would see the same
// world and change nothing.
func (p *play) scheduleTurn(at *part) {
	r := p.rollout(at)
	at.wake, at.quiet = time.Time{}, false
	tick := p.facts.Tick.D()
	soon := func(t time.Time) {
		if t.IsZero() {
			return
		}
		if !t.After(p.now) {
			t = p.now.Add(tick)
		}
		if at.wake.IsZero() || t.Before(at.wake) {
			at.wake = t
		}
	}
	switch {
	case r.Status.Ended():
		return
	case waits(r):
		soon(r.Effect.Intended.Add(at.trial(r)))
	case r.Status == api.RolloutAwaitingApproval:
		soon(r.Since.Add(p.opt.People))
	case r.Status == api.RolloutWaiting:
		p.wait(at, r, soon)
	case r.Effect != nil:
		soon(p.now.Add(tick))
	default:
		p.watch(at, r, soon)
	}
}

// wait finds the time at which the gate may open: when a window or a freeze allows
// it, or at the quiet hour. Otherwise the rollout waits for the end of another
// one.
func (p *play) wait(at *part, r *api.Rollout, soon func(time.Time)) {
	opens, why := calendar.Opens(r.Decision, p.now)
	switch q := r.Quiet; {
	case why != "":
		soon(opens)
	case q != nil && q.At.After(p.now):
		soon(q.At)
	case slices.ContainsFunc(r.Holds, func(h api.Hold) bool { return h.Source == api.HoldPause }):
		soon(p.now.Add(r.Decision.Pause.D() - r.Spans.Pause.D()))
	default:
		at.quiet = true
	}
}

// watch finds the time of the next change: of the instances, the judge, a deadline
// or a person.
func (p *play) watch(at *part, r *api.Rollout, soon func(time.Time)) {
	tick := p.facts.Tick.D()
	if next, ok := at.due(); ok {
		soon(p.now.Add((next.Sub(p.now) + tick - 1) / tick * tick)) // the first tick that sees it
	}
	soon(at.worker.Due())
	if held(r) != "" {
		soon(r.Holds[0].Since.Add(p.opt.People))
	}
	if len(r.Holds) > 0 {
		switch r.Holds[0].Source {
		case "window":
			opens, _ := calendar.Opens(r.Decision, p.now)
			soon(opens)
		case "freeze":
			freeze, _ := r.Decision.Frozen(p.now)
			soon(freeze.To)
		}
	}
	if r.Status == api.RolloutRollingBack {
		if due := rollout.RollbackDue(*r, p.now); due.After(p.now) {
			soon(due)
		}
		return
	}
	n := len(r.Stages)
	if n == 0 {
		return
	}
	last := r.Stages[n-1]
	switch {
	case !last.Lapsed.IsZero():
		soon(last.Lapsed.Add(at.site.seen.Grace()))
	case last.Ready.IsZero():
		soon(last.Deadline.Add(tick))
	case rollout.Judging(*r):
		p.lookAhead(at, soon)
	}
}

// due is the time of the next change at the site.
func (at *part) due() (time.Time, bool) {
	if at.site == nil {
		return time.Time{}, false
	}
	return at.site.Next()
}

// lookAhead lets the judge look ahead until it decides, or until the instances
// change.
func (p *play) lookAhead(at *part, soon func(time.Time)) {
	canary, stable := at.site.arms()
	if canary == 0 {
		return
	}
	j, err := p.judging(at, canary, stable)
	if err != nil {
		p.err = err
		return
	}
	until := p.now.Add(horizon)
	if next, ok := at.site.Next(); ok {
		until = next
	}
	j.ahead(until, canary, stable, at.perInstance)
	if j.decided {
		soon(j.last)
	}
}
