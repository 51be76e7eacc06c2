package nomad

import (
	"context"
	"maps"
	"slices"
	"strings"
	"time"

	nomadapi "github.com/hashicorp/nomad/api"

	"github.com/oakumhq/oakum/api"
)

// Targets lists every task group of every job that runs, or has runs, sorted by
// reference. It leaves out jobs whose ID begins with [twin.Prefix], since they
// belong to the sandbox.
func (c *Client) Targets(ctx context.Context) ([]api.Target, error) {
	facts, err := c.jobFacts(ctx)
	if err != nil {
		return nil, err
	}
	var targets []api.Target
	for _, f := range facts {
		for _, t := range f.targets {
			targets = append(targets, copyTarget(t))
		}
	}
	for i := range targets {
		if err := c.complete(ctx, &targets[i]); err != nil {
			return nil, err
		}
	}
	slices.SortFunc(targets, func(a, b api.Target) int { return a.Compare(b.TargetRef) })
	return targets, nil
}

// Idle lists the jobs that run nothing and will not by themselves, each with the reason as
// Unfit and without a group: those that are stopped, those that have run to their end, and
// the runs of periodic and parameterized jobs. They are those of the list that Targets has
// read.
func (c *Client) Idle(ctx context.Context) ([]api.Target, error) {
	j := &c.jobs
	if err := j.turn.take(ctx, "list jobs"); err != nil {
		return nil, err
	}
	defer j.turn.give()
	return slices.Clone(j.idle), nil
}

// copyTarget returns a copy that the caller may change.
func copyTarget(t api.Target) api.Target {
	t.Meta = maps.Clone(t.Meta)
	t.Services, t.Checked, t.Tasks = slices.Clone(t.Services), slices.Clone(t.Checked), slices.Clone(t.Tasks)
	return t
}

// Target reads one target; the error has code not_found when the job, the
// group or a running version of it does not exist.
func (c *Client) Target(ctx context.Context, ref api.TargetRef) (api.Target, error) {
	ctx, cancel := context.WithTimeout(ctx, CallTimeout)
	defer cancel()
	job, err := c.Job(ctx, ref.Namespace, ref.Job)
	if err != nil {
		return api.Target{}, err
	}
	group := job.LookupTaskGroup(ref.Group)
	if group == nil || *job.Stop {
		return api.Target{}, api.Errorf(api.CodeNotFound, "target %s: no such group in a running job", ref)
	}
	t := target(job, group)
	return t, c.complete(ctx, &t)
}

// Job reads the registered job.
func (c *Client) Job(ctx context.Context, namespace, id string) (*nomadapi.Job, error) {
	job, _, err := c.api.Jobs().Info(id, c.Query(ctx, namespace))
	if err != nil {
		return nil, Explain("read job "+id, err)
	}
	return job, nil
}

// target describes one group of a job.
func target(job *nomadapi.Job, group *nomadapi.TaskGroup) api.Target {
	t := api.Target{
		TargetRef:      api.TargetRef{Namespace: *job.Namespace, Job: *job.ID, Group: *group.Name},
		Count:          wanted(job, group),
		JobVersion:     *job.Version,
		JobModifyIndex: *job.JobModifyIndex,
		Meta:           map[string]string{},
		Type:           typeOf(orElse(job.Type, nomadapi.JobTypeService)),
		Launch:         launchOf(job),
		Unfit:          unfit(job),
	}
	maps.Copy(t.Meta, job.Meta)
	maps.Copy(t.Meta, group.Meta)
	services := slices.Clone(group.Services)
	for _, task := range group.Tasks {
		services = append(services, task.Services...)
		t.Tasks = append(t.Tasks, api.Task{
			Name: task.Name, Driver: task.Driver, Lifecycle: lifecycle(task), Image: Image(task), Digest: pinned(task),
		})
		if task.Driver == "qemu" || (t.Driver == "" && task.Lifecycle == nil) {
			t.Driver = task.Driver
		}
	}
	names, checked := map[string]bool{}, map[string]bool{}
	for _, s := range services {
		names[s.Name] = true
		if s.Provider != "nomad" && len(s.Checks) > 0 {
			checked[s.Name] = true
		}
	}
	t.Services, t.Checked = slices.Sorted(maps.Keys(names)), slices.Sorted(maps.Keys(checked))
	return t
}

// lifecycle names when a task runs; "" means for as long as the allocation.
func lifecycle(task *nomadapi.Task) string {
	if task.Lifecycle == nil {
		return ""
	}
	if task.Lifecycle.Sidecar {
		return task.Lifecycle.Hook + "-sidecar"
	}
	return task.Lifecycle.Hook
}

// Image is the disk or container image that a task runs, if its driver has one.
func Image(task *nomadapi.Task) string {
	for _, key := range []string{"image_path", "image"} {
		if text, ok := task.Config[key].(string); ok {
			return text
		}
	}
	return ""
}

// Instances lists the current instances of a target: the allocations that Nomad
// wants to run, and failed allocations that have no replacement yet. Their health
// is what Nomad reports, without Consul's checks.
func (c *Client) Instances(ctx context.Context, ref api.TargetRef) ([]api.Instance, error) {
	stubs, err := c.current(ctx, ref)
	return instances(stubs), err
}

// current lists the allocations that are instances of a target now, by name.
func (c *Client) current(ctx context.Context, ref api.TargetRef) ([]*nomadapi.AllocationListStub, error) {
	ctx, cancel := context.WithTimeout(ctx, CallTimeout)
	defer cancel()
	stubs, err := c.allocations(ctx, ref)
	if err != nil {
		return nil, err
	}
	return currentOf(stubs), nil
}

// allocations lists the allocations of a target, those that have ended included.
func (c *Client) allocations(ctx context.Context, ref api.TargetRef) ([]*nomadapi.AllocationListStub, error) {
	stubs, _, err := c.api.Jobs().Allocations(ref.Job, false, c.Query(ctx, ref.Namespace))
	if err != nil {
		return nil, Explain("list allocations of "+ref.Job, err)
	}
	return slices.DeleteFunc(stubs, func(s *nomadapi.AllocationListStub) bool { return s.TaskGroup != ref.Group }), nil
}

// currentOf are those of a target's allocations that are instances now, by name.
func currentOf(all []*nomadapi.AllocationListStub) []*nomadapi.AllocationListStub {
	stubs := slices.DeleteFunc(slices.Clone(all), func(s *nomadapi.AllocationListStub) bool {
		return !isInstance(s.DesiredStatus, s.ClientStatus, s.NextAllocation)
	})
	slices.SortFunc(stubs, func(a, b *nomadapi.AllocationListStub) int { return strings.Compare(a.Name+a.ID, b.Name+b.ID) })
	return stubs
}

// isInstance reports whether an allocation is an instance of its group now. One that failed,
// or whose client is away, is none once another one stands in for it. One that runs is,
// whatever came after it: its client may have come back, and Nomad keeps it then and stops
// the other one.
func isInstance(desired, status, next string) bool {
	return desired == nomadapi.AllocDesiredStatusRun && (next == "" || status == nomadapi.AllocClientStatusRunning)
}

// instances describes allocations.
func instances(stubs []*nomadapi.AllocationListStub) []api.Instance {
	var out []api.Instance
	for _, stub := range stubs {
		out = append(out, instance(stub))
	}
	return out
}

// instance describes one allocation.
func instance(stub *nomadapi.AllocationListStub) api.Instance {
	in := api.Instance{
		ID: stub.ID, Name: stub.Name, Node: stub.NodeName, JobVersion: stub.JobVersion,
		Started: time.Unix(0, stub.CreateTime).UTC(),
	}
	if d := stub.DeploymentStatus; d != nil {
		in.Canary = d.Canary
	}
	if stub.JobType == nomadapi.JobTypeSystem { // all of them have one name
		in.Name, in.Canary = in.Name+" on "+stub.NodeName, false
	}
	in.Address = address(stub)
	in.Health, in.Because = Health(stub)
	return in
}

// address is host:port of the allocation's first port, if it has one.
func address(stub *nomadapi.AllocationListStub) string {
	if stub.AllocatedResources == nil {
		return ""
	}
	for _, p := range stub.AllocatedResources.Shared.Ports {
		return hostPort(p.HostIP, p.Value)
	}
	return ""
}

// Health derives the health of an allocation from its task states. It is healthy
// only when every task that lives as long as the allocation is running.
func Health(stub *nomadapi.AllocationListStub) (api.Health, string) {
	switch stub.ClientStatus {
	case nomadapi.AllocClientStatusFailed, nomadapi.AllocClientStatusLost, nomadapi.AllocClientStatusComplete:
		return api.Unhealthy, "allocation is " + stub.ClientStatus + lastEvent(stub)
	case nomadapi.AllocClientStatusPending, nomadapi.AllocClientStatusUnknown:
		return api.Pending, "allocation is " + stub.ClientStatus
	}
	for _, name := range slices.Sorted(maps.Keys(stub.TaskStates)) {
		state := stub.TaskStates[name]
		if state.State == "pending" {
			return api.Pending, "task " + name + " is pending"
		}
		if state.State == "dead" && state.Failed {
			return api.Unhealthy, "task " + name + " failed" + lastEvent(stub)
		}
	}
	return api.Healthy, ""
}

// lastEvent is the newest message of any task, for a person.
func lastEvent(stub *nomadapi.AllocationListStub) string {
	var newest *nomadapi.TaskEvent
	for _, name := range slices.Sorted(maps.Keys(stub.TaskStates)) {
		for _, e := range stub.TaskStates[name].Events {
			if e.FailsTask || e.ExitCode != 0 {
				if newest == nil || e.Time > newest.Time {
					newest = e
				}
			}
		}
	}
	if newest == nil {
		return ""
	}
	return ": " + newest.DisplayMessage
}
