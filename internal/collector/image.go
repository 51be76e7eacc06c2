package collector

import (
	"cmp"
	"context"
	"time"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/internal/inventory"
	"github.com/oakumhq/oakum/internal/twin"
)

// tagEvery is how often an image of a container is read again that is named by a tag: another
// image may bear the tag by now, on some of the nodes. After a job was registered anew, as
// whoever has pushed another image does, it is tagAnew.
const (
	tagEvery = 24 * time.Hour
	tagAnew  = 15 * time.Minute
)

// Machines opens the images of virtual machines.
type Machines interface {
	ReadImage(ctx context.Context, spec twin.ReadSpec) (twin.Image, error)
}

// Containers opens the images of containers. digest is the one that the job says, or empty.
type Containers interface {
	ReadContainer(ctx context.Context, spec twin.ReadSpec, digest string) (twin.Image, error)
}

// Programs opens the artifacts from which programs run. digest is the one that the job says.
type Programs interface {
	ReadArtifact(ctx context.Context, spec twin.ReadSpec, digest string) (twin.Image, error)
}

// Images reads images, on first sight and when their digest has changed.
type Images struct {
	Machines   Machines   // nil reads none of virtual machines
	Containers Containers // nil reads none of containers
	Programs   Programs   // nil reads no artifacts
	// MaxAge is the age from which an inventory counts no more; zero for any. One that was
	// read from the image is read anew at half of it.
	MaxAge time.Duration
}

var _ Source = Images{}

// Wants is the image of a virtual machine or of a container without an inventory: one whose
// name means the same for every job, or that the job names by its digest. Likewise it is the
// artifact from which a program runs, whose digest the job says.
func (s Images) Wants(t api.Target, found api.TargetInventory, last func(string) *api.InventoryReading, now time.Time) (Want, bool) {
	task := taskOf(t, found.Task)
	if t.Count == 0 || !s.opens(task) || (task.Digest == "" && !inventory.NamesContent(t, task.Name)) {
		return Want{}, false
	}
	of := cmp.Or(task.Digest, task.Image)
	w := Want{Key: "image:" + of, Of: of, Digest: found.Digest, Origin: api.InventoryImage, Target: t, Task: found.Task, Makes: true}
	switch r := found.Record; {
	case r == nil && read(last(w.Key), found.Digest): // what was read differs from another inventory
		return w, false
	case r != nil && r.Origin == api.InventoryImage && task.Driver == "docker" && task.Digest == "" && tagIsOld(last(w.Key), t, now):
	case r != nil && (s.MaxAge == 0 || r.Origin != api.InventoryImage || r.Age(now) < s.MaxAge/2):
		return w, false
	}
	return w, true
}

// tagIsOld reports whether a tag was last read so long ago that it may mean another image.
func tagIsOld(last *api.InventoryReading, t api.Target, now time.Time) bool {
	if last == nil {
		return true
	}
	every := tagEvery
	if last.Target == t.TargetRef && last.JobModifyIndex != t.JobModifyIndex {
		every = tagAnew
	}
	return now.Sub(last.Ended) >= every
}

// taskOf is a task of a target.
func taskOf(t api.Target, name string) api.Task {
	for _, task := range t.Tasks {
		if task.Name == name {
			return task
		}
	}
	return api.Task{}
}

// opens reports whether the image of a task can be opened here.
func (s Images) opens(task api.Task) bool {
	switch task.Driver {
	case "qemu":
		return s.Machines != nil
	case "docker":
		return s.Containers != nil
	case "exec", "raw_exec", "java":
		return s.Programs != nil && task.Digest != ""
	}
	return false
}

// read reports whether a content was read already.
func read(last *api.InventoryReading, digest string) bool {
	return last != nil && !last.Ended.IsZero() && last.Error == "" && last.Digest == digest
}

// Read opens the image where it runs.
func (s Images) Read(ctx context.Context, w Want, job string) (Result, error) {
	spec := twin.ReadSpec{Job: job, Target: w.Target.TargetRef, Task: w.Task, Alike: w.Alike, RPMFormat: inventory.RPMFormat}
	var image twin.Image
	var err error
	switch task := taskOf(w.Target, w.Task); task.Driver {
	case "docker":
		image, err = s.Containers.ReadContainer(ctx, spec, task.Digest)
	case "qemu":
		image, err = s.Machines.ReadImage(ctx, spec)
	default:
		image, err = s.Programs.ReadArtifact(ctx, spec, task.Digest)
	}
	if err != nil {
		return Result{}, err
	}
	out := Result{Digest: "sha256:" + image.Digest}
	out.Inventory, err = inventory.FromImage(w.Of, image.Databases)
	out.Inventory.TakenAt = time.Now().UTC()
	return out, err
}
