package nomad

import (
	nomadapi "github.com/hashicorp/nomad/api"

	"github.com/oakumhq/oakum/internal/fleet"
)

// plan is a dry run.
func (n *Door) plan(f *fleet.Fleet, q *question) (any, error) {
	var req nomadapi.JobPlanRequest
	if err := q.body(&req); err != nil {
		return nil, err
	}
	job, err := n.accept(req.Job)
	if err != nil {
		return nil, err
	}
	would, err := f.Plan(job)
	if err != nil {
		return nil, plainly(err)
	}
	out := &nomadapi.JobPlanResponse{
		JobModifyIndex: would.ModifyIndex, CreatedEvals: []*nomadapi.Evaluation{},
		Annotations: &nomadapi.PlanAnnotations{DesiredTGUpdates: map[string]*nomadapi.DesiredUpdates{}},
	}
	for name, g := range would.Groups {
		out.Annotations.DesiredTGUpdates[name] = &nomadapi.DesiredUpdates{
			Ignore: count(g.Ignore), Place: count(g.Place), Migrate: count(g.Migrate), Stop: count(g.Stop),
			InPlaceUpdate: count(g.InPlace), DestructiveUpdate: count(g.Destructive), Canary: count(g.Canary),
		}
	}
	if len(would.Failed) > 0 {
		out.FailedTGAllocs = map[string]*nomadapi.AllocationMetric{}
		for name, failure := range would.Failed {
			out.FailedTGAllocs[name] = toMetric(failure)
		}
	}
	return out, nil
}

func count(n int) uint64 { return uint64(max(0, n)) }
