package nomad

import (
	"time"

	nomadapi "github.com/hashicorp/nomad/api"

	"github.com/oakumhq/oakum/internal/rollout"
)

// paceOf is the pace of a group's update block and health checks. Nomad gives every group
// of a service an update block, so one without it is not known: its instances go one by
// one, at Nomad's defaults.
func paceOf(g *nomadapi.TaskGroup) rollout.JobPace {
	own := nomadapi.DefaultUpdateStrategy()
	pace := rollout.JobPace{MaxParallel: 1, MinHealthyTime: *own.MinHealthyTime, HealthyDeadline: *own.HealthyDeadline}
	if g == nil {
		return pace
	}
	if u := g.Update; u != nil {
		pace.MaxParallel = orElse(u.MaxParallel, pace.MaxParallel)
		pace.MinHealthyTime = orElse(u.MinHealthyTime, pace.MinHealthyTime)
		pace.HealthyDeadline = orElse(u.HealthyDeadline, pace.HealthyDeadline)
	}
	longest := func(services []*nomadapi.Service) {
		for _, s := range services {
			for _, c := range s.Checks {
				pace.CheckTime = max(pace.CheckTime, c.Interval+c.Timeout)
			}
		}
	}
	longest(g.Services)
	for _, task := range g.Tasks {
		longest(task.Services)
	}
	return pace
}

func orElse[T any](p *T, other T) T {
	if p == nil {
		return other
	}
	return *p
}

// runs is when the newest task of each allocation began, by the allocation's ID.
func runs(stubs []*nomadapi.AllocationListStub) map[string]time.Time {
	out := make(map[string]time.Time, len(stubs))
	for _, stub := range stubs {
		var newest time.Time
		for _, t := range stub.TaskStates {
			if t.StartedAt.After(newest) {
				newest = t.StartedAt
			}
		}
		out[stub.ID] = newest
	}
	return out
}

// parallel is how many instances a held update block lets Nomad replace at once.
func parallel(update *nomadapi.UpdateStrategy) int {
	if update == nil {
		return 0
	}
	return orElse(update.MaxParallel, 0)
}
