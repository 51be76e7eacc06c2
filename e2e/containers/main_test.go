//go:build e2e

// Package containers tests simulations of tasks that are no virtual machines, on a real
// Nomad with a Docker of its own.
package containers

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	nomadapi "github.com/hashicorp/nomad/api"
	"github.com/shoenig/test/must"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/e2e/stack"
	"github.com/oakumhq/oakum/internal/nomad"
	"github.com/oakumhq/oakum/internal/nomad/sandbox"
	"github.com/oakumhq/oakum/internal/wait"
)

// running is the stack that the tests of this package share.
var running *stack.Stack

// programs is the folder of the programs that the tests build.
var programs string

func TestMain(m *testing.M) {
	os.Exit(stack.Share(m, stack.Options{Clients: 1, Containers: true}, func(s *stack.Stack, dir string) error {
		running, programs = s, filepath.Join(dir, "programs")
		return buildPrograms()
	}))
}

// buildPrograms builds programs that need no library: an image has none.
func buildPrograms() error {
	root, err := stack.RepositoryRoot()
	if err != nil {
		return err
	}
	for name, pkg := range map[string]string{"oakum": "./cmd/oakum", "shop": "./examples/shop/cmd/shop"} {
		build := exec.Command("go", "build", "-buildvcs=false", "-o", filepath.Join(programs, name), pkg)
		build.Dir, build.Env = root, append(os.Environ(), "CGO_ENABLED=0")
		if text, err := build.CombinedOutput(); err != nil {
			return fmt.Errorf("build %s: %w: %s", name, err, text)
		}
	}
	return nil
}

// vendor is a client of the stack's Nomad, and the sandbox over it.
func vendor(t *testing.T) (*nomadapi.Client, *nomad.Client, *sandbox.Sandbox) {
	t.Helper()
	env := running.Env()
	v, err := nomadapi.NewClient(&nomadapi.Config{Address: env.NomadAddr, SecretID: env.NomadToken})
	must.NoError(t, err)
	client, err := nomad.New(nomad.Config{Address: env.NomadAddr, Token: func() string { return env.NomadToken }})
	must.NoError(t, err)
	return v, client, sandbox.New(client, sandbox.Options{})
}

// digest is a file's checksum as Nomad writes it.
func digest(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	must.NoError(t, err)
	sum := sha256.Sum256(text)
	return "sha256:" + hex.EncodeToString(sum[:])
}

// shopImage makes an image of the shop, whose environment has so many faults.
func shopImage(t *testing.T, name, faults string) {
	t.Helper()
	root := t.TempDir()
	text, err := os.ReadFile(filepath.Join(programs, "shop"))
	must.NoError(t, err)
	must.NoError(t, os.WriteFile(filepath.Join(root, "shop"), text, 0o755))
	must.NoError(t, running.ImportImage(t.Context(), name, root, "ENV SHOP_FAULTS="+faults))
}

// shopJob is a job of one container as people write it.
func shopJob(id, image string) *nomadapi.Job {
	job := nomadapi.NewServiceJob(id, id, "global", 50)
	group := nomadapi.NewTaskGroup("shop", 1)
	group.Meta = map[string]string{"oakum_paths": "/item/1,/item/2"}
	group.Networks = []*nomadapi.NetworkResource{{DynamicPorts: []nomadapi.Port{{Label: "http"}}}}
	group.Services = []*nomadapi.Service{{
		Name: id, Provider: "nomad", PortLabel: "http", Address: "127.0.0.1",
		Checks: []nomadapi.ServiceCheck{{Type: "http", Path: "/health", Interval: 2 * time.Second, Timeout: time.Second}},
	}}
	group.EphemeralDisk = &nomadapi.EphemeralDisk{SizeMB: new(32)}
	server := nomadapi.NewTask("server", "docker")
	server.Config = map[string]any{
		"image": image, "force_pull": false, "network_mode": "host", "command": "/shop",
		"args": []string{"serve", "-listen=127.0.0.1:${NOMAD_PORT_http}", "-name=shop"},
	}
	server.Env = map[string]string{"SECRET": "of production"}
	server.Resources = &nomadapi.Resources{CPU: new(200), MemoryMB: new(64)}
	server.KillTimeout = new(time.Second)
	server.LogConfig = &nomadapi.LogConfig{MaxFiles: new(1), MaxFileSizeMB: new(2)}
	group.Tasks = []*nomadapi.Task{server}
	job.TaskGroups = []*nomadapi.TaskGroup{group}
	return job
}

// runProduction registers a job, waits until it runs and returns it as a target.
func runProduction(t *testing.T, job *nomadapi.Job) api.Target {
	t.Helper()
	v, client, _ := vendor(t)
	_, _, err := v.Jobs().Register(job, nil)
	must.NoError(t, err)
	t.Cleanup(func() {
		_, _, err := v.Jobs().Deregister(*job.ID, false, nil)
		must.NoError(t, err)
	})
	wait.For(t, "production runs", func() bool {
		allocs, _, err := v.Jobs().Allocations(*job.ID, false, nil)
		return err == nil && len(allocs) == 1 && allocs[0].ClientStatus == "running"
	})
	target, err := client.Target(t.Context(), api.TargetRef{Namespace: "default", Job: *job.ID, Group: *job.TaskGroups[0].Name})
	must.NoError(t, err)
	return target
}
