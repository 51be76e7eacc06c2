//go:build e2e

package e2e

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/shoenig/test/must"

	nomadapi "github.com/hashicorp/nomad/api"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/api/client"
	"github.com/oakumhq/oakum/e2e/daemon"
	"github.com/oakumhq/oakum/internal/twin"
	"github.com/oakumhq/oakum/internal/wait"
)

// keeperPolicy tries patches in one pair of boots, on any node: the target's own
// instances do not run, since they would hold its disks.
const keeperPolicy = `policy "keeper" {
  applies = target.job == "keeper"
  simulate {
    required = true
    seconds  = 10
    pairs    = 1
    pool     = "default"
  }
  judge {
    kpi "error_rate" {
      abort_above   = "1.1x"
      promote_below = "2x"
      ignore_below  = 0.2
    }
  }
}
`

// keeper is a target with a data disk, in a folder of images of its own, and a patch
// with a payload.
type keeper struct {
	*oakum
	folder  string // of its image
	patch   string // file
	foreign string // job that looks like a twin, and is none of ours
}

func newKeeper(o *oakum) *keeper {
	t := o.t
	images := sharedStack(t).Images
	folder, err := os.MkdirTemp(images, "keeper-") // Nomad takes images from below this folder only
	must.NoError(t, err)
	t.Cleanup(func() { must.NoError(t, os.RemoveAll(folder)) })
	k := &keeper{oakum: o, folder: folder, foreign: twin.JobID("another", "cluster", "control")}
	image, disk := filepath.Join(folder, "keeper-1.0.qcow2"), filepath.Join(folder, "data.raw")
	copyFile(t, filepath.Join(images, "store-1.0.qcow2"), image)
	must.NoError(t, os.WriteFile(disk, nil, 0o600))
	must.NoError(t, os.Truncate(disk, 16<<20)) // the guest makes its file system
	must.NoError(t, os.WriteFile(filepath.Join(folder, "keeper-1.0+another.qcow2"), nil, 0o600))

	job := machineJob("keeper", image)
	group := job.TaskGroups[0]
	group.Count = new(0)
	args := group.Tasks[0].Config["args"].([]string)
	group.Tasks[0].Config["args"] = append(args[1:], "-drive", "file="+disk+",if=virtio,format=raw") // without -snapshot
	foreign := nomadapi.NewBatchJob(k.foreign, k.foreign, "global", 50)
	sleeper := nomadapi.NewTask("vm", "raw_exec").SetConfig("command", "/bin/sleep").SetConfig("args", []string{"100000"})
	sleeper.Resources = &nomadapi.Resources{CPU: new(10), MemoryMB: new(10)}
	foreign.AddTaskGroup(nomadapi.NewTaskGroup("g", 1).AddTask(sleeper))
	for _, j := range []*nomadapi.Job{job, foreign} {
		_, _, err := o.vendor.Jobs().Register(j, nil)
		must.NoError(t, err)
	}
	endJob(t, o.vendor, *job.ID)
	t.Cleanup(func() { // others ask that no job looks like a twin; a batch job has no deployment that a purge could meet
		_, _, err := o.vendor.Jobs().Deregister(k.foreign, true, nil)
		must.NoError(t, err)
	})

	payload := o.file("tool", "a tool")
	server := httptest.NewServer(http.FileServer(http.Dir(filepath.Dir(payload))))
	t.Cleanup(server.Close)
	k.patch = o.patchOf("keeper-2", "keeper", fmt.Sprintf(`  apply "script" {
    task   = "vm"
    script = "cp tool /etc/tool"
    payload "tool" {
      source   = "%s/tool"
      checksum = "sha256:%s"
    }
  }
`, server.URL, digestOf(t, payload)))
	return k
}

// until waits for a state of a simulation, for as long as anything about it changes. It
// is told of each change, since some phases last for a moment.
func (k *keeper) until(id, what string, ok func(api.Simulation) bool) api.Simulation {
	k.t.Helper()
	cl, err := k.Client(k.alice)
	must.NoError(k.t, err)
	defer cl.Close()
	var last api.Simulation
	err = wait.Moving(k.t.Context(), standstill, func() (uint64, bool) {
		for query := (client.Query{}); ; {
			s, meta, err := cl.Simulation(k.t.Context(), id, query)
			if err != nil { // between two leaders
				return last.ModifyIndex, false
			}
			if last = s; ok(s) {
				return s.ModifyIndex, true
			}
			if meta.Index == query.Index {
				return s.ModifyIndex, false
			}
			query = client.Query{Index: meta.Index, Wait: 5 * time.Second}
		}
	})
	must.NoError(k.t, err, must.Sprintf("%s: simulation %s is %s: %s %+v, owns %v", what, id, last.Status, last.Reason, last.Progress, last.Owned))
	return last
}

// twins are the jobs of twins that Nomad knows, but for the one that is not ours.
func (k *keeper) twins() []string {
	k.t.Helper()
	stubs, _, err := k.vendor.Jobs().PrefixList(twin.Prefix)
	must.NoError(k.t, err)
	ids := []string{}
	for _, s := range stubs {
		if s.ID != k.foreign {
			ids = append(ids, s.ID)
		}
	}
	return ids
}

// folders are what the client keeps of allocations of twins: their overlays and payloads.
func (k *keeper) folders() []string {
	k.t.Helper()
	allocs, _, err := k.vendor.Allocations().List(nil)
	must.NoError(k.t, err)
	ours := map[string]bool{}
	for _, a := range allocs {
		ours[a.ID] = strings.HasPrefix(a.JobID, twin.Prefix) && a.JobID != k.foreign
	}
	found, seen := []string{}, 0
	err = filepath.WalkDir(sharedStack(k.t).Dir, func(path string, entry fs.DirEntry, err error) error {
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		if entry == nil || !entry.IsDir() || filepath.Base(filepath.Dir(path)) != "alloc" {
			return nil
		}
		seen++
		if ours[filepath.Base(path)] {
			found = append(found, path)
		}
		return fs.SkipDir
	})
	must.NoError(k.t, err)
	must.Positive(k.t, seen, must.Sprint("the folder of the job that is not ours"))
	return found
}

// files are what lies beside the target's image.
func (k *keeper) files() []string {
	k.t.Helper()
	entries, err := os.ReadDir(k.folder)
	must.NoError(k.t, err)
	names := []string{}
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}

// phaseOf names how far a simulation is.
func phaseOf(s api.Simulation) string {
	if s.Progress == nil {
		return "planned"
	}
	return strings.TrimSpace(fmt.Sprintf("%s %s", s.Progress.Phase, strings.Trim(fmt.Sprint(s.Progress.Pair), "0")))
}

// TestSimulation_OutlivesItsLeaders kills the leader in every phase of a simulation. Each
// next leader goes on with it, and it ends as an undisturbed one does. Then nothing of
// any attempt is left, and what is not ours is.
func TestSimulation_OutlivesItsLeaders(t *testing.T) {
	paces := daemon.StackPaces()
	paces.Rate, paces.Warmup = 20, 5*time.Second
	k := newKeeper(newOakumWith(t, sharedStack(t), daemon.Options{Servers: 3, Paces: paces}, keeperPolicy))
	eventually(t, "the cluster keeps what simulations own", time.Minute, func() bool {
		states := k.states()
		return len(states) == 3 && !slices.ContainsFunc(states, func(s api.StateInfo) bool { return s.Level < 6 })
	})
	res := k.does(k.alice, "simulate", "-json", "-detach", "-target=default/keeper/store", k.patch)
	var begun api.Simulation
	must.NoError(t, json.Unmarshal([]byte(res.Stdout), &begun))

	began := time.Now()
	for _, phase := range []string{"planned", "bake", "boot 1", "warm-up 1", "load 1", "revert 1", "remove 1"} {
		if phase != "planned" { // at once: it may be further by the time that anybody looks
			k.until(begun.ID, phase, func(s api.Simulation) bool {
				must.Eq(t, api.SimulationRunning, s.Status, must.Sprintf("it has ended before the phase %s: %s", phase, s.Reason))
				return phaseOf(s) == phase
			})
		}
		leader, err := k.Leader(t.Context())
		must.NoError(t, err)
		leader.Kill()
		must.NoError(t, leader.Start())
		t.Logf("%s: %s was killed at %q, with %d jobs in nomad", time.Since(began).Round(time.Second), leader.Name, phase, len(k.twins()))
	}

	s := k.until(begun.ID, "the end", func(s api.Simulation) bool { return s.Status != api.SimulationRunning })
	t.Logf("%s: %s: %s", time.Since(began).Round(time.Second), s.Status, s.Reason)
	must.Eq(t, api.SimulationPassed, s.Status, must.Sprint(s.Reason))
	must.Eq(t, api.RevertServes, s.Impact.Revert.Outcome, must.Sprint(s.Impact.Revert.Reason))
	k.until(begun.ID, "nothing is owned", func(s api.Simulation) bool { return len(s.Owned) == 0 })
	t.Logf("%s: nothing is owned", time.Since(began).Round(time.Second))
	must.SliceEmpty(t, k.twins())
	must.SliceEmpty(t, k.folders())
	must.Eq(t, []string{"data.raw", "keeper-1.0+another.qcow2", "keeper-1.0.qcow2"}, k.files())
	allocs, _, err := k.vendor.Jobs().Allocations(k.foreign, false, nil)
	must.NoError(t, err)
	must.Len(t, 1, allocs)
	must.Eq(t, nomadapi.AllocClientStatusRunning, allocs[0].ClientStatus, must.Sprint("what is not ours"))
	k.agree()
}
