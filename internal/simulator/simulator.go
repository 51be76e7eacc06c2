// Package simulator tries a patch before production gets it. It boots two twins
// of the target's virtual machine as isolated jobs, control as it is and
// treatment with the patch, sends both the same requests, and compares what it
// measures with the same judge that later compares canaries.
//
// Guarantees. Both twins run on the same node, on disks of their own, cut off
// from every network. They are torn down whatever happens, also when the
// context ends; what a crash leaves behind is found again by Sweep. An impact
// is negative only for a fault of the patched twin: when the unpatched one does
// not come up or dies, the simulation has failed and says nothing.
//
// What decides. Negative is: the treatment does not become healthy, or dies,
// while the control serves; the judge's verdict is abort; or, when time is up
// without a verdict, a KPI that lies beyond its promote_below margin with
// evidence of at least 10 to 1 that it is worse than its abort_above margin.
// Everything else is not negative, and the reason names the KPIs that stayed
// undecided: a few hundred requests can condemn a patch and can rarely acquit
// it, so the stages in production judge again.
//
// Of the policy's KPIs it measures errors, latencies, CPU, memory and what the
// machines do to their disks. The last is told of every simulation, also where
// the policy does not judge by it; a node that refuses QEMU its monitor makes it
// a KPI less. Restarts are not counted, since a twin that dies has decided the
// matter; requests are not, since both twins are sent the same.
//
// Run starts goroutines for requests and waits for them before it returns.
package simulator

import (
	"cmp"
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"time"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/internal/twin"
)

// What holds where no configuration says otherwise.
const (
	// DefaultRate is the most requests per second that a twin is sent: the twins
	// share a node with production.
	DefaultRate = 5.0
	// DefaultWarmup bounds the time in which both twins fill their caches before
	// anything counts. It ends when they have answered often enough.
	DefaultWarmup = 15 * time.Second
	// DefaultBootTimeout covers a boot without hardware acceleration on a node with
	// forty times more to do than it can: 166 s were seen. Only a control that
	// never serves is waited for as long.
	DefaultBootTimeout = 3 * time.Minute
	// DefaultTimeout leaves room for both boots and ten minutes of work.
	DefaultTimeout = 15 * time.Minute
)

const (
	// rateUnknown is the requests per second to each twin where no profile says how
	// many the target gets.
	rateUnknown = 5.0
	// durationDefault is long enough for some hundred requests.
	durationDefault = 30 * time.Second
	// almostAll of a workload's requests end a simulation whose time has passed: the
	// last ones are still under way then.
	almostAll = 0.9
	// stretch is how many times its duration a simulation takes at most.
	stretch = 10
	// lookDefault is two of the intervals in which a Nomad client measures.
	lookDefault = 2 * time.Second
	// teardownMax bounds the removal of both twins.
	teardownMax = time.Minute
	// unmonitored ends the name of a run that follows one whose monitor was
	// refused.
	unmonitored = "u"
)

// Sandbox runs twins.
type Sandbox interface {
	StartTwin(ctx context.Context, spec twin.Spec) (twin.Machine, error)
	InspectTwin(ctx context.Context, m twin.Machine) (twin.State, error)
	StopTwin(ctx context.Context, namespace, job string) error
	Twins(ctx context.Context) ([]twin.Machine, error)
}

// Baker runs scripts in copies of images.
type Baker interface {
	// BakeImage's error has code conflict when the script itself failed.
	BakeImage(ctx context.Context, spec twin.BakeSpec) (twin.Image, error)
	DiscardImage(ctx context.Context, target api.TargetRef, job string, baked twin.Image) error
}

// Options configure a simulator; a zero number means its default.
type Options struct {
	Sandbox Sandbox
	Baker   Baker // nil refuses patches with scripts
	Logger  *slog.Logger
	// RateMax bounds the requests per second to each twin.
	RateMax float64
	// HealthyWithin is how long a twin may take to answer its check.
	HealthyWithin time.Duration
	// Within bounds a whole simulation, from the first boot to the last look.
	Within time.Duration
	Look   time.Duration // between two looks of the judge
	Warmup time.Duration // at most, before the first of them
	// Transport carries the requests; nil means one of its own per twin.
	Transport http.RoundTripper
}

// Simulator runs simulations, one at a time: two pairs on one node would
// measure each other. It is safe for concurrent use.
type Simulator struct {
	o    Options
	slot chan struct{} // holds one value while nothing runs
}

// New returns a simulator.
func New(o Options) *Simulator {
	o.RateMax = cmp.Or(o.RateMax, DefaultRate)
	o.HealthyWithin = cmp.Or(o.HealthyWithin, DefaultBootTimeout)
	o.Within = cmp.Or(o.Within, DefaultTimeout)
	o.Look = cmp.Or(o.Look, lookDefault)
	o.Warmup = cmp.Or(o.Warmup, DefaultWarmup)
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	s := &Simulator{o: o, slot: make(chan struct{}, 1)}
	s.slot <- struct{}{}
	return s
}

// Request says what to try on whose twin.
type Request struct {
	ID       string // of the simulation
	Patch    string
	Apply    []api.Apply
	Target   api.Target
	Spec     api.SimulateSpec
	Judge    api.JudgeSpec
	Baseline *api.Profile // nil when nothing has been learnt
}

// Run tries the patch and keeps nothing of it. An error means that the
// simulation could not be carried out, which is no statement about the patch.
// It waits while another runs.
func (s *Simulator) Run(ctx context.Context, r Request) (api.Impact, error) {
	impact, _, err := s.run(ctx, r, false)
	return impact, err
}

// Try is Run for a rollout: it returns what production is to get, in which the
// scripts of the patch have become the image that was tried. The image of a
// patch that did not pass is removed.
func (s *Simulator) Try(ctx context.Context, r Request) (api.Impact, []api.Apply, error) {
	return s.run(ctx, r, true)
}

func (s *Simulator) run(ctx context.Context, r Request, keep bool) (_ api.Impact, _ []api.Apply, err error) {
	log := s.o.Logger.With("simulation_id", r.ID, "target", r.Target.String(), "patch", r.Patch)
	task, err := s.machineTask(r)
	if err != nil {
		return api.Impact{}, nil, err
	}
	bank, err := newPanel(r)
	if err != nil {
		return api.Impact{}, nil, err
	}
	run, err := nonce()
	if err != nil {
		return api.Impact{}, nil, err
	}
	select {
	case <-s.slot:
		defer func() { s.slot <- struct{}{} }()
	case <-ctx.Done():
		return api.Impact{}, nil, fmt.Errorf("wait for another simulation: %w", context.Cause(ctx))
	}
	ctx, cancel := context.WithTimeoutCause(ctx, s.o.Within,
		api.Errorf(api.CodeTimeout, "the simulation took longer than %s (simulator.timeout)", s.o.Within))
	defer cancel()
	defer func() { err = caused(ctx, err) }()
	// Nothing but this process runs twins, so what it does not run is left over
	// from an earlier run.
	if err := s.sweep(ctx, func(string) bool { return false }); err != nil {
		return api.Impact{}, nil, wrap(err, "remove twins of an earlier run")
	}
	log.Info("simulation starts")
	baked, fault, err := s.bake(ctx, &r, task, run)
	if err != nil {
		return api.Impact{}, nil, err
	}
	impact := api.Impact{Negative: true, Reason: fault, KPIs: []api.KPIEffect{}, Twins: []api.Twin{}}
	if fault == "" {
		impact, err = s.compare(ctx, r, &pair{sandbox: s.o.Sandbox}, task, run, bank)
	}
	if refused, ok := errors.AsType[*refusedError](err); ok {
		// What the disks do is one KPI less, and no reason not to simulate.
		log.Warn("twins start again without QEMU's monitor", "reason", refused.why)
		impact, err = s.compare(ctx, r, &pair{sandbox: s.o.Sandbox, unmonitored: refused.why}, task, run+unmonitored, bank)
	}
	if baked.Path != "" && (err != nil || impact.Negative || !keep) {
		s.discard(ctx, r, run, baked)
	}
	if err != nil {
		return api.Impact{}, nil, err
	}
	log.Info("simulation ends", "negative", impact.Negative, "reason", impact.Reason)
	return impact, r.Apply, nil
}

// caused adds why ctx has ended to an error that does not say so: an adapter tells
// of a call that was cut short in words of its own.
func caused(ctx context.Context, err error) error {
	cause := context.Cause(ctx)
	if err == nil || cause == nil || errors.Is(err, cause) {
		return err
	}
	return fmt.Errorf("simulate: %w: %w", cause, err)
}

// compare boots both twins, measures them and takes them away.
func (s *Simulator) compare(ctx context.Context, r Request, pair *pair, task, run string, bank *panel) (api.Impact, error) {
	defer func() {
		// The caller's context may have ended; the twins must go nevertheless.
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), teardownMax)
		defer cancel()
		if err := pair.stop(ctx); err != nil {
			// What was measured stays true; the next simulation or term sweeps.
			s.o.Logger.Error("twins are left behind", "simulation_id", r.ID, "error", err)
		}
	}()
	if err := pair.start(ctx, r, task, run, s.o); err != nil {
		return api.Impact{}, err
	}
	impact, err := s.try(ctx, r, pair, bank)
	if err != nil {
		return api.Impact{}, err
	}
	impact.Twins = pair.describe()
	return impact, nil
}

// try waits for both twins, sends the workload and draws the conclusion.
func (s *Simulator) try(ctx context.Context, r Request, p *pair, bank *panel) (api.Impact, error) {
	fault, err := p.await(ctx, s.o)
	if err != nil {
		return api.Impact{}, err
	}
	if fault != "" {
		return api.Impact{Negative: true, Reason: fault, KPIs: []api.KPIEffect{}}, nil
	}
	return s.measure(ctx, r, p, bank)
}

// machineTask is the QEMU task that the patch changes: "" for the only one.
func (s *Simulator) machineTask(r Request) (string, error) {
	task := ""
	for _, a := range r.Apply {
		switch {
		case a.Kind == api.ApplyScript && s.o.Baker == nil:
			return "", api.Errorf(api.CodeInvalid, "task %q: scripts can't be run in images here", a.Task)
		case !slices.ContainsFunc(r.Target.Tasks, func(t api.Task) bool { return t.Name == a.Task }):
			return "", api.Errorf(api.CodeInvalid, "target %s has no task %q", r.Target, a.Task)
		case !slices.ContainsFunc(r.Target.Tasks, func(t api.Task) bool { return t.Name == a.Task && t.Driver == "qemu" }):
			continue // it runs beside the machine, and not in a twin
		case task != "" && task != a.Task:
			return "", api.Errorf(api.CodeInvalid, "the patch changes the machines %q and %q; a simulation tries one", task, a.Task)
		}
		task = a.Task
	}
	if task == "" {
		return "", api.Errorf(api.CodeInvalid, "the patch changes no virtual machine of %s, and only those have twins", r.Target)
	}
	return task, nil
}

// Sweep removes every twin whose simulation is not live: what a crash or a lost
// leader left behind.
func (s *Simulator) Sweep(ctx context.Context, live func(id string) bool) error {
	return s.sweep(ctx, live)
}

func (s *Simulator) sweep(ctx context.Context, keep func(id string) bool) error {
	twins, err := s.o.Sandbox.Twins(ctx)
	if err != nil {
		return err
	}
	var errs []error
	for _, m := range twins {
		id, ok := twin.Simulation(m.Job)
		if ok && keep(id) {
			continue
		}
		s.o.Logger.Warn("twin without a simulation is removed", "job", m.Job, "namespace", m.Namespace)
		errs = append(errs, s.o.Sandbox.StopTwin(ctx, m.Namespace, m.Job))
	}
	return errors.Join(errs...)
}

// nonce tells one run of a simulation from the next.
func nonce() (string, error) {
	var b [4]byte
	if _, err := rand.Read(b[:]); err != nil {
		return "", fmt.Errorf("name the twins: %w", err)
	}
	return hex.EncodeToString(b[:]), nil
}
