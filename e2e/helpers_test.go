//go:build e2e

// Package e2e tests Oakum on the real stack: real Nomad, Consul, Vault,
// Prometheus and QEMU on loopback. Each assertion asks Nomad, Consul or
// Prometheus what is so, not Oakum.
package e2e

import (
	"encoding/json"
	"os"
	"testing"
	"time"

	"github.com/shoenig/test/must"

	nomadapi "github.com/hashicorp/nomad/api"

	"github.com/oakumhq/oakum/e2e/stack"
	"github.com/oakumhq/oakum/internal/wait"
)

// running is the stack that the tests of this package share.
var running *stack.Stack

func TestMain(m *testing.M) {
	os.Exit(stack.Share(m, stack.Options{Clients: 1}, func(s *stack.Stack, _ string) error {
		running = s
		return nil
	}))
}

func sharedStack(t *testing.T) stack.Env {
	t.Helper()
	must.NotNil(t, running)
	return running.Env()
}

// longest bounds what takes a minute on an idle machine: nothing but a run that
// fails takes as long.
const longest = 15 * time.Minute

// eventually waits for a condition. within is more than it takes on an idle machine
// with two cores: a machine may be three times slower than that, and only a test
// that fails waits to the end.
func eventually(t *testing.T, what string, within time.Duration, ok func() bool) {
	t.Helper()
	eventuallySay(t, within, ok, func() string { return what })
}

func eventuallySay(t *testing.T, within time.Duration, ok func() bool, say func() string) {
	t.Helper()
	wait.Within(t, max(3*within, wait.Patience), say, ok)
}

// endJob stops a job when the test ends. Nomad forgets it with the stack: a job
// that is purged while a deployment of it runs can cost Nomad its leader.
func endJob(t *testing.T, vendor *nomadapi.Client, id string) {
	t.Helper()
	t.Cleanup(func() {
		_, _, err := vendor.Jobs().Deregister(id, false, nil)
		must.NoError(t, err)
	})
}

// shared counts the keys that two sets have in common.
func shared(a, b map[string]bool) int {
	n := 0
	for k := range a {
		if b[k] {
			n++
		}
	}
	return n
}

// specification is the job as a person wrote it: without what Nomad counts.
func specification(t *testing.T, job *nomadapi.Job) string {
	t.Helper()
	bare := *job
	bare.Version, bare.VersionTag, bare.Status, bare.StatusDescription, bare.Stable, bare.SubmitTime = nil, nil, nil, nil, nil, nil
	bare.CreateIndex, bare.ModifyIndex, bare.JobModifyIndex, bare.NomadTokenID = nil, nil, nil, nil
	text, err := json.Marshal(bare)
	must.NoError(t, err)
	return string(text)
}
