//go:build e2e

package e2e

import (
	"context"
	"os"
	"path/filepath"
	"regexp"
	"testing"
	"time"

	"github.com/shoenig/test/must"

	nomadapi "github.com/hashicorp/nomad/api"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/internal/twin"
)

// disksAreTold checks that both KPIs of the disks were measured, and returns
// them.
func disksAreTold(t *testing.T, impact api.Impact) (operations, size api.KPIEffect) {
	t.Helper()
	found := map[string]api.KPIEffect{}
	for _, k := range impact.KPIs {
		found[k.KPI] = k
	}
	must.MapContainsKeys(t, found, []string{api.KPIIOOperations, api.KPIIOBytes})
	operations, size = found[api.KPIIOOperations], found[api.KPIIOBytes]
	must.False(t, operations.Missing, must.Sprint(operations.Reason))
	must.False(t, size.Missing, must.Sprint(size.Reason))
	must.Positive(t, operations.Exposure)
	must.StrNotContains(t, impact.Reason, "not measured:")
	return operations, size
}

// writing bakes a program into the image that writes 64 KiB ten times a second.
func (s *sandbox) writing(t *testing.T) {
	source := filepath.Join(t.TempDir(), "store-1.0.qcow2")
	content, err := os.ReadFile(filepath.Join(s.images, "store-1.0.qcow2"))
	must.NoError(t, err)
	must.NoError(t, os.WriteFile(source, content, 0o644))
	r := s.request("writing/1", "store-1.0", 5*time.Minute) // a minute has too few readings where two twins share a core
	r.Apply = []api.Apply{
		{Kind: api.ApplyImage, Task: "vm", Image: source},
		{Kind: api.ApplyScript, Task: "vm", Script: `set -e
cat >/sbin/writer <<'END'
#!/bin/busybox sh
while :; do
  dd if=/dev/zero of=/var-log bs=64k count=1 conv=fsync 2>/dev/null
  usleep 100000
done
END
chmod 755 /sbin/writer
sed -i 's|^/usr/bin/shop serve|/sbin/writer \&\n&|' /sbin/init
grep -q writer /sbin/init`},
	}
	r.Judge.KPIs = []api.KPISpec{
		{KPI: api.KPIErrorRate, AbortAbove: 1.1, PromoteBelow: 2, IgnoreBelow: 0.0001},
		{KPI: api.KPIIOOperations, AbortAbove: 1.5, PromoteBelow: 2, IgnoreBelow: 1},
		{KPI: api.KPIIOBytes, AbortAbove: 1.5, PromoteBelow: 2, IgnoreBelow: 16 << 10},
	}
	impact, err := s.simulator.Run(t.Context(), r)
	must.NoError(t, err)
	tell(t, impact)
	must.True(t, impact.Negative)
	must.RegexMatch(t, regexp.MustCompile("^io_(operations|bytes) of the patched twin is "), impact.Reason)
	operations, size := disksAreTold(t, impact)
	must.Greater(t, 4*operations.Stable+1, operations.Canary)
	must.Greater(t, 4*size.Stable+64<<10, size.Canary)
	s.noTwins()
}

// ownDisk tries a job patch on a machine whose job lays its disk over the image
// itself.
func (s *sandbox) ownDisk(t *testing.T) {
	const id = "own-disk"
	job := machineJob(id, "${NOMAD_ALLOC_DIR}/data/root.qcow2")
	group := job.TaskGroups[0]
	disk := nomadapi.NewTask("disk", "raw_exec").SetConfig("command", "qemu-img").SetConfig("args", []string{
		"create", "-q", "-f", "qcow2", "-F", "qcow2", "-b", filepath.Join(s.images, "store-1.0.qcow2"), "${NOMAD_ALLOC_DIR}/data/root.qcow2",
	})
	disk.Lifecycle = &nomadapi.TaskLifecycle{Hook: nomadapi.TaskLifecycleHookPrestart}
	disk.Resources, disk.LogConfig = &nomadapi.Resources{CPU: new(20), MemoryMB: new(32)}, group.Tasks[0].LogConfig
	group.Tasks = append(group.Tasks, disk)
	_, _, err := s.vendor.Jobs().Register(job, nil)
	must.NoError(t, err)
	endJob(t, s.vendor, id)
	target, err := s.client.Target(t.Context(), api.TargetRef{Namespace: "default", Job: id, Group: "store"})
	must.NoError(t, err)
	r := s.request("own/1", "none", 10*time.Second)
	r.Target = target
	r.Apply = []api.Apply{{Kind: api.ApplyJob, Task: "vm", Env: map[string]string{"A": "b"}}}
	impact, err := s.simulator.Run(t.Context(), r)
	must.NoError(t, err)
	tell(t, impact)
	must.False(t, impact.Negative, must.Sprint(impact.Reason))
	disksAreTold(t, impact)
	s.noTwins()
}

// askerDies kills the task that asks QEMU: the machine goes on, and so do the
// answers.
func (s *sandbox) askerDies(t *testing.T) {
	spec := twin.Spec{Job: twin.JobID("asker/1", "ff", twin.Control), Target: s.target.TargetRef, Task: "vm"}
	m, err := s.machines.StartTwin(t.Context(), spec)
	must.NoError(t, err)
	defer func() { must.NoError(t, s.machines.StopTwin(context.WithoutCancel(t.Context()), m.Namespace, m.Job)) }()
	var state twin.State
	after := func(seen time.Duration) func() bool {
		return func() bool {
			var err error
			state, err = s.machines.InspectTwin(t.Context(), m)
			must.NoError(t, err)
			must.NotEq(t, twin.Dead, state.Phase, must.Sprint(state.Why))
			return state.Blocks.At > seen
		}
	}
	eventually(t, "QEMU answers", time.Minute, after(0))
	before, started := state.Blocks, state.Started
	alloc, _, err := s.vendor.Allocations().Info(state.Alloc, nil)
	must.NoError(t, err)
	// What it asked may be answered before Nomad knows that it runs.
	eventually(t, "Nomad ends who asks", time.Minute, func() bool {
		return s.vendor.Allocations().Signal(alloc, nil, "oakum-ask", "SIGKILL") == nil
	})
	eventually(t, "somebody asks again", time.Minute, func() bool {
		alloc, _, err := s.vendor.Allocations().Info(state.Alloc, nil)
		must.NoError(t, err)
		asker := alloc.TaskStates["oakum-ask"]
		return asker.Restarts == 1 && asker.State == "running"
	})
	eventually(t, "QEMU answers once more", time.Minute, after(before.At+2*time.Second))
	must.Eq(t, started, state.Started)
	must.GreaterEq(t, before.Operations, state.Blocks.Operations)
	must.GreaterEq(t, before.Bytes, state.Blocks.Bytes)
}
