package sandbox

import (
	"context"
	"maps"
	"slices"
	"time"

	nomadapi "github.com/hashicorp/nomad/api"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/internal/nomad"
	"github.com/oakumhq/oakum/internal/nomad/sandbox/grouptask"
	"github.com/oakumhq/oakum/internal/twin"
)

// inspectGroup completes the state of a group's twin. An error says that the sandbox is
// at fault: a task of the twin never ran, or the load has failed.
func (s *Sandbox) inspectGroup(ctx context.Context, m twin.Machine, alloc *nomadapi.Allocation, state twin.State) (twin.State, error) {
	state.Address = "" // nothing outside of its namespace can ask it
	state.NoBlocks = "only QEMU counts what its machine does to a disk"
	if state.Phase == twin.Dead {
		names := slices.Sorted(maps.Keys(alloc.TaskStates))
		state.Why = s.failureOf(ctx, m, alloc, names, state.Why)
		if why := sandboxFault(alloc); why != "" {
			return state, api.Errorf(api.CodeUnavailable, "%s: %s", why, state.Why)
		}
	}
	if state.Phase != twin.Running {
		return state, nil
	}
	for _, name := range []string{m.Load, m.Program} {
		if task := alloc.TaskStates[name]; name != "" && (task == nil || task.StartedAt.IsZero()) {
			state.Phase, state.Why = twin.Pending, "its load has not started"
			return state, nil
		}
	}
	usage, err := s.api.Allocations().Stats(alloc, s.nomad.Query(ctx, m.Namespace))
	if err == nil {
		state.Usage = groupUsage(usage)
	}
	return state, nil
}

// sandboxFault says why a dead twin says nothing about what it runs, or "".
func sandboxFault(alloc *nomadapi.Allocation) string {
	for _, name := range slices.Sorted(maps.Keys(alloc.TaskStates)) {
		switch state := alloc.TaskStates[name]; {
		case !state.Failed:
		case name == grouptask.Load:
			return "the load of the twin has failed"
		case name == grouptask.Program:
			return "the load program of the twin can't run (simulate, workload)"
		case name == prepareTask:
			return "node " + alloc.NodeName + " can't prepare the twin's data"
		case name == grouptask.Stubs:
			return "the stubs of the twin have failed"
		case state.StartedAt.IsZero():
			return "node " + alloc.NodeName + " can't start task " + name
		}
	}
	return ""
}

// groupUsage adds up what the tasks of a twin use, without those that stand around it. It
// is zero before the node has measured all of them.
func groupUsage(all *nomadapi.AllocResourceUsage) twin.Usage {
	var sum twin.Usage
	for name, u := range all.Tasks {
		if slices.Contains([]string{grouptask.Load, grouptask.Program, grouptask.Stubs, prepareTask}, name) {
			continue
		}
		if u == nil || u.Timestamp == 0 || u.ResourceUsage == nil {
			return twin.Usage{}
		}
		if at := time.Unix(0, u.Timestamp); at.After(sum.At) {
			sum.At = at
		}
		sum.CPUCores += nomad.StatsOf(&nomadapi.Allocation{}, &nomadapi.AllocResourceUsage{ResourceUsage: u.ResourceUsage}).CPUCores
		if m := u.ResourceUsage.MemoryStats; m != nil {
			// With version 2 of the kernel's control groups, Docker's statistics have
			// no resident set.
			if m.RSS > 0 {
				sum.Memory += float64(m.RSS)
			} else {
				sum.Memory += float64(m.Usage)
			}
		}
	}
	return sum
}
