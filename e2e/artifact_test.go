//go:build e2e

package e2e

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/shoenig/test/must"

	nomadapi "github.com/hashicorp/nomad/api"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/server/state/levels"
)

// fetchedPolicy tries a patch on twins, asks a person, and then moves one instance of two.
const fetchedPolicy = `policy "fetched" {
  applies  = target.job == "fetched-image"
  critical = true
  simulate {
    required = true
    seconds  = 10
    pairs    = 1
  }
  approval {
    from  = "release-managers"
    count = 1
  }
  strategy "phased" {
    stages = [50, 100]
  }
  judge {
    enabled = false
    kpi "error_rate" {
      abort_above   = "1.1x"
      promote_below = "2x"
      ignore_below  = 0.2
    }
  }
}
`

// TestImage_IsFetchedFromWhereTheOperatorKeepsIt rolls an image out that no client has:
// Nomad fetches it for the twins and for each instance. While the source gives something
// else, no instance moves.
func TestImage_IsFetchedFromWhereTheOperatorKeepsIt(t *testing.T) {
	o := newOakum(t, 1, "", fetchedPolicy)
	images := sharedStack(t).Images
	var spoilt atomic.Bool
	files := http.FileServer(http.Dir(images))
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if spoilt.Load() && strings.HasSuffix(r.URL.Path, "/store-1.1.qcow2") {
			_, _ = w.Write([]byte("another image"))
			return
		}
		files.ServeHTTP(w, r)
	}))
	t.Cleanup(server.Close)
	const id = "fetched-image"
	job := machineJob(id, "local/store-1.0.qcow2")
	group := job.TaskGroups[0]
	group.Count, group.EphemeralDisk.SizeMB = new(2), new(200)
	group.Tasks[0].Artifacts = []*nomadapi.TaskArtifact{{GetterSource: new(server.URL + "/store-1.0.qcow2"), RelativeDest: new("local/")}}
	_, _, err := o.vendor.Jobs().Register(job, nil)
	must.NoError(t, err)
	endJob(t, o.vendor, id)
	eventually(t, "two machines serve", 3*time.Minute, func() bool {
		d, _, err := o.vendor.Jobs().LatestDeployment(id, nil)
		return err == nil && d != nil && d.Status == "successful"
	})
	must.Eq(t, []string{"local/store-1.0.qcow2", "local/store-1.0.qcow2"}, o.imagePaths(id))
	eventually(t, "the cluster takes images with a source", time.Minute, func() bool {
		return !slices.ContainsFunc(o.states(), func(s api.StateInfo) bool { return s.Level < levels.Seven })
	})

	sum := digestOf(t, filepath.Join(images, "store-1.1.qcow2"))
	rollout := o.submit(o.patchOf("fetched-2", id, fmt.Sprintf(`  apply "image" {
    task     = "vm"
    source   = "%s/store-1.1.qcow2"
    checksum = "sha256:%s"
  }
`, server.URL, sum)))
	r := o.until(rollout, func(r api.Rollout) bool {
		must.False(t, r.Status.Ended(), must.Sprint(r.Reason))
		return r.Status == api.RolloutAwaitingApproval && r.Simulation != ""
	})
	must.Eq(t, sum, r.Apply[0].Digest)

	spoilt.Store(true)
	o.does(o.alice, "rollout", "approve", rollout)
	r = o.until(rollout, func(r api.Rollout) bool { return r.Status == api.RolloutHolding || len(r.Stages) > 0 })
	must.Eq(t, api.RolloutHolding, r.Status, must.Sprint(r.Reason))
	must.StrContains(t, r.Reason, "store-1.1.qcow2")
	must.StrContains(t, r.Reason, "hecksum")
	must.Eq(t, []string{"local/store-1.0.qcow2", "local/store-1.0.qcow2"}, o.imagePaths(id))
	t.Logf("it holds: %s", r.Reason)

	spoilt.Store(false)
	r = o.ended(rollout, api.RolloutComplete)
	must.Len(t, 2, r.Stages)
	must.Eq(t, []string{"local/store-1.1.qcow2", "local/store-1.1.qcow2"}, o.imagePaths(id))
	allocs, _, err := o.vendor.Jobs().Allocations(id, false, nil)
	must.NoError(t, err)
	for _, a := range allocs {
		if a.DesiredStatus != nomadapi.AllocDesiredStatusRun {
			continue
		}
		found, err := filepath.Glob(filepath.Join(sharedStack(t).Dir, "*", "*", "alloc", a.ID, "vm", "local", "store-1.*.qcow2"))
		must.NoError(t, err)
		must.Len(t, 1, found, must.Sprint("the patched machine's image, and not the former one"))
		must.Eq(t, sum, digestOf(t, found[0]))
	}
}

// imagePaths are the images of a job's machines that run, as Nomad started them.
func (o *oakum) imagePaths(id string) []string {
	o.t.Helper()
	stubs, _, err := o.vendor.Jobs().Allocations(id, false, nil)
	must.NoError(o.t, err)
	out := []string{}
	for _, s := range stubs {
		if s.DesiredStatus != nomadapi.AllocDesiredStatusRun || s.ClientStatus != nomadapi.AllocClientStatusRunning {
			continue
		}
		alloc, _, err := o.vendor.Allocations().Info(s.ID, nil)
		must.NoError(o.t, err)
		path, _ := alloc.Job.TaskGroups[0].Tasks[0].Config["image_path"].(string)
		out = append(out, path)
	}
	slices.Sort(out)
	return out
}
