package simulator_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/internal/twin"
)

// behaviour is a model machine's.
type behaviour struct {
	boot      time.Duration // until it answers
	latency   time.Duration
	errors    float64 // share of requests
	cpu       float64 // cores
	writes    float64 // to the disk, of 4 KiB, per second
	noBlocks  string  // why QEMU does not say so
	deadAfter time.Duration
	never     bool // never healthy
	memory    float64
	kernel    string        // that its console tells
	egress    egressOf      // nil tries nothing
	prepares  time.Duration // its node, its disk
	format    int           // of its data: it reads no newer one, and writes its own
	agent     []twin.Exit   // what its guest agent answers to the commands in order; nil has no agent
	agentErr  error         // why there are no more
}

// egressOf is what a machine tries to reach in one of its boots, from 1 on.
type egressOf func(boot int) (twin.Egress, error)

// machine is a twin in the model.
type machine struct {
	spec    twin.Spec
	started time.Time
	be      behaviour
	alloc   string
	node    string // empty when none took it
	boot    int    // from 1, of those with the same disk
	asked   twin.Blocks
}

// model is a sandbox and the network to its machines in one, on the bubble's
// clock.
type model struct {
	mu       sync.Mutex
	machines map[string]*machine // by job
	nodes    []string
	crowds   map[string]int // by node: pairs at once at most
	control  behaviour
	patched  behaviour
	specs    []twin.Spec
	most     int // machines at once
	noRoom   bool
	lostCall bool // the reply to the second start is lost
	allowed  bool // QEMU may have a monitor
	data     []string
	left     []string         // what twins can't carry over
	takes    []string         // variables that the machine's arguments take
	formats  map[string]int   // of the data of a job
	again    func(*behaviour) // changes the control that replaces a treatment
	away     string           // why no twin can replace another
	unlike   float64          // factor by which the second of two controls is slower; 0 is none
	reserved float64          // bytes of memory
	rng      *rand.Rand
	paths    map[string][]string // asked, by job
}

func newModel() *model {
	good := behaviour{boot: 4 * time.Second, latency: 10 * time.Millisecond, cpu: 0.1, writes: 5, memory: 2e8}
	return &model{
		machines: map[string]*machine{}, nodes: []string{"n1"}, crowds: map[string]int{}, control: good, patched: good, allowed: true,
		rng: rand.New(rand.NewPCG(1, 2)), paths: map[string][]string{}, formats: map[string]int{},
	}
}

func (m *model) StartTwin(_ context.Context, spec twin.Spec) (twin.Machine, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	be, image := m.control, "/images/store-1.0.qcow2"
	if spec.Apply != nil {
		be, image = m.patched, spec.Apply[0].Image
	}
	if spec.Apply == nil && strings.HasSuffix(spec.Job, twin.Treatment) && m.unlike > 0 {
		be.latency = time.Duration(float64(be.latency) * m.unlike)
	}
	vm := &machine{spec: spec, alloc: "a-" + spec.Job, node: m.place(spec)}
	if spec.Former != "" {
		before := m.machines[spec.Job]
		switch {
		case m.away != "":
			return twin.Machine{}, api.Errorf(api.CodeUnavailable, "%s", m.away)
		case before == nil || before.alloc != spec.Former || before.spec.Apply == nil || spec.Node != before.node:
			return twin.Machine{}, api.Errorf(api.CodeInvalid, "%s replaces no treatment", spec.Job)
		}
		vm.alloc = "b-" + spec.Job
		if m.again != nil {
			m.again(&be)
		}
	}
	if m.formats[spec.Job] > be.format {
		be.deadAfter = time.Second // it refuses the data
	}
	m.formats[spec.Job] = max(m.formats[spec.Job], be.format)
	m.specs = append(m.specs, spec)
	boot := 0
	for _, s := range m.specs {
		if (s.Apply == nil) == (spec.Apply == nil) {
			boot++
		}
	}
	vm.started, vm.be, vm.boot = time.Now().Add(be.prepares), be, boot
	m.machines[spec.Job] = vm
	on, placed := map[string]map[string]bool{}, 0
	for job, vm := range m.machines {
		if on[vm.node] == nil {
			on[vm.node] = map[string]bool{}
		}
		on[vm.node][job[:strings.LastIndexByte(job, '-')]] = true
		if vm.node != "" {
			placed++
			m.crowds[vm.node] = max(m.crowds[vm.node], len(on[vm.node]))
		}
	}
	m.most = max(m.most, placed)
	if m.lostCall && len(m.specs) == 2 {
		return twin.Machine{}, api.Errorf(api.CodeTimeout, "register: the reply was lost")
	}
	return twin.Machine{
		Namespace: spec.Target.Namespace, Job: spec.Job, Image: image, Task: "vm", Port: "http", Scheme: "http", Path: "/health",
		Data: m.data, Uncarried: m.left, Former: spec.Former, Env: m.takes,
	}, nil
}

// place is the first node that a twin may run on; it is empty when there is none.
func (m *model) place(spec twin.Spec) string {
	for _, node := range m.nodes {
		if (spec.Node == "" || spec.Node == node) && !slices.Contains(spec.Avoid, node) {
			return node
		}
	}
	return ""
}

func (m *model) InspectTwin(ctx context.Context, t twin.Machine) (twin.State, error) {
	if ctx.Err() != nil {
		return twin.State{}, ctx.Err()
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	vm, ok := m.machines[t.Job]
	if !ok {
		return twin.State{}, api.Errorf(api.CodeNotFound, "no such job %s", t.Job)
	}
	if m.noRoom && vm.spec.Apply != nil {
		return twin.State{Phase: twin.Unplaced, Why: "1 nodes lack memory"}, nil
	}
	if vm.node == "" {
		return twin.State{Phase: twin.Unplaced, Why: "1 nodes filtered by ${node.unique.id}"}, nil
	}
	s := twin.State{Phase: twin.Running, Alloc: vm.alloc, Node: vm.node, Address: t.Job, Started: vm.started, Digest: "d"}
	s.MemoryReserved = m.reserved
	if time.Now().Before(vm.started) {
		s.Phase, s.Started = twin.Pending, time.Time{}
		return s, nil
	}
	if vm.dead() {
		s.Phase, s.Why = twin.Dead, "exit code 137"
		return s, nil
	}
	if !m.allowed && !vm.spec.Unmonitored {
		s.Phase, s.Why, s.Refused = twin.Dead, `"-qmp" is not in args_allowlist`, true
		return s, nil
	}
	s.Usage = twin.Usage{
		At: time.Now(), CPUCores: vm.be.cpu * (0.9 + 0.2*m.rng.Float64()), Memory: vm.be.memory * (0.99 + 0.02*m.rng.Float64()),
	}
	s.Blocks, s.NoBlocks = vm.blocks(m.rng)
	return s, nil
}

// kill ends a machine that runs.
func (m *model) kill(job string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if vm := m.machines[job]; vm != nil {
		vm.be.deadAfter = 1
	}
}

func (vm *machine) dead() bool {
	return vm.be.deadAfter > 0 && time.Since(vm.started) > vm.be.deadAfter
}

// blocks is what QEMU answered to the last question, one of which comes each
// second. The guest reads its disk while it boots.
func (vm *machine) blocks(rng *rand.Rand) (twin.Blocks, string) {
	if vm.spec.Unmonitored {
		return twin.Blocks{}, "QEMU has no monitor"
	}
	if vm.be.noBlocks != "" {
		return twin.Blocks{}, vm.be.noBlocks
	}
	up := time.Since(vm.started).Truncate(time.Second)
	if at := up + 1000*time.Second; at > vm.asked.At {
		seconds := min(up, at-vm.asked.At).Seconds()
		done := uint64(vm.be.writes * seconds * (0.9 + 0.2*rng.Float64()))
		if vm.asked.At == 0 {
			done = 2000
		}
		vm.asked = twin.Blocks{At: at, Operations: vm.asked.Operations + done, Bytes: vm.asked.Bytes + 4096*done}
	}
	return vm.asked, ""
}

func (m *model) Egress(_ context.Context, t twin.Machine, alloc string) (twin.Egress, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	vm, ok := m.machines[t.Job]
	switch {
	case !ok || alloc != "a-"+t.Job:
		return twin.Egress{}, api.Errorf(api.CodeNotFound, "no such allocation %s", alloc)
	case vm.spec.Unmonitored:
		return twin.Egress{}, api.Errorf(api.CodeUnavailable, "QEMU has no captures")
	case vm.be.egress == nil:
		return twin.Egress{}, nil
	}
	return vm.be.egress(vm.boot)
}

func (m *model) Ask(_ context.Context, t twin.Machine, alloc string, commands int) ([]twin.Exit, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	vm, ok := m.machines[t.Job]
	switch {
	case !ok || alloc != vm.alloc || len(vm.spec.Commands) != commands:
		return nil, api.Errorf(api.CodeInternal, "no machine of %s has %d commands", t.Job, commands)
	case vm.spec.Apply == nil:
		return nil, api.Errorf(api.CodeInternal, "a control was asked")
	case vm.be.agent == nil && vm.be.agentErr == nil:
		return nil, api.Errorf(api.CodeNotFound, "no guest agent answers in the machine")
	}
	return vm.be.agent, vm.be.agentErr
}

func (m *model) Console(_ context.Context, job api.SandboxObject) (string, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	at, ok := m.machines[job.Name]
	if !ok {
		return "", api.Errorf(api.CodeNotFound, "there is no job %s", job.Name)
	}
	if at.be.kernel == "" {
		return "login: ", nil
	}
	boot := strings.Repeat("[    1.000000] systemd[1]: Started a unit of many.\n", 400)
	return "[    0.000000] Linux version " + at.be.kernel + " (debian)\n" + boot + "login: ", nil
}

func (m *model) StopTwin(ctx context.Context, _, job string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if ctx.Err() != nil {
		return ctx.Err()
	}
	delete(m.machines, job)
	return nil
}

// ledger is the record of a model, in memory.
type ledger struct {
	mu    sync.Mutex
	owned map[string][]api.SandboxObject
	err   error // refuses whatever is to be made
}

func (l *ledger) Own(_ context.Context, id string, objects ...api.SandboxObject) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.err != nil {
		return l.err
	}
	if l.owned == nil {
		l.owned = map[string][]api.SandboxObject{}
	}
	l.owned[id] = append(l.owned[id], objects...)
	return nil
}

func (l *ledger) Disown(_ context.Context, id string, objects ...api.SandboxObject) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.owned == nil {
		return nil
	}
	l.owned[id] = slices.DeleteFunc(l.owned[id], func(o api.SandboxObject) bool { return slices.ContainsFunc(objects, o.Is) })
	return nil
}

func (l *ledger) Owned(id string) []api.SandboxObject {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.owned[id])
}

// RoundTrip is a machine's answer.
func (m *model) RoundTrip(r *http.Request) (*http.Response, error) {
	m.mu.Lock()
	vm, ok := m.machines[r.URL.Host]
	if !ok || vm.dead() || time.Since(vm.started) < vm.be.boot {
		m.mu.Unlock()
		return nil, errors.New("connection refused")
	}
	status := http.StatusOK
	wait := time.Duration(float64(vm.be.latency) * (0.5 + m.rng.ExpFloat64()/2))
	switch {
	case r.URL.Path == "/health":
		if vm.be.never {
			status = http.StatusServiceUnavailable
		}
	case m.rng.Float64() < vm.be.errors:
		status = http.StatusInternalServerError
	}
	if r.URL.Path != "/health" {
		m.paths[r.URL.Host] = append(m.paths[r.URL.Host], r.URL.Path)
	}
	m.mu.Unlock()
	select {
	case <-time.After(wait):
	case <-r.Context().Done():
		return nil, r.Context().Err()
	}
	body := io.NopCloser(strings.NewReader("ok"))
	return &http.Response{StatusCode: status, Status: fmt.Sprint(status), Body: body, Header: http.Header{}, Request: r}, nil
}
