package rollout

import (
	"fmt"

	"github.com/oakumhq/oakum/api"
)

// Turn says whether a waiting rollout may start beside all others. Adjacent reports
// whether an edge of the graph joins two targets.
func Turn(r api.Rollout, all []api.Rollout, adjacent func(a, b api.TargetRef) bool) Gate {
	budget := r.Decision.Budget
	running, failures := 0, 0
	for _, o := range all {
		if o.ID == r.ID {
			continue
		}
		if o.Plan == r.Plan {
			if !o.Status.Ended() && o.Wave < r.Wave {
				return closed("wave %d is not done: %s is %s", o.Wave, o.Target, o.Status)
			}
			if o.Status == api.RolloutRolledBack || o.Status == api.RolloutFailed || o.Status == api.RolloutRejected {
				failures++
			}
		}
		if !o.UnderWay() {
			continue
		}
		running++
		if o.Target.Namespace == r.Target.Namespace && o.Target.Job == r.Target.Job {
			return closed("rollout %s moves another group of the same job", o.ID)
		}
		if budget.Neighbours == "exclusive" && adjacent(r.Target, o.Target) {
			return closed("its neighbour %s is being patched by rollout %s", o.Target, o.ID)
		}
	}
	if budget.Failures > 0 && failures >= budget.Failures {
		return closed("%d targets of this patch failed and budget.failures is %d; abort it, or lift the budget", failures, budget.Failures)
	}
	if budget.Targets > 0 && running >= budget.Targets {
		return closed("%d rollouts are under way and budget.targets is %d", running, budget.Targets)
	}
	return Gate{Open: true}
}

func closed(format string, args ...any) Gate { return Gate{Reason: fmt.Sprintf(format, args...)} }
