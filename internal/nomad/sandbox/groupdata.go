package sandbox

import (
	_ "embed" // the script that runs on the node
	"fmt"
	"slices"
	"time"

	nomadapi "github.com/hashicorp/nomad/api"

	"github.com/oakumhq/oakum/internal/nomad/sandbox/grouptask"
	"github.com/oakumhq/oakum/internal/twin"
)

// groupScript makes the folders that stand for volumes. In an allocation that replaces
// another one it checks that Nomad has carried the data over.
//
//go:embed groupdata.sh
var groupScript string

const (
	// volumeFolder begins the names of the folders, in the allocation's data, that stand
	// for volumes in a twin.
	volumeFolder = "oakum-volume-"
	// endsWithin bounds the kill timeout of a task that has data: its program may write
	// what it must before it ends, as in production.
	endsWithin = 30 * time.Second
	// endsUsually is Nomad's own kill timeout.
	endsUsually = 5 * time.Second
)

// keptData is what a group keeps when an instance is replaced.
type keptData struct {
	sticky  bool
	folders map[string]string // in the place of volumes, by the volume's name in the group
	order   []string          // the same folders
	data    []string          // in words
	lost    []string          // that no twin has, in words
}

// dataOf finds what the tasks of a twin keep in production. A volume's own data stays
// behind: a folder that is empty at first stands for it where the driver can mount one.
func dataOf(group *nomadapi.TaskGroup, tasks []*nomadapi.Task) keptData {
	out := keptData{folders: map[string]string{}}
	if d := group.EphemeralDisk; d != nil && d.Sticky != nil && *d.Sticky {
		out.sticky = true
		out.data = append(out.data, "the group's sticky disk")
	}
	for _, t := range tasks {
		for _, v := range t.VolumeMounts {
			name, writes := mounted(group, v)
			switch {
			case name == "" || !writes && t.Driver != "docker":
			case t.Driver != "docker":
				out.lost = append(out.lost, fmt.Sprintf("volume %s (driver %s of task %s mounts no folder)", name, t.Driver, t.Name))
			case out.folders[name] == "":
				out.folders[name] = fmt.Sprint(volumeFolder, len(out.order))
				out.order = append(out.order, out.folders[name])
				if writes {
					out.data = append(out.data, "volume "+name)
				}
			}
		}
		for _, key := range []string{"mount", "mounts", "volumes"} {
			if _, has := t.Config[key]; has && t.Driver == "docker" {
				out.lost = append(out.lost, fmt.Sprintf("docker.%s of task %s", key, t.Name))
			}
		}
	}
	return out
}

// mounted is the volume of the group that a mount names, and whether the task may write
// to it. The name is empty when the group has none.
func mounted(group *nomadapi.TaskGroup, v *nomadapi.VolumeMount) (name string, writes bool) {
	if v.Volume == nil || v.Destination == nil || group.Volumes[*v.Volume] == nil {
		return "", false
	}
	return *v.Volume, !group.Volumes[*v.Volume].ReadOnly && (v.ReadOnly == nil || !*v.ReadOnly)
}

// mounts are the folders that stand for the volumes of a container, as its driver takes
// them: a relative source lies in the allocation.
func (k keptData) mounts(group *nomadapi.TaskGroup, t *nomadapi.Task) []any {
	var out []any
	for _, v := range t.VolumeMounts {
		name, writes := mounted(group, v)
		if folder := k.folders[name]; folder != "" && t.Driver == "docker" {
			out = append(out, map[string]any{"type": "bind", "source": "../alloc/data/" + folder, "target": *v.Destination, "readonly": !writes})
		}
	}
	return out
}

// ending is how a program is ended.
type ending struct {
	signal string
	within time.Duration
}

// endingOf is how production ends a program.
func endingOf(t *nomadapi.Task) ending {
	within := endsUsually
	if t.KillTimeout != nil && *t.KillTimeout > 0 {
		within = min(*t.KillTimeout, endsWithin)
	}
	return ending{t.KillSignal, within}
}

// keep has Nomad move the data of the twin's allocation to the one that replaces it, and
// adds the task that prepares it. Programs end as in production.
func (k keptData) keep(group *nomadapi.TaskGroup, ends map[string]ending, spec twin.Spec) {
	if len(k.data) > 0 {
		if group.EphemeralDisk == nil {
			group.EphemeralDisk = &nomadapi.EphemeralDisk{}
		}
		group.EphemeralDisk.Sticky = new(true)
		for _, t := range group.Tasks {
			if e, ok := ends[t.Name]; ok {
				t.KillSignal, t.KillTimeout = e.signal, new(e.within)
			}
		}
	}
	if len(k.order) == 0 && spec.Former == "" {
		return
	}
	words := []string{"-c", groupScript, "prepare"}
	if spec.Former != "" {
		words = append(words, "witness", grouptask.Load+"/local/"+loadFile)
	}
	if spec.Former != "" && !k.sticky {
		words = append(words, "empty", "-")
		for _, t := range group.Tasks {
			if t.Name != grouptask.Load {
				words = append(words, "local", t.Name)
			}
		}
	}
	for _, folder := range k.order {
		words = append(words, "folder", folder)
	}
	group.Tasks = slices.Insert(group.Tasks, len(group.Tasks)-1, &nomadapi.Task{
		Name:          prepareTask,
		Driver:        "raw_exec",
		Lifecycle:     &nomadapi.TaskLifecycle{Hook: nomadapi.TaskLifecycleHookPrestart},
		Config:        map[string]any{"command": "/bin/sh", "args": words},
		Resources:     &nomadapi.Resources{CPU: new(50), MemoryMB: new(32)},
		RestartPolicy: neverRestart(),
		LogConfig:     &nomadapi.LogConfig{MaxFiles: new(1), MaxFileSizeMB: new(1)},
	})
}
