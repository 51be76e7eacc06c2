package nomad

import (
	"encoding/json"
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
