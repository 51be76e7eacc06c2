package sandbox

import (
	_ "embed" // the script that runs on the node
	"fmt"
	"path"
	"regexp"
	"slices"
	"strings"
	"time"

	nomadapi "github.com/hashicorp/nomad/api"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/internal/nomad/sandbox/qemu"
)

const (
	// prepareTask creates the files that the machine opens.
	prepareTask = "oakum-prepare"
	// twinDigestFile is where the node writes the image's digest. The path is the
	// one that Nomad's file API uses.
	twinDigestFile = "alloc/data/oakum-twin.sha256"
)

// prepareScript checks the files of the host that a machine opens, and lays disks of
// the twin's own over them.
//
//go:embed prepare.sh
var prepareScript string

// Exit codes of prepareScript. The image is not on this node; it may not be tried;
// a machine that runs writes to it; it is damaged. Every other code is a failure of
// the sandbox.
const (
	exitAbsent  = 81
	exitRefused = 82
	exitHeld    = 83
	exitBroken  = 84
)

// firmwareRoots are the folders in which packages of distributions put firmware.
// Everybody may read what is there.
func firmwareRoots() []string {
	return []string{"/usr/share/OVMF", "/usr/share/ovmf", "/usr/share/edk2", "/usr/share/edk2-ovmf", "/usr/share/qemu", "/usr/share/seabios"}
}

// defaultRoots are the folders that images may come from where the agent's
// configuration names none: the one of the image that production runs.
func defaultRoots(image string) []string {
	folder := image
	if i := strings.Index(folder, "${"); i >= 0 {
		folder = folder[:i+1] // what follows is not known here
	}
	folder = path.Dir(folder)
	if !path.IsAbs(folder) || folder == "/" {
		return nil
	}
	return []string{folder}
}

// preparation says what the node does before the machine starts.
type preparation struct {
	monitor string // empty for none
	agent   string // FIFOs of the guest agent's serial port; empty for none
	again   bool   // another machine has left its data disks here
	roots   []string
	makers  []*nomadapi.Task // tasks of the job that make the disk
	files   []qemu.File
}

// task returns the task that carries the preparation out. Artifacts of the machine's
// task come into this task's folder, so that they are checked before QEMU opens
// them, and so that QEMU never writes to them.
func (p preparation) task(vm *nomadapi.Task) *nomadapi.Task {
	words := []string{"-c", imageScript + prepareScript, "prepare", p.monitor, qemu.Folder}
	if p.again {
		words = append(words, "again")
	}
	if p.agent != "" {
		words = append(words, "fifos", p.agent)
	}
	for _, root := range p.roots {
		words = append(words, "root", root)
	}
	for _, root := range firmwareRoots() {
		words = append(words, "firmware-root", root)
	}
	for i := range p.makers {
		words = append(words, "await", makerMark(i))
	}
	for _, f := range p.files {
		words = append(words, f.Op, f.Name, f.Format, f.Path)
	}
	return &nomadapi.Task{
		Name:          prepareTask,
		Driver:        "raw_exec",
		User:          vm.User, // whoever runs the machine must be able to open the files
		Lifecycle:     &nomadapi.TaskLifecycle{Hook: nomadapi.TaskLifecycleHookPrestart},
		Config:        map[string]any{"command": "/bin/sh", "args": words},
		Artifacts:     vm.Artifacts,
		Resources:     &nomadapi.Resources{CPU: new(50), MemoryMB: new(64)},
		RestartPolicy: neverRestart(),
		LogConfig:     &nomadapi.LogConfig{MaxFiles: new(1), MaxFileSizeMB: new(1)},
	}
}

// makerMark is the file that says that a task which makes the disk has ended well.
func makerMark(i int) string { return fmt.Sprintf("%s/oakum-made-%d", qemu.Folder, i) }

// makers returns the tasks of a group that run on the host before the machine
// starts, as they may go along with a twin that needs the disk they make. They are
// production's own code with production's rights, so a patch may not change them.
func makers(job *nomadapi.Job, group *nomadapi.TaskGroup, changed []api.Apply) ([]*nomadapi.Task, error) {
	var out []*nomadapi.Task
	for _, t := range group.Tasks {
		if t.Lifecycle == nil || t.Lifecycle.Hook != nomadapi.TaskLifecycleHookPrestart || t.Lifecycle.Sidecar {
			continue
		}
		if slices.ContainsFunc(changed, func(a api.Apply) bool { return a.Task == t.Name }) {
			return nil, api.Errorf(api.CodeInvalid, "the patch changes task %q, which runs on the host and makes the machine's disk: it can't be tried", t.Name)
		}
		command, ok := t.Config["command"].(string)
		if !ok || (t.Driver != "raw_exec" && t.Driver != "exec") {
			return nil, api.Errorf(api.CodeInvalid, "task %q makes the machine's disk with driver %s: only exec and raw_exec may go along with a twin", t.Name, t.Driver)
		}
		vars := variablesOf(job, group, t)
		args, err := qemu.Words(t.Name, t.Config)
		if err != nil {
			return nil, err
		}
		// The shell finds a program where Nomad does: in the task's folder first.
		words := []string{"-c", `mark=$1; shift; PATH=$PWD/local:$PWD:$PATH; "$@" && : >"$mark"`, "maker", makerMark(len(out))}
		for _, word := range append([]string{command}, args...) {
			words = append(words, vars.writeOut(word))
		}
		t.Config = map[string]any{"command": "/bin/sh", "args": words}
		t.Artifacts = bareArtifacts(t.Artifacts, vars)
		bareTask(t)
		out = append(out, t)
	}
	return out, nil
}

// bareArtifacts returns the artifacts without what may hold credentials, and without
// variables of the job.
func bareArtifacts(artifacts []*nomadapi.TaskArtifact, vars variables) []*nomadapi.TaskArtifact {
	login := regexp.MustCompile(`//[^/@]*@`)
	for _, a := range artifacts {
		a.GetterHeaders = nil
		kept := map[string]string{}
		for _, key := range []string{"checksum", "archive", "filename"} {
			if value, ok := a.GetterOptions[key]; ok {
				kept[key] = vars.writeOut(value)
			}
		}
		a.GetterOptions = kept
		for _, text := range []*string{a.GetterSource, a.RelativeDest} {
			if text != nil {
				*text = vars.writeOut(*text)
			}
		}
		if a.GetterSource != nil {
			*a.GetterSource = login.ReplaceAllLiteralString(*a.GetterSource, "//")
		}
	}
	return artifacts
}

// neverRestart makes a failure final: a simulation is over when a twin has died.
func neverRestart() *nomadapi.RestartPolicy {
	return &nomadapi.RestartPolicy{
		Attempts: new(0), Interval: new(time.Minute), Delay: new(time.Second), Mode: new("fail"),
	}
}
