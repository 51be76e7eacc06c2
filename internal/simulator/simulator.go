// Package simulator tries a patch before production gets it. It boots two twins of
// the target's virtual machine as isolated jobs: the control as the target is, and
// the treatment with the patch. It sends both the same requests and compares them
// with the judge that also compares canaries.
//
// Guarantees. Both twins of a pair run on the same node, on disks of their own, without
// access to any network. They are removed when their pair ends, also when the context
// ends. Sweep removes the twins that a crash left behind. An impact rejects only for a
// fault of the patched twin. When the control does not come up, or dies, the simulation
// fails and says nothing about the patch.
//
// Verdicts. The patch does not fix what it says, in its image or in its booted machine; the
// treatment does not become healthy, dies, or outgrows its reservation while the control
// does not; or in each of several boots it tries to reach what no
// control tries to; or a KPI is proven worse than its abort_above margin: that rejects. A pass has every KPI of the policy proven to be within its promote_below
// margin, as far as the requests of the run can show, which its reasons say. All else is
// inconclusive. A patch that changes nothing is rejected once in 1/false_alarm runs at
// most, over all KPIs, pairs of boots and looks.
//
// KPIs. A simulation measures errors, latencies, CPU, memory and disk work. It
// reports disk work always, also when the policy does not judge by it; when a node
// refuses QEMU's monitor, disk work is missing. It does not count restarts, since
// the simulation is over when a twin dies. It does not count requests, since both
// twins are sent the same.
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
	"github.com/oakumhq/oakum/internal/simulator/evidence"
	"github.com/oakumhq/oakum/internal/simulator/queue"
	"github.com/oakumhq/oakum/internal/twin"
	"github.com/oakumhq/oakum/internal/workload"
)

// Defaults of Options.
const (
	// DefaultRate is the most requests per second that a twin is sent: the twins
	// share a node with production.
	DefaultRate = 5.0
	// DefaultWarmup is the longest time of the warm-up, in which both twins fill
	// their caches and nothing counts. The warm-up ends early when both have
	// answered often enough.
	DefaultWarmup = 15 * time.Second
	// DefaultBootTimeout covers a boot without hardware acceleration on a node
	// with forty times the load that it can take: 166 s were measured. Only a
	// control that never serves is waited for as long.
	DefaultBootTimeout = 3 * time.Minute
	// DefaultTimeout leaves room for both boots and ten minutes of work.
	DefaultTimeout = 15 * time.Minute
)

const (
	// stretch is how many times its duration a simulation takes at most.
	stretch = 10
	// lookDefault is two intervals of a Nomad client's measurements.
	lookDefault = 2 * time.Second
	// teardownMax bounds the removal of both twins.
	teardownMax = time.Minute
	// unmonitored is the last part of a run's name when the run repeats one whose
	// monitor was refused.
	unmonitored = "u"
)

// Defaults of the quotas. Two pairs on one node disturb each other's measurements.
const (
	DefaultPairs        = 2
	DefaultPairsPerNode = 1
)

// Sandbox runs twins.
type Sandbox interface {
	StartTwin(ctx context.Context, spec twin.Spec) (twin.Machine, error)
	InspectTwin(ctx context.Context, m twin.Machine) (twin.State, error)
	StopTwin(ctx context.Context, namespace, job string) error
	// Egress reads what a twin's machine has tried to reach by itself since it started.
	Egress(ctx context.Context, m twin.Machine, alloc string) (twin.Egress, error)
	// Ask has the guest agent of a twin's machine run the twin's commands, as many as are
	// said. The error has code not_found when the machine has no agent; other errors say
	// why the first command without an answer has none.
	Ask(ctx context.Context, m twin.Machine, alloc string, commands int) ([]twin.Exit, error)
	// Console reads the end of what the machine of a job has written.
	Console(ctx context.Context, job api.SandboxObject) (string, error)
}

// Baker runs scripts in copies of images.
type Baker interface {
	// Bakes reports whether there is an appliance to bake in.
	Bakes() bool
	// BakeNode is the ID of a node that can bake an image of the target: one of the
	// pool, or one that runs the target when pool is empty.
	BakeNode(ctx context.Context, target api.TargetRef, pool string) (string, error)
	// BakeImage's error has code conflict when the script itself failed. It then leaves
	// nothing.
	BakeImage(ctx context.Context, spec twin.BakeSpec) (twin.Image, error)
	DiscardImage(ctx context.Context, target api.TargetRef, job string, baked twin.Image) error
}

// Options configure a simulator; a zero number means its default.
type Options struct {
	Sandbox Sandbox
	Baker   Baker // nil refuses patches with scripts
	// Ledger records what simulations make. A nil one records nothing: what a crash
	// leaves is then not found again.
	Ledger Ledger
	// Contents lets targets with the same content share a verdict; nil lets none.
	Contents Contents
	// Known finds a recorded verdict on a content in the submission of a request; nil
	// finds none.
	Known func(r Request, content string) (Known, bool)
	// Progress is told when a simulation enters a phase; nil tells nobody.
	Progress func(ctx context.Context, simulation string, p api.SimulationProgress)
	// Installed is told what is installed in an image that was opened: its digest, hex
	// SHA-256, and its inventory. Nil tells nobody.
	Installed func(ctx context.Context, digest string, inv api.Inventory) error
	Logger    *slog.Logger
	// RateMax bounds the requests per second to each twin.
	RateMax float64
	// HealthyWithin is how long a twin may take to answer its check.
	HealthyWithin time.Duration
	// Within bounds a whole simulation, from the first boot to the last look.
	Within time.Duration
	Look   time.Duration // between two looks of the judge
	Warmup time.Duration // at most, before the first of them
	// Inside is for targets that are no virtual machine; without Loads those have no
	// twins.
	Inside Inside
	// Pairs is how many simulations run at once. Each has one pair of twins at a time.
	Pairs int
	// PairsPerNode is how many of them run on one node.
	PairsPerNode int
	// Transport carries the requests; nil means one of its own per twin.
	Transport http.RoundTripper
}

// Simulator runs simulations, as many at once as its quotas allow. It is safe for
// concurrent use.
type Simulator struct {
	o      Options
	queue  *queue.Queue
	shared *shared
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
	if o.Ledger == nil {
		o.Ledger = unrecorded{}
	}
	return &Simulator{
		o: o, queue: queue.New(cmp.Or(o.Pairs, DefaultPairs), cmp.Or(o.PairsPerNode, DefaultPairsPerNode)),
		shared: &shared{flights: map[string]*flight{}},
	}
}

// Request says which patch to try on which target.
type Request struct {
	ID       string // of the simulation
	Rollout  string // empty for a person's
	Plan     string // the submission of the rollout, which shares verdicts
	Again    bool   // the rollout was simulated before
	Patch    string
	Severity api.Severity // of the patch; simulations of graver ones go first
	Apply    []api.Apply
	Target   api.Target
	Spec     api.SimulateSpec
	Judge    api.JudgeSpec
	Baseline *api.Profile   // nil when nothing has been learnt
	Affects  []api.Affected // packages that the patch is to bring up to date
	// Boots is what machines of the target differed by in former simulations.
	Boots []api.BootSpread
	// Workload was recorded; without requests, the target's paths are sent.
	Workload workload.Workload
	// Stubs answer in twins that are no virtual machine for what the target calls.
	Stubs []twin.Stub

	rate   workload.Rate // of this run
	kernel string        // that the patched machine must run; empty for any
}

// Run tries the patch. It removes an image that the patch's scripts made. An error
// means that the simulation could not be carried out; it says nothing about the
// patch. Run waits while the quotas have no room for it.
func (s *Simulator) Run(ctx context.Context, r Request) (api.Impact, error) {
	impact, _, err := s.run(ctx, r, false)
	return impact, err
}

func (s *Simulator) run(ctx context.Context, r Request, keep bool) (api.Impact, []api.Apply, error) {
	log := s.o.Logger.With("simulation_id", r.ID, "target", r.Target.String(), "patch", r.Patch)
	task, err := s.machineTask(r)
	if err != nil {
		return api.Impact{}, nil, err
	}
	r.choose(s.o.RateMax)
	bank, err := evidence.New(r.Judge, r.Spec, r.rate.PerSecond, r.Boots)
	if err != nil {
		return api.Impact{}, nil, err
	}
	run, err := nonce()
	if err != nil {
		return api.Impact{}, nil, err
	}
	release, err := s.queue.Enter(ctx, rank(r), func(position int) {
		s.progress(ctx, r, api.SimulationProgress{Phase: api.PhaseQueued, Position: position})
	})
	if err != nil {
		return api.Impact{}, nil, err
	}
	defer release()
	own, leave := s.owning(r.ID)
	defer leave()
	log.Info("simulation starts")
	t := &trial{Simulator: own, former: s, request: r, task: task, name: run, left: s.o.Within}
	impact, err := t.run(ctx, bank)
	if t.baked.Path != "" && (err != nil || impact.Negative || !keep) {
		own.discard(ctx, r, run, t.baked)
	}
	if err != nil {
		return api.Impact{}, nil, err
	}
	if err := t.reportInstalled(ctx, impact); err != nil {
		log.Warn("nobody knows what is installed in the patched image", "error", err)
	}
	log.Info("simulation ends", "verdict", impact.Verdict, "reason", impact.Reason)
	return impact, t.request.Apply, nil
}

// trial is one run of a simulation, from the bake to the last pair.
type trial struct {
	*Simulator
	former     *Simulator // which takes nothing out of the record that it removes
	request    Request    // whose scripts become the baked image
	task, name string
	left       time.Duration // of the simulation's time
	baked      twin.Image
}

// run bakes the patch and compares the twins. While other simulations use all nodes
// that it could run on, it waits, and its time does not pass.
func (t *trial) run(ctx context.Context, bank *evidence.Panel) (api.Impact, error) {
	asked, fault, impact := t.request, "", api.Impact{}
	if err := t.timed(ctx, func(ctx context.Context) (err error) {
		if err := t.former.clear(ctx, t.request.ID); err != nil {
			return err
		}
		t.baked, fault, err = t.bake(ctx, &t.request, t.task, t.name)
		return err
	}); err != nil {
		return api.Impact{}, err
	}
	proof := prove(asked, t.task, t.baked)
	t.request.kernel = proof.kernel
	if fault = cmp.Or(fault, proof.fault); fault != "" {
		return proof.of(api.Impact{
			Verdict: api.SimulationReject, Negative: true, Reason: fault, Reasons: []string{fault}, KPIs: []api.KPIEffect{}, Twins: []api.Twin{},
		}), nil
	}
	for {
		err := t.timed(ctx, func(ctx context.Context) (err error) {
			impact, err = t.compare(ctx, t.request, t.task, t.name, bank)
			return err
		})
		crowded, ok := errors.AsType[*crowdedError](err)
		if !ok {
			return proof.of(impact), err
		}
		t.progress(ctx, t.request, api.SimulationProgress{Phase: api.PhaseQueued, Position: 1})
		select {
		case <-crowded.left:
		case <-ctx.Done():
			return api.Impact{}, fmt.Errorf("wait for a node: %w", context.Cause(ctx))
		}
	}
}

// timed does something within what is left of the simulation's time.
func (t *trial) timed(ctx context.Context, do func(context.Context) error) error {
	ctx, cancel := context.WithTimeoutCause(ctx, t.left,
		api.Errorf(api.CodeTimeout, "the simulation took longer than %s (simulator.timeout)", t.o.Within))
	defer cancel()
	began := time.Now()
	err := caused(ctx, do(ctx))
	t.left -= time.Since(began)
	return err
}

// caused adds to an error the cause that ended ctx. An adapter describes an
// interrupted call in words of its own, without that cause.
func caused(ctx context.Context, err error) error {
	cause := context.Cause(ctx)
	if err == nil || cause == nil || errors.Is(err, cause) {
		return err
	}
	return fmt.Errorf("simulate: %w: %w", cause, err)
}

// machineTask names the QEMU task that the patch changes. It is empty when the twins are
// asked from inside, since they are no virtual machine.
func (s *Simulator) machineTask(r Request) (string, error) {
	task := ""
	for _, a := range r.Apply {
		switch {
		case a.Kind == api.ApplyScript && s.o.Baker == nil:
			return "", api.Errorf(api.CodeInvalid, "task %q: a script runs in an appliance, and this server has none (simulator.appliance)", a.Task)
		case !slices.ContainsFunc(r.Target.Tasks, func(t api.Task) bool { return t.Name == a.Task }):
			return "", api.Errorf(api.CodeInvalid, "target %s has no task %q", r.Target, a.Task)
		case !slices.ContainsFunc(r.Target.Tasks, func(t api.Task) bool { return t.Name == a.Task && t.Driver == "qemu" }):
			continue // it runs beside the machine, and not in a twin
		case task != "" && task != a.Task:
			return "", api.Errorf(api.CodeInvalid, "the patch changes the machines %q and %q; a simulation tries one", task, a.Task)
		}
		task = a.Task
	}
	if p := r.Spec.Program; p != nil && !s.asksInside(r) {
		return "", api.Errorf(api.CodeInvalid, "the load program %s runs beside twins of containers and programs, and the patch changes a virtual machine (simulate, workload)", p.Command)
	}
	if task == "" && !s.asksInside(r) {
		return "", api.Errorf(api.CodeInvalid, "the patch changes no virtual machine of %s, and simulator.network names no network for twins of other tasks", r.Target)
	}
	return task, nil
}

// nonce distinguishes the runs of one simulation.
func nonce() (string, error) {
	var b [4]byte
	if _, err := rand.Read(b[:]); err != nil {
		return "", fmt.Errorf("name the twins: %w", err)
	}
	return hex.EncodeToString(b[:]), nil
}
