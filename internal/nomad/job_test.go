package nomad

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	nomadapi "github.com/hashicorp/nomad/api"
	"github.com/shoenig/test/must"

	"github.com/oakumhq/oakum/api"
)

// webJob is a job as Nomad answers it, with blocks of many kinds.
func webJob(t *testing.T) *nomadapi.Job {
	t.Helper()
	second := time.Second
	job := nomadapi.NewServiceJob("web", "web", "global", 50).AddDatacenter("dc1").SetMeta("k", "v")
	job.Update = nomadapi.DefaultUpdateStrategy()
	job.Constraints = []*nomadapi.Constraint{nomadapi.NewConstraint("${attr.kernel.name}", "=", "linux")}
	group := nomadapi.NewTaskGroup("web", 3)
	group.Networks = []*nomadapi.NetworkResource{{Mode: "bridge", DynamicPorts: []nomadapi.Port{{Label: "http"}}}}
	group.Volumes = map[string]*nomadapi.VolumeRequest{"data": {Name: "data", Type: "csi", Source: "disk", PerAlloc: true}}
	group.Services = []*nomadapi.Service{{
		Name: "web", PortLabel: "http", Checks: []nomadapi.ServiceCheck{{Type: "http", Path: "/", Interval: second, Timeout: second}},
		Connect: &nomadapi.ConsulConnect{SidecarService: &nomadapi.ConsulSidecarService{Proxy: &nomadapi.ConsulProxy{
			Upstreams: []*nomadapi.ConsulUpstream{{DestinationName: "db", LocalBindPort: 9000}}, Config: map[string]any{"limit": 5},
		}}},
	}}
	text := "{{ key `x` }}"
	for _, name := range []string{"server", "logger"} {
		group.AddTask(&nomadapi.Task{
			Name: name, Driver: "docker", Config: map[string]any{"image": "app:1", "ports": []string{"http"}, "cpu_hard_limit": true, "n": 1 << 20},
			Env: map[string]string{"A": "b"}, Templates: []*nomadapi.Template{{EmbeddedTmpl: &text, Splay: &second}},
			Vault: &nomadapi.Vault{Role: "web"}, KillTimeout: &second,
		})
	}
	job.AddTaskGroup(group)
	job.Canonicalize()
	job.Version, job.JobModifyIndex, job.Status = new(uint64(7)), new(uint64(70)), new("running")
	out, err := copyJob(job)
	must.NoError(t, err)
	return out
}

// TestDigest_SurvivesJSON holds the digest of a job to that of its copy: the record
// keeps digests for as long as a rollout goes on.
func TestDigest_SurvivesJSON(t *testing.T) {
	job := webJob(t)
	again, err := copyJob(job)
	must.NoError(t, err)
	same, err := equal(job, again)
	must.NoError(t, err)
	must.True(t, same)

	again.Version, again.JobModifyIndex, again.TaskGroups[0].Update = new(uint64(8)), new(uint64(80)), nil
	same, err = equal(job, again)
	must.NoError(t, err)
	must.True(t, same, must.Sprint("what Nomad sets and the pace of an update are no part of what runs"))
	again.TaskGroups[0].Count = new(17)
	same, err = equal(job, again)
	must.NoError(t, err)
	must.True(t, same, must.Sprint("nor is a count, which an autoscaler changes"))
	again.TaskGroups[0].Tasks[1].Env["A"] = "c"
	same, err = equal(job, again)
	must.NoError(t, err)
	must.False(t, same)
}

func TestPatched_LeavesTheFormerJobAsItIs(t *testing.T) {
	job := webJob(t)
	before, err := json.Marshal(job)
	must.NoError(t, err)
	next, err := Patched(job, "web", []api.Apply{
		{Kind: api.ApplyImage, Task: "server", Image: "app:2"},
		{Kind: api.ApplyJob, Task: "server", Config: map[string]any{"n": 5}, Env: map[string]string{"A": "z"}},
	})
	must.NoError(t, err)
	server, logger := next.TaskGroups[0].Tasks[0], next.TaskGroups[0].Tasks[1]
	must.Eq(t, "app:2", server.Config["image"].(string))
	must.Eq(t, 5.0, server.Config["n"].(float64), must.Sprint("as Nomad would answer it"))
	must.Eq(t, "z", server.Env["A"])
	must.Nil(t, next.Version)
	logger.Config["image"], logger.Env["A"], *next.TaskGroups[0].Count = "other", "other", 9
	after, err := json.Marshal(job)
	must.NoError(t, err)
	must.Eq(t, string(before), string(after))
}

// TestPatched_HasNomadFetchAnImage takes a machine whose image an artifact brings, or the
// client has.
func TestPatched_HasNomadFetchAnImage(t *testing.T) {
	sum := strings.Repeat("0a", 32)
	change := api.Apply{Kind: api.ApplyImage, Task: "server", Image: "local/web-2.qcow2", Source: "https://images.example/web-2.qcow2", Digest: sum}
	fetches := func(source, mode, dest string) *nomadapi.TaskArtifact {
		a := &nomadapi.TaskArtifact{GetterSource: new(source), GetterMode: new(mode), RelativeDest: new(dest)}
		a.Canonicalize()
		return a
	}
	other := fetches("https://images.example/firmware.fd", "any", "local/")
	for name, c := range map[string]struct {
		image  string
		former *nomadapi.TaskArtifact
		kept   bool
	}{
		"into a folder":       {"local/web-1.qcow2", fetches("https://images.example/web-1.qcow2?archive=false", "any", "local/"), false},
		"as a file":           {"local/disk.qcow2", fetches("https://images.example/web-1.qcow2", "file", "local/disk.qcow2"), false},
		"by a variable":       {"${NOMAD_TASK_DIR}/web-1.qcow2", fetches("https://images.example/web-1.qcow2", "any", "local"), false},
		"of the same name":    {"/images/web.qcow2", fetches("https://old.example/web-2.qcow2", "any", "local/"), false},
		"what is no image":    {"/images/web.qcow2", fetches("https://images.example/web-1.qcow2", "any", "local/"), true},
		"in another's folder": {"local/web-1.qcow2", fetches("https://images.example/web-1.qcow2", "any", "local/other/"), true},
	} {
		t.Run(name, func(t *testing.T) {
			job := webJob(t)
			task := job.TaskGroups[0].Tasks[0]
			task.Driver, task.Config = "qemu", map[string]any{"image_path": c.image}
			task.Artifacts = []*nomadapi.TaskArtifact{other, c.former}
			next, err := Patched(job, "web", []api.Apply{change})
			must.NoError(t, err)
			patched := next.TaskGroups[0].Tasks[0]
			must.Eq(t, "local/web-2.qcow2", patched.Config["image_path"].(string))
			want := []*nomadapi.TaskArtifact{other}
			if c.kept {
				want = append(want, c.former)
			}
			fetched := fetches(change.Source, "file", "local/web-2.qcow2")
			fetched.GetterOptions = map[string]string{"checksum": "sha256:" + sum, "archive": "false"}
			must.Eq(t, append(want, fetched), patched.Artifacts)
			must.Len(t, 2, task.Artifacts)

			again, err := Patched(next, "web", []api.Apply{change})
			must.NoError(t, err)
			same, err := equal(next, again)
			must.NoError(t, err)
			must.True(t, same, must.Sprint("a patched job stays as it is"))
		})
	}
	_, err := Patched(webJob(t), "web", []api.Apply{change})
	must.ErrorContains(t, err, `task "server": its driver is docker, and only the image of a virtual machine has a source`)
}
