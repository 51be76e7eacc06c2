package nomad

import (
	"testing"

	nomadapi "github.com/hashicorp/nomad/api"
	"github.com/shoenig/test/must"
)

func TestAllocStats_CountRestartsAndKillsForLackOfMemory(t *testing.T) {
	ended := func(at int64, details map[string]string) *nomadapi.TaskEvent {
		return &nomadapi.TaskEvent{Type: nomadapi.TaskTerminated, Time: at, Details: details}
	}
	alloc := &nomadapi.Allocation{TaskStates: map[string]*nomadapi.TaskState{
		"web": {Restarts: 2, Events: []*nomadapi.TaskEvent{
			{Type: nomadapi.TaskStarted, Time: 5},
			ended(30, map[string]string{"exit_code": "137", "oom_killed": "true"}),
			ended(40, map[string]string{"exit_code": "137", "oom_killed": "false"}), // killed by somebody
			ended(10, map[string]string{"exit_code": "137", "exit_message": "OOM Killed"}),
			{Type: nomadapi.TaskRestarting, Time: 50, Details: map[string]string{"oom_killed": "true"}}, // told once, when it ended
			nil,
		}},
		"log":  {Restarts: 1, Events: []*nomadapi.TaskEvent{ended(20, map[string]string{"oom_killed": "true"})}},
		"gone": nil,
	}}
	usage := &nomadapi.AllocResourceUsage{ResourceUsage: &nomadapi.ResourceUsage{
		CpuStats: &nomadapi.CpuStats{Percent: 150}, MemoryStats: &nomadapi.MemoryStats{RSS: 1 << 20},
	}}
	must.Eq(t, AllocStats{CPUCores: 1.5, MemoryBytes: 1 << 20, Restarts: 3, OOMKills: []int64{10, 20, 30}}, StatsOf(alloc, usage))
}
