//go:build e2e

package e2e

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/shoenig/test/must"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/internal/twin"
)

// TestSimulateRevert has the former version of a machine start over the data disk that the
// patched one left.
func TestSimulateRevert(t *testing.T) {
	s := newSandbox(t)
	disk := filepath.Join(t.TempDir(), "data.raw")
	file, err := os.Create(disk)
	must.NoError(t, err)
	must.NoError(t, file.Truncate(16<<20)) // the guest makes its file system
	must.NoError(t, file.Close())
	const id = "own-data"
	job := machineJob(id, filepath.Join(s.images, "store-1.0.qcow2"))
	group := job.TaskGroups[0]
	group.Count = new(0) // an instance that runs would hold both disks
	args := group.Tasks[0].Config["args"].([]string)
	group.Tasks[0].Config["args"] = append(args[1:], "-drive", "file="+disk+",if=virtio,format=raw") // without -snapshot
	_, _, err = s.vendor.Jobs().Register(job, nil)
	must.NoError(t, err)
	endJob(t, s.vendor, id)
	target, err := s.client.Target(t.Context(), api.TargetRef{Namespace: "default", Job: id, Group: "store"})
	must.NoError(t, err)

	r := s.request("keeping/1", "store-1.1", 15*time.Second)
	r.Target = target
	impact, err := s.simulator.Run(t.Context(), r)
	must.NoError(t, err)
	tell(t, impact)
	must.NotEq(t, api.SimulationReject, impact.Verdict, must.Sprint(impact.Reason))
	must.Eq(t, api.RevertServes, impact.Revert.Outcome, must.Sprint(impact.Revert.Reason))
	must.Eq(t, []string{"drive " + disk}, impact.Revert.Data)
	must.Positive(t, impact.Revert.Requests)
	must.Eq(t, twin.Reverted, impact.Twins[len(impact.Twins)-1].Role)
	s.noTwins()
}
