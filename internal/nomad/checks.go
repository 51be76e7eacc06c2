package nomad

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	nomadapi "github.com/hashicorp/nomad/api"
	"golang.org/x/sync/errgroup"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/internal/rollout"
)

// checksTimeout bounds the question for the checks of one allocation. Nomad's servers pass
// it on to the client, which may be out of reach; the other instances must not wait for it.
const checksTimeout = 3 * time.Second

// nativeChecks is how many checks of a group Nomad makes itself and counts towards the
// health of an instance: those of services in its own catalog, but for those that an update
// ignores.
func nativeChecks(group *nomadapi.TaskGroup) int {
	n := 0
	count := func(services []*nomadapi.Service) {
		for _, s := range services {
			if s.Provider != "nomad" {
				continue
			}
			for i := range s.Checks {
				if onUpdate(s, &s.Checks[i]) != nomadapi.OnUpdateIgnore {
					n++
				}
			}
		}
	}
	count(group.Services)
	for _, task := range group.Tasks {
		count(task.Services)
	}
	return n
}

// onUpdate is what an update does about a check: its own word, or its service's.
func onUpdate(s *nomadapi.Service, c *nomadapi.ServiceCheck) string {
	if c.OnUpdate != "" {
		return c.OnUpdate
	}
	return s.OnUpdate
}

// checked merges Nomad's own checks into the health of the instances that run: one whose
// checks do not all pass is pending. Where Nomad does not say, it is pending and excused,
// since that is not the doing of what it runs.
func (c *Client) checked(ctx context.Context, view *rollout.JobView, group *nomadapi.TaskGroup) {
	want := nativeChecks(group)
	if want == 0 {
		return
	}
	var mu sync.Mutex
	var asked errgroup.Group
	asked.SetLimit(layoutWidth)
	for i := range view.Instances {
		in := &view.Instances[i]
		if in.Health != api.Healthy {
			continue
		}
		asked.Go(func() error {
			ctx, cancel := context.WithTimeout(ctx, checksTimeout)
			defer cancel()
			said, err := c.api.Allocations().Checks(in.ID, c.Query(ctx, ""))
			if err != nil {
				in.Health, in.Because = api.Pending, "nomad does not say whether its checks pass: "+err.Error()
				mu.Lock()
				defer mu.Unlock()
				view.Excused[in.ID] = fmt.Sprintf("nomad does not say whether the checks of %s on %s pass", in.Name, in.Node)
				return nil
			}
			if why := failing(said, want); why != "" {
				in.Health, in.Because = api.Pending, why
			}
			return nil
		})
	}
	_ = asked.Wait() // each has told its own
}

// failing says which of an allocation's checks does not pass; empty when as many as wanted
// do. A check that Nomad has not made yet is not in the list, or pending.
func failing(said nomadapi.AllocCheckStatuses, want int) string {
	passed := 0
	for _, id := range slices.Sorted(maps.Keys(said)) {
		check := said[id]
		switch {
		case check.Mode == "readiness": // an update ignores it
		case check.Status == "success":
			passed++
		default:
			return strings.TrimSuffix(fmt.Sprintf("its check %q in nomad is %s: %s", check.Check, check.Status, strings.TrimSpace(check.Output)), ": ")
		}
	}
	if passed < want {
		return fmt.Sprintf("%d of its %d checks in nomad have passed", passed, want)
	}
	return ""
}
