//go:build e2e

package containers

import (
	"path/filepath"
	"testing"
	"time"

	nomadapi "github.com/hashicorp/nomad/api"
	"github.com/shoenig/test/must"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/e2e/stack"
	"github.com/oakumhq/oakum/internal/simulator"
	"github.com/oakumhq/oakum/internal/twin"
)

// TestSimulate_RehearsesTheRevert tries patches of containers with data: on a sticky disk,
// which Nomad moves from instance to instance, and on a volume.
func TestSimulate_RehearsesTheRevert(t *testing.T) {
	for name, faults := range map[string]string{"ledger:1.0": "latency=20ms", "ledger:1.1": "latency=20ms", "ledger:2.0": "latency=20ms,migrate=2"} {
		shopImage(t, name, faults)
	}
	oakum := filepath.Join(programs, "oakum")
	v, _, box := vendor(t)
	s := simulator.New(simulator.Options{
		Sandbox: box, RateMax: 20, HealthyWithin: 5 * time.Minute, Within: 15 * time.Minute,
		Inside: simulator.Inside{Loads: box, Network: stack.SandboxNetwork, Source: oakum, Checksum: digest(t, oakum)},
	})
	sticky := keepingJob("sticky", "${NOMAD_ALLOC_DIR}/data")
	sticky.TaskGroups[0].EphemeralDisk.Sticky = new(true)
	onVolume := keepingJob("volume", "/ledger")
	group := onVolume.TaskGroups[0]
	group.Volumes = map[string]*nomadapi.VolumeRequest{"ledger": {Name: "ledger", Type: "host", Source: makeVolume(t, "ledger")}}
	group.Tasks[0].VolumeMounts = []*nomadapi.VolumeMount{{Volume: new("ledger"), Destination: new("/ledger")}}
	// Were these moved as well, the former version would refuse them.
	loose := keepingJob("loose", "${NOMAD_ALLOC_DIR}/data")
	for _, c := range []struct {
		job     *nomadapi.Job
		image   string
		outcome api.RevertOutcome
	}{
		{sticky, "ledger:2.0", api.RevertFails},
		{sticky, "ledger:1.1", api.RevertServes},
		{onVolume, "ledger:2.0", api.RevertFails},
		{onVolume, "ledger:1.1", api.RevertServes},
		{loose, "ledger:2.0", api.RevertNothing},
	} {
		t.Run(*c.job.ID+" "+c.image, func(t *testing.T) {
			target := runProduction(t, c.job)
			impact, err := s.Run(t.Context(), simulator.Request{
				ID: "revert/" + *c.job.ID + c.image, Patch: c.image, Target: target,
				Apply: []api.Apply{{Kind: api.ApplyJob, Task: "server", Config: map[string]any{"image": c.image}}},
				Spec:  api.SimulateSpec{Required: true, Duration: api.Duration(15 * time.Second), Workload: "replay"},
				Judge: api.JudgeSpec{
					Enabled: true, FalseAlarm: 0.01, Miss: 0.05,
					KPIs: []api.KPISpec{{KPI: api.KPIErrorRate, AbortAbove: 1.1, PromoteBelow: 2, IgnoreBelow: 0.1}},
				},
			})
			must.NoError(t, err)
			t.Logf("%s after %d requests: %s", impact.Verdict, impact.Requests, impact.Reason)
			must.NotNil(t, impact.Revert)
			must.Eq(t, c.outcome, impact.Revert.Outcome, must.Sprint(impact.Revert.Reason))
			verdict := api.SimulationPass
			if c.outcome == api.RevertFails {
				verdict = api.SimulationReject
				must.StrContains(t, impact.Reasons[0], "the patch can't be reverted: the former version does not serve on the data that the patched one left: it died: task server: Exit Code: 1")
			}
			must.Eq(t, verdict, impact.Verdict)
			jobs, _, err := v.Jobs().PrefixList(twin.Prefix)
			must.NoError(t, err)
			must.SliceEmpty(t, jobs)
		})
	}
}

// keepingJob is a job of one container whose data is in a folder.
func keepingJob(id, folder string) *nomadapi.Job {
	job := shopJob(id, "ledger:1.0")
	server := job.TaskGroups[0].Tasks[0]
	server.Config["args"] = append(server.Config["args"].([]string), "-data="+folder)
	return job
}

// makeVolume makes a host volume on the stack's node, and removes it.
func makeVolume(t *testing.T, name string) string {
	t.Helper()
	v, _, _ := vendor(t)
	made, _, err := v.HostVolumes().Create(&nomadapi.HostVolumeCreateRequest{Volume: &nomadapi.HostVolume{
		Name: name, PluginID: "mkdir",
		RequestedCapabilities: []*nomadapi.HostVolumeCapability{{AttachmentMode: "file-system", AccessMode: "single-node-writer"}},
	}}, nil)
	must.NoError(t, err)
	t.Cleanup(func() {
		// Whatever mounts it must be gone before.
		jobs, _, err := v.Jobs().PrefixList("volume")
		must.NoError(t, err)
		for _, j := range jobs {
			_, _, err := v.Jobs().Deregister(j.ID, true, nil)
			must.NoError(t, err)
		}
		_, _, err = v.HostVolumes().Delete(&nomadapi.HostVolumeDeleteRequest{ID: made.Volume.ID}, nil)
		must.NoError(t, err)
	})
	return name
}
