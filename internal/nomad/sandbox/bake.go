package sandbox

import (
	"context"
	"fmt"
	"maps"
	"slices"

	nomadapi "github.com/hashicorp/nomad/api"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/internal/nomad"
	"github.com/oakumhq/oakum/internal/twin"
)

const (
	// reportMax is how many bytes of a report are read; bake.sh keeps as many.
	reportMax = 1<<20 + 4096
	// consoleTail is how many bytes of a console's end are looked at for a reason.
	consoleTail = 4096
)

// BakeImage runs a patch's scripts in a copy of an image, in a machine of the
// appliance. The error has code conflict when the patch is to blame: a script or a
// command that proves the fix failed or did not end, or a payload is not what its
// checksum says. It has code invalid when the patch or the image is refused unread.
// Any other error says nothing about the patch. Nomad clients that do not share their
// folder of images do not get the result.
func (s *Sandbox) BakeImage(ctx context.Context, spec twin.BakeSpec) (twin.Image, error) {
	if err := s.needAppliance(); err != nil {
		return twin.Image{}, err
	}
	like, vm, err := s.machineOf(ctx, spec.Target, spec.Task)
	if err != nil {
		return twin.Image{}, err
	}
	job, err := bakeJob(like, spec, *s.options.Appliance, vm, s.imageRoots(like, spec.Target.Group, vm))
	if err != nil {
		return twin.Image{}, err
	}
	var image twin.Image
	err = s.runOnce(ctx, job, func(ctx context.Context, stub *nomadapi.AllocationListStub) (err error) {
		image, err = s.bakeResult(ctx, spec, *job.Namespace, stub)
		return err
	})
	return image, err
}

// machineOf is the job of a target, and its task that is a virtual machine.
func (s *Sandbox) machineOf(ctx context.Context, ref api.TargetRef, task string) (*nomadapi.Job, *nomadapi.Task, error) {
	job, err := s.readJob(ctx, ref)
	if err != nil {
		return nil, nil, err
	}
	vm, err := twinTask(job.LookupTaskGroup(ref.Group), task)
	return job, vm, err
}

// bakeResult reads what a bake has left.
func (s *Sandbox) bakeResult(ctx context.Context, spec twin.BakeSpec, namespace string, stub *nomadapi.AllocationListStub) (twin.Image, error) {
	ctx, cancel := context.WithTimeout(ctx, nomad.CallTimeout)
	defer cancel()
	end := bakeEnd{spec: spec, within: s.options.Appliance.Within, code: codeUnknown}
	if state := stub.TaskStates[bakeTask]; state != nil {
		end.events = state.Events
		for _, e := range state.Events {
			if e.Type == nomadapi.TaskTerminated {
				end.code = e.ExitCode
			}
		}
	}
	if end.code != 0 {
		end.why = s.failed(ctx, namespace, stub)
	}
	if end.code == codeUnknown {
		return end.image()
	}
	var err error
	if end.report, err = s.readFile(ctx, namespace, stub.ID, bakeReport, reportMax); err != nil {
		return twin.Image{}, err
	}
	if end.console, err = s.output(ctx, namespace, stub.ID, bakeTask, consoleTail); err != nil {
		return twin.Image{}, err
	}
	return end.image()
}

// DiscardImage removes a baked image that no instance will run, from the node that baked
// it. The target's job may be gone by then.
func (s *Sandbox) DiscardImage(ctx context.Context, target api.TargetRef, jobID string, baked twin.Image) error {
	like, err := s.readJob(ctx, target)
	if api.IsCode(err, api.CodeNotFound) {
		like, err = &nomadapi.Job{Namespace: new(target.Namespace)}, nil
	}
	if err != nil {
		return err
	}
	job := discardJob(like, jobID, baked)
	return s.runOnce(ctx, job, func(ctx context.Context, stub *nomadapi.AllocationListStub) error {
		if stub.ClientStatus == nomadapi.AllocClientStatusComplete {
			return nil
		}
		return api.Errorf(api.CodeUnavailable, "remove %s: %s", baked.Path, s.failed(ctx, *job.Namespace, stub))
	})
}

// discardJob removes an image. The node may be one of a pool that the target knows nothing
// of, so the job may run in any.
func discardJob(like *nomadapi.Job, id string, baked twin.Image) *nomadapi.Job {
	task := shellTask(`rm -f "$1" "$2"`, baked.Path, baked.Path+twin.PartSuffix)
	return onceJob(like, id, baked.Node, nomadapi.NodePoolAll, task)
}

func (s *Sandbox) readJob(ctx context.Context, ref api.TargetRef) (*nomadapi.Job, error) {
	ctx, cancel := context.WithTimeout(ctx, nomad.CallTimeout)
	defer cancel()
	job, err := s.nomad.Job(ctx, ref.Namespace, ref.Job)
	if err != nil {
		return nil, err
	}
	if job.LookupTaskGroup(ref.Group) == nil {
		return nil, api.Errorf(api.CodeNotFound, "job %s has no group %q", ref.Job, ref.Group)
	}
	return job, nil
}

// Bakes reports whether this server has an appliance.
func (s *Sandbox) Bakes() bool { return s.options.Appliance != nil }

// BakeNode is the ID of a node that runs the target, or of a ready one in a node pool. A
// pool for simulations has the folder of images that the target's nodes have. Without an
// appliance there is none.
func (s *Sandbox) BakeNode(ctx context.Context, ref api.TargetRef, pool string) (string, error) {
	if err := s.needAppliance(); err != nil {
		return "", err
	}
	if pool != "" {
		return s.nodeIn(ctx, pool)
	}
	nodes, err := s.nodesOf(ctx, ref)
	if err != nil {
		return "", err
	}
	return slices.Min(slices.Collect(maps.Keys(nodes))), nil
}

func (s *Sandbox) needAppliance() error {
	if s.options.Appliance == nil {
		return api.Errorf(api.CodeInvalid, "a script runs in an appliance, and this server has none (simulator.appliance)")
	}
	return nil
}

// nodeIn is the least ID of the nodes of a pool that take work. It asks the list of all
// nodes: that of a pool wants rights to the pool too, which nothing else here needs.
func (s *Sandbox) nodeIn(ctx context.Context, pool string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, nomad.CallTimeout)
	defer cancel()
	q := s.nomad.Query(ctx, "")
	if pool != nomadapi.NodePoolAll {
		q.Filter = fmt.Sprintf("NodePool == %q", pool)
	}
	nodes, _, err := s.api.Nodes().List(q)
	if err != nil {
		return "", nomad.Explain("list nodes of pool "+pool, err)
	}
	least := ""
	for _, n := range nodes {
		if n.Status == nomadapi.NodeStatusReady && n.SchedulingEligibility == nomadapi.NodeSchedulingEligible && (least == "" || n.ID < least) {
			least = n.ID
		}
	}
	if least == "" {
		return "", api.Errorf(api.CodeUnavailable, "node pool %q has no node that takes work (simulate.pool)", pool)
	}
	return least, nil
}
