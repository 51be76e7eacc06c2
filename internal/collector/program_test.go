package collector_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/shoenig/test/must"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/internal/collector"
	"github.com/oakumhq/oakum/internal/twin"
)

// programs reads artifacts, and notes by which digest.
type programs struct{ asked []string }

func (p *programs) ReadArtifact(_ context.Context, spec twin.ReadSpec, digest string) (twin.Image, error) {
	p.asked = append(p.asked, spec.Task+" "+digest)
	return twin.Image{Digest: strings.TrimPrefix(digest, "sha256:"), Databases: map[string]string{"languages": "manifests\npackage\tpkg:npm/lodash@4.17.20\nwhole\tnpm\n"}}, nil
}

func TestImages_ReadsTheArtifactsOfPrograms(t *testing.T) {
	t.Parallel()
	sum := "sha256:" + strings.Repeat("0a", 32)
	never := func(string) *api.InventoryReading { return nil }
	for name, c := range map[string]struct {
		task  api.Task
		reads bool // whether artifacts are read here
		want  bool
	}{
		"a jar":                  {api.Task{Name: "app", Driver: "java", Digest: sum}, true, true},
		"a program":              {api.Task{Name: "app", Driver: "exec", Digest: sum}, true, true},
		"without isolation":      {api.Task{Name: "app", Driver: "raw_exec", Digest: sum}, true, true},
		"a program of the node":  {api.Task{Name: "app", Driver: "exec"}, true, false},
		"without a reader":       {api.Task{Name: "app", Driver: "exec", Digest: sum}, false, false},
		"a driver nobody knows":  {api.Task{Name: "app", Driver: "podman", Image: "web@" + sum, Digest: sum}, true, false},
		"a container of Docker":  {api.Task{Name: "app", Driver: "docker", Image: "web@" + sum, Digest: sum}, true, false},
		"an image of a machine":  {api.Task{Name: "app", Driver: "qemu", Image: "/images/a.qcow2"}, true, false},
		"an unknown virtual one": {api.Task{Name: "app", Driver: "virt", Digest: sum}, true, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p, images := &programs{}, collector.Images{}
			if c.reads {
				images.Programs = p
			}
			target := api.Target{TargetRef: api.TargetRef{Namespace: "prod", Job: "web", Group: "web"}, Count: 1, Tasks: []api.Task{c.task}}
			want, ok := images.Wants(target, api.TargetInventory{Task: "app", Digest: sum}, never, time.Time{})
			must.EqOp(t, c.want, ok)
			if !ok {
				return
			}
			must.EqOp(t, sum, want.Of)
			got, err := images.Read(t.Context(), want, "oakum-twin-inventory-1-read")
			must.NoError(t, err)
			must.Eq(t, []string{"app " + sum}, p.asked)
			must.EqOp(t, sum, got.Digest)
			must.EqOp(t, "npm", got.Inventory.Format)
		})
	}
}
