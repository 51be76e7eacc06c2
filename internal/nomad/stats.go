package nomad

import (
	"context"
	"net"
	"strconv"

	nomadapi "github.com/hashicorp/nomad/api"
)

// AllocStats is what an allocation uses now.
type AllocStats struct {
	CPUCores    float64 // cores busy
	MemoryBytes float64 // resident set
	Restarts    int     // of all its tasks since it was placed
}

// Stats reads the resource usage of one allocation from its client.
func (c *Client) Stats(ctx context.Context, allocID string) (AllocStats, error) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	alloc, _, err := c.api.Allocations().Info(allocID, c.query(ctx, ""))
	if err != nil {
		return AllocStats{}, explain("read allocation "+allocID, err)
	}
	usage, err := c.api.Allocations().Stats(alloc, c.query(ctx, alloc.Namespace))
	if err != nil {
		return AllocStats{}, explain("read statistics of "+allocID, err)
	}
	return allocStats(alloc, usage), nil
}

// allocStats adds up what Nomad says about an allocation and its tasks.
func allocStats(alloc *nomadapi.Allocation, usage *nomadapi.AllocResourceUsage) AllocStats {
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
		s.Restarts += int(state.Restarts)
	}
	return s
}

// hostPort joins an address as Nomad stores it.
func hostPort(host string, port int) string { return net.JoinHostPort(host, strconv.Itoa(port)) }
