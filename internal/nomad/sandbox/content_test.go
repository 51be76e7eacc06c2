package sandbox

import (
	"testing"

	nomadapi "github.com/hashicorp/nomad/api"
	"github.com/shoenig/test/must"
)

func TestContent_IsOfWhatTwinsAreMadeOf(t *testing.T) {
	t.Parallel()
	digest := func(id string, change func(*nomadapi.Job, *nomadapi.TaskGroup)) string {
		job := nomadapi.NewServiceJob(id, id, "global", 50)
		job.Canonicalize()
		job.JobModifyIndex, job.Version = new(uint64(len(id))), new(uint64(len(id)))
		group := nomadapi.NewTaskGroup(id, len(id))
		group.Services = []*nomadapi.Service{{Name: id, PortLabel: "http", Checks: []nomadapi.ServiceCheck{{Name: id, Type: "http", Path: "/health"}}}}
		group.Tasks = []*nomadapi.Task{nomadapi.NewTask("vm", "qemu").SetConfig("image_path", "/images/web.qcow2")}
		job.TaskGroups = []*nomadapi.TaskGroup{group}
		change(job, group)
		sum, err := content(job, id)
		must.NoError(t, err)
		return sum
	}
	as := func(*nomadapi.Job, *nomadapi.TaskGroup) {}
	want := digest("web", as)
	must.EqOp(t, want, digest("billing", as), must.Sprint("names, counts and versions are not of the content"))
	for name, change := range map[string]func(*nomadapi.Job, *nomadapi.TaskGroup){
		"image": func(_ *nomadapi.Job, g *nomadapi.TaskGroup) { g.Tasks[0].Config["image_path"] = "/images/web-2.qcow2" },
		"env":   func(_ *nomadapi.Job, g *nomadapi.TaskGroup) { g.Tasks[0].Env = map[string]string{"A": "b"} },
		"memory": func(_ *nomadapi.Job, g *nomadapi.TaskGroup) {
			g.Tasks[0].Resources = &nomadapi.Resources{MemoryMB: new(64)}
		},
		"check":     func(_ *nomadapi.Job, g *nomadapi.TaskGroup) { g.Services[0].Checks[0].Path = "/" },
		"meta":      func(j *nomadapi.Job, _ *nomadapi.TaskGroup) { j.Meta = map[string]string{"oakum_paths": "/a"} },
		"node pool": func(j *nomadapi.Job, _ *nomadapi.TaskGroup) { j.NodePool = new("gpu") },
	} {
		must.NotEq(t, want, digest("web", change), must.Sprint(name))
	}
}
