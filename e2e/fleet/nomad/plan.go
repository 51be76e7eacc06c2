package nomad

import (
	"fmt"
	"strings"

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
	out.Warnings = concerns(req.Job)
	if len(would.Failed) > 0 {
		out.FailedTGAllocs = map[string]*nomadapi.AllocationMetric{}
		for name, failure := range would.Failed {
			out.FailedTGAllocs[name] = toMetric(failure)
		}
	}
	return out, nil
}

func count(n int) uint64 { return uint64(max(0, n)) }

// concerns are Nomad's warnings of a job, in its words; empty when there are none.
func concerns(job *nomadapi.Job) string {
	var said []string
	for _, g := range job.TaskGroups {
		if u := g.Update; u != nil && *g.Count > 1 && orZero(u.MaxParallel) > *g.Count {
			said = append(said, fmt.Sprintf("* Group %q has warnings: %s", *g.Name, complaint([]string{fmt.Sprintf(
				"Update max parallel count is greater than task group count (%d > %d). A destructive change would result in the simultaneous replacement of all allocations.",
				*u.MaxParallel, *g.Count)})))
		}
	}
	if len(said) == 0 {
		return ""
	}
	noun := map[bool]string{true: "warning", false: "warnings"}[len(said) == 1]
	return fmt.Sprintf("%d %s:\n\n%s", len(said), noun, strings.Join(said, "\n"))
}
