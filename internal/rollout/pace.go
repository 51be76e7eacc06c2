package rollout

import (
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/oakumhq/oakum/api"
)

// JobPace is how fast a job's own update block lets Nomad replace its instances.
type JobPace struct {
	MaxParallel     int           // instances that may be away at once; 0 means all
	MinHealthyTime  time.Duration // for which an instance must be healthy before another one is replaced
	HealthyDeadline time.Duration // within which an instance must be healthy; 0 when the job has none
	CheckTime       time.Duration // until the slowest health check of the group has failed once; 0 without checks
}

// lapseChecks is how many health checks in a row may fail before a stage that was ready
// has lapsed: one that times out under load says little.
const lapseChecks = 3

// Grace is for how long a stage that was ready may have too few healthy instances before
// it turns back: its checks may miss a few times and then pass, for as long as the job wants.
func (p JobPace) Grace() time.Duration { return p.MinHealthyTime + lapseChecks*p.CheckTime }

// mayBeAway is how many instances may be away at once; 0 means that there is no limit.
// Without a budget it is the job's own max_parallel.
func mayBeAway(r api.Rollout, v JobView) int {
	if allowed := Allowed(r.Decision.Budget, r.Former.Count); allowed > 0 {
		return allowed
	}
	return v.MaxParallel
}

// deadline is how long a batch may take until its instances are healthy: as the policies
// say, or the job where they say nothing.
func deadline(r api.Rollout, v JobView) time.Duration {
	if r.Decision.JobDeadline && v.HealthyDeadline > 0 {
		return v.HealthyDeadline
	}
	return r.Decision.Deadline.D()
}

// Steady remembers since when the instances of one job have been healthy, for as long as
// one leader looks at them. It compares no clocks of two machines.
type Steady map[string]spell // by the instance's ID

// spell is an instance's present run.
type spell struct {
	run   time.Time // JobView.Runs: another value is another run
	since time.Time // since when each look has found it healthy; zero while it is not
	long  bool      // it has been so for min_healthy_time
	ever  bool      // a look, or the record, has found the instance healthy, in whichever run
}

// Look returns a view in which the instances are pending that have not been healthy for
// the job's min_healthy_time, and which notes those that never were. An instance which is
// new to this leader counts from now, but for one that the record of the rollout calls
// healthy, and for all before the first stage. The view that is given stays as it is.
func (s Steady) Look(r api.Rollout, v JobView, now time.Time) JobView {
	var recorded map[string]bool
	list := v.Instances
	v.Early, v.Fresh = nil, nil
	for i, in := range list {
		was, known := s[in.ID]
		if !known && recorded == nil {
			recorded = healthyOf(r.Instances)
		}
		at := spell{run: v.Runs[in.ID], ever: was.ever || !known && recorded[in.ID]}
		if in.Health == api.Healthy {
			at.ever = true
			at.since, at.long = now, !known && (recorded[in.ID] || len(r.Stages) == 0)
			if known && was.run.Equal(at.run) && !was.since.IsZero() {
				at.since, at.long = was.since, was.long
			}
			at.long = at.long || now.Sub(at.since) >= v.MinHealthyTime
			if !at.long {
				if v.Early == nil {
					v.Instances, v.Early = slices.Clone(list), map[string]bool{}
				}
				v.Early[in.ID] = true
				v.Instances[i].Health = api.Pending
				v.Instances[i].Because = fmt.Sprintf("it is healthy, and not yet for its min_healthy_time of %s", v.MinHealthyTime)
			}
		}
		if !at.ever {
			if v.Fresh == nil {
				v.Fresh = map[string]bool{}
			}
			v.Fresh[in.ID] = true
		}
		s[in.ID] = at
	}
	if len(s) > len(list) {
		maps.DeleteFunc(s, func(id string, _ spell) bool {
			return !slices.ContainsFunc(list, func(in api.Instance) bool { return in.ID == id })
		})
	}
	return v
}

// healthyOf says of instances which of them are healthy.
func healthyOf(list []api.Instance) map[string]bool {
	out := make(map[string]bool, len(list))
	for _, in := range list {
		out[in.ID] = in.Health == api.Healthy
	}
	return out
}

// Due is when the next instance will have been healthy for long enough; zero when none is
// on its way.
func (s Steady) Due(v JobView) time.Time {
	var due time.Time
	for _, at := range s {
		if at.since.IsZero() || at.long {
			continue
		}
		if next := at.since.Add(v.MinHealthyTime); due.IsZero() || next.Before(due) {
			due = next
		}
	}
	return due
}
