package simulator

import (
	"context"
	"fmt"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/internal/inventory"
	"github.com/oakumhq/oakum/internal/twin"
)

// reportInstalled reports what is installed in the patched image, unless the patch was turned
// back: then production never runs it. An appliance of an older version told nothing.
func (t *trial) reportInstalled(ctx context.Context, impact api.Impact) error {
	if t.o.Installed == nil || impact.Negative || len(t.baked.Databases) == 0 {
		return nil
	}
	image := t.patchedImage()
	digest := t.baked.Digest
	for _, tw := range impact.Twins {
		if digest == "" && tw.Role == twin.Treatment && tw.Image == image {
			digest = tw.ImageDigest
		}
	}
	if digest == "" {
		return fmt.Errorf("the digest of image %s is not known", image)
	}
	inv, err := inventory.FromImage(image, t.baked.Databases)
	if err != nil {
		return err
	}
	return t.o.Installed(ctx, digest, inv)
}

// patchedImage is the image that the patched machine has.
func (t *trial) patchedImage() string {
	for _, a := range t.request.Apply {
		if a.Kind == api.ApplyImage && a.Task == t.task {
			return a.Image
		}
	}
	return imageOf(t.request.Target, t.task)
}
