package sandbox

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	nomadapi "github.com/hashicorp/nomad/api"
	"github.com/shoenig/test/must"

	"github.com/oakumhq/oakum/internal/nomad/sandbox/qemu"
	"github.com/oakumhq/oakum/internal/twin"
)

// withDisk is production's machine with a disk that outlives it.
func withDisk() *nomadapi.Job {
	return production("-netdev", "user,id=n0,hostfwd=tcp:127.0.0.1:${NOMAD_PORT_http}-:8080", "-drive", "file=/data/store.raw,if=virtio")
}

// preparedWith are the words of the task that prepares a twin's files, from the first of
// them that is about a file.
func preparedWith(t *testing.T, job *nomadapi.Job) []string {
	t.Helper()
	tasks := job.TaskGroups[0].Tasks
	at := slices.IndexFunc(tasks, func(t *nomadapi.Task) bool { return t.Name == prepareTask })
	must.Positive(t, at+1)
	return tasks[at].Config["args"].([]string)[3:]
}

func TestTwinJob_HasDataDisksOfItsOwn(t *testing.T) {
	job, m, err := makeTwin(t, withDisk())
	must.NoError(t, err)
	must.Eq(t, []string{"drive /data/store.raw"}, m.Data)
	must.SliceEmpty(t, m.Uncarried)
	must.True(t, *job.TaskGroups[0].EphemeralDisk.Sticky)
	words := strings.Join(preparedWith(t, job), " ")
	must.StrContains(t, words, "data "+qemu.DataName("/data/store.raw")+" raw /data/store.raw")
	must.StrNotContains(t, words, " again ")

	job, m, err = makeTwinIn(t, withDisk(), twin.Spec{EmptyData: true})
	must.NoError(t, err)
	must.Eq(t, []string{"the data of /data/store.raw (an empty disk of its size)"}, m.Lacks)
	must.StrContains(t, strings.Join(preparedWith(t, job), " "), "empty "+qemu.DataName("/data/store.raw")+" raw /data/store.raw")

	moved := withDisk()
	vm := moved.TaskGroups[0].Tasks[1]
	vm.Config["args"] = append([]string{"-drive", "file=/images/seed.iso,media=cdrom"}, vm.Config["args"].([]string)...)
	job, _, err = makeTwin(t, moved)
	must.NoError(t, err)
	must.StrContains(t, strings.Join(preparedWith(t, job), " "), "data "+qemu.DataName("/data/store.raw")+" raw", must.Sprint("the former version finds it"))

	job, m, err = makeTwinIn(t, withDisk(), twin.Spec{Former: "a1"})
	must.NoError(t, err)
	must.Eq(t, "a1", m.Former)
	words = strings.Join(preparedWith(t, job), " ")
	must.StrContains(t, words, " again root ")
	must.StrContains(t, words, "carried "+qemu.DataName("/data/store.raw")+" raw /data/store.raw")
}

func TestTwinJob_SaysWhichDataNoTwinHas(t *testing.T) {
	own := production("-netdev", "user,id=n0,hostfwd=tcp:127.0.0.1:${NOMAD_PORT_http}-:8080", "-drive", "file=${NOMAD_ALLOC_DIR}/data/a.qcow2,if=virtio")
	maker := nomadapi.NewTask("disk", "raw_exec").SetConfig("command", "/bin/make-disk")
	maker.Lifecycle = &nomadapi.TaskLifecycle{Hook: nomadapi.TaskLifecycleHookPrestart}
	own.TaskGroups[0].Tasks = append(own.TaskGroups[0].Tasks, maker)
	_, m, err := makeTwin(t, own)
	must.NoError(t, err)
	must.SliceEmpty(t, m.Data, must.Sprint("it goes with its instance"))
	must.SliceEmpty(t, m.Uncarried)

	own.TaskGroups[0].EphemeralDisk = &nomadapi.EphemeralDisk{Sticky: new(true)}
	_, m, err = makeTwin(t, own)
	must.NoError(t, err)
	must.Len(t, 1, m.Uncarried)
	must.StrContains(t, m.Uncarried[0], "${NOMAD_ALLOC_DIR}/data/a.qcow2")

	_, m, err = makeTwin(t, production())
	must.NoError(t, err)
	must.SliceEmpty(t, slices.Concat(m.Data, m.Uncarried), must.Sprint("a machine that has its image alone"))
}

func TestGroupJob_CarriesWhatProductionKeeps(t *testing.T) {
	make := func(change func(*nomadapi.TaskGroup), former string) (*nomadapi.TaskGroup, twin.Machine) {
		job := containers()
		group := job.TaskGroups[0]
		app := group.Tasks[1]
		delete(app.Config, "volumes")
		delete(app.Config, "mounts")
		app.KillSignal, app.KillTimeout = "SIGQUIT", new(20*time.Second)
		change(group)
		spec := groupSpec(newImage())
		spec.Former = former
		made, m, err := makeGroup(t, job, nil, spec)
		must.NoError(t, err)
		return made.TaskGroups[0], m
	}
	sticky := func(g *nomadapi.TaskGroup) { g.EphemeralDisk = &nomadapi.EphemeralDisk{Sticky: new(true)} }
	volume := func(task int) func(g *nomadapi.TaskGroup) {
		return func(g *nomadapi.TaskGroup) {
			g.Tasks[task].VolumeMounts = []*nomadapi.VolumeMount{{Volume: new("shared"), Destination: new("/ledger")}}
		}
	}
	prepared := func(g *nomadapi.TaskGroup) string {
		for _, t := range g.Tasks {
			if t.Name == prepareTask {
				return strings.Join(t.Config["args"].([]string)[3:], " ")
			}
		}
		return ""
	}

	g, m := make(func(*nomadapi.TaskGroup) {}, "")
	must.SliceEmpty(t, slices.Concat(m.Data, m.Uncarried))
	must.Eq(t, "", prepared(g))
	must.Eq(t, time.Second, *g.Tasks[0].KillTimeout)

	g, m = make(sticky, "")
	must.Eq(t, []string{"the group's sticky disk"}, m.Data)
	must.True(t, *g.EphemeralDisk.Sticky)
	must.Eq(t, "SIGQUIT", g.Tasks[0].KillSignal, must.Sprint("it may write what it must"))
	must.Eq(t, 20*time.Second, *g.Tasks[0].KillTimeout)
	g, _ = make(sticky, "a1")
	must.Eq(t, "witness oakum-load/local/report.ndjson", prepared(g))
	must.StrContains(t, strings.Join(g.Tasks[len(g.Tasks)-1].Config["args"].([]string), " "), "report-again.ndjson")

	g, m = make(volume(1), "")
	must.Eq(t, []string{"volume shared"}, m.Data)
	must.SliceContains(t, m.Lacks, "the data of volume shared (its folder is empty)")
	must.Eq(t, any([]any{map[string]any{"type": "bind", "source": "../alloc/data/oakum-volume-0", "target": "/ledger", "readonly": false}}), g.Tasks[0].Config["mount"])
	must.Eq(t, "folder oakum-volume-0", prepared(g))
	g, _ = make(volume(1), "a1")
	must.Eq(t, "witness oakum-load/local/report.ndjson empty - local app local cache folder oakum-volume-0", prepared(g), must.Sprint("production moves nothing else"))

	_, m = make(volume(3), "")
	must.SliceEmpty(t, m.Data)
	must.Eq(t, []string{"volume shared (driver exec of task cache mounts no folder)"}, m.Uncarried)
}

// TestGroupScript runs what a node runs.
func TestGroupScript(t *testing.T) {
	alloc := t.TempDir()
	folder := func(parts ...string) string { return filepath.Join(append([]string{alloc}, parts...)...) }
	run := func(words ...string) error {
		cmd := exec.CommandContext(t.Context(), "/bin/sh", append([]string{"-c", groupScript, "prepare"}, words...)...)
		cmd.Env = append(os.Environ(), "NOMAD_ALLOC_DIR="+folder("alloc"))
		return cmd.Run()
	}
	for _, f := range []string{folder("alloc", "data"), folder("app", "local", "cache"), folder("oakum-load", "local")} {
		must.NoError(t, os.MkdirAll(f, 0o755))
	}
	must.NoError(t, run("folder", "oakum-volume-0"))
	info, err := os.Stat(folder("alloc", "data", "oakum-volume-0"))
	must.NoError(t, err)
	must.Eq(t, 0o777, info.Mode().Perm(), must.Sprint("whatever user writes to it"))

	must.Error(t, run("witness", "oakum-load/local/report.ndjson"))
	for _, f := range []string{folder("alloc", "data", "oakum-volume-0", "mark"), folder("alloc", "data", "mark"), folder("app", "local", "cache", "mark"), folder("oakum-load", "local", "report.ndjson")} {
		must.NoError(t, os.WriteFile(f, nil, 0o600))
	}
	must.NoError(t, run("witness", "oakum-load/local/report.ndjson", "empty", "-", "local", "app", "local", "none", "folder", "oakum-volume-0"))
	must.FileExists(t, folder("alloc", "data", "oakum-volume-0", "mark"))
	must.FileNotExists(t, folder("alloc", "data", "mark"))
	must.DirNotExists(t, folder("app", "local", "cache"))

	// The program under test may put a link to the host in the place of a folder.
	host := t.TempDir()
	must.NoError(t, os.RemoveAll(folder("alloc", "data", "oakum-volume-0")))
	must.NoError(t, os.Symlink(host, folder("alloc", "data", "oakum-volume-0")))
	must.Error(t, run("folder", "oakum-volume-0"), must.Sprint("a container would be given a folder of the host"))
	must.NoError(t, os.Remove(folder("alloc", "data", "oakum-volume-0")))
	must.Error(t, run("witness", "oakum-load/local/report.ndjson", "folder", "oakum-volume-0"), must.Sprint("without its data the former version serves on nothing"))
}

func TestReportOf_TellsBothReportsApart(t *testing.T) {
	must.NotEq(t, reportOf(""), reportOf("a1"))
}
