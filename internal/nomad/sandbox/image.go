package sandbox

import (
	"cmp"
	_ "embed" // the script that runs on the node
	"fmt"
	"path"
	"regexp"
	"slices"
	"strings"
	"time"

	nomadapi "github.com/hashicorp/nomad/api"

	"github.com/oakumhq/oakum/api"
)

const (
	formatRaw   = "raw"
	formatQcow2 = "qcow2"

	// formatMeta is the key of the job's metadata that declares the format of the
	// machine's image, where its name does not.
	formatMeta = "oakum_image_format"

	// prepareTask creates the files that the machine opens.
	prepareTask = "oakum-prepare"
	// twinDisk is the twin's own disk: a qcow2 laid over the image.
	twinDisk = "oakum-twin.qcow2"
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

// origin is where a machine's image comes from.
type origin int

const (
	fromNode  origin = iota // a file of the node
	fromTask                // artifacts of the task bring it into the task's folder
	fromGroup               // other tasks of the group make it before the machine starts
)

// originOf reads it from the image's path.
func originOf(image string) origin {
	switch {
	case strings.HasPrefix(image, "${NOMAD_ALLOC_DIR}"):
		return fromGroup
	case strings.HasPrefix(image, "/"), strings.HasPrefix(image, "${meta."), strings.HasPrefix(image, "${attr."), strings.HasPrefix(image, "${node."):
		return fromNode
	}
	return fromTask
}

// formatByName is the format that an image's name declares, or "".
func formatByName(name string) string {
	switch path.Ext(name) {
	case ".qcow2":
		return formatQcow2
	case ".raw", ".iso":
		return formatRaw
	}
	return ""
}

// imageFormat is the format of a machine's image, or "" where it is not declared. The
// name comes first: the result of a bake ends in .qcow2, whatever it was made of.
func (v variables) imageFormat(image string) string {
	return cmp.Or(formatByName(image), v["NOMAD_META_"+formatMeta])
}

// disk is the image of a machine, as the node must check it.
func disk(vm *nomadapi.Task, vars variables) (hostFile, error) {
	field := func(name string) argument { return argument{path: fmt.Sprintf("task %q, %s", vm.Name, name)} }
	a := field("image_path")
	a.value, _ = vm.Config["image_path"].(string)
	a, err := vars.expand(a, pathVariables)
	if err != nil {
		return hostFile{}, err
	}
	if why := badPath(a.value); why != "" {
		return hostFile{}, a.refuse("%q is not allowed in a twin: %s", a.value, why)
	}
	f := hostFile{op: opDisk, name: twinDisk, path: a.value, format: vars.imageFormat(a.value)}
	if f.format != formatRaw && f.format != formatQcow2 {
		return hostFile{}, a.refuse("the format of %s is not declared; set meta %s to raw or qcow2", f.path, formatMeta)
	}
	return f, nil
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
	again   bool   // another machine has left its data disks here
	roots   []string
	makers  []*nomadapi.Task // tasks of the job that make the disk
	files   []hostFile
}

// task returns the task that carries the preparation out. Artifacts of the machine's
// task come into this task's folder, so that they are checked before QEMU opens
// them, and so that QEMU never writes to them.
func (p preparation) task(vm *nomadapi.Task) *nomadapi.Task {
	words := []string{"-c", imageScript + prepareScript, "prepare", p.monitor, twinFolder}
	if p.again {
		words = append(words, "again")
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
		words = append(words, f.op, f.name, f.format, f.path)
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
func makerMark(i int) string { return fmt.Sprintf("%s/oakum-made-%d", twinFolder, i) }

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
		args, err := wordsOf(t)
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
