//go:build e2e

package e2e

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/shoenig/test/must"

	nomadapi "github.com/hashicorp/nomad/api"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/e2e/daemon"
	"github.com/oakumhq/oakum/internal/appliance"
	twins "github.com/oakumhq/oakum/internal/nomad/sandbox"
	"github.com/oakumhq/oakum/internal/twin"
)

// TestBakeImage runs scripts in the appliance, as jobs of a real Nomad.
func TestBakeImage(t *testing.T) {
	s := newSandbox(t)
	known, err := daemon.Appliance(s.images)
	must.NoError(t, err)
	folder := t.TempDir()
	content, err := os.ReadFile(filepath.Join(s.images, "store-1.0.qcow2"))
	must.NoError(t, err)
	must.NoError(t, os.WriteFile(filepath.Join(folder, "store-1.0.qcow2"), content, 0o644))
	node, err := s.machines.BakeNode(t.Context(), s.target.TargetRef, "")
	must.NoError(t, err)

	// What Nomad fetches: a payload, and the appliance's own files.
	files := http.NewServeMux()
	files.HandleFunc("/pool/tool.gz", func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("\x1f\x8btool")) })
	files.Handle("/appliance/", http.StripPrefix("/appliance/", http.FileServer(http.Dir(filepath.Join(s.images, "appliance")))))
	server := httptest.NewServer(files)
	t.Cleanup(server.Close)
	sum := sha256.Sum256([]byte("\x1f\x8btool"))
	payload := api.Payload{Name: "tool", Source: server.URL + "/pool/tool.gz", Checksum: "sha256:" + hex.EncodeToString(sum[:])}

	spec := func(run string, steps ...twin.Step) twin.BakeSpec {
		source := filepath.Join(folder, "store-1.0.qcow2")
		return twin.BakeSpec{
			Job: twin.JobID("bake/1", run, "bake"), Target: s.target.TargetRef, Task: "vm", Node: node,
			Image: source, Result: twin.BakedPath(source, run), Steps: steps,
		}
	}
	// left looks for files beside the image, but for those that are named.
	left := func(named ...string) {
		t.Helper()
		found, err := os.ReadDir(folder)
		must.NoError(t, err)
		must.Len(t, 1+len(named), found)
		s.noTwins()
	}

	t.Run("a script with a payload and a proof", func(t *testing.T) {
		remote := *known
		remote.Kernel.Source, remote.Initrd.Source = server.URL+"/appliance/vmlinuz", server.URL+"/appliance/initrd"
		script := "set -e\ncp tool.gz /etc/tool\ncat >/etc/bytes <<'E'\ncaf\xe9 {{ env \"HOME\" }} ${NOMAD_TASK_DIR}\nE\n#" + strings.Repeat("x", 1<<20) + "\n"
		image, err := twins.New(s.client, twins.Options{Appliance: &remote, ImageRoots: []string{folder}}).BakeImage(t.Context(), spec("a1", twin.Step{
			Script: script, Payloads: []api.Payload{payload},
			Verify: []api.Verify{{Command: "cat /etc/tool /etc/bytes", Expect: "tool"}},
		}))
		must.NoError(t, err)
		must.StrContains(t, image.Proofs[0].Output, `{{ env "HOME" }} ${NOMAD_TASK_DIR}`)
		baked, err := os.ReadFile(image.Path)
		must.NoError(t, err)
		sum := sha256.Sum256(baked)
		must.EqOp(t, hex.EncodeToString(sum[:]), image.Digest)
		left(image.Path)
		must.NoError(t, s.machines.DiscardImage(t.Context(), s.target.TargetRef, twin.JobID("bake/1", "a1", "discard"), image))
		left()
	})

	for name, c := range map[string]struct {
		step      twin.Step
		appliance func(a *appliance.Appliance)
		code      api.ErrorCode
		want      string
	}{
		"a payload that is another": {
			twin.Step{Script: ":", Payloads: []api.Payload{{Name: "tool", Source: payload.Source, Checksum: "sha256:" + strings.Repeat("0a", 32)}}}, nil,
			api.CodeConflict, `payload "tool": ` + payload.Source + " has the checksum " + payload.Checksum + ", not sha256:" + strings.Repeat("0a", 32),
		},
		"a payload that is not there": {
			twin.Step{Script: ":", Payloads: []api.Payload{{Name: "tool", Source: server.URL + "/none", Checksum: payload.Checksum}}}, nil,
			api.CodeUnavailable, "/none",
		},
		"a kernel that is another": {
			twin.Step{Script: ":"}, func(a *appliance.Appliance) {
				a.Kernel = appliance.File{Source: server.URL + "/appliance/initrd", Checksum: a.Kernel.Checksum}
			}, api.CodeUnavailable, "hecksum",
		},
		"a kernel that the node lacks": {
			twin.Step{Script: ":"}, func(a *appliance.Appliance) { a.Kernel.Source = "/none/vmlinuz" }, api.CodeUnavailable, "this node has no /none/vmlinuz",
		},
		"a machine that no node has room for": {
			twin.Step{Script: ":"}, func(a *appliance.Appliance) { a.Memory = 1 << 20 }, api.CodeUnavailable, "no room to work on the image",
		},
		"a script that fails": {
			twin.Step{Script: "echo no such package >&2; exit 3"}, nil, api.CodeConflict, "the script ended with status 3; the console's last lines: no such package",
		},
		"a script that never ends": {
			twin.Step{Script: "while :; do echo endless; done"}, func(a *appliance.Appliance) { a.Within = 5 * time.Second },
			api.CodeConflict, "the script has not ended after 5s; the console's last lines: ",
		},
	} {
		t.Run(name, func(t *testing.T) {
			a := *known
			if c.appliance != nil {
				c.appliance(&a)
			}
			// Each run has a job of its own, as simulations have: Nomad remembers why a
			// former one of the same ID was not placed.
			run := hex.EncodeToString([]byte(name))
			_, err := twins.New(s.client, twins.Options{Appliance: &a, ImageRoots: []string{folder}}).BakeImage(t.Context(), spec(run, c.step))
			must.ErrorContains(t, err, c.want)
			must.EqOp(t, c.code, api.AsError(err).Code)
			left()
		})
	}

	t.Run("the end of the term ends the machine", func(t *testing.T) {
		lost := errors.New("leadership was lost")
		ctx, cancel := context.WithCancelCause(t.Context())
		ended := make(chan error, 1)
		go func() {
			_, err := s.machines.BakeImage(ctx, spec("c3", twin.Step{Script: "while :; do sleep 1; done"}))
			ended <- err
		}()
		eventually(t, "the machine runs", time.Minute, func() bool {
			allocs, _, err := s.vendor.Jobs().Allocations(twin.JobID("bake/1", "c3", "bake"), true, nil)
			return err == nil && len(allocs) == 1 && allocs[0].ClientStatus == nomadapi.AllocClientStatusRunning
		})
		cancel(lost)
		must.ErrorContains(t, <-ended, lost.Error())
		left()
	})
}
