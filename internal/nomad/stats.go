package nomad

import (
	"context"
	"net"
	"slices"
	"strconv"
	"strings"

	nomadapi "github.com/hashicorp/nomad/api"
)

// AllocStats is what an allocation uses now.
type AllocStats struct {
	CPUCores    float64 // cores busy
	MemoryBytes float64 // resident set
	Restarts    int     // of all its tasks since it was placed
	OOMKills    []int64 // when its tasks were killed for lack of memory, as Unix nanoseconds; Nomad keeps the last ten events of a task
}

// Stats reads the resource usage of one allocation from its client.
func (c *Client) Stats(ctx context.Context, allocID string) (AllocStats, error) {
	ctx, cancel := context.WithTimeout(ctx, CallTimeout)
	defer cancel()
	alloc, _, err := c.api.Allocations().Info(allocID, c.Query(ctx, ""))
	if err != nil {
		return AllocStats{}, Explain("read allocation "+allocID, err)
	}
	usage, err := c.api.Allocations().Stats(alloc, c.Query(ctx, alloc.Namespace))
	if err != nil {
		return AllocStats{}, Explain("read statistics of "+allocID, err)
	}
	return StatsOf(alloc, usage), nil
}

// StatsOf adds up what Nomad says about an allocation and its tasks.
func StatsOf(alloc *nomadapi.Allocation, usage *nomadapi.AllocResourceUsage) AllocStats {
	var s AllocStats
	if r := usage.ResourceUsage; r != nil {
		if r.CpuStats != nil {
			s.CPUCores = r.CpuStats.Percent / 100
		}
		if r.MemoryStats != nil {
			s.MemoryBytes = float64(r.MemoryStats.RSS)
		}
	}
	for _, state := range alloc.TaskStates {
		if state == nil {
			continue
		}
		s.Restarts += int(state.Restarts)
		for _, e := range state.Events {
			if oomKill(e) {
				s.OOMKills = append(s.OOMKills, e.Time)
			}
		}
	}
	slices.Sort(s.OOMKills)
	return s
}

// oomKill reports whether an event says that a task ended because it was out of
// memory. The exit code is not enough: 137 means any SIGKILL.
func oomKill(e *nomadapi.TaskEvent) bool {
	if e == nil || e.Type != nomadapi.TaskTerminated {
		return false
	}
	return e.Details["oom_killed"] == "true" || strings.Contains(e.Details["exit_message"], "OOM Killed")
}

// hostPort joins a host and a port as Nomad gives them.
func hostPort(host string, port int) string { return net.JoinHostPort(host, strconv.Itoa(port)) }
