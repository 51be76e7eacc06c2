package sandbox

import (
	"context"
	_ "embed"
	"maps"
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

// containerReport is the path of its report in Nomad's file API.
const containerReport = "alloc/data/oakum-container.report"

// ReadContainer reads what is installed in the image that a container of a target runs, on
// the node that runs it and by that node's Docker. Nothing of the image runs but its rpm. The
// image that it returns has databases, and the digest that it has in its registry, or its ID.
// want is the digest that the job says, or empty; another image is an error. Without it, the
// Docker of each node that runs one of the tasks alike says which image that has: a DifferError
// when these are not all the same.
func (s *Sandbox) ReadContainer(ctx context.Context, spec twin.ReadSpec, want string) (twin.Image, error) {
	if _, err := s.readJob(ctx, spec.Target); err != nil {
		return twin.Image{}, err
	}
	own, err := s.runningTasks(ctx, spec.Target, spec.Task)
	if err != nil {
		return twin.Image{}, err
	}
	first, err := firstOf(own, spec.Target, spec.Task)
	if err != nil {
		return twin.Image{}, err
	}
	runs := map[string]*nomadapi.AllocationListStub{containerName(spec.Task, first): first}
	if want == "" {
		if runs, err = s.runningAlike(ctx, spec, own); err != nil {
			return twin.Image{}, err
		}
	}
	names := map[string]string{}
	for _, alloc := range runs {
		names[alloc.NodeID] = alloc.NodeName
	}
	nodes := slices.Sorted(maps.Keys(names))
	job := containerJob(spec, first, nodes, want, s.options.DockerHost)
	var report *appliance.Report
	images := imagesSeen{}
	failed, left := s.onNodes(ctx, job, nodes, func(ctx context.Context, stub *nomadapi.AllocationListStub) error {
		text, err := s.readFile(ctx, *job.Namespace, stub.ID, containerReport, reportMax)
		if err != nil {
			return err
		}
		if stub.NodeID == first.NodeID {
			if report, err = appliance.Parse(text); err != nil {
				return err
			}
		}
		if text, err = s.readFile(ctx, *job.Namespace, stub.ID, containerReport+".images", reportMax); err != nil {
			return err
		}
		return images.add(text)
	})
	for _, node := range nodes {
		if failed[node] != nil {
			return twin.Image{}, api.Errorf(api.CodeUnavailable, "node %s: %s", names[node], api.AsError(failed[node]).Message)
		}
	}
	if left != nil {
		return twin.Image{}, left
	}
	if err := images.same(slices.Sorted(maps.Keys(runs))); want == "" && err != nil {
		return twin.Image{}, err
	}
	return wholeImage(report, first)
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
	if err != nil {
		return twin.Image{}, err
	}
	return wholeImage(report, alloc)
}

// wholeImage is what a report tells of the image of an allocation.
func wholeImage(report *appliance.Report, alloc *nomadapi.AllocationListStub) (twin.Image, error) {
	if !report.Ended || !api.IsSHA256(report.Digest) {
		return twin.Image{}, api.Errorf(api.CodeUnavailable, "node %s: what it told of the image is not whole", alloc.NodeName)
	}
	return twin.Image{Digest: report.Digest, Node: alloc.NodeID, Databases: report.Databases}, nil
}

// containerName is what Nomad's Docker driver calls the container of a task.
func containerName(task string, alloc *nomadapi.AllocationListStub) string {
	return task + "-" + alloc.ID
}

// runningAlike are the allocations of all tasks that name an image alike, by their containers.
func (s *Sandbox) runningAlike(ctx context.Context, spec twin.ReadSpec, own []*nomadapi.AllocationListStub) (map[string]*nomadapi.AllocationListStub, error) {
	out := map[string]*nomadapi.AllocationListStub{}
	for _, a := range own {
		out[containerName(spec.Task, a)] = a
	}
	for _, other := range spec.Alike {
		if other.Target == spec.Target && other.Task == spec.Task {
			continue
		}
		found, err := s.runningTasks(ctx, other.Target, other.Task)
		if err != nil {
			return nil, err
		}
		for _, a := range found {
			out[containerName(other.Task, a)] = a
		}
	}
	return out, nil
}

// runningTask is an allocation of a target whose task runs: always the same one of several.
func (s *Sandbox) runningTask(ctx context.Context, ref api.TargetRef, task string) (*nomadapi.AllocationListStub, error) {
	all, err := s.runningTasks(ctx, ref, task)
	if err != nil {
		return nil, err
	}
	return firstOf(all, ref, task)
}

// firstOf is always the same of several allocations.
func firstOf(all []*nomadapi.AllocationListStub, ref api.TargetRef, task string) (*nomadapi.AllocationListStub, error) {
	if len(all) == 0 {
		return nil, api.Errorf(api.CodeUnavailable, "no node runs task %s of %s", task, ref)
	}
	return slices.MinFunc(all, func(a, b *nomadapi.AllocationListStub) int { return strings.Compare(a.ID, b.ID) }), nil
}

// runningTasks lists the allocations of a target whose task runs, and runs what the job names
// now: in the middle of a rollout, others run a version that names another image.
func (s *Sandbox) runningTasks(ctx context.Context, ref api.TargetRef, task string) ([]*nomadapi.AllocationListStub, error) {
	ctx, cancel := context.WithTimeout(ctx, nomad.CallTimeout)
	defer cancel()
	stubs, _, err := s.api.Jobs().Allocations(ref.Job, false, s.nomad.Query(ctx, ref.Namespace))
	if err != nil {
		return nil, nomad.Explain("list allocations of "+ref.Job, err)
	}
	versions, _, _, err := s.api.Jobs().Versions(ref.Job, false, s.nomad.Query(ctx, ref.Namespace))
	if err != nil {
		return nil, nomad.Explain("list versions of "+ref.Job, err)
	}
	alike := namedAlike(versions, ref.Group, task)
	return slices.DeleteFunc(stubs, func(a *nomadapi.AllocationListStub) bool {
		state := a.TaskStates[task]
		return a.TaskGroup != ref.Group || a.ClientStatus != nomadapi.AllocClientStatusRunning || state == nil || state.State != "running" || !alike[a.JobVersion]
	}), nil
}

// namedAlike are the versions of a job that name the image of a task as the newest does.
func namedAlike(versions []*nomadapi.Job, group, task string) map[uint64]bool {
	images, newest := map[uint64]string{}, uint64(0)
	for _, job := range versions {
		newest = max(newest, *job.Version)
		if g := job.LookupTaskGroup(group); g != nil {
			for _, t := range g.Tasks {
				if t.Name == task {
					images[*job.Version] = nomad.Image(t)
				}
			}
		}
	}
	out := map[uint64]bool{}
	for version, image := range images {
		out[version] = image == images[newest]
	}
	return out
}

// containerJob asks the Docker of nodes which images their containers have, and reads the image
// of one allocation.
func containerJob(spec twin.ReadSpec, alloc *nomadapi.AllocationListStub, nodes []string, want, host string) *nomadapi.Job {
	task := nomadapi.NewTask(bakeTask, "raw_exec").
		SetConfig("command", "/bin/sh").
		SetConfig("args", []string{
			"${NOMAD_TASK_DIR}/container.sh", containerName(spec.Task, alloc), want, "${NOMAD_TASK_DIR}/rpm-format",
			"${NOMAD_ALLOC_DIR}/" + strings.TrimPrefix(containerReport, "alloc/"), alloc.NodeID, "${node.unique.id}",
		})
	// HCL would take the format for a template of its own, if it were an argument.
	task.Templates = []*nomadapi.Template{
		template("local/container.sh", containerScript), template("local/databases.sh", databasesScript), template("local/rpm-format", spec.RPMFormat),
	}
	task.Env = map[string]string{"OAKUM_DOCKER_HOST": host}
	return onceOnEach(spec.Job, spec.Target.Namespace, nodes, task, 64)
}
