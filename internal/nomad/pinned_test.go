package nomad

import (
	"strings"
	"testing"

	nomadapi "github.com/hashicorp/nomad/api"
	"github.com/shoenig/test/must"
)

func TestPinned_IsTheDigestOfWhatATaskRuns(t *testing.T) {
	t.Parallel()
	sum := "sha256:" + strings.Repeat("0a", 32)
	artifact := func(source, checksum string) *nomadapi.TaskArtifact {
		return &nomadapi.TaskArtifact{GetterSource: &source, GetterOptions: map[string]string{"checksum": checksum}}
	}
	for name, c := range map[string]struct {
		driver, key, runs string
		artifacts         []*nomadapi.TaskArtifact
		want              string
	}{
		"a container image by digest":      {"docker", "image", "shop/web:1.2@" + sum, nil, sum},
		"a container image by tag":         {"docker", "image", "shop/web:1.2", nil, ""},
		"a container that reads a file":    {"docker", "image", "shop/web:1.2", []*nomadapi.TaskArtifact{artifact("http://a/web.yaml", sum)}, ""},
		"a disk image that is fetched":     {"qemu", "image_path", "local/web.qcow2", []*nomadapi.TaskArtifact{artifact("http://a/web.qcow2?x=1", sum)}, sum},
		"a disk image of the node":         {"qemu", "image_path", "/images/web.qcow2", []*nomadapi.TaskArtifact{artifact("http://a/web.qcow2", sum)}, ""},
		"a disk image beside what it gets": {"qemu", "image_path", "local/web.qcow2", []*nomadapi.TaskArtifact{artifact("http://a/seed.iso", sum)}, ""},
		"a program that is fetched":        {"exec", "command", "local/web", []*nomadapi.TaskArtifact{artifact("http://a/web", strings.ToUpper(sum[:9])+sum[9:])}, sum},
		"a program of the node":            {"exec", "command", "/usr/bin/web", []*nomadapi.TaskArtifact{artifact("http://a/web.yaml", sum)}, ""},
		"a checksum of another kind":       {"exec", "command", "local/web", []*nomadapi.TaskArtifact{artifact("http://a/web", "md5:00")}, ""},
		"two artifacts":                    {"exec", "command", "local/web", []*nomadapi.TaskArtifact{artifact("http://a/web", sum), artifact("http://a/lib", sum)}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			task := &nomadapi.Task{Driver: c.driver, Config: map[string]any{c.key: c.runs}, Artifacts: c.artifacts}
			must.Eq(t, c.want, pinned(task))
		})
	}
}
