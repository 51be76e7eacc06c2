package nomad

import (
	"cmp"
	"net/http"
	"slices"
	"strings"

	nomadapi "github.com/hashicorp/nomad/api"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/internal/fleet"
)

func (n *Door) deploymentRoutes() map[string]any {
	const deployment = "/v1/deployment"
	routes := map[string]any{
		"/v1/deployments":                         reader(listDeployments),
		deployment + "/{deployment}":              reader(readDeployment),
		deployment + "/allocations/{deployment}":  reader(deploymentAllocs),
		"/v1/evaluations":                         reader(listEvaluations),
		"/v1/evaluation/{evaluation}":             reader(readEvaluation),
		"/v1/evaluation/{evaluation}/allocations": reader(noAllocs),
	}
	for path, h := range map[string]writer{
		"allocation-health": setAllocHealth, "promote": promoteDeployment, "fail": failDeployment, "pause": pauseDeployment,
	} {
		routes["PUT "+deployment+"/"+path+"/{deployment}"] = h
		routes["POST "+deployment+"/"+path+"/{deployment}"] = h
	}
	return routes
}

func toDeployment(d *fleet.Deployment) *nomadapi.Deployment {
	out := &nomadapi.Deployment{
		ID: d.ID, Namespace: d.Job.Namespace, JobID: d.Job.ID, JobVersion: d.JobVersion, JobModifyIndex: d.JobModifyIndex,
		JobSpecModifyIndex: d.JobModifyIndex, JobCreateIndex: d.JobCreateIndex, TaskGroups: map[string]*nomadapi.DeploymentState{},
		Status: d.Status, StatusDescription: d.Description, CreateIndex: d.CreateIndex, ModifyIndex: d.ModifyIndex,
		CreateTime: nanoseconds(d.Created), ModifyTime: nanoseconds(d.Modified),
	}
	for name, g := range d.Groups {
		out.TaskGroups[name] = &nomadapi.DeploymentState{
			PlacedCanaries: slices.Clone(g.PlacedCanaries), AutoRevert: g.Update.AutoRevert, ProgressDeadline: g.Update.ProgressDeadline,
			RequireProgressBy: g.RequireProgressBy, Promoted: g.Promoted, DesiredCanaries: g.DesiredCanaries, DesiredTotal: g.DesiredTotal,
			PlacedAllocs: g.Placed, HealthyAllocs: g.Healthy, UnhealthyAllocs: g.Unhealthy,
		}
	}
	return out
}

func jobDeployments(f *fleet.Fleet, q *question) (any, uint64, error) {
	out := []*nomadapi.Deployment{}
	index := f.TableIndex(fleet.TableJobs)
	j, err := f.Job(q.job())
	if err != nil {
		return out, index, nil
	}
	for _, d := range f.Deployments(q.job()) {
		if q.flag("all") || d.JobCreateIndex == j.CreateIndex {
			out = append(out, toDeployment(d))
		}
	}
	return out, max(1, f.TableIndex(fleet.TableDeployments)), nil
}

func latestDeployment(f *fleet.Fleet, q *question) (any, uint64, error) {
	index := f.TableIndex(fleet.TableDeployments)
	j, err := f.Job(q.job())
	d := f.Latest(q.job())
	if err != nil || d == nil || d.JobCreateIndex != j.CreateIndex {
		return (*nomadapi.Deployment)(nil), index, nil
	}
	return toDeployment(d), d.ModifyIndex, nil
}

func listDeployments(f *fleet.Fleet, q *question) (any, uint64, error) {
	out := ofAllJobs(f, q, f.Deployments, func(d *fleet.Deployment) string { return d.ID }, toDeployment)
	slices.SortFunc(out, func(a, b *nomadapi.Deployment) int { return cmp.Compare(a.CreateIndex, b.CreateIndex) })
	return out, f.TableIndex(fleet.TableDeployments), nil
}

// ofAllJobs lists what the jobs that the caller sees have of a kind, as far as its
// ID begins as the caller says.
func ofAllJobs[T, Out any](f *fleet.Fleet, q *question, of func(fleet.JobID) []T, id func(T) string, to func(T) Out) []Out {
	out := []Out{}
	for _, job := range f.JobIDs() {
		if !q.sees(job.Namespace) {
			continue
		}
		for _, one := range of(job) {
			if strings.HasPrefix(id(one), q.query("prefix")) {
				out = append(out, to(one))
			}
		}
	}
	return out
}

func readDeployment(f *fleet.Fleet, q *question) (any, uint64, error) {
	d, err := f.Deployment(q.path("deployment"))
	if err != nil {
		return nil, f.TableIndex(fleet.TableDeployments), answer(http.StatusNotFound, "deployment not found")
	}
	return toDeployment(d), d.ModifyIndex, nil
}

func deploymentAllocs(f *fleet.Fleet, q *question) (any, uint64, error) {
	out := []*nomadapi.AllocationListStub{}
	d, err := f.Deployment(q.path("deployment"))
	if err != nil {
		return out, f.TableIndex(fleet.TableAllocs), nil
	}
	for _, a := range f.Allocs(d.Job) {
		if a.Deployment == d.ID {
			out = append(out, toStub(a, false))
		}
	}
	return out, f.TableIndex(fleet.TableAllocs), nil
}

// over tells what can't be done to a deployment that is over, or is not there.
func over(f *fleet.Fleet, q *question, what string) (*fleet.Deployment, error) {
	d, err := f.Deployment(q.path("deployment"))
	if err != nil {
		return nil, answer(http.StatusInternalServerError, "deployment not found")
	}
	if !d.Active() {
		return nil, answer(http.StatusInternalServerError, "can't %s terminal deployment", what)
	}
	return d, nil
}

func updated(f *fleet.Fleet, d *fleet.Deployment) *nomadapi.DeploymentUpdateResponse {
	out := &nomadapi.DeploymentUpdateResponse{DeploymentModifyIndex: d.ModifyIndex}
	if list := f.Evaluations(d.Job); len(list) > 0 {
		out.EvalID, out.EvalCreateIndex = list[0].ID, list[0].CreateIndex
	}
	return out
}

func setAllocHealth(f *fleet.Fleet, q *question) (any, error) {
	var req nomadapi.DeploymentAllocHealthRequest
	if err := q.body(&req); err != nil {
		return nil, err
	}
	if len(req.HealthyAllocationIDs)+len(req.UnhealthyAllocationIDs) == 0 {
		return nil, answer(http.StatusInternalServerError, "must specify at least one healthy/unhealthy allocation ID")
	}
	d, err := over(f, q, "set health of allocations for a")
	if err != nil {
		return nil, err
	}
	job, err := f.Job(d.Job)
	if err != nil {
		return nil, err
	}
	before := job.Version
	if err := f.SetAllocHealth(d.ID, req.HealthyAllocationIDs, req.UnhealthyAllocationIDs); err != nil {
		return nil, plainly(err)
	}
	out := updated(f, d)
	if d.Status == fleet.DeployFailed {
		out.RevertedJobVersion = reverted(f, d, before)
	}
	return out, nil
}

// reverted is the version that a failed deployment went back to; nil when it
// did not.
func reverted(f *fleet.Fleet, d *fleet.Deployment, before uint64) *uint64 {
	job, err := f.Job(d.Job)
	if err != nil || job.Version == before {
		return nil
	}
	list, err := f.Versions(d.Job)
	if err != nil {
		return nil
	}
	for _, v := range list {
		if v.Version < d.JobVersion && v.Stable && v.Digest() == job.Digest() {
			return new(v.Version)
		}
	}
	return nil
}

func promoteDeployment(f *fleet.Fleet, q *question) (any, error) {
	d, err := over(f, q, "promote")
	if err != nil {
		return nil, err
	}
	if err := f.PromoteDeployment(d.ID); err != nil {
		return nil, complaint([]string{strings.ToUpper(message(err)[:1]) + message(err)[1:]})
	}
	return updated(f, d), nil
}

func failDeployment(f *fleet.Fleet, q *question) (any, error) {
	d, err := over(f, q, "fail")
	if err != nil {
		return nil, err
	}
	if err := f.FailDeployment(d.ID); err != nil {
		return nil, plainly(err)
	}
	return updated(f, d), nil
}

func pauseDeployment(f *fleet.Fleet, q *question) (any, error) {
	var req nomadapi.DeploymentPauseRequest
	if err := q.body(&req); err != nil {
		return nil, err
	}
	d, err := over(f, q, map[bool]string{true: "pause", false: "resume"}[req.Pause])
	if err != nil {
		return nil, err
	}
	if err := f.PauseDeployment(d.ID, req.Pause); err != nil {
		return nil, plainly(err)
	}
	return updated(f, d), nil
}

func toEvaluation(e *fleet.Evaluation) *nomadapi.Evaluation {
	out := &nomadapi.Evaluation{
		ID: e.ID, Priority: e.Priority, Type: e.Type, TriggeredBy: e.Trigger, Namespace: e.Job.Namespace, JobID: e.Job.ID,
		JobModifyIndex: e.JobModifyIndex, DeploymentID: e.Deployment, Status: e.Status, PreviousEval: e.Previous, BlockedEval: e.Blocked,
		QueuedAllocations: e.Queued, CreateIndex: e.CreateIndex, ModifyIndex: e.ModifyIndex,
		CreateTime: nanoseconds(e.Created), ModifyTime: nanoseconds(e.Modified),
	}
	if e.Status == fleet.EvalBlocked {
		out.StatusDescription = "created to place remaining allocations"
	}
	if len(e.Failed) > 0 && e.Status != fleet.EvalBlocked {
		out.FailedTGAllocs = map[string]*nomadapi.AllocationMetric{}
		for name, failure := range e.Failed {
			out.FailedTGAllocs[name] = toMetric(failure)
		}
	}
	return out
}

func toMetric(m fleet.Failure) *nomadapi.AllocationMetric {
	return &nomadapi.AllocationMetric{
		NodesEvaluated: m.Evaluated, NodesFiltered: m.Filtered, NodesExhausted: m.Exhausted, CoalescedFailures: m.Coalesced,
		ConstraintFiltered: m.Constraint, DimensionExhausted: m.Dimension,
	}
}

func jobEvaluations(f *fleet.Fleet, q *question) (any, uint64, error) {
	out := []*nomadapi.Evaluation{}
	for _, e := range f.Evaluations(q.job()) {
		out = append(out, toEvaluation(e))
	}
	return out, f.TableIndex(fleet.TableEvaluations), nil
}

func listEvaluations(f *fleet.Fleet, q *question) (any, uint64, error) {
	out := ofAllJobs(f, q, f.Evaluations, func(e *fleet.Evaluation) string { return e.ID }, toEvaluation)
	slices.SortFunc(out, func(a, b *nomadapi.Evaluation) int { return cmp.Compare(a.CreateIndex, b.CreateIndex) })
	return out, f.TableIndex(fleet.TableEvaluations), nil
}

func readEvaluation(f *fleet.Fleet, q *question) (any, uint64, error) {
	e, err := f.Evaluation(q.path("evaluation"))
	if api.IsCode(err, api.CodeNotFound) {
		return nil, f.TableIndex(fleet.TableEvaluations), answer(http.StatusNotFound, "eval not found")
	}
	if err != nil {
		return nil, 0, err
	}
	return toEvaluation(e), e.ModifyIndex, nil
}

// noAllocs: the model does not keep which evaluation placed an allocation.
func noAllocs(f *fleet.Fleet, _ *question) (any, uint64, error) {
	return []*nomadapi.AllocationListStub{}, f.TableIndex(fleet.TableAllocs), nil
}
