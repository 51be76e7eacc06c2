package sandbox

import (
	"strings"
	"testing"

	nomadapi "github.com/hashicorp/nomad/api"
	"github.com/shoenig/test/must"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/internal/inventory"
	"github.com/oakumhq/oakum/internal/twin"
)

func TestContainerJob_RunsBesideTheContainer(t *testing.T) {
	t.Parallel()
	spec := twin.ReadSpec{
		Job: "oakum-twin-inventory-1-read", Target: api.TargetRef{Namespace: "prod", Job: "store", Group: "store"}, Task: "app", RPMFormat: inventory.RPMFormat,
	}
	job := containerJob(spec, &nomadapi.AllocationListStub{ID: "a1", NodeID: "n1"}, []string{"n1", "n2"}, checksum, "unix:///d.sock")
	must.EqOp(t, spec.Job, *job.ID)
	must.EqOp(t, "n1,n2", job.Constraints[0].RTarget)
	must.EqOp(t, "prod", *job.Namespace)
	task := job.TaskGroups[0].Tasks[0]
	args, _ := task.Config["args"].([]string)
	must.Eq(t, []string{"app-a1", checksum}, args[1:3])
	must.Eq(t, []string{"n1", "${node.unique.id}"}, args[5:])
	for _, arg := range args {
		must.StrNotContains(t, arg, "%{", must.Sprint("Nomad would take it for a template"))
	}
	files := map[string]string{}
	for _, tmpl := range task.Templates {
		files[*tmpl.DestPath] = *tmpl.EmbeddedTmpl
		must.StrNotContains(t, *tmpl.EmbeddedTmpl, *tmpl.LeftDelim)
	}
	must.EqOp(t, inventory.RPMFormat, files["local/rpm-format"])
	must.True(t, strings.HasPrefix(files["local/container.sh"], "# Tells what is installed"))
}

// TestNamedAlike_LeavesOutFormerImages: in the middle of a rollout, some instances run another
// image, and the tag that the job names now has not moved.
func TestNamedAlike_LeavesOutFormerImages(t *testing.T) {
	t.Parallel()
	version := func(n uint64, image string) *nomadapi.Job {
		job := nomadapi.NewServiceJob("web", "web", "global", 50)
		job.Version = &n
		job.TaskGroups = []*nomadapi.TaskGroup{nomadapi.NewTaskGroup("web", 1)}
		job.TaskGroups[0].Tasks = []*nomadapi.Task{nomadapi.NewTask("app", "docker").SetConfig("image", image)}
		return job
	}
	versions := []*nomadapi.Job{version(3, "web:2"), version(2, "web:2"), version(1, "web:1")}
	must.Eq(t, map[uint64]bool{3: true, 2: true, 1: false}, namedAlike(versions, "web", "app"))
	must.MapEmpty(t, namedAlike(versions, "web", "other"))
}
