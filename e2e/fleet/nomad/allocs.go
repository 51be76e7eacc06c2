package nomad

import (
	"cmp"
	"fmt"
	"net/http"
	"slices"
	"strings"

	nomadapi "github.com/hashicorp/nomad/api"

	"github.com/oakumhq/oakum/e2e/fleet/door"
	"github.com/oakumhq/oakum/internal/fleet"
)

// keptEvents is how many events of a task Nomad keeps, less those with which each
// begins.
const keptEvents = 8

// killed is on top of the signal in the exit code of a task that one ended.
const killed = 128

// uuidLength is that of every ID that Nomad draws.
const uuidLength = 36

func (n *Door) allocRoutes() map[string]any {
	routes := map[string]any{
		"/v1/allocations":                      reader(listAllocs),
		"/v1/allocation/{alloc}":               reader(readAlloc),
		"/v1/allocation/{alloc}/services":      reader(allocServices),
		"/v1/client/allocation/{alloc}/stats":  reader(n.allocStats),
		"/v1/client/allocation/{alloc}/checks": reader(allocChecks),
		"/v1/client/fs/logs/{alloc}":           http.HandlerFunc(n.logs),
		"/v1/client/fs/cat/{alloc}":            http.HandlerFunc(n.cat),
		"/v1/client/fs/stream/{alloc}":         http.HandlerFunc(n.stream),
	}
	for _, method := range []string{"PUT ", "POST "} {
		routes[method+"/v1/allocation/{alloc}/stop"] = writer(stopAlloc)
		routes[method+"/v1/client/allocation/{alloc}/restart"] = writer(restartAlloc)
		routes[method+"/v1/client/allocation/{alloc}/signal"] = writer(signalAlloc)
	}
	return routes
}

// toStub is an allocation in a list.
func toStub(a *fleet.Alloc, resources bool) *nomadapi.AllocationListStub {
	out := &nomadapi.AllocationListStub{
		ID: a.ID, Name: a.Name, Namespace: a.Job.Namespace, NodeID: a.Node.ID, NodeName: a.Node.Name,
		JobID: a.Job.ID, JobType: a.Job.Type, JobVersion: a.Job.Version, TaskGroup: a.Group.Name,
		DesiredStatus: a.Desired, DesiredDescription: a.Description, ClientStatus: a.Client, TaskStates: taskStates(a),
		DeploymentStatus: deploymentStatus(a), NextAllocation: a.Next,
		CreateIndex: a.CreateIndex, ModifyIndex: a.ModifyIndex, CreateTime: nanoseconds(a.Created), ModifyTime: nanoseconds(a.Modified),
	}
	if a.Description == fleet.StopRescheduled {
		out.DesiredDescription = "" // Nomad says nothing of it
	}
	if resources {
		out.AllocatedResources = allocated(a)
	}
	return out
}

func deploymentStatus(a *fleet.Alloc) *nomadapi.AllocDeploymentStatus {
	if a.Health == fleet.HealthUnknown && !a.Canary {
		return nil
	}
	out := &nomadapi.AllocDeploymentStatus{Timestamp: a.HealthAt, Canary: a.Canary, ModifyIndex: a.ModifyIndex}
	if a.Health != fleet.HealthUnknown {
		out.Healthy = new(a.Health == fleet.HealthGood)
	}
	return out
}

func taskStates(a *fleet.Alloc) map[string]*nomadapi.TaskState {
	out := map[string]*nomadapi.TaskState{}
	for _, t := range a.Group.Tasks {
		state, failed := a.TaskState(t)
		s := &nomadapi.TaskState{State: state, Failed: failed, StartedAt: a.Started, Events: []*nomadapi.TaskEvent{}}
		if state == "dead" {
			s.FinishedAt = cmp.Or(a.Ended, a.Started)
		}
		if len(a.Events) < keptEvents { // the first ones are still kept
			s.Events = append(s.Events, &nomadapi.TaskEvent{Type: nomadapi.TaskReceived, Time: nanoseconds(a.Created), DisplayMessage: "Task received by client"})
			if state != "pending" {
				s.Events = append(s.Events, &nomadapi.TaskEvent{Type: nomadapi.TaskSetup, Time: nanoseconds(a.Created), DisplayMessage: "Building Task Directory"})
			}
		}
		for _, e := range a.Events {
			if e.Task == t.Name {
				s.Events = append(s.Events, toTaskEvent(e))
			}
		}
		if t.Lifecycle == "" {
			s.Restarts = uint64(a.Restarts) //nolint:gosec // it counts up from zero
		}
		out[t.Name] = s
	}
	return out
}

func toTaskEvent(e fleet.TaskEvent) *nomadapi.TaskEvent {
	out := &nomadapi.TaskEvent{
		Type: e.Type, Time: e.At.UnixNano(), DisplayMessage: e.Message, ExitCode: e.ExitCode, FailsTask: e.Fails, Details: map[string]string{},
	}
	if e.ExitCode > killed {
		out.Signal = e.ExitCode - killed
		out.DisplayMessage += fmt.Sprintf(", Signal: %d", out.Signal)
	}
	if e.OOM {
		out.Details["oom_killed"] = "true"
	}
	return out
}

func allocated(a *fleet.Alloc) *nomadapi.AllocatedResources {
	out := &nomadapi.AllocatedResources{Tasks: map[string]*nomadapi.AllocatedTaskResources{}}
	for _, t := range a.Group.Tasks {
		out.Tasks[t.Name] = &nomadapi.AllocatedTaskResources{
			Cpu:    nomadapi.AllocatedCpuResources{CpuShares: int64(cmp.Or(t.CPU, 100))},
			Memory: nomadapi.AllocatedMemoryResources{MemoryMB: int64(cmp.Or(t.MemoryMB, 300))},
		}
	}
	for i, label := range a.Group.Ports {
		out.Shared.Ports = append(out.Shared.Ports, nomadapi.PortMapping{Label: label, Value: a.Ports[i], HostIP: hostOf(a)})
	}
	return out
}

// hostOf is the address of an allocation's ports: this machine's own, where the
// sandbox serves it.
func hostOf(a *fleet.Alloc) string {
	if isTwin(a) {
		return door.Host
	}
	return a.Node.Address
}

func jobAllocs(f *fleet.Fleet, q *question) (any, uint64, error) {
	out := []*nomadapi.AllocationListStub{}
	all := q.flag("all")
	j, err := f.Job(q.job())
	for _, a := range f.Allocs(q.job()) {
		if all || (err == nil && a.Job.CreateIndex == j.CreateIndex) {
			out = append(out, toStub(a, true))
		}
	}
	return out, f.TableIndex(fleet.TableAllocs), nil
}

func listAllocs(f *fleet.Fleet, q *question) (any, uint64, error) {
	out := []*nomadapi.AllocationListStub{}
	prefix, resources := q.query("prefix"), q.flag("resources")
	for _, id := range f.JobIDs() {
		if !q.sees(id.Namespace) {
			continue
		}
		for _, a := range f.Allocs(id) {
			if strings.HasPrefix(a.ID, prefix) {
				out = append(out, toStub(a, resources))
			}
		}
	}
	return out, f.TableIndex(fleet.TableAllocs), nil
}

// alloc finds the allocation that a path names.
func (q *question) alloc(f *fleet.Fleet) (*fleet.Alloc, error) {
	id := q.path("alloc")
	if len(id) != uuidLength {
		return nil, answer(http.StatusInternalServerError, "alloc lookup failed: index error: UUID must be 36 characters")
	}
	a, err := f.Alloc(id)
	if err != nil {
		return nil, answer(http.StatusNotFound, "alloc not found")
	}
	return a, nil
}

func readAlloc(f *fleet.Fleet, q *question) (any, uint64, error) {
	a, err := q.alloc(f)
	if err != nil {
		return nil, f.TableIndex(fleet.TableAllocs), err
	}
	job, err := toNomad(f, a.Job)
	if err != nil {
		return nil, 0, err
	}
	stub := toStub(a, true)
	return &nomadapi.Allocation{
		ID: a.ID, Namespace: stub.Namespace, Name: a.Name, NodeID: stub.NodeID, NodeName: stub.NodeName, JobID: stub.JobID, Job: job,
		TaskGroup: stub.TaskGroup, AllocatedResources: stub.AllocatedResources, DesiredStatus: a.Desired, DesiredDescription: a.Description,
		ClientStatus: a.Client, TaskStates: stub.TaskStates, DeploymentID: a.Deployment, DeploymentStatus: stub.DeploymentStatus,
		PreviousAllocation: a.Previous, NextAllocation: a.Next, Metrics: &nomadapi.AllocationMetric{},
		CreateIndex: a.CreateIndex, ModifyIndex: a.ModifyIndex, AllocModifyIndex: a.ModifyIndex,
		CreateTime: stub.CreateTime, ModifyTime: stub.ModifyTime,
	}, a.ModifyIndex, nil
}

func stopAlloc(f *fleet.Fleet, q *question) (any, error) {
	a, err := q.alloc(f)
	if err != nil {
		return nil, err
	}
	if err := f.StopAlloc(a.ID); err != nil {
		return nil, err
	}
	out := &nomadapi.AllocStopResponse{}
	if list := f.Evaluations(a.Job.JobID); len(list) > 0 {
		out.EvalID = list[0].ID
	}
	return out, nil
}

func restartAlloc(f *fleet.Fleet, q *question) (any, error) {
	a, err := q.alloc(f)
	if err != nil {
		return nil, err
	}
	return struct{}{}, plainly(f.RestartAlloc(a.ID))
}

func signalAlloc(f *fleet.Fleet, q *question) (any, error) {
	var req struct{ Task, Signal string }
	if err := q.body(&req); err != nil {
		return nil, err
	}
	a, err := q.alloc(f)
	if err != nil {
		return nil, err
	}
	if req.Task == agentTask {
		return struct{}{}, nil // it has asked already
	}
	if req.Signal != "SIGKILL" {
		return nil, answer(http.StatusInternalServerError, "the model's tasks know no signal but SIGKILL")
	}
	return struct{}{}, plainly(f.Kill(a.ID, false))
}

// registrations are the services that an allocation has in Nomad's catalog.
func registrations(a *fleet.Alloc) []*nomadapi.ServiceRegistration {
	var out []*nomadapi.ServiceRegistration
	if !a.Current() || a.Client != fleet.ClientRunning {
		return nil
	}
	for _, s := range a.Group.Services {
		if s.Provider != providerNomad {
			continue
		}
		out = append(out, &nomadapi.ServiceRegistration{
			ID: "_nomad-task-" + a.ID + "-group-" + a.Group.Name + "-" + s.Name + "-" + s.Port, ServiceName: s.Name,
			Namespace: a.Job.Namespace, NodeID: a.Node.ID, Datacenter: a.Node.Datacenter, JobID: a.Job.ID, AllocID: a.ID,
			Tags: s.Tags, Address: hostOf(a), Port: portOf(a, s.Port), CreateIndex: a.CreateIndex, ModifyIndex: a.ModifyIndex,
		})
	}
	return out
}

// portOf is the number behind a service's port, which is a label or a number.
func portOf(a *fleet.Alloc, label string) int {
	if i := slices.Index(a.Group.Ports, label); i >= 0 {
		return a.Ports[i]
	}
	return portNumber(label)
}

func allocServices(f *fleet.Fleet, q *question) (any, uint64, error) {
	a, err := q.alloc(f)
	if err != nil {
		return nil, f.TableIndex(fleet.TableAllocs), err
	}
	return append([]*nomadapi.ServiceRegistration{}, registrations(a)...), a.ModifyIndex, nil
}

func jobServices(f *fleet.Fleet, q *question) (any, uint64, error) {
	out := []*nomadapi.ServiceRegistration{}
	for _, a := range f.Allocs(q.job()) {
		out = append(out, registrations(a)...)
	}
	return out, f.TableIndex(fleet.TableAllocs), nil
}

func listServices(f *fleet.Fleet, q *question) (any, uint64, error) {
	tags := map[[2]string][]string{} // namespace and service
	for _, id := range f.JobIDs() {
		if !q.sees(id.Namespace) {
			continue
		}
		for _, a := range f.Allocs(id) {
			for _, r := range registrations(a) {
				key := [2]string{r.Namespace, r.ServiceName}
				for _, tag := range r.Tags {
					if !slices.Contains(tags[key], tag) {
						tags[key] = append(tags[key], tag)
					}
				}
				tags[key] = append([]string{}, tags[key]...)
			}
		}
	}
	out := []*nomadapi.ServiceRegistrationListStub{}
	keys := sortedKeys(tags)
	for _, key := range keys {
		if len(out) == 0 || out[len(out)-1].Namespace != key[0] {
			out = append(out, &nomadapi.ServiceRegistrationListStub{Namespace: key[0]})
		}
		last := out[len(out)-1]
		last.Services = append(last.Services, &nomadapi.ServiceRegistrationStub{ServiceName: key[1], Tags: tags[key]})
	}
	return out, f.TableIndex(fleet.TableAllocs), nil
}

func sortedKeys(m map[[2]string][]string) [][2]string {
	var keys [][2]string
	for k := range m {
		keys = append(keys, k)
	}
	slices.SortFunc(keys, func(a, b [2]string) int { return cmp.Or(strings.Compare(a[0], b[0]), strings.Compare(a[1], b[1])) })
	return keys
}

func readService(f *fleet.Fleet, q *question) (any, uint64, error) {
	out := []*nomadapi.ServiceRegistration{}
	for _, id := range f.JobIDs() {
		if !q.sees(id.Namespace) {
			continue
		}
		for _, a := range f.Allocs(id) {
			for _, r := range registrations(a) {
				if r.ServiceName == q.path("service") {
					out = append(out, r)
				}
			}
		}
	}
	return out, f.TableIndex(fleet.TableAllocs), nil
}
