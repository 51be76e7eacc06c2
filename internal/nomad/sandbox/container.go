package sandbox

import (
	"context"
	_ "embed"
	"slices"
	"strings"

	nomadapi "github.com/hashicorp/nomad/api"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/internal/appliance"
	"github.com/oakumhq/oakum/internal/nomad"
	"github.com/oakumhq/oakum/internal/twin"
)

// containerScript is what tells on a client what is installed in the image of a container.
//
//go:embed container.sh
var containerScript string

// containerReport is the path of what is told of a container or an artifact, in Nomad's file API.
const containerReport = "alloc/data/oakum-container.report"

// ReadContainer reads what is installed in the image that a container of a target runs, on
// the node that runs it and by that node's Docker. Nothing of the image runs but its rpm. The
// image that it returns has databases, and the digest that it has in its registry, or its ID.
// want is the digest that the job says, or empty; another image is an error.
func (s *Sandbox) ReadContainer(ctx context.Context, spec twin.ReadSpec, want string) (twin.Image, error) {
	like, err := s.readJob(ctx, spec.Target)
	if err != nil {
		return twin.Image{}, err
	}
	alloc, err := s.runningTask(ctx, spec.Target, spec.Task)
	if err != nil {
		return twin.Image{}, err
	}
	return s.readOnNode(ctx, containerJob(like, spec, alloc, want, s.options.DockerHost), alloc)
}

// readOnNode runs a job that tells what is installed beside a task that runs. Its report has
// a digest.
func (s *Sandbox) readOnNode(ctx context.Context, job *nomadapi.Job, alloc *nomadapi.AllocationListStub) (twin.Image, error) {
	var report *appliance.Report
	err := s.runOnce(ctx, job, func(ctx context.Context, stub *nomadapi.AllocationListStub) error {
		if stub.ClientStatus != nomadapi.AllocClientStatusComplete {
			return api.Errorf(api.CodeUnavailable, "node %s: %s", alloc.NodeName, s.failed(ctx, *job.Namespace, stub))
		}
		text, err := s.readFile(ctx, *job.Namespace, stub.ID, containerReport, reportMax)
		if err != nil {
			return err
		}
		report, err = appliance.Parse(text)
		return err
	})
	switch {
	case err != nil:
		return twin.Image{}, err
	case !report.Ended || !api.IsSHA256(report.Digest):
		return twin.Image{}, api.Errorf(api.CodeUnavailable, "node %s: what it told of the image is not whole", alloc.NodeName)
	}
	return twin.Image{Digest: report.Digest, Node: alloc.NodeID, Databases: report.Databases}, nil
}

// runningTask is an allocation of a target whose task runs: always the same one of several.
func (s *Sandbox) runningTask(ctx context.Context, ref api.TargetRef, task string) (*nomadapi.AllocationListStub, error) {
	ctx, cancel := context.WithTimeout(ctx, nomad.CallTimeout)
	defer cancel()
	stubs, _, err := s.api.Jobs().Allocations(ref.Job, false, s.nomad.Query(ctx, ref.Namespace))
	if err != nil {
		return nil, nomad.Explain("list allocations of "+ref.Job, err)
	}
	stubs = slices.DeleteFunc(stubs, func(a *nomadapi.AllocationListStub) bool {
		state := a.TaskStates[task]
		return a.TaskGroup != ref.Group || a.ClientStatus != nomadapi.AllocClientStatusRunning || state == nil || state.State != "running"
	})
	if len(stubs) == 0 {
		return nil, api.Errorf(api.CodeUnavailable, "no node runs task %s of %s", task, ref)
	}
	return slices.MinFunc(stubs, func(a, b *nomadapi.AllocationListStub) int { return strings.Compare(a.ID, b.ID) }), nil
}

// containerJob asks the Docker of the node of an allocation. Nomad names a container by its
// task and its allocation.
func containerJob(like *nomadapi.Job, spec twin.ReadSpec, alloc *nomadapi.AllocationListStub, want, host string) *nomadapi.Job {
	task := nomadapi.NewTask(bakeTask, "raw_exec").
		SetConfig("command", "/bin/sh").
		SetConfig("args", []string{
			"${NOMAD_TASK_DIR}/container.sh", spec.Task + "-" + alloc.ID, want, "${NOMAD_TASK_DIR}/rpm-format",
			"${NOMAD_ALLOC_DIR}/" + strings.TrimPrefix(containerReport, "alloc/"),
		})
	// HCL would take the format for a template of its own, if it were an argument.
	task.Templates = []*nomadapi.Template{
		template("local/container.sh", containerScript), template("local/databases.sh", databasesScript), template("local/rpm-format", spec.RPMFormat),
	}
	task.Env = map[string]string{"OAKUM_DOCKER_HOST": host}
	task.Resources = &nomadapi.Resources{CPU: new(100), MemoryMB: new(128)}
	task.LogConfig = &nomadapi.LogConfig{MaxFiles: new(1), MaxFileSizeMB: new(1)}
	job := onceJob(like, spec.Job, alloc.NodeID, nomadapi.NodePoolAll, task)
	job.TaskGroups[0].EphemeralDisk = &nomadapi.EphemeralDisk{SizeMB: new(64)}
	return job
}
