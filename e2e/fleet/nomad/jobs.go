package nomad

import (
	"cmp"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"

	nomadapi "github.com/hashicorp/nomad/api"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/internal/fleet"
)

func (n *Door) jobRoutes() map[string]any {
	const job = "/v1/job/{job}"
	return map[string]any{
		"/v1/jobs":                              reader(n.listJobs),
		"PUT /v1/jobs":                          writer(n.register),
		"POST /v1/jobs":                         writer(n.register),
		job:                                     reader(readJob),
		"PUT " + job:                            writer(n.register),
		"POST " + job:                           writer(n.register),
		"DELETE " + job:                         writer(deregister),
		"PUT /v1/validate/job":                  writer(n.validate),
		"POST /v1/validate/job":                 writer(n.validate),
		"PUT " + job + "/plan":                  writer(n.plan),
		"POST " + job + "/plan":                 writer(n.plan),
		job + "/versions":                       reader(versions),
		job + "/submission":                     reader(submission),
		"POST " + job + "/versions/{tag}/tag":   writer(tagVersion),
		"PUT " + job + "/versions/{tag}/tag":    writer(tagVersion),
		"DELETE " + job + "/versions/{tag}/tag": writer(untagVersion),
		"PUT " + job + "/revert":                writer(revert),
		"POST " + job + "/revert":               writer(revert),
		"PUT " + job + "/evaluate":              writer(evaluate),
		"POST " + job + "/evaluate":             writer(evaluate),
		job + "/scale":                          reader(scaleStatus),
		"PUT " + job + "/scale":                 writer(scale),
		"POST " + job + "/scale":                writer(scale),
		job + "/summary":                        reader(summary),
		job + "/deployments":                    reader(jobDeployments),
		job + "/deployment":                     reader(latestDeployment),
		job + "/allocations":                    reader(jobAllocs),
		job + "/evaluations":                    reader(jobEvaluations),
		job + "/services":                       reader(jobServices),
	}
}

// JobMaxCount is how many instances Nomad takes of one job, as its default is.
const JobMaxCount = 50_000

func (n *Door) listJobs(f *fleet.Fleet, q *question) (any, uint64, error) {
	out := []*nomadapi.JobListStub{}
	prefix, meta := q.query("prefix"), q.flag("meta")
	for _, id := range f.JobIDs() {
		if !q.sees(id.Namespace) || !strings.HasPrefix(id.ID, prefix) {
			continue
		}
		j, err := f.Job(id)
		if err != nil {
			return nil, 0, err
		}
		stub := &nomadapi.JobListStub{
			ID: id.ID, Name: id.ID, Namespace: id.Namespace, Datacenters: j.Datacenters, Type: j.Type, Priority: j.Priority,
			Periodic: j.Launch == api.LaunchPeriodic, ParameterizedJob: j.Launch == api.LaunchParameterized, Stop: j.Stopped, Status: f.Status(id), JobSummary: summaryOf(f, j),
			CreateIndex: j.CreateIndex, ModifyIndex: j.StatusIndex, JobModifyIndex: j.ModifyIndex, SubmitTime: j.SubmittedAt.UnixNano(),
		}
		if meta {
			stub.Meta = j.Meta
		}
		out = append(out, stub)
	}
	// A summary changes with the allocations.
	return out, max(f.TableIndex(fleet.TableJobs), f.TableIndex(fleet.TableAllocs)), nil
}

// summaryOf counts a job's allocations.
func summaryOf(f *fleet.Fleet, j *fleet.Job) *nomadapi.JobSummary {
	groups := map[string]nomadapi.TaskGroupSummary{}
	for i := range j.Groups {
		groups[j.Groups[i].Name] = nomadapi.TaskGroupSummary{}
	}
	for _, a := range f.Allocs(j.JobID) {
		g := groups[a.Group.Name]
		switch a.Client {
		case fleet.ClientPending:
			g.Starting++
		case fleet.ClientRunning:
			g.Running++
		case fleet.ClientComplete:
			g.Complete++
		case fleet.ClientFailed:
			g.Failed++
		case fleet.ClientLost:
			g.Lost++
		}
		groups[a.Group.Name] = g
	}
	for _, e := range f.Evaluations(j.JobID) {
		if e.Status != fleet.EvalBlocked {
			continue
		}
		for name, queued := range e.Queued {
			g := groups[name]
			g.Queued = queued
			groups[name] = g
		}
	}
	return &nomadapi.JobSummary{JobID: j.ID, Namespace: j.Namespace, Summary: groups, CreateIndex: j.CreateIndex, ModifyIndex: j.StatusIndex}
}

func readJob(f *fleet.Fleet, q *question) (any, uint64, error) {
	j, err := f.Job(q.job())
	if err != nil {
		return nil, f.TableIndex(fleet.TableJobs), answer(http.StatusNotFound, "job not found")
	}
	out, err := toNomad(f, j)
	return out, j.StatusIndex, err
}

func (n *Door) register(f *fleet.Fleet, q *question) (any, error) {
	var req nomadapi.JobRegisterRequest
	if err := q.body(&req); err != nil {
		return nil, err
	}
	job, err := n.accept(req.Job)
	if err != nil {
		return nil, err
	}
	if req.PreserveCounts {
		f.KeepCounts(&job)
	}
	if req.Submission != nil {
		if job.Submission, err = json.Marshal(req.Submission); err != nil {
			return nil, err
		}
	}
	done, err := f.Register(job, req.EnforceIndex, req.JobModifyIndex)
	if err != nil {
		return nil, err
	}
	return registered(f, done)
}

// registered answers a registration. One that changes nothing is evaluated too, and one of
// a job that has runs never is.
func registered(f *fleet.Fleet, done fleet.Registered) (any, error) {
	if done.Job.Launch != "" {
		return &nomadapi.JobRegisterResponse{JobModifyIndex: done.Job.ModifyIndex}, nil
	}
	e := done.Evaluation
	if e == nil {
		var err error
		if e, err = f.Evaluate(done.Job.JobID); err != nil {
			return nil, err
		}
	}
	return &nomadapi.JobRegisterResponse{EvalID: e.ID, EvalCreateIndex: e.CreateIndex, JobModifyIndex: done.Job.ModifyIndex}, nil
}

// accept checks a job as Nomad does, with its words, and translates it.
func (n *Door) accept(job *nomadapi.Job) (fleet.Job, error) {
	words, err := n.objections(job)
	if err != nil {
		return fleet.Job{}, err
	}
	if len(words) > 0 {
		return fleet.Job{}, complaint(words)
	}
	return FromNomad(job)
}

// validate says what is wrong with a job, without registering it.
func (n *Door) validate(_ *fleet.Fleet, q *question) (any, error) {
	var req nomadapi.JobValidateRequest
	if err := q.body(&req); err != nil {
		return nil, err
	}
	words, err := n.objections(req.Job)
	if err != nil {
		return nil, err
	}
	out := &nomadapi.JobValidateResponse{DriverConfigValidated: true, ValidationErrors: words}
	if len(words) > 0 {
		out.Error = complaint(words).Error()
	}
	return out, nil
}

// objections lists what Nomad has against a job, in its words. The error is that of a
// request which holds no job.
func (n *Door) objections(job *nomadapi.Job) ([]string, error) {
	if job == nil || orZero(job.ID) == "" {
		return nil, answer(http.StatusBadRequest, "Job must be specified")
	}
	if holed(job) {
		return nil, answer(http.StatusBadRequest, "Job %q has null in a list", *job.ID)
	}
	// People write jobs without the defaults that Nomad fills in.
	for _, g := range job.TaskGroups {
		if g.Name == nil {
			g.Name = new("")
		}
		if g.Count == nil {
			g.Count = new(1)
		}
	}
	if words := nonsense(job); len(words) > 0 {
		return words, nil
	}
	if space := cmp.Or(orZero(job.Namespace), nomadapi.DefaultNamespace); n.namespaces[space] == nil {
		return []string{fmt.Sprintf("job %q is in nonexistent namespace %q", *job.ID, space)}, nil
	}
	return nil, nil
}

// holed reports whether a list of the job has an element that isn't there.
func holed(job *nomadapi.Job) bool {
	services := func(list []*nomadapi.Service) bool { return slices.Contains(list, nil) }
	return slices.ContainsFunc(job.TaskGroups, func(g *nomadapi.TaskGroup) bool {
		return g == nil || services(g.Services) || slices.Contains(g.Networks, nil) || slices.ContainsFunc(g.Tasks, func(t *nomadapi.Task) bool {
			return t == nil || services(t.Services)
		})
	})
}

// nonsense lists what Nomad refuses of a job.
func nonsense(job *nomadapi.Job) []string {
	var words []string
	kind := cmp.Or(orZero(job.Type), nomadapi.JobTypeService)
	known := slices.Contains([]string{nomadapi.JobTypeService, nomadapi.JobTypeBatch, nomadapi.JobTypeSystem, nomadapi.JobTypeSysbatch}, kind)
	if !known {
		words = append(words, fmt.Sprintf("Invalid job type: %q", kind))
	}
	if len(job.TaskGroups) == 0 {
		words = append(words, "Missing job task groups")
	}
	seen, count := map[string]int{}, 0
	for i, g := range job.TaskGroups {
		if first, ok := seen[*g.Name]; ok {
			words = append(words, fmt.Sprintf("Job task group %d redefines '%s' from group %d", i+1, *g.Name, first))
		} else {
			seen[*g.Name] = i + 1
		}
		count += min(*g.Count, JobMaxCount+1) // so that the sum holds
		if kind == nomadapi.JobTypeSystem && *g.Count > 1 {
			words = append(words, fmt.Sprintf("Job task group %s has count %d. Count cannot exceed 1 with system scheduler", *g.Name, *g.Count))
		}
		var bad []string
		if *g.Count < 0 {
			bad = append(bad, "Task group count can't be negative")
		}
		if len(g.Tasks) == 0 {
			bad = append(bad, "Missing tasks for task group")
		}
		if kind != nomadapi.JobTypeService && kind != nomadapi.JobTypeSystem && g.Update != nil {
			bad = append(bad, fmt.Sprintf("Job type %q does not allow update block", kind))
		}
		if len(bad) > 0 {
			words = append(words, fmt.Sprintf("Task group %s validation failed: %v", *g.Name, complaint(bad)))
		}
	}
	if count > JobMaxCount {
		words = append(words, fmt.Sprintf("total count was greater than configured job_max_count: %d > %d", count, JobMaxCount))
	}
	return words
}

// complaint lists errors as Nomad does.
func complaint(words []string) error {
	noun := map[bool]string{true: "error", false: "errors"}[len(words) == 1]
	return answer(http.StatusInternalServerError, "%d %s occurred:\n\t* %s\n\n", len(words), noun, strings.Join(words, "\n\t* "))
}

func deregister(f *fleet.Fleet, q *question) (any, error) {
	e, err := f.Deregister(q.job(), q.flag("purge"))
	if api.IsCode(err, api.CodeNotFound) {
		return &nomadapi.JobDeregisterResponse{}, nil // Nomad has nothing to do, and says no more
	}
	if err != nil {
		return nil, err
	}
	return &nomadapi.JobDeregisterResponse{EvalID: e.ID, EvalCreateIndex: e.CreateIndex, JobModifyIndex: f.TableIndex(fleet.TableJobs)}, nil
}

func versions(f *fleet.Fleet, q *question) (any, uint64, error) {
	list, err := f.Versions(q.job())
	if err != nil {
		return nil, f.TableIndex(fleet.TableJobs), answer(http.StatusNotFound, "job versions not found")
	}
	out := &nomadapi.JobVersionsResponse{}
	var index uint64
	for _, v := range list {
		job, err := toNomad(f, v)
		if err != nil {
			return nil, 0, err
		}
		out.Versions = append(out.Versions, job)
		index = max(index, v.StatusIndex)
	}
	return out, index, nil
}

// submission is what a version was made of.
func submission(f *fleet.Fleet, q *question) (any, uint64, error) {
	version, err := strconv.ParseUint(q.query("version"), 10, 64)
	if err != nil {
		return nil, 0, answer(http.StatusBadRequest, "Unable to parse job submission version parameter")
	}
	list, err := f.Versions(q.job())
	if err != nil {
		list = nil // it has no versions
	}
	for _, v := range list {
		if v.Version == version && v.Submission != nil {
			return json.RawMessage(v.Submission), v.ModifyIndex, nil
		}
	}
	return nil, f.TableIndex(fleet.TableJobs), answer(http.StatusNotFound, "job source not found")
}

func tagVersion(f *fleet.Fleet, q *question) (any, error) {
	var req nomadapi.TagVersionRequest
	if err := q.body(&req); err != nil {
		return nil, err
	}
	if req.Latest {
		j, err := f.Job(q.job())
		if err != nil {
			return nil, err
		}
		req.Version = j.Version
	}
	err := f.TagVersion(q.job(), req.Version, q.path("tag"), req.Description)
	return struct{ Name, Description string }{q.path("tag"), req.Description}, plainly(err)
}

func untagVersion(f *fleet.Fleet, q *question) (any, error) {
	return struct{}{}, plainly(f.UntagVersion(q.job(), q.path("tag")))
}

// plainly makes any refusal the 500 that Nomad answers where it has no other
// number.
func plainly(err error) error {
	if err == nil {
		return nil
	}
	return answer(http.StatusInternalServerError, "%s", message(err))
}

// message is an error's text without the model's code.
func message(err error) string {
	return api.AsError(err).Message
}

func revert(f *fleet.Fleet, q *question) (any, error) {
	var req nomadapi.JobRevertRequest
	if err := q.body(&req); err != nil {
		return nil, err
	}
	done, err := f.Revert(q.job(), req.JobVersion, req.EnforcePriorVersion != nil, orZero(req.EnforcePriorVersion))
	if err != nil {
		return nil, plainly(err)
	}
	return registered(f, done)
}

func evaluate(f *fleet.Fleet, q *question) (any, error) {
	e, err := f.Evaluate(q.job())
	if err != nil {
		return nil, answer(http.StatusInternalServerError, "job not found")
	}
	return &nomadapi.JobRegisterResponse{EvalID: e.ID, EvalCreateIndex: e.CreateIndex, JobModifyIndex: e.JobModifyIndex}, nil
}

func scale(f *fleet.Fleet, q *question) (any, error) {
	var req nomadapi.ScalingRequest
	if err := q.body(&req); err != nil {
		return nil, err
	}
	id := q.job()
	j, err := f.Job(id)
	group := req.Target["Group"]
	switch {
	case req.Count == nil:
		return nil, answer(http.StatusBadRequest, "scaling action without a count is not modelled")
	case *req.Count < 0:
		return nil, answer(http.StatusBadRequest, "scaling action count can't be negative")
	case err != nil:
		return nil, answer(http.StatusNotFound, "job %q not found", id.ID)
	case j.Group(group) == nil:
		return nil, answer(http.StatusBadRequest, "task group %q specified for scaling does not exist in job", group)
	}
	total := *req.Count - int64(j.Group(group).Count)
	for _, g := range j.Groups {
		total += int64(g.Count)
	}
	if total > JobMaxCount {
		return nil, answer(http.StatusInternalServerError, "total count was greater than configured job_max_count: %d > %d", total, JobMaxCount)
	}
	done, err := f.Scale(api.TargetRef{Namespace: id.Namespace, Job: id.ID, Group: group}, int(*req.Count))
	if err != nil {
		return nil, answer(http.StatusBadRequest, "%s", message(err))
	}
	return registered(f, done)
}

func scaleStatus(f *fleet.Fleet, q *question) (any, uint64, error) {
	j, err := f.Job(q.job())
	if err != nil {
		return nil, f.TableIndex(fleet.TableJobs), answer(http.StatusNotFound, "job not found")
	}
	out := &nomadapi.JobScaleStatusResponse{
		JobID: j.ID, Namespace: j.Namespace, JobCreateIndex: j.CreateIndex, JobModifyIndex: j.ModifyIndex, JobStopped: j.Stopped,
		TaskGroups: map[string]nomadapi.TaskGroupScaleStatus{},
	}
	d := f.Latest(j.JobID)
	for i := range j.Groups {
		g := nomadapi.TaskGroupScaleStatus{Desired: j.Groups[i].Count, Events: []nomadapi.ScalingEvent{}}
		if d != nil && d.Groups[j.Groups[i].Name] != nil {
			own := d.Groups[j.Groups[i].Name]
			g.Placed, g.Healthy, g.Unhealthy = own.Placed, own.Healthy, own.Unhealthy
		}
		for _, a := range f.Allocs(j.JobID) {
			if a.Group.Name == j.Groups[i].Name && a.Client == fleet.ClientRunning && a.Desired == fleet.DesiredRun {
				g.Running++
			}
		}
		out.TaskGroups[j.Groups[i].Name] = g
	}
	return out, max(f.TableIndex(fleet.TableJobs), f.TableIndex(fleet.TableAllocs)), nil
}

func summary(f *fleet.Fleet, q *question) (any, uint64, error) {
	j, err := f.Job(q.job())
	if err != nil {
		return nil, f.TableIndex(fleet.TableJobs), answer(http.StatusNotFound, "job not found")
	}
	return summaryOf(f, j), max(j.StatusIndex, f.TableIndex(fleet.TableAllocs)), nil
}

// portNumber reads a port that is a number; 0 when it is none.
func portNumber(text string) int {
	n, err := strconv.Atoi(text)
	if err != nil {
		return 0
	}
	return n
}
