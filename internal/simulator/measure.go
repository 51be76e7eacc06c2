package simulator

import (
	"context"
	"fmt"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/internal/sender"
	"github.com/oakumhq/oakum/internal/simulator/evidence"
	"github.com/oakumhq/oakum/internal/twin"
	"github.com/oakumhq/oakum/internal/workload"
)

const (
	// sampleInterval is the interval in which a Nomad client measures.
	sampleInterval = time.Second
	// deathLooks is how often a pair is looked at for a death that explains a failure.
	deathLooks = 20
	// placing is how many requests of the warm-up are measured. Their latencies
	// choose the thresholds above which the judge counts requests. It is a
	// quarter more than the judge asks for at the 99th percentile.
	placing = 250
	// settling is the pause between the warm-up and the measurement. It is longer
	// than two intervals of a Nomad client, so no gauge still covers the warm-up.
	settling = 3 * time.Second
)

// arm collects the measurements of one twin since the last look.
type arm struct {
	mu        sync.Mutex
	counts    bool // false while warming up
	latencies []float64
	requests  int
	errors    int
	total     int
	usage     []twin.Usage
	last      time.Time // of the newest usage
	disk      evidence.Meter
}

// answered records one request, and reports whether it counts.
func (a *arm) answered(took time.Duration, failed bool) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	if !a.counts {
		return false
	}
	a.latencies = append(a.latencies, took.Seconds())
	a.requests++
	a.total++
	if failed {
		a.errors++
	}
	return true
}

// used records what the twin uses. The same measurement counts once.
func (a *arm) used(u twin.Usage) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if !a.counts || !u.At.After(a.last) {
		return
	}
	a.last = u.At
	a.usage = append(a.usage, u)
}

// wrote records the counters of the machine's disk, or why they are unknown.
func (a *arm) wrote(b twin.Blocks, why string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.disk.Saw(b, why)
}

// begin drops the measurements of the warm-up.
func (a *arm) begin(now time.Time) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.counts, a.last = true, now
	a.disk.Take()
}

func (a *arm) take() evidence.Interval {
	a.mu.Lock()
	defer a.mu.Unlock()
	t := evidence.Interval{Latencies: a.latencies, Requests: a.requests, Errors: a.errors, Usage: a.usage, Disk: a.disk.Take()}
	a.latencies, a.requests, a.errors, a.usage = nil, 0, 0, nil
	return t
}

func (a *arm) sent() int {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.total
}

// measure sends the workload to both twins for the duration of a pair, and gives the
// panels an interval at each look: the first panel with the control as the control, the
// second one, of two controls, with the arms swapped.
func (e *experiment) measure(ctx context.Context, p *pair, left int, panels ...*evidence.Panel) error {
	arms := []*arm{{}, {}} // control, treatment
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var group errgroup.Group
	defer func() { cancel(); _ = group.Wait() }() // the goroutines return no errors
	inside := p.control().inside != nil
	if !inside {
		group.Go(func() error { drive(ctx, e.workload, p, arms); return nil })
	}
	dead, failed := make(chan *machine, len(p.arms)), make(chan error, len(p.arms))
	for i, m := range p.arms {
		group.Go(func() error { watch(ctx, p.sandbox, m, arms[i], dead); return nil })
	}

	e.enter(ctx, p.turn, api.PhaseWarmUp, left)
	warmUp := e.warmUp
	if inside {
		warmUp = e.warmUpInside
	}
	if err := warmUp(ctx, p, panels); err != nil {
		return unlessDead(ctx, err, func() error { return p.alive(ctx, 0) })
	}
	e.enter(ctx, p.turn, api.PhaseLoad, left)
	began := time.Now()
	for _, bank := range panels {
		if err := bank.Begin(began); err != nil {
			return err
		}
	}
	for _, a := range arms {
		a.begin(began)
	}
	if inside {
		group.Go(func() error { follow(ctx, e.workload, p, arms, failed); return nil })
	}
	duration := panels[0].Duration()
	most := longest(ctx, duration, 2*e.o.Look+e.reserve(p), left)
	least := time.NewTimer(duration)
	defer least.Stop()
	ticker := time.NewTicker(e.o.Look)
	defer ticker.Stop()
	last := began
	for {
		select {
		case <-ctx.Done():
			return fmt.Errorf("simulate: %w", context.Cause(ctx))
		case m := <-dead:
			return twinDied(ctx, m, p, time.Since(began))
		case err := <-failed:
			return unlessDead(ctx, err, func() error { return p.alive(ctx, time.Since(began)) })
		case <-least.C:
		case <-ticker.C:
		}
		now := time.Now()
		over := now.Sub(began) >= most || enough(e.workload, duration, now.Sub(began), arms)
		if now.Sub(last) >= e.o.Look/2 { // the end just after a look is too short an interval to be one
			control, treatment := arms[0].take(), arms[1].take()
			panels[0].Look(now, now.Sub(last), control, treatment)
			if len(panels) > 1 {
				panels[1].Look(now, now.Sub(last), treatment, control)
			}
			last = now
		}
		if over || panels[0].Aborted() {
			e.doubtLoad(over, duration, arms)
			return nil
		}
	}
}

// longest is how long the measurement of a pair takes at most, when so many pairs are
// left with it. It leaves so much time before ctx ends, for two more looks and the
// rehearsal of the revert: what was measured by then says more than that the time is over.
func longest(ctx context.Context, planned, kept time.Duration, left int) time.Duration {
	most := stretch * planned
	if end, ok := ctx.Deadline(); ok {
		most = min(most, (time.Until(end)-kept)/time.Duration(max(left, 1)))
	}
	return max(most, planned)
}

// least is nearly all requests that the load has in a time.
func (w *load) least(planned time.Duration) int {
	return int(evidence.AlmostAll * w.rate * planned.Seconds())
}

// enough reports whether the planned time of a measurement has passed, and both twins
// have answered nearly all requests that the workload has in that time. A busy machine
// sends requests more slowly, so the measurement may take longer than planned.
func enough(w *load, planned, passed time.Duration, arms []*arm) bool {
	return passed >= planned && min(arms[0].sent(), arms[1].sent()) >= w.least(planned)
}

// unlessDead returns what a look says about a death, or else the failure that made one
// look. A twin is asked on its node, and the servers that are looked at hear of its death
// after the node did.
func unlessDead(ctx context.Context, failure error, look func() error) error {
	looks := 0
	err := poll(ctx, func() (bool, error) {
		looks++
		return looks == deathLooks, look()
	})
	if err != nil && ctx.Err() == nil {
		return err
	}
	return failure
}

// alive returns what it means that a twin has died, and nil when none is known to have.
func (p *pair) alive(ctx context.Context, after time.Duration) error {
	for _, m := range p.arms {
		state, err := p.sandbox.InspectTwin(ctx, m.Machine)
		if err == nil && (state.Phase == twin.Dead || state.Phase == twin.Unplaced) {
			return p.died(ctx, m, state.Why, after)
		}
	}
	return nil
}

// twinDied says what the death of a twin means that was watched.
func twinDied(ctx context.Context, m *machine, p *pair, after time.Duration) error {
	if m.broken != nil {
		return wrap(m.broken, m.role+" twin")
	}
	return p.died(ctx, m, m.state.Why, after)
}

// died says what the death of a twin means: a fault of the patch when the patched twin
// died alone.
func (p *pair) died(ctx context.Context, m *machine, why string, after time.Duration) error {
	if m.role != twin.Treatment {
		return api.Errorf(api.CodeUnavailable, "the control twin died after %s: %s", after.Round(time.Second), why)
	}
	return p.blame(ctx, fmt.Sprintf("the patched twin died after %s of load (%s), while the control lives", after.Round(time.Second), why))
}

// warmUp fills the caches of both twins alike and measures which latencies are
// usual. Both twins get the workload, and requests as fast as they answer. Nothing
// of it counts for the impact.
func (e *experiment) warmUp(ctx context.Context, p *pair, panels []*evidence.Panel) error {
	hurry, cancel := context.WithTimeout(ctx, e.o.Warmup)
	defer cancel()
	order := e.workload.warming()
	var usual []float64
	var group errgroup.Group
	for _, m := range p.arms {
		group.Go(func() error {
			for _, i := range order {
				if hurry.Err() != nil {
					break
				}
				began := time.Now()
				if err := m.target.Send(hurry, e.workload.Requests[i]); m == p.control() && err == nil {
					usual = append(usual, time.Since(began).Seconds())
				}
			}
			return nil
		})
	}
	_ = group.Wait() // no errors: what does not answer is found by what counts
	if ctx.Err() != nil {
		return fmt.Errorf("warm up: %w", context.Cause(ctx))
	}
	if len(usual) == 0 {
		return &undecidedError{fmt.Sprintf("the control answers none of the workload's requests well (%s)", e.workload.names())}
	}
	for _, bank := range panels {
		bank.Usual(usual)
	}
	rest := time.NewTimer(settling)
	defer rest.Stop()
	select {
	case <-rest.C:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("warm up: %w", context.Cause(ctx))
	}
}

// drive sends each request of the workload to both twins, one after the other,
// in alternating order, so that neither always comes first. It does not wait
// for slow answers before the next one is due.
func drive(ctx context.Context, w *load, p *pair, arms []*arm) {
	ticker := time.NewTicker(time.Duration(float64(time.Second) / w.rate))
	defer ticker.Stop()
	var requests sync.WaitGroup
	defer requests.Wait()
	for i := 0; ; i++ {
		which := w.sequence.Next()
		request, first := w.Requests[which], i%2
		requests.Go(func() {
			one := send(ctx, p.arms[first].target, request, arms[first])
			other := send(ctx, p.arms[1-first].target, request, arms[1-first])
			if one && other {
				w.answered(which)
			}
		})
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return
		}
	}
}

// send sends one request, records the answer, and reports whether it counts. It records
// nothing when the simulation ended during the request.
func send(ctx context.Context, t *sender.Endpoint, r workload.Request, a *arm) bool {
	began := time.Now()
	err := t.Send(ctx, r)
	return ctx.Err() == nil && a.answered(time.Since(began), err != nil)
}

// watch samples a twin's usage, and reports its death.
func watch(ctx context.Context, sandbox Sandbox, m *machine, a *arm, dead chan<- *machine) {
	ticker := time.NewTicker(sampleInterval)
	defer ticker.Stop()
	for {
		state, err := sandbox.InspectTwin(ctx, m.Machine)
		switch {
		case err != nil && state.Phase == twin.Dead:
			m.broken = err
			dead <- m
			return
		case err != nil: // Nomad is away: what is missing is missing
		case state.Phase == twin.Dead || state.Phase == twin.Unplaced:
			m.state.Phase, m.state.Why = state.Phase, state.Why
			dead <- m
			return
		default:
			a.wrote(state.Blocks, state.NoBlocks)
			if !state.Usage.At.IsZero() {
				a.used(state.Usage)
			}
		}
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return
		}
	}
}
