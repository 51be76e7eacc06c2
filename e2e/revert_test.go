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
// patched one left: as it was, and migrated to a format that the former version refuses.
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

	try := func(t *testing.T, id, image string) api.Impact {
		t.Helper()
		r := s.request(id, "store-1.1", 15*time.Second)
		r.Target, r.Apply[0].Image = target, image
		impact, err := s.simulator.Run(t.Context(), r)
		must.NoError(t, err)
		tell(t, impact)
		must.NotNil(t, impact.Revert, must.Sprint(impact.Reason))
		must.Eq(t, []string{"drive " + disk}, impact.Revert.Data)
		must.Eq(t, twin.Reverted, impact.Twins[len(impact.Twins)-1].Role)
		s.noTwins()
		return impact
	}
	t.Run("the data is as it was", func(t *testing.T) {
		impact := try(t, "keeping/1", filepath.Join(s.images, "store-1.1.qcow2"))
		must.NotEq(t, api.SimulationReject, impact.Verdict, must.Sprint(impact.Reason))
		must.Eq(t, api.RevertServes, impact.Revert.Outcome, must.Sprint(impact.Revert.Reason))
		must.Positive(t, impact.Revert.Requests)
	})
	t.Run("the patch migrates the data", func(t *testing.T) {
		impact := try(t, "migrating/1", s.migrating(t))
		must.Eq(t, api.SimulationReject, impact.Verdict, must.Sprint(impact.Reason))
		must.StrHasPrefix(t, "the patch can't be reverted: the former version does not serve on the data that the patched one left: ", impact.Reasons[0])
		must.Eq(t, api.RevertFails, impact.Revert.Outcome)
		must.StrContains(t, impact.Twins[len(impact.Twins)-1].Console, "has format 2, and this version reads 1 at most")
	})
}

// migrating makes an image of a version that writes its data in a newer format. It is
// baked where another target runs: the one with the data has no instance.
func (s *sandbox) migrating(t *testing.T) string {
	t.Helper()
	source := filepath.Join(t.TempDir(), "store-2.0.qcow2")
	copyFile(t, filepath.Join(s.images, "store-1.0.qcow2"), source)
	node, err := s.machines.BakeNode(t.Context(), s.target.TargetRef, "")
	must.NoError(t, err)
	baked, err := s.machines.BakeImage(t.Context(), twin.BakeSpec{
		Job: twin.JobID("migrating/1", "ff", "bake"), Target: s.target.TargetRef, Task: "vm", Node: node, Image: source,
		Steps:  []twin.Step{{Script: "echo SHOP_FAULTS=migrate=2 >>/etc/shop.env\n"}},
		Result: filepath.Join(filepath.Dir(source), "store-2.0+ff.qcow2"),
	})
	must.NoError(t, err)
	return baked.Path
}
