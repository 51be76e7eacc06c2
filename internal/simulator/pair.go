package simulator

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/internal/sender"
	"github.com/oakumhq/oakum/internal/twin"
)

// metaSend is the key of a target's metadata that says what to send to a bare TCP port.
// Without it, a greeting is waited for.
const metaSend = "oakum_send"

const (
	// inspectInterval is the pause between two readings of a twin that boots.
	inspectInterval = 500 * time.Millisecond
	// patience is how many times as long as the control the treatment may take to
	// become healthy. It gets at least patienceMin.
	patience    = 5
	patienceMin = 20 * time.Second
)

// machine is one twin of a running simulation.
type machine struct {
	twin.Machine
	role    string
	job     string // set before it is registered, so that it can be removed
	target  *sender.Endpoint
	inside  *insideLoad // asks the twin instead of target; nil for a virtual machine
	state   twin.State
	broken  error         // the sandbox's fault that it is dead by
	healthy time.Duration // from its start to its first good answer
	ran     time.Duration // likewise, from when it was seen to run
}

// pair is the two twins of a turn: control and treatment, or two controls of which the
// second plays the treatment.
type pair struct {
	sandbox   Sandbox
	namespace string
	turn      turn
	arms      [2]*machine // control and treatment
	machines  []*machine  // those that may exist, in the order in which they started
	replaced  []api.Twin  // those that were, whose job another machine has now
	// unmonitored says why QEMU's monitor was refused. It is empty when it was
	// not.
	unmonitored string
}

func (p *pair) control() *machine   { return p.arms[0] }
func (p *pair) treatment() *machine { return p.arms[1] }

// start registers the twin that comes first, waits until Nomad has placed it, and
// registers the other on the same node. On two nodes the comparison would measure the
// nodes.
func (p *pair) start(ctx context.Context, e *experiment) error {
	p.namespace = e.request.Target.Namespace
	node := e.node
	order := []int{0, 1}
	if p.turn.swapped {
		order = []int{1, 0}
	}
	for _, arm := range order {
		m, err := p.register(ctx, arm, e, node)
		if err != nil {
			return err
		}
		if err := p.placed(ctx, m, e.o.HealthyWithin); err != nil {
			return err
		}
		node = m.state.Node
	}
	return nil
}

// register starts the twin of an arm. It adds the twin to the pair before the call,
// since Nomad may have registered the job although the reply was lost.
func (p *pair) register(ctx context.Context, arm int, e *experiment, node string) (*machine, error) {
	r := e.request
	spec := p.spec(e, node)
	m := &machine{role: twin.Control}
	place := twin.Control
	if arm == 1 {
		place = twin.Treatment // also of the second control, whose job has another name
		if !p.turn.alike {
			m.role, spec.Apply = twin.Treatment, r.Apply
		}
	}
	spec.Job = twin.JobID(r.ID, e.run+p.turn.name, place)
	m.job = spec.Job
	p.arms[arm] = m
	p.machines = append(p.machines, m)
	started, err := p.sandbox.StartTwin(ctx, spec)
	if err != nil {
		return nil, wrap(err, "start the "+m.role)
	}
	m.Machine = started
	return m, nil
}

// spec asks for a twin of this pair, without the patch.
func (p *pair) spec(e *experiment, node string) twin.Spec {
	r := e.request
	spec := twin.Spec{
		Target: r.Target.TargetRef, Task: e.task, Expect: r.Target.JobModifyIndex, Node: node, Pool: r.Spec.Pool,
		Commands: commandsOf(r, e.task), Unmonitored: p.unmonitored != "", Pair: p.turn.pair, EmptyData: r.Spec.Data == api.DataEmpty, Group: e.groupOf(),
	}
	if spec.Group == nil {
		spec.Env = twinEnv(r)
	}
	return spec
}

// wrapNil is wrap for an error that may be nil.
func wrapNil(err error, doing string) error {
	if err == nil {
		return nil
	}
	return wrap(err, doing)
}

// wrap prefixes an error's message and keeps its code.
func wrap(err error, doing string) error {
	if known, ok := errors.AsType[*api.Error](err); ok {
		return &api.Error{Code: known.Code, Message: doing + ": " + known.Message, Details: known.Details}
	}
	return fmt.Errorf("%s: %w", doing, err)
}

// roomTimeout is how long a twin may wait for a node with room. An allocation that
// was stopped holds its ports and memory until its client says that it has ended.
const roomTimeout = 30 * time.Second

// placed waits until Nomad has placed the twin on a node.
func (p *pair) placed(ctx context.Context, m *machine, within time.Duration) error {
	ctx, cancel := context.WithTimeoutCause(ctx, within, errors.New("no node took it in time"))
	defer cancel()
	began := time.Now()
	return poll(ctx, func() (bool, error) {
		state, err := p.sandbox.InspectTwin(ctx, m.Machine)
		if err != nil {
			return false, wrap(err, "look at the "+m.role)
		}
		m.state = state
		if state.Refused {
			return false, &refusedError{state.Why}
		}
		if state.Phase == twin.Unplaced && time.Since(began) > roomTimeout {
			return false, api.Errorf(api.CodeUnavailable, "there is no room for the %s: %s", m.role, state.Why)
		}
		return state.Node != "", nil
	})
}

// poll asks until the answer is yes, the question fails or ctx ends.
func poll(ctx context.Context, ask func() (bool, error)) error {
	ticker := time.NewTicker(inspectInterval)
	defer ticker.Stop()
	for {
		if yes, err := ask(); yes || err != nil {
			return err
		}
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return fmt.Errorf("wait for twins: %w", context.Cause(ctx))
		}
	}
}

// errLate says that a twin did not become healthy in time.
var errLate = errors.New("it did not become healthy in time")

// await waits until both twins answer their health check. It returns a faultError when
// only the treatment does not, an undecidedError when nothing in the control's job
// answers, and another error when the control does not serve.
func (p *pair) await(ctx context.Context, o Options, send string) error {
	for _, m := range p.machines {
		m.connect(o, send)
	}
	var served atomic.Int64 // how long the control took, in nanoseconds
	group, both := errgroup.WithContext(ctx)
	group.Go(func() error {
		err := p.serving(both, p.control(), func() time.Duration { return o.HealthyWithin })
		if errors.Is(err, sender.ErrSilent) {
			return &undecidedError{"nothing in this job answers: give its check a path, or say what to send (meta " + metaSend + ")"}
		}
		served.Store(int64(p.control().ran))
		return wrapNil(err, "control twin")
	})
	var late error
	group.Go(func() error {
		// The control's boot sets the limit for the treatment. Otherwise a
		// patched machine that never serves would be waited for as long as a
		// slow node may need.
		late = p.serving(both, p.treatment(), func() time.Duration {
			if took := time.Duration(served.Load()); took > 0 {
				return patiently(o, took)
			}
			return o.HealthyWithin
		})
		return nil
	})
	if err := group.Wait(); err != nil {
		return err
	}
	switch {
	case late == nil:
		return nil
	case errors.Is(late, errUnasked):
		return api.Errorf(api.CodeUnavailable, "%s twin: %v", p.treatment().role, late)
	case !p.turn.alike && (errors.Is(late, errLate) || errors.Is(late, errDead)):
		return p.blame(ctx, fmt.Sprintf("the patched twin does not serve (%v), while the control was healthy after %s",
			late, p.control().healthy.Round(100*time.Millisecond)))
	}
	return wrap(late, p.treatment().role+" twin")
}

// patiently is how long a twin may take to serve when the control took so long.
func patiently(o Options, took time.Duration) time.Duration {
	return min(o.HealthyWithin, max(patienceMin, patience*took))
}

// connect prepares a twin for requests.
func (m *machine) connect(o Options, send string) {
	if m.Load != "" {
		m.inside = &insideLoad{loads: o.Inside.Loads, machine: m.Machine}
		return
	}
	m.target = sender.NewEndpoint(m.Machine, send, o.Transport)
}

// refusedError says that a twin has died because of QEMU's monitor and would live
// without one.
type refusedError struct{ why string }

func (e *refusedError) Error() string { return "QEMU's monitor is refused: " + e.why }

// errDead says that a twin's machine has ended.
var errDead = errors.New("it died")

// serving waits until a twin answers its check, and records how long it took. Its limit
// counts from when the machine runs: what its node does before that, as hashing and
// copying its image, is not the machine's.
func (p *pair) serving(ctx context.Context, m *machine, limit func() time.Duration) error {
	var runs time.Time // since when it was seen to run
	last := errors.New("it has not answered")
	return poll(ctx, func() (bool, error) {
		state, err := p.sandbox.InspectTwin(ctx, m.Machine)
		if err != nil {
			if ctx.Err() != nil {
				return false, nil // poll returns the cause
			}
			return false, wrap(err, "look at the twin")
		}
		m.state = state
		if state.Refused {
			return false, &refusedError{state.Why}
		}
		switch state.Phase {
		case twin.Dead:
			return false, fmt.Errorf("%w: %s", errDead, state.Why)
		case twin.Unplaced, twin.Pending:
			return false, nil
		case twin.Running:
			if runs.IsZero() {
				runs = time.Now()
			}
			if last = m.check(ctx); last == nil {
				m.healthy, m.ran = time.Since(state.Started), time.Since(runs)
				return true, nil
			}
		}
		if took := time.Since(runs); took > limit() {
			return false, fmt.Errorf("%w, %s: %w", errLate, took.Round(time.Second), last)
		}
		return false, nil
	})
}

// check makes the twin's health check once.
func (m *machine) check(ctx context.Context) error {
	if m.inside != nil {
		return m.inside.check(ctx, m.state.Alloc)
	}
	return m.target.Check(ctx, m.state.Address)
}

// blame confirms a fault of the treatment. It returns another error when the control is
// gone too: a node that goes down takes both twins, and the patch is not to blame.
func (p *pair) blame(ctx context.Context, fault string) error {
	state, err := p.sandbox.InspectTwin(ctx, p.control().Machine)
	if err != nil {
		return wrap(err, "look at the control")
	}
	if state.Phase != twin.Running {
		return api.Errorf(api.CodeUnavailable, "both twins are gone: %s", state.Why)
	}
	return &faultError{fault}
}

// stop removes both twins and waits until their machines have ended.
func (p *pair) stop(ctx context.Context) error {
	var group errgroup.Group
	errs := make([]error, len(p.machines))
	for i, m := range p.machines {
		if m.target != nil {
			m.target.Close()
		}
		group.Go(func() error {
			errs[i] = p.sandbox.StopTwin(ctx, p.namespace, m.job)
			return nil
		})
	}
	return errors.Join(group.Wait(), errors.Join(errs...))
}

// describe returns the part of the twins that the simulation's record keeps.
// It reads the consoles, which are gone with the machines.
func (p *pair) describe(ctx context.Context) []api.Twin {
	ctx, cancel := context.WithTimeout(ctx, teardownMax)
	defer cancel()
	out := make([]api.Twin, 0, len(p.machines))
	for _, m := range p.machines {
		if m.role == twin.Reverted {
			out = append(out, p.replaced...)
		}
		out = append(out, p.describeOne(ctx, m))
	}
	return out
}

func (p *pair) describeOne(ctx context.Context, m *machine) api.Twin {
	console := p.console(ctx, m)
	return api.Twin{
		Role: m.role, Job: m.job, Alloc: m.state.Alloc, Image: m.Image, ImageDigest: m.state.Digest,
		HealthyAfter: api.Duration(m.healthy.Round(time.Millisecond)), Pair: p.turn.pair, Node: m.state.Node,
		Kernel: kernelOf(console), Console: strings.ToValidUTF8(console[max(0, len(console)-consoleKept):], ""),
	}
}

// consoleKept is how many bytes of a console's end the record keeps.
const consoleKept = 4 << 10

// console is what a machine has written, as far back as the sandbox reads. It is empty
// when it can't be read: a simulation does not depend on it.
func (p *pair) console(ctx context.Context, m *machine) string {
	text, err := p.sandbox.Console(ctx, api.SandboxObject{Kind: api.ObjectJob, Namespace: p.namespace, Name: m.job, Role: m.role})
	if err != nil {
		return ""
	}
	return text
}
