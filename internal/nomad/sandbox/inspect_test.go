package sandbox

import (
	"testing"

	nomadapi "github.com/hashicorp/nomad/api"
	"github.com/shoenig/test/must"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/internal/twin"
)

// TestNotTheMachine: what fails before the machine starts is no fault of what the
// machine runs, except where its image is damaged.
func TestNotTheMachine(t *testing.T) {
	failed := func(code int) *nomadapi.TaskState {
		return &nomadapi.TaskState{Failed: true, Events: []*nomadapi.TaskEvent{{Type: nomadapi.TaskTerminated, ExitCode: code}}}
	}
	fine := &nomadapi.TaskState{}
	cases := map[string]struct {
		tasks map[string]*nomadapi.TaskState
		code  api.ErrorCode
		want  string
	}{
		"image is absent":   {map[string]*nomadapi.TaskState{prepareTask: failed(exitAbsent), "vm": fine}, api.CodeUnavailable, "node n-1 lacks image /images/a: why"},
		"image is refused":  {map[string]*nomadapi.TaskState{prepareTask: failed(exitRefused), "vm": fine}, api.CodeInvalid, "image /images/a on node n-1: why"},
		"image is held":     {map[string]*nomadapi.TaskState{prepareTask: failed(exitHeld), "vm": fine}, api.CodeUnavailable, "node n-1 can't prepare image /images/a: why"},
		"no qemu-img":       {map[string]*nomadapi.TaskState{prepareTask: failed(127), "vm": fine}, api.CodeUnavailable, "node n-1 can't prepare image /images/a: why"},
		"artifact":          {map[string]*nomadapi.TaskState{prepareTask: {Failed: true}, "vm": fine}, api.CodeUnavailable, "node n-1 can't prepare image /images/a: why"},
		"task of the job":   {map[string]*nomadapi.TaskState{"disk": failed(exitRefused), prepareTask: fine, "vm": fine}, api.CodeUnavailable, "node n-1 can't prepare image /images/a: why"},
		"image is damaged":  {map[string]*nomadapi.TaskState{prepareTask: failed(exitBroken), "vm": fine}, "", ""},
		"machine has ended": {map[string]*nomadapi.TaskState{prepareTask: fine, "vm": failed(1)}, "", ""},
		"machine is killed": {map[string]*nomadapi.TaskState{prepareTask: fine, askTask: failed(1), "vm": fine}, "", ""},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			err := notTheMachine(twin.Machine{Task: "vm", Image: "/images/a"}, &nomadapi.Allocation{NodeName: "n-1", TaskStates: c.tasks}, "why")
			if c.want == "" {
				must.NoError(t, err)
				return
			}
			must.EqError(t, err, c.want)
			must.True(t, api.IsCode(err, c.code))
		})
	}
}

// The time until the machine runs is not the boot's.
func TestTwinState_PreparesUntilTheMachineStarts(t *testing.T) {
	stub := &nomadapi.AllocationListStub{ClientStatus: nomadapi.AllocClientStatusPending}
	m := twin.Machine{Task: "vm"}
	alloc := &nomadapi.Allocation{ID: "a", NodeID: "n", TaskStates: map[string]*nomadapi.TaskState{"vm": {State: "pending"}, prepareTask: {State: "running"}}}
	state := twinState(m, alloc, stub)
	must.Eq(t, twin.Pending, state.Phase)
	must.StrContains(t, state.Why, "its image is checked and hashed")
	alloc.TaskStates["vm"].State = "running"
	state = twinState(m, alloc, stub)
	must.Eq(t, twin.Running, state.Phase)
}

func TestPlacement_SaysWhyNoNodeWasChosen(t *testing.T) {
	for want, m := range map[string]nomadapi.AllocationMetric{
		"no node of its node pool and datacenters is ready":          {},
		"none of 2 nodes fits":                                       {NodesEvaluated: 2},
		"1 nodes filtered by ${node.class} = a, 2 nodes lack memory": {NodesEvaluated: 3, ConstraintFiltered: map[string]int{"${node.class} = a": 1}, DimensionExhausted: map[string]int{"memory": 2}},
	} {
		must.EqOp(t, want, placement(&m))
	}
}
