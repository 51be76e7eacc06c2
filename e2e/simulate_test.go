//go:build e2e

package e2e

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/shoenig/test/must"

	nomadapi "github.com/hashicorp/nomad/api"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/e2e/daemon"
	"github.com/oakumhq/oakum/internal/nomad"
	twins "github.com/oakumhq/oakum/internal/nomad/sandbox"
	"github.com/oakumhq/oakum/internal/simulator"
	"github.com/oakumhq/oakum/internal/twin"
)

// sandbox is the simulator over a real Nomad with one virtual machine to copy.
type sandbox struct {
	t         *testing.T
	vendor    *nomadapi.Client
	client    *nomad.Client
	machines  *twins.Sandbox
	simulator *simulator.Simulator
	target    api.Target
	images    string
}

// newSandbox runs one machine of the store's image under Nomad's QEMU driver.
func newSandbox(t *testing.T) *sandbox {
	t.Helper()
	env := sharedStack(t)
	vendor, err := nomadapi.NewClient(&nomadapi.Config{Address: env.NomadAddr, SecretID: env.NomadToken})
	must.NoError(t, err)
	client, err := nomad.New(nomad.Config{Address: env.NomadAddr, Token: func() string { return env.NomadToken }})
	must.NoError(t, err)
	scripts, err := daemon.Appliance(env.Images)
	must.NoError(t, err)
	must.NotNil(t, scripts, must.Sprintf("%s has no appliance: make images", env.Images))
	machines := twins.New(client, twins.Options{Appliance: scripts, ImageRoots: []string{env.Images, os.TempDir()}})
	s := &sandbox{t: t, vendor: vendor, client: client, machines: machines, images: env.Images}
	s.simulator = simulator.New(simulator.Options{Sandbox: s.machines, Baker: s.machines, HealthyWithin: 5 * time.Minute, Within: 30 * time.Minute})

	id := "door-" + strings.ToLower(t.Name()) // each test has a job of its own
	job := machineJob(id, filepath.Join(s.images, "store-1.0.qcow2"))
	_, _, err = vendor.Jobs().Register(job, nil)
	must.NoError(t, err)
	endJob(t, vendor, id)
	s.target, err = client.Target(t.Context(), api.TargetRef{Namespace: "default", Job: id, Group: "store"})
	must.NoError(t, err)
	eventually(t, "the machine runs", 2*time.Minute, func() bool {
		allocs, _, err := vendor.Jobs().Allocations(id, false, nil)
		return err == nil && len(allocs) == 1 && allocs[0].ClientStatus == "running"
	})
	return s
}

// machineJob is a job of one QEMU task as people write it, with a neighbour, a
// service and a check.
func machineJob(id, image string) *nomadapi.Job {
	job := nomadapi.NewServiceJob(id, id, "global", 50)
	group := nomadapi.NewTaskGroup("store", 1)
	group.Meta = map[string]string{"oakum_paths": "/item/1,/item/2,/item/3,/item/4"}
	group.Networks = []*nomadapi.NetworkResource{{DynamicPorts: []nomadapi.Port{{Label: "http"}}}}
	group.Services = []*nomadapi.Service{{
		Name: id, Provider: "nomad", PortLabel: "http", Address: "127.0.0.1",
		Checks: []nomadapi.ServiceCheck{{Type: "http", Path: "/health", Interval: 2 * time.Second, Timeout: time.Second}},
	}}
	group.EphemeralDisk = &nomadapi.EphemeralDisk{SizeMB: new(32)}
	logs := &nomadapi.LogConfig{MaxFiles: new(1), MaxFileSizeMB: new(2)}
	vm := nomadapi.NewTask("vm", "qemu").SetConfig("image_path", image).SetConfig("drive_interface", "virtio").SetConfig("args", []string{
		"-snapshot", "-no-reboot",
		"-netdev", "user,id=n0,hostfwd=tcp:127.0.0.1:${NOMAD_PORT_http}-:8080",
		"-device", "virtio-net-pci,netdev=n0,romfile=",
	})
	vm.Resources = &nomadapi.Resources{CPU: new(200), MemoryMB: new(128), MemoryMaxMB: new(400)}
	vm.KillTimeout, vm.LogConfig = new(time.Second), logs
	neighbour := nomadapi.NewTask("neighbour", "raw_exec").SetConfig("command", "/bin/sleep").SetConfig("args", []string{"3600"})
	neighbour.Resources = &nomadapi.Resources{CPU: new(20), MemoryMB: new(16)}
	neighbour.LogConfig = logs
	group.Tasks = []*nomadapi.Task{vm, neighbour}
	job.TaskGroups = []*nomadapi.TaskGroup{group}
	return job
}

// request tries another image for some seconds.
func (s *sandbox) request(id, image string, took time.Duration) simulator.Request {
	return simulator.Request{
		ID: id, Patch: image, Target: s.target,
		Apply: []api.Apply{{Kind: api.ApplyImage, Task: "vm", Image: filepath.Join(s.images, image+".qcow2")}},
		Spec:  api.SimulateSpec{Required: true, Duration: api.Duration(took), Workload: "replay"},
		Judge: api.JudgeSpec{
			Enabled: true, FalseAlarm: 0.01, Miss: 0.05,
			KPIs: []api.KPISpec{
				// A good patch passes within a minute, on a machine that is busy.
				{KPI: api.KPIErrorRate, AbortAbove: 1.1, PromoteBelow: 2, IgnoreBelow: 0.05},
				{KPI: api.KPILatencyP99, AbortAbove: 1.1, PromoteBelow: 4, IgnoreBelow: 0.001},
				{KPI: api.KPICPU, AbortAbove: 1.2, PromoteBelow: 4, IgnoreBelow: 0.01},
			},
		},
	}
}

// noTwins asks Nomad that no job of the sandbox exists and that nothing of one
// still runs.
func (s *sandbox) noTwins() {
	s.t.Helper()
	jobs, _, err := s.vendor.Jobs().PrefixList(twin.Prefix)
	must.NoError(s.t, err)
	must.SliceEmpty(s.t, jobs)
	eventually(s.t, "no twin runs", time.Minute, func() bool { // its client may tell Nomad so a moment later
		allocs, _, err := s.vendor.Allocations().List(nil)
		must.NoError(s.t, err)
		return !slices.ContainsFunc(allocs, func(a *nomadapi.AllocationListStub) bool {
			return strings.HasPrefix(a.JobID, twin.Prefix) && a.ClientStatus == "running"
		})
	})
}

// TestSimulate tries patches on twins of a real virtual machine.
func TestSimulate(t *testing.T) {
	s := newSandbox(t)

	t.Run("a good patch passes", func(t *testing.T) {
		impact, err := s.simulator.Run(t.Context(), s.request("good/1", "store-1.1", 50*time.Second))
		must.NoError(t, err)
		tell(t, impact)
		must.Eq(t, api.SimulationPass, impact.Verdict, must.Sprint(impact.Reason))
		must.Between(t, 120, impact.Requests, 255) // five a second, on a machine that keeps up
		must.Len(t, 2, impact.Twins)
		for _, twin := range impact.Twins {
			must.Len(t, 64, []byte(twin.ImageDigest))
			must.Positive(t, twin.HealthyAfter)
		}
		must.NotEq(t, impact.Twins[0].ImageDigest, impact.Twins[1].ImageDigest)
		disksAreTold(t, impact)
		s.noTwins()
	})

	t.Run("a bad patch is rejected for the KPI that condemns it", func(t *testing.T) {
		impact, err := s.simulator.Run(t.Context(), s.request("bad/1", "store-1.2", 60*time.Second))
		must.NoError(t, err)
		tell(t, impact)
		must.True(t, impact.Negative)
		must.StrContains(t, impact.Reason, "of the patched twin is")
		s.noTwins()
	})

	t.Run("a patch that never serves is rejected", func(t *testing.T) {
		impact, err := s.simulator.Run(t.Context(), s.request("sick/1", "store-1.4", 20*time.Second))
		must.NoError(t, err)
		tell(t, impact)
		must.True(t, impact.Negative)
		must.StrContains(t, impact.Reason, "the patched twin does not serve")
		s.noTwins()
	})

	t.Run("an image that does not exist is not the patch's fault", func(t *testing.T) {
		_, err := s.simulator.Run(t.Context(), s.request("none/1", "store-9.9", 20*time.Second))
		must.True(t, api.IsCode(err, api.CodeUnavailable), must.Sprint(err))
		must.ErrorContains(t, err, "lacks image "+filepath.Join(s.images, "store-9.9.qcow2"))
		s.noTwins()
	})

	t.Run("a script is baked into the image that is tried", s.baked)

	t.Run("a script that fails is the patch's fault", func(t *testing.T) {
		r := s.request("broken/1", "store-1.0", 10*time.Second)
		r.Apply = append(r.Apply, api.Apply{Kind: api.ApplyScript, Task: "vm", Script: "echo no such package >&2; exit 3"})
		impact, _, err := s.simulator.Try(t.Context(), r)
		must.NoError(t, err)
		must.True(t, impact.Negative)
		must.StrContains(t, impact.Reason, "the script ended with status 3")
		s.noTwins()
	})

	t.Run("a patch that writes to its disk is rejected for that", s.writing)
	t.Run("a machine that makes its own disk has a twin", s.ownDisk)
	t.Run("who asks QEMU may die", s.askerDies)
	t.Run("a node that refuses QEMU's monitor simulates without", s.refused)
	t.Run("twins are isolated", s.isolated)

	t.Run("the end of the term takes the twins away", func(t *testing.T) {
		lost := errors.New("leadership was lost")
		ctx, cancel := context.WithCancelCause(t.Context())
		ended := make(chan error, 1)
		go func() {
			_, err := s.simulator.Run(ctx, s.request("term/1", "store-1.1", time.Minute))
			ended <- err
		}()
		eventually(t, "both twins are in nomad", time.Minute, func() bool {
			twins, _, err := s.vendor.Jobs().PrefixList(twin.Prefix)
			return err == nil && len(twins) == 2
		})
		cancel(lost)
		must.ErrorIs(t, <-ended, lost)
		s.noTwins()
	})

	t.Run("what a crash left is removed, and nothing else", func(t *testing.T) {
		sim := api.Simulation{ID: "crashed/1", Target: s.target.TargetRef}
		var jobs []string
		for _, run := range []string{"ff", "fe"} {
			spec := twin.Spec{Job: twin.JobID(sim.ID, run, twin.Control), Target: s.target.TargetRef, Task: "vm"}
			_, err := s.machines.StartTwin(t.Context(), spec)
			must.NoError(t, err)
			jobs = append(jobs, spec.Job)
		}
		remove := func(job string) {
			must.NoError(t, s.simulator.Remove(t.Context(), sim, api.SandboxObject{Kind: api.ObjectJob, Namespace: s.target.Namespace, Name: job}))
		}
		remove(jobs[0])
		twins, _, err := s.vendor.Jobs().PrefixList(twin.Prefix)
		must.NoError(t, err)
		must.Len(t, 1, twins)
		must.EqOp(t, jobs[1], twins[0].ID)
		remove(jobs[1])
		remove(jobs[1]) // once more is no error
		s.noTwins()
	})
}

// baked runs a script in a copy of an image and boots what came of it.
func (s *sandbox) baked(t *testing.T) {
	folder := t.TempDir()
	source := filepath.Join(folder, "store-1.0.qcow2")
	content, err := os.ReadFile(filepath.Join(s.images, "store-1.0.qcow2"))
	must.NoError(t, err)
	must.NoError(t, os.WriteFile(source, content, 0o644))
	r := s.request("script/1", "store-1.0", 5*time.Second)
	r.Apply = []api.Apply{
		{Kind: api.ApplyImage, Task: "vm", Image: source},
		{Kind: api.ApplyScript, Task: "vm", Script: "sed -i s/VERSION=1.0/VERSION=1.0.1/ /etc/shop.env\ngrep -q 1.0.1 /etc/shop.env"},
	}
	impact, apply, err := s.simulator.Try(t.Context(), r)
	must.NoError(t, err)
	tell(t, impact)
	must.False(t, impact.Negative, must.Sprint(impact.Reason))
	must.Len(t, 1, apply)
	must.Eq(t, api.ApplyImage, apply[0].Kind)

	// What was tried is what production gets, byte for byte.
	image, err := os.ReadFile(apply[0].Image)
	must.NoError(t, err)
	sum := sha256.Sum256(image)
	must.Eq(t, hex.EncodeToString(sum[:]), impact.Twins[1].ImageDigest)
	must.Eq(t, hex.EncodeToString(sum[:]), apply[0].Digest)
	after, err := os.ReadFile(source)
	must.NoError(t, err)
	must.True(t, bytes.Equal(content, after), must.Sprint("the source image is untouched"))

	// The same once more, as `oakum simulate` does: nothing is kept.
	_, err = s.simulator.Run(t.Context(), r)
	must.NoError(t, err)
	files, err := filepath.Glob(filepath.Join(folder, "*"))
	must.NoError(t, err)
	must.Len(t, 2, files)
	s.noTwins()
}

// isolated reads a twin's job as Nomad has it.
func (s *sandbox) isolated(t *testing.T) {
	spec := twin.Spec{Job: twin.JobID("look/1", "ff", twin.Control), Target: s.target.TargetRef, Task: "vm", Expect: s.target.JobModifyIndex}
	m, err := s.machines.StartTwin(t.Context(), spec)
	must.NoError(t, err)
	defer func() { must.NoError(t, s.machines.StopTwin(context.WithoutCancel(t.Context()), m.Namespace, m.Job)) }()
	job, _, err := s.vendor.Jobs().Info(m.Job, nil)
	must.NoError(t, err)
	group := job.TaskGroups[0]
	must.SliceEmpty(t, group.Services)
	must.Eq(t, 1, *group.Count)
	names := []string{}
	for _, task := range group.Tasks {
		names = append(names, task.Name)
	}
	must.Eq(t, []string{"oakum-prepare", "vm", "oakum-ask"}, names)
	args := fmt.Sprint(group.Tasks[1].Config["args"])
	must.StrContains(t, args, "user,restrict=on,ipv6=off,id=n0")
	must.StrNotContains(t, args, "-snapshot")

	_, err = s.machines.StartTwin(t.Context(), spec)
	must.True(t, api.IsCode(err, api.CodeConflict), must.Sprint("a twin is never started twice"))
}

// tell prints what was measured.
func tell(t *testing.T, impact api.Impact) {
	t.Helper()
	t.Logf("%s after %d requests: %s", impact.Verdict, impact.Requests, impact.Reason)
	for _, k := range impact.KPIs {
		t.Logf("  %-12s %-12s %.4g against %.4g %s, evidence %.2f of %.2f, promote %.2f", k.KPI, k.Kind, k.Canary, k.Stable, k.Unit, k.Evidence, k.Needed, k.Promote)
	}
	for _, twin := range impact.Twins {
		t.Logf("  %-9s healthy after %s, image %s", twin.Role, twin.HealthyAfter, twin.Image)
	}
}
