package collector

import (
	"context"
	"path"
	"strings"
	"time"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/internal/inventory"
	"github.com/oakumhq/oakum/internal/twin"
)

// Machines opens the images of virtual machines.
type Machines interface {
	ReadImage(ctx context.Context, spec twin.ReadSpec) (twin.Image, error)
}

// Images reads the images of virtual machines in the appliance, on first sight and when
// their digest has changed.
type Images struct {
	Machines Machines
	// MaxAge is the age from which an inventory counts no more; zero for any. One that was
	// read from the image is read anew at half of it.
	MaxAge time.Duration
}

var _ Source = Images{}

// Wants is the image of a virtual machine without an inventory: one that is a file of the
// nodes, or that the job has Nomad fetch by its SHA-256.
func (s Images) Wants(t api.Target, found api.TargetInventory, last func(string) *api.InventoryReading, now time.Time) (Want, bool) {
	of := found.Image
	for _, task := range t.Tasks {
		switch {
		case task.Name != found.Task:
		case task.Driver != "qemu":
			return Want{}, false
		case task.Digest != "":
			of = task.Digest
		case !path.IsAbs(task.Image) || strings.Contains(task.Image, "${"):
			return Want{}, false
		}
	}
	key := "image:" + of
	switch r := found.Record; {
	case t.Count == 0 || of == "":
		return Want{}, false
	case r == nil && read(last(key), found.Digest): // what was read differs from another inventory
		return Want{}, false
	case r != nil && (s.MaxAge == 0 || r.Origin != api.InventoryImage || r.Age(now) < s.MaxAge/2):
		return Want{}, false
	}
	return Want{Key: key, Of: of, Origin: api.InventoryImage, Target: t, Task: found.Task, Makes: true}, true
}

// read reports whether a content was read already.
func read(last *api.InventoryReading, digest string) bool {
	return last != nil && !last.Ended.IsZero() && last.Error == "" && last.Digest == digest
}

// Read has the appliance open the image.
func (s Images) Read(ctx context.Context, w Want, job string) (Result, error) {
	image, err := s.Machines.ReadImage(ctx, twin.ReadSpec{Job: job, Target: w.Target.TargetRef, Task: w.Task, RPMFormat: inventory.RPMFormat})
	if err != nil {
		return Result{}, err
	}
	out := Result{Digest: "sha256:" + image.Digest}
	out.Inventory, err = inventory.FromImage(w.Of, image.Databases)
	out.Inventory.TakenAt = time.Now().UTC()
	return out, err
}
