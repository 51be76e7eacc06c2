package sandbox

import (
	"context"
	"maps"
	"path"
	"strings"

	nomadapi "github.com/hashicorp/nomad/api"

	"github.com/oakumhq/oakum/internal/nomad"
	"github.com/oakumhq/oakum/internal/twin"
)

// ReadImage reads what is installed in the image that a task of a target runs, in a machine
// of the appliance on a node that runs the target. Nothing of the image runs but its rpm. The
// image that it returns has a digest and databases. The error has code invalid when the
// image may not be read; other errors may pass.
func (s *Sandbox) ReadImage(ctx context.Context, spec twin.ReadSpec) (twin.Image, error) {
	node, err := s.BakeNode(ctx, spec.Target, "")
	if err != nil {
		return twin.Image{}, err
	}
	like, vm, err := s.machineOf(ctx, spec.Target, spec.Task)
	if err != nil {
		return twin.Image{}, err
	}
	bake := readSpec(spec, vm, node)
	job, err := bakeJob(like, bake, *s.options.Appliance, vm, s.imageRoots(like, spec.Target.Group, vm))
	if err != nil {
		return twin.Image{}, err
	}
	fetchAlike(job, vm)
	var image twin.Image
	err = s.runOnce(ctx, job, func(ctx context.Context, stub *nomadapi.AllocationListStub) (err error) {
		image, err = s.bakeResult(ctx, bake, *job.Namespace, stub)
		return err
	})
	if image.Digest == "" && err == nil {
		image.Digest = bake.Digest // Nomad has held the file to it
	}
	return image, err
}

// readSpec is a bake without a script that keeps nothing. An image that the task itself has
// Nomad fetch is fetched once more.
func readSpec(spec twin.ReadSpec, vm *nomadapi.Task, node string) twin.BakeSpec {
	bake := twin.BakeSpec{Job: spec.Job, Target: spec.Target, Task: spec.Task, Node: node, Image: nomad.Image(vm), RPMFormat: spec.RPMFormat}
	if from, digest := nomad.Fetched(vm); from != nil {
		bake.Source, bake.Digest = *from.GetterSource, strings.TrimPrefix(digest, "sha256:")
		bake.Image = "local/" + path.Base(bake.Image)
		return bake
	}
	bake.Hash = true
	return bake
}

// fetchAlike has Nomad fetch the image of a job with the headers and the options that the
// task of production has.
func fetchAlike(job *nomadapi.Job, vm *nomadapi.Task) {
	from, _ := nomad.Fetched(vm)
	if from == nil {
		return
	}
	fetched := job.TaskGroups[0].Tasks[0].Artifacts[0]
	fetched.GetterHeaders, fetched.GetterInsecure = maps.Clone(from.GetterHeaders), from.GetterInsecure
	for name, value := range from.GetterOptions {
		if _, own := fetched.GetterOptions[name]; !own {
			fetched.GetterOptions[name] = value
		}
	}
}
