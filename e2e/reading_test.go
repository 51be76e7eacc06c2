//go:build e2e

package e2e

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	nomadapi "github.com/hashicorp/nomad/api"
	"github.com/shoenig/test/must"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/api/client"
	"github.com/oakumhq/oakum/e2e/daemon"
	"github.com/oakumhq/oakum/internal/twin"
	"github.com/oakumhq/oakum/server/state/levels"
)

// packagesImage is a disk image with a package database, and no system that boots.
func packagesImage(t *testing.T, status string) string {
	t.Helper()
	root := t.TempDir()
	for name, text := range map[string]string{
		"etc/fstab": "", "etc/os-release": "ID=debian\nVERSION_ID=\"12\"\n", "var/lib/dpkg/status": status,
	} {
		must.NoError(t, os.MkdirAll(filepath.Dir(filepath.Join(root, name)), 0o755))
		must.NoError(t, os.WriteFile(filepath.Join(root, name), []byte(text), 0o644))
	}
	raw, image := filepath.Join(t.TempDir(), "disk.raw"), filepath.Join(sharedStack(t).Images, "packages.qcow2")
	t.Cleanup(func() { must.NoError(t, os.Remove(image)) })
	command(t, "mke2fs", "-q", "-t", "ext4", "-m", "0", "-d", root, raw, "16M")
	command(t, "qemu-img", "convert", "-f", "raw", "-O", "qcow2", raw, image)
	return image
}

// readings lists the jobs that read images.
func readings(t *testing.T, vendor *nomadapi.Client) []*nomadapi.JobListStub {
	t.Helper()
	jobs, _, err := vendor.Jobs().List(&nomadapi.QueryOptions{Prefix: twin.Prefix + "inventory-"})
	must.NoError(t, err)
	return jobs
}

// newReader starts servers that read images on first sight. The next leader would take away
// what a server that ends leaves in the middle of a reading; the last one's has none.
func newReader(t *testing.T, servers int, extra ...string) *oakum {
	t.Helper()
	var o *oakum
	t.Cleanup(func() { // after the servers have ended
		if o == nil {
			return // they did not start
		}
		for _, job := range readings(t, o.vendor) {
			_, _, err := o.vendor.Jobs().Deregister(job.ID, true, nil)
			must.NoError(t, err)
		}
	})
	o = newOakumWith(t, sharedStack(t), daemon.Options{Servers: servers, Paces: daemon.StackPaces(), ReadImages: true, Extra: strings.Join(extra, "\n")})
	eventually(t, "the cluster keeps inventories", time.Minute, func() bool {
		all := o.states()
		return len(all) == servers && !slices.ContainsFunc(all, func(i api.StateInfo) bool { return i.Level < levels.Eight })
	})
	return o
}

// TestImage_IsReadOnFirstSight has the leader read an image that nobody has given an
// inventory of, and kills the leader while it does.
func TestImage_IsReadOnFirstSight(t *testing.T) {
	o := newReader(t, 3)
	image := packagesImage(t, "Package: libssl3\nStatus: install ok installed\nArchitecture: amd64\nSource: openssl\nVersion: 3.0.16-1~deb12u1\n\n")
	const id = "read-image"
	job := machineJob(id, image)
	job.TaskGroups[0].Services = nil // nothing in it serves
	_, _, err := o.vendor.Jobs().Register(job, nil)
	must.NoError(t, err)
	endJob(t, o.vendor, id)
	readers := func() []*nomadapi.JobListStub { return readings(t, o.vendor) }
	eventually(t, "the image is read", 3*time.Minute, func() bool { return len(readers()) > 0 })
	former := readers()[0].ID
	leader, err := o.Leader(t.Context())
	must.NoError(t, err)
	leader.Kill()
	t.Logf("the leader is killed while %s runs", former)

	found := o.inventoried(id, "store", 6*time.Minute)
	must.StrHasPrefix(t, "reading ", found.Basis)
	must.EqOp(t, "sha256:"+digestOf(t, image), found.Record.Of)
	shown := o.does(o.pipeline, "inventory", "show", "target:default/"+id+"/store").Stdout
	must.StrContains(t, shown, "libssl3")
	t.Log(shown)
	eventually(t, "nothing is left of either reading", 5*time.Minute, func() bool {
		return len(readers()) == 0
	})
}

// inventoried waits until what the only task of a target runs has an inventory.
func (o *oakum) inventoried(job, group string, within time.Duration) api.TargetInventory {
	o.t.Helper()
	var found []api.TargetInventory
	eventuallySay(o.t, within, func() bool {
		c, err := o.Client(o.pipeline)
		if err != nil {
			return false
		}
		found, _, err = c.TargetInventories(o.t.Context(), &api.TargetRef{Namespace: "default", Job: job, Group: group}, client.Query{})
		return err == nil && len(found) == 1 && found[0].Record != nil
	}, func() string {
		return "an inventory of what was read: " + o.Oakum(o.t.Context(), o.pipeline, "inventory", "list", "-targets").Stdout
	})
	return found[0]
}
