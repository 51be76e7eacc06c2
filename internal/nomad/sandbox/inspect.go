package sandbox

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"net"
	"slices"
	"strconv"
	"strings"
	"time"

	nomadapi "github.com/hashicorp/nomad/api"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/internal/nomad"
	"github.com/oakumhq/oakum/internal/twin"
)

// digestLength is the length of a SHA-256 in hex digits.
const digestLength = 64

// InspectTwin reads the state of a twin, what it uses, and what it does to its
// disk.
func (s *Sandbox) InspectTwin(ctx context.Context, m twin.Machine) (twin.State, error) {
	ctx, cancel := context.WithTimeout(ctx, nomad.CallTimeout)
	defer cancel()
	stubs, _, err := s.api.Jobs().Allocations(m.Job, true, s.nomad.Query(ctx, m.Namespace))
	if err != nil {
		return twin.State{}, nomad.Explain("list allocations of twin "+m.Job, err)
	}
	stubs = slices.DeleteFunc(stubs, func(a *nomadapi.AllocationListStub) bool { return m.Former != "" && a.ID == m.Former })
	if len(stubs) == 0 {
		return s.unplaced(ctx, m)
	}
	newest := slices.MaxFunc(stubs, func(a, b *nomadapi.AllocationListStub) int { return cmp.Compare(a.CreateIndex, b.CreateIndex) })
	alloc, _, err := s.api.Allocations().Info(newest.ID, s.nomad.Query(ctx, m.Namespace))
	if err != nil {
		return twin.State{}, nomad.Explain("read allocation of twin "+m.Job, err)
	}
	if m.Former != "" && alloc.PreviousAllocation != m.Former {
		return twin.State{}, api.Errorf(api.CodeUnavailable, "twin %s: allocation %s replaces %q and not %q, so it has other data", m.Job, alloc.ID, alloc.PreviousAllocation, m.Former)
	}
	state := twinState(m, alloc, newest)
	if m.Load != "" {
		return s.inspectGroup(ctx, m, alloc, state)
	}
	if state.Phase == twin.Dead {
		state.Why = s.failureReason(ctx, m, alloc, state.Why)
		if state.Refused = diedOfMonitor(m, alloc.TaskStates, state.Why); state.Refused {
			return state, nil
		}
		return state, notTheMachine(m, alloc, state.Why)
	}
	if state.Phase != twin.Running {
		return state, nil
	}
	// A machine that has just started, or that is ending, has no statistics. The
	// simulator counts a reading without them as missing.
	usage, err := s.api.Allocations().Stats(alloc, s.nomad.Query(ctx, m.Namespace))
	if err != nil {
		usage = &nomadapi.AllocResourceUsage{}
	}
	if u := usage.Tasks[m.Task]; u != nil && u.Timestamp > 0 {
		own := nomad.StatsOf(alloc, &nomadapi.AllocResourceUsage{ResourceUsage: u.ResourceUsage})
		state.Usage = twin.Usage{At: time.Unix(0, u.Timestamp), CPUCores: own.CPUCores, Memory: own.MemoryBytes}
	}
	state.Digest = s.twinDigest(ctx, m, alloc)
	if len(m.Data)+len(m.Uncarried) > 0 {
		state.Lacks = s.twinLacks(ctx, m, alloc)
	}
	state.Blocks, state.NoBlocks = s.twinBlocks(ctx, m, alloc)
	return state, nil
}

// twinState reads the task states of the machine's allocation.
func twinState(m twin.Machine, alloc *nomadapi.Allocation, stub *nomadapi.AllocationListStub) twin.State {
	s := twin.State{Phase: twin.Pending, Alloc: alloc.ID, Node: alloc.NodeID}
	if r := alloc.AllocatedResources; r != nil {
		for _, p := range r.Shared.Ports {
			if p.Label == m.Port {
				s.Address = net.JoinHostPort(cmp.Or(m.Host, p.HostIP), strconv.Itoa(p.Value))
			}
		}
	}
	if r := alloc.AllocatedResources; r != nil && r.Tasks[m.Task] != nil {
		memory := r.Tasks[m.Task].Memory
		s.MemoryReserved, s.MemoryMax = float64(memory.MemoryMB)*(1<<20), float64(memory.MemoryMaxMB)*(1<<20)
	}
	if state := alloc.TaskStates[m.Task]; state != nil {
		s.Started, s.Restarts = state.StartedAt, int(state.Restarts)
		if state.State == "running" {
			s.Phase = twin.Running
		}
	}
	if h, why := nomad.Health(stub); h == api.Unhealthy || alloc.ClientStatus == nomadapi.AllocClientStatusComplete {
		s.Phase, s.Why = twin.Dead, why
	} else if s.Phase == twin.Pending {
		s.Why = why
		if p := alloc.TaskStates[prepareTask]; p != nil && p.State == "running" {
			s.Why = "its image is checked and hashed"
		}
	}
	return s
}

// notTheMachine says why a twin that is dead never had a machine: a task before it
// has failed. That is no fault of what the machine runs, so it is an error, except
// where the image itself is damaged. The error has code invalid when the image may
// not be tried.
func notTheMachine(m twin.Machine, alloc *nomadapi.Allocation, why string) error {
	for name, state := range alloc.TaskStates {
		if !state.Failed || name == m.Task || name == askTask || name == agentTask {
			continue
		}
		code := exitCode(state)
		switch {
		case name != prepareTask:
		case code == exitBroken:
			return nil
		case code == exitRefused:
			return api.Errorf(api.CodeInvalid, "image %s on node %s: %s", m.Image, alloc.NodeName, why)
		case code == exitAbsent:
			return api.Errorf(api.CodeUnavailable, "node %s lacks image %s: %s", alloc.NodeName, m.Image, why)
		}
		return api.Errorf(api.CodeUnavailable, "node %s can't prepare image %s: %s", alloc.NodeName, m.Image, why)
	}
	return nil
}

// exitCode is the code that a task ended with last, or 0.
func exitCode(state *nomadapi.TaskState) int {
	code := 0
	for _, e := range state.Events {
		if e.Type == nomadapi.TaskTerminated {
			code = e.ExitCode
		}
	}
	return code
}

// failureReason says for a person which task failed, with which event, and the last
// line that the task wrote.
func (s *Sandbox) failureReason(ctx context.Context, m twin.Machine, alloc *nomadapi.Allocation, known string) string {
	// What the job itself brings comes first: the tasks after it wait for it.
	names := slices.Sorted(maps.Keys(alloc.TaskStates))
	last := []string{prepareTask, askTask, agentTask, m.Task}
	names = slices.DeleteFunc(names, func(n string) bool { return slices.Contains(last, n) })
	return s.failureOf(ctx, m, alloc, append(names, last...), known)
}

// failureOf is failureReason for the first of some tasks that has failed.
func (s *Sandbox) failureOf(ctx context.Context, m twin.Machine, alloc *nomadapi.Allocation, tasks []string, known string) string {
	for _, name := range tasks {
		state := alloc.TaskStates[name]
		if state == nil || !state.Failed {
			continue
		}
		why := known
		for _, e := range state.Events {
			switch e.Type {
			case nomadapi.TaskTerminated, nomadapi.TaskDriverFailure, nomadapi.TaskSetupFailure, nomadapi.TaskFailedValidation:
				why = e.DisplayMessage
			case nomadapi.TaskArtifactDownloadFailed: // several lines, for a checksum
				why = strings.Join(strings.Fields(e.DisplayMessage), " ")
			}
		}
		if said := s.lastErrorLine(ctx, m, alloc.ID, name); said != "" {
			why += ": " + said
		}
		return fmt.Sprintf("task %s: %s", name, why)
	}
	return known
}

// lastErrorLine is the last line that a task wrote to its standard error.
func (s *Sandbox) lastErrorLine(ctx context.Context, m twin.Machine, allocID, task string) string {
	text, err := s.logEnd(ctx, m.Namespace, allocID, task, "stderr", 400)
	if err != nil {
		return ""
	}
	lines := strings.Split(strings.TrimSpace(text), "\n")
	return lines[len(lines)-1]
}

// unplaced says why Nomad has not placed the twin, as far as it knows yet.
func (s *Sandbox) unplaced(ctx context.Context, m twin.Machine) (twin.State, error) {
	evals, _, err := s.api.Jobs().Evaluations(m.Job, s.nomad.Query(ctx, m.Namespace))
	if err != nil {
		return twin.State{}, nomad.Explain("list evaluations of twin "+m.Job, err)
	}
	for _, e := range evals {
		for _, metric := range e.FailedTGAllocs {
			return twin.State{Phase: twin.Unplaced, Why: placement(metric)}, nil
		}
	}
	return twin.State{Phase: twin.Pending, Why: "not placed yet"}, nil
}

// placement says in words why no node was chosen.
func placement(m *nomadapi.AllocationMetric) string {
	var parts []string
	for what, n := range m.ConstraintFiltered {
		parts = append(parts, fmt.Sprintf("%d nodes filtered by %s", n, what))
	}
	for what, n := range m.DimensionExhausted {
		parts = append(parts, fmt.Sprintf("%d nodes lack %s", n, what))
	}
	slices.Sort(parts)
	switch {
	case len(parts) > 0:
	case m.NodesEvaluated == 0:
		return "no node of its node pool and datacenters is ready"
	default:
		return fmt.Sprintf("none of %d nodes fits", m.NodesEvaluated)
	}
	return strings.Join(parts, ", ")
}

// twinDigest reads the digest that the node computed of the image under the
// machine's overlay. It is empty when the node computed none.
func (s *Sandbox) twinDigest(ctx context.Context, m twin.Machine, alloc *nomadapi.Allocation) string {
	text, err := s.readFile(ctx, m.Namespace, alloc.ID, twinDigestFile, digestLength+1)
	if err != nil || !api.IsSHA256(text) {
		return "" // of a file that is not there Nomad says so where its text would be, with status 200
	}
	return text
}
