package nomad_test

import (
	"context"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	nomadapi "github.com/hashicorp/nomad/api"
	"github.com/shoenig/test/must"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/e2e/fleet/door"
	served "github.com/oakumhq/oakum/e2e/fleet/nomad"
	"github.com/oakumhq/oakum/internal/appliance"
	"github.com/oakumhq/oakum/internal/fleet"
	"github.com/oakumhq/oakum/internal/fleet/load"
	"github.com/oakumhq/oakum/internal/nomad"
	"github.com/oakumhq/oakum/internal/nomad/sandbox"
	"github.com/oakumhq/oakum/internal/simulator"
	"github.com/oakumhq/oakum/internal/wait"
)

// TestSandbox tries patches on twins that the model serves, with the simulator
// and the adapter that production uses.
func TestSandbox(t *testing.T) {
	t.Parallel()
	// All at once, however many processors there are: they wait most of the time.
	var group sync.WaitGroup
	for name, c := range map[string]struct {
		apply    api.Apply
		negative bool
		reason   string
	}{
		"an image that does no harm":      {api.Apply{Kind: api.ApplyImage, Image: "/images/store-2.qcow2"}, false, "nothing got worse"},
		"an image whose requests fail":    {api.Apply{Kind: api.ApplyImage, Image: "/images/failing.qcow2"}, true, "error_rate"},
		"an image that does not boot":     {api.Apply{Kind: api.ApplyImage, Image: "/images/dead.qcow2"}, true, "does not serve"},
		"an image that crashes":           {api.Apply{Kind: api.ApplyImage, Image: "/images/crashing.qcow2"}, true, "died"},
		"a script that is baked into one": {api.Apply{Kind: api.ApplyScript, Script: "touch /patched", Verify: &api.Verify{Command: "test -e /patched"}}, false, "nothing got worse"},
	} {
		group.Go(func() {
			t.Run(name, func(t *testing.T) {
				client, m := machines(t)
				target, err := client.Target(t.Context(), api.TargetRef{Namespace: "default", Job: "store", Group: "store"})
				must.NoError(t, err)
				c.apply.Task = "vm"
				file := appliance.File{Source: "/opt/oakum/file", Checksum: "sha256:" + strings.Repeat("0a", 32)}
				twins := sandbox.New(client, sandbox.Options{Appliance: &appliance.Appliance{Kernel: file, Initrd: file, Memory: 256, Within: time.Minute}})
				s := simulator.New(simulator.Options{Sandbox: twins, Baker: twins, Look: time.Second, Warmup: 2 * time.Second})
				// A hundred requests bear an answer that a busy machine gives too late.
				impact, apply, err := s.Try(t.Context(), simulator.Request{
					ID: "s-1", Patch: "p", Apply: []api.Apply{c.apply}, Target: target, Spec: api.SimulateSpec{Duration: api.Duration(24 * time.Second)},
					Judge: api.JudgeSpec{Enabled: true, FalseAlarm: 0.01, Miss: 0.05, KPIs: []api.KPISpec{
						{KPI: api.KPIErrorRate, AbortAbove: 1.1, PromoteBelow: 2, IgnoreBelow: 0.1},
					}},
				})
				must.NoError(t, err)
				must.Eq(t, map[bool]api.SimulationVerdict{true: api.SimulationReject, false: api.SimulationPass}[c.negative], impact.Verdict, must.Sprint(impact.Reason))
				must.StrContains(t, impact.Reason, c.reason)
				if c.apply.Kind == api.ApplyScript {
					must.Eq(t, api.ApplyImage, apply[0].Kind, must.Sprint("production gets the image that was tried"))
					must.StrContains(t, apply[0].Image, "/images/store-1+")
					must.StrContains(t, impact.Reason, "no guest agent answers in the machine")
				}
				if impact.Verdict == api.SimulationPass {
					has, err := twins.ImageDigests(t.Context(), target.TargetRef, apply[0])
					must.NoError(t, err)
					must.MapLen(t, 1, has)
					for node, digest := range has {
						must.NotEq(t, "", node)
						must.EqOp(t, treated(impact), digest, must.Sprint("the nodes have what was tried"))
					}
				}
				if !c.negative {
					for _, w := range impact.Twins {
						must.NotEq(t, "", w.ImageDigest, must.Sprint(w.Role))
					}
					must.StrNotContains(t, impact.Reason, "not measured", must.Sprint("QEMU tells what the disks do"))
					must.Positive(t, impact.Requests)
				}
				m.View(func(f *fleet.Fleet) { must.Len(t, 1, f.JobIDs(), must.Sprint("no job of the sandbox is left")) })
			})
		})
	}
	group.Wait()
}

// TestSandbox_RehearsesTheRevert tries patches of a machine with a data disk: the model
// replaces the treatment as Nomad does, with the adapter that production uses.
func TestSandbox_RehearsesTheRevert(t *testing.T) {
	t.Parallel()
	client, m := machines(t)
	job := storeJob()
	job.ID, job.Name = new("ledger"), new("ledger")
	task := job.TaskGroups[0].Tasks[0]
	task.Config["args"] = append(task.Config["args"].([]string), "-drive", "file=/images/ledger.raw,if=virtio")
	_, _, err := client.API().Jobs().Register(job, nil)
	must.NoError(t, err)
	target, err := client.Target(t.Context(), api.TargetRef{Namespace: "default", Job: "ledger", Group: "store"})
	must.NoError(t, err)
	for image, outcome := range map[string]api.RevertOutcome{"/images/store-2.qcow2": api.RevertServes, "/images/migrating.qcow2": api.RevertFails} {
		twins := sandbox.New(client, sandbox.Options{})
		s := simulator.New(simulator.Options{Sandbox: twins, Look: time.Second, Warmup: 2 * time.Second})
		impact, err := s.Run(t.Context(), simulator.Request{
			ID: "s" + image, Patch: "p", Apply: []api.Apply{{Kind: api.ApplyImage, Task: "vm", Image: image}}, Target: target,
			Spec: api.SimulateSpec{Duration: api.Duration(16 * time.Second)},
			Judge: api.JudgeSpec{Enabled: true, FalseAlarm: 0.01, Miss: 0.05, KPIs: []api.KPISpec{
				{KPI: api.KPIErrorRate, AbortAbove: 1.1, PromoteBelow: 2, IgnoreBelow: 0.1},
			}},
		})
		must.NoError(t, err)
		must.NotNil(t, impact.Revert, must.Sprint(impact.Reason))
		must.Eq(t, outcome, impact.Revert.Outcome, must.Sprint(impact.Revert.Reason))
		must.Eq(t, []string{"drive /images/ledger.raw"}, impact.Revert.Data)
		must.Eq(t, outcome == api.RevertFails, impact.Verdict == api.SimulationReject, must.Sprint(impact.Reason))
		m.View(func(f *fleet.Fleet) { must.Len(t, 2, f.JobIDs(), must.Sprint("no job of the sandbox is left")) })
	}
}

// treated is the digest of the image that a treatment ran.
func treated(impact api.Impact) string {
	for _, w := range impact.Twins {
		if w.Role == "treatment" {
			return w.ImageDigest
		}
	}
	return ""
}

// machines is a model with one job of two virtual machines.
func machines(t *testing.T) (*nomad.Client, *door.Model) {
	t.Helper()
	f := fleet.New(1, time.Now())
	f.AddNode(fleet.Node{CPU: 8000, MemoryMB: 8000})
	f.Behave(func(b fleet.Build) fleet.Behaviour {
		for _, task := range b.Group.Tasks {
			switch task.Image() {
			case "/images/dead.qcow2":
				return fleet.Behaviour{NeverBoots: 1}
			case "/images/crashing.qcow2":
				return fleet.Behaviour{CrashAfter: 6 * time.Second}
			}
		}
		return fleet.Behaviour{Boot: 100 * time.Millisecond}
	})
	m := door.NewModel(f)
	machines := served.NewSandbox(m)
	var migrated sync.Map // jobs whose data a version has migrated
	machines.Work = func(b fleet.Build) served.Work {
		w := served.Work{Service: load.Service{Latency: 5 * time.Millisecond, Disk: 2}}
		for _, task := range b.Group.Tasks {
			args, _ := task.Config["args"].([]any)
			if slices.Contains(args, any("/images/migrating.qcow2")) {
				migrated.Store(b.Target.Job, true)
			}
			if _, newer := migrated.Load(b.Target.Job); newer && slices.Contains(args, any("carried")) {
				w.Harm.Errors = 1 // the former version can't read it
			}
			if task.Image() == "/images/failing.qcow2" {
				w.Harm.Errors = 0.5 // its check fails as often, and is asked until it does not
			}
		}
		return w
	}
	server := httptest.NewServer(served.New(m, machines))
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	done := make(chan struct{})
	go func() { defer close(done); m.Run(ctx) }()
	t.Cleanup(func() { cancel(); <-done; machines.Close(); server.Close() })

	vendor, err := nomadapi.NewClient(&nomadapi.Config{Address: server.URL})
	must.NoError(t, err)
	_, _, err = vendor.Jobs().Register(storeJob(), nil)
	must.NoError(t, err)
	client, err := nomad.New(nomad.Config{Address: server.URL})
	must.NoError(t, err)
	wait.For(t, "both machines run", func() bool {
		list, err := client.Instances(t.Context(), api.TargetRef{Namespace: "default", Job: "store", Group: "store"})
		return err == nil && len(list) == 2 && list[0].Health == api.Healthy && list[1].Health == api.Healthy
	})
	return client, m
}

func storeJob() *nomadapi.Job {
	job := nomadapi.NewServiceJob("store", "store", "global", 50).AddDatacenter("*")
	g := nomadapi.NewTaskGroup("store", 2)
	g.Networks = []*nomadapi.NetworkResource{{DynamicPorts: []nomadapi.Port{{Label: "http"}}}}
	g.Services = []*nomadapi.Service{{
		Name: "store", PortLabel: "http", Checks: []nomadapi.ServiceCheck{{Type: "http", Path: "/health", Interval: time.Second, Timeout: time.Second}},
	}}
	task := nomadapi.NewTask("vm", "qemu").SetConfig("image_path", "/images/store-1.qcow2").SetConfig("args", []string{
		"-netdev", "user,id=n0,hostfwd=tcp:127.0.0.1:${NOMAD_PORT_http}-:8080", "-device", "virtio-net-pci,netdev=n0",
	})
	task.Resources = &nomadapi.Resources{CPU: new(100), MemoryMB: new(128)}
	g.Tasks = []*nomadapi.Task{task}
	return job.AddTaskGroup(g)
}
