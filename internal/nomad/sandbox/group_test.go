package sandbox

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	nomadapi "github.com/hashicorp/nomad/api"
	"github.com/shoenig/test/must"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/internal/nomad"
	"github.com/oakumhq/oakum/internal/nomad/sandbox/grouptask"
	"github.com/oakumhq/oakum/internal/twin"
)

// containers is a job of a container with everything that must not reach a twin. What
// must be gone has "production" in its text.
func containers() *nomadapi.Job {
	job := nomadapi.NewServiceJob("web", "web", "global", 80)
	job.Namespace = new("prod")
	job.Spreads = []*nomadapi.Spread{{Attribute: "${node.production}"}}
	group := nomadapi.NewTaskGroup("web", 4)
	job.Meta, group.Meta = map[string]string{"owner": "production"}, map[string]string{"tier": "2", "contact": "production"}
	group.Networks = []*nomadapi.NetworkResource{{
		Mode: "bridge", Hostname: "production", DynamicPorts: []nomadapi.Port{{Label: "http", To: 8080, HostNetwork: "production"}},
		ReservedPorts: []nomadapi.Port{{Label: "admin", Value: 9000}},
	}}
	group.Volumes = map[string]*nomadapi.VolumeRequest{"shared": {Name: "shared", Type: "host", Source: "production"}}
	group.Services = []*nomadapi.Service{{
		Name: "web", PortLabel: "http", Connect: &nomadapi.ConsulConnect{}, Tags: []string{"production"},
		Checks: []nomadapi.ServiceCheck{{Type: "tcp"}, {Type: "http", Path: "/health"}},
	}}
	app := nomadapi.NewTask("app", "docker")
	app.Config = map[string]any{
		"image": "web:1.0", "args": []string{"serve", "-tier=${NOMAD_META_tier}"}, "ports": []string{"production"}, "volumes": []string{"/production:/data"},
		"mounts": []map[string]any{{"source": "/production"}}, "devices": []map[string]any{{"host_path": "/dev/production"}},
		"privileged": true, "cap_add": []string{"production"}, "pid_mode": "production", "ipc_mode": "production", "network_mode": "production",
		"extra_hosts": []string{"production:host-gateway"}, "auth": []map[string]any{{"password": "production"}},
		"logging": []map[string]any{{"type": "production"}}, "runtime": "production", "security_opt": []string{"seccomp=production"},
		"userns_mode": "production", "uts_mode": "production", "sysctl": []map[string]any{{"production": "1"}}, "force_pull": true,
	}
	app.Env = map[string]string{"PASSWORD": "production", "LISTEN": "production", "LEVEL": "info"}
	app.Templates = []*nomadapi.Template{{EmbeddedTmpl: new("production")}}
	app.Vault = &nomadapi.Vault{Policies: []string{"production"}}
	app.Identities = []*nomadapi.WorkloadIdentity{{Name: "production"}}
	app.VolumeMounts = []*nomadapi.VolumeMount{{Volume: new("production")}}
	app.Services = []*nomadapi.Service{{Name: "production"}}
	app.Resources = &nomadapi.Resources{CPU: new(200), MemoryMB: new(64), Devices: []*nomadapi.RequestedDevice{{Name: "production"}}}
	app.KillTimeout = new(time.Minute)
	proxy := nomadapi.NewTask("connect-proxy-web", "docker").SetConfig("image", "production")
	proxy.Kind = "connect-proxy:web"
	helper := nomadapi.NewTask("helper", "raw_exec").SetConfig("command", "production")
	cache := nomadapi.NewTask("cache", "exec").SetConfig("command", "/usr/bin/cache").SetConfig("pid_mode", "production")
	group.Tasks = []*nomadapi.Task{proxy, app, helper, cache}
	job.TaskGroups = []*nomadapi.TaskGroup{group}
	return job
}

// newImage is a patch of that job.
func newImage() []api.Apply {
	return []api.Apply{
		{Kind: api.ApplyImage, Task: "app", Image: "web:1.1"},
		{Kind: api.ApplyJob, Task: "app", Env: map[string]string{"LEVEL": "debug"}},
	}
}

// groupSpec asks for a twin of it, patched or not.
func groupSpec(patch []api.Apply) twin.Spec {
	return twin.Spec{
		Job: "oakum-twin-s-1-treatment", Target: api.TargetRef{Namespace: "prod", Job: "web", Group: "web"}, Node: "n1",
		Group: &twin.Group{
			Network: "oakum-sandbox", Apply: patch, Env: map[string]string{"LISTEN": "127.0.0.1:8080"},
			Load: twin.Load{
				Source: "/usr/local/bin/oakum", Checksum: "sha256:" + strings.Repeat("a", 64), Rate: 20, Seed: 7,
				WarmUp: 15 * time.Second, Duration: time.Minute,
			},
		},
	}
}

// makeGroup builds the twin as StartTwin does.
func makeGroup(t *testing.T, job *nomadapi.Job, changes []api.Apply, spec twin.Spec) (*nomadapi.Job, twin.Machine, error) {
	t.Helper()
	next, err := nomad.Patched(job, "web", changes)
	must.NoError(t, err)
	return groupJob(next, spec)
}

func TestGroupJob_RunsALoadProgramBesideTheTwin(t *testing.T) {
	spec := groupSpec(newImage())
	spec.Group.Load.Program = &api.LoadProgram{Command: "wrk"}
	job, m, err := makeGroup(t, containers(), newImage(), spec)
	must.NoError(t, err)
	must.Eq(t, "oakum-program", m.Program)
	group := job.TaskGroups[0]
	program := group.Tasks[len(group.Tasks)-2]
	must.Eq(t, "oakum-program", program.Name)
	must.Eq(t, 0, *program.RestartPolicy.Attempts)
	must.Eq(t, "oakum-load", group.Tasks[len(group.Tasks)-1].Name)
	must.SliceContainsFunc(t, group.Networks[0].DynamicPorts, "oakum_target", func(p nomadapi.Port, label string) bool { return p.Label == label })
}

func TestGroupJob_LeavesNothingOfProduction(t *testing.T) {
	job, m, err := makeGroup(t, containers(), newImage(), groupSpec(newImage()))
	must.NoError(t, err)
	text, err := json.Marshal(job)
	must.NoError(t, err)
	must.StrNotContains(t, string(text), "production")

	must.Eq(t, twin.Machine{
		Namespace: "prod", Job: "oakum-twin-s-1-treatment", Image: "web:1.1", Task: "app", Port: "http", Scheme: "http", Path: "/health",
		Load: "oakum-load", Lacks: []string{
			"volume shared", "the mesh of service web", "task connect-proxy-web (it is a proxy of the mesh)",
			"docker.auth of task app", "docker.cap_add of task app", "docker.devices of task app", "docker.extra_hosts of task app",
			"docker.ipc_mode of task app", "docker.logging of task app", "docker.mounts of task app",
			"docker.network_mode of task app", "docker.pid_mode of task app", "docker.ports of task app", "docker.privileged of task app",
			"docker.runtime of task app", "docker.security_opt of task app", "docker.sysctl of task app", "docker.userns_mode of task app",
			"docker.uts_mode of task app", "docker.volumes of task app", "env.PASSWORD of task app", "the templates of task app",
			"the volumes of task app", "Vault's token of task app", "the devices of task app",
			"task helper (driver raw_exec isolates nothing from the node, and no node pool of twins is named (simulate, pool))",
			"exec.pid_mode of task cache",
		},
		Uncarried: []string{"docker.mounts of task app", "docker.volumes of task app"},
	}, m)

	group := job.TaskGroups[0]
	must.Eq(t, 1, *group.Count)
	must.Eq(t, []*nomadapi.NetworkResource{{
		Mode: "cni/oakum-sandbox", DynamicPorts: []nomadapi.Port{{Label: "http", To: 8080}, {Label: "admin", To: 9000}},
	}}, group.Networks)
	must.Eq(t, []string{"app", "cache", "oakum-load"}, taskNames(job))
	app := group.Tasks[0]
	must.Eq(t, map[string]any{"image": "web:1.1", "args": []any{"serve", "-tier=2"}, "force_pull": false}, app.Config)
	must.Eq(t, map[string]string{"LISTEN": "127.0.0.1:8080", "LEVEL": "debug"}, app.Env)
	must.Eq(t, 64, *app.Resources.MemoryMB)
	must.Eq(t, 1, *job.Priority)
}

// TestGroupJob_ControlDiffersByThePatchOnly: the control keeps what the patch changes, as
// production has it.
func TestGroupJob_ControlDiffersByThePatchOnly(t *testing.T) {
	control, c, err := makeGroup(t, containers(), nil, groupSpec(newImage()))
	must.NoError(t, err)
	treatment, m, err := makeGroup(t, containers(), newImage(), groupSpec(newImage()))
	must.NoError(t, err)
	must.Eq(t, "web:1.0", c.Image)
	c.Image = m.Image
	must.Eq(t, m, c)

	app := control.TaskGroups[0].Tasks[0]
	must.Eq(t, "info", app.Env["LEVEL"])
	app.Config["image"], app.Env["LEVEL"] = "web:1.1", "debug"
	a, err := json.Marshal(control)
	must.NoError(t, err)
	b, err := json.Marshal(treatment)
	must.NoError(t, err)
	must.Eq(t, string(b), string(a))
}

func TestGroupJob_RawExecRunsOnNodesOfTwinsOnly(t *testing.T) {
	patch := []api.Apply{{Kind: api.ApplyJob, Task: "helper", Config: map[string]any{"args": []string{"-new"}}}}
	spec := groupSpec(patch)
	_, _, err := makeGroup(t, containers(), patch, spec)
	must.ErrorContains(t, err, `task "helper" can't have an isolated twin: driver raw_exec isolates nothing from the node`)
	spec.Pool = "twins"
	job, m, err := makeGroup(t, containers(), patch, spec)
	must.NoError(t, err)
	must.Eq(t, "helper", m.Task)
	must.Eq(t, "twins", *job.NodePool)
	must.Eq(t, []string{"app", "helper", "cache", "oakum-load"}, taskNames(job))
}

func TestGroupJob_RefusesWhatATwinCantShow(t *testing.T) {
	image := func(task string) []api.Apply {
		return []api.Apply{{Kind: api.ApplyImage, Task: task, Image: "web:1.1"}}
	}
	cases := map[string]struct {
		change func(job *nomadapi.Job, spec *twin.Spec)
		patch  []api.Apply
		want   string
	}{
		"a field that twins go without": {
			patch: []api.Apply{{Kind: api.ApplyJob, Task: "app", Config: map[string]any{"privileged": false}}},
			want:  "the patch changes privileged, which a twin goes without",
		},
		"a script":                 {patch: []api.Apply{{Kind: api.ApplyScript, Task: "app", Script: "true"}}, want: "a script is for a virtual machine's image"},
		"an image without docker":  {patch: image("cache"), want: `driver "exec" runs no image`},
		"a proxy":                  {patch: image("connect-proxy-web"), want: "it is a proxy of the mesh"},
		"another driver":           {change: func(job *nomadapi.Job, _ *twin.Spec) { job.TaskGroups[0].Tasks[1].Driver = "podman" }, want: `no twin runs driver "podman"`},
		"no task":                  {patch: []api.Apply{{Kind: api.ApplyImage, Task: "other"}}, want: "the patch changes no task"},
		"no network":               {change: func(_ *nomadapi.Job, s *twin.Spec) { s.Group.Network = "" }, want: "simulator.network names no network"},
		"no health check":          {change: func(job *nomadapi.Job, _ *twin.Spec) { job.TaskGroups[0].Services = nil }, want: "has no HTTP check"},
		"no program for the load":  {change: func(_ *nomadapi.Job, s *twin.Spec) { s.Group.Load.Source = "" }, want: "simulator.load says not where"},
		"a program without digest": {change: func(_ *nomadapi.Job, s *twin.Spec) { s.Group.Load.Checksum = "md5:1" }, want: "simulator.load says not where"},
		"a workload that is too large": {
			change: func(_ *nomadapi.Job, s *twin.Spec) { s.Group.Load.Requests = make([]byte, grouptask.RequestsMax+1) }, want: "the workload has 262145 bytes",
		},
		"an artifact with a login": {change: func(job *nomadapi.Job, _ *twin.Spec) {
			job.TaskGroups[0].Tasks[1].Artifacts = []*nomadapi.TaskArtifact{{GetterSource: new("https://me:pass@files/app.tgz")}}
		}, want: "an artifact needs credentials"},
		"an artifact with a header": {change: func(job *nomadapi.Job, _ *twin.Spec) {
			job.TaskGroups[0].Tasks[1].Artifacts = []*nomadapi.TaskArtifact{{GetterSource: new("https://files/app.tgz"), GetterHeaders: map[string]string{"A": "b"}}}
		}, want: "an artifact needs credentials"},
		"an artifact with a key": {change: func(job *nomadapi.Job, _ *twin.Spec) {
			job.TaskGroups[0].Tasks[1].Artifacts = []*nomadapi.TaskArtifact{{GetterSource: new("s3::https://files/app.tgz"), GetterOptions: map[string]string{"aws_access_key_id": "b"}}}
		}, want: "an artifact has the option aws_access_key_id"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			job, patch := containers(), c.patch
			if patch == nil {
				patch = image("app")
			}
			spec := groupSpec(patch)
			if c.change != nil {
				c.change(job, &spec)
			}
			_, _, err := makeGroup(t, job, nil, spec)
			must.ErrorContains(t, err, c.want)
			must.True(t, api.IsCode(err, api.CodeInvalid))
		})
	}
}

func TestParseReports_ReadsWholeLines(t *testing.T) {
	text := `{"phase":"waiting","at":"2026-01-01T00:00:00Z","healthy":true}` + "\n" +
		`{"phase":"running","at":"2026-01-01T00:00:01Z","answers":[{"request":1,"status":500,"us":1500,"failed":true}]}` + "\n"
	reports, read, err := parseReports([]byte(text + `{"phase":"run`))
	must.NoError(t, err)
	must.Eq(t, len(text), read)
	must.Len(t, 2, reports)
	must.True(t, reports[0].Healthy)
	must.Eq(t, []twin.Answer{{Request: 1, Status: 500, Micros: 1500, Failed: true}}, reports[1].Answers)
	must.Eq(t, 1500*time.Microsecond, reports[1].Answers[0].Took())

	_, _, err = parseReports([]byte("no JSON\n"))
	must.ErrorContains(t, err, "a line that is none")
}

func TestSandboxFault_IsNeverWhatTheTwinRuns(t *testing.T) {
	started := time.Unix(1, 0)
	cases := map[string]struct {
		tasks map[string]*nomadapi.TaskState
		want  string
	}{
		"the program fails": {map[string]*nomadapi.TaskState{"app": {Failed: true, StartedAt: started}, grouptask.Load: {StartedAt: started}}, ""},
		"the load fails":    {map[string]*nomadapi.TaskState{"app": {StartedAt: started}, grouptask.Load: {Failed: true, StartedAt: started}}, "the load of the twin has failed"},
		"the stubs fail":    {map[string]*nomadapi.TaskState{"app": {StartedAt: started}, grouptask.Stubs: {Failed: true, StartedAt: started}}, "the stubs of the twin have failed"},
		"it never starts":   {map[string]*nomadapi.TaskState{"app": {Failed: true}}, "node n1 can't start task app"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			must.Eq(t, c.want, sandboxFault(&nomadapi.Allocation{NodeName: "n1", TaskStates: c.tasks}))
		})
	}
}

func TestGroupUsage_LeavesTheLoadOut(t *testing.T) {
	usage := func(at int64, cpu float64, m nomadapi.MemoryStats) *nomadapi.TaskResourceUsage {
		return &nomadapi.TaskResourceUsage{Timestamp: at, ResourceUsage: &nomadapi.ResourceUsage{
			CpuStats: &nomadapi.CpuStats{Percent: cpu}, MemoryStats: &m,
		}}
	}
	all := &nomadapi.AllocResourceUsage{Tasks: map[string]*nomadapi.TaskResourceUsage{
		"app": usage(3e9, 20, nomadapi.MemoryStats{RSS: 5}), "cache": usage(2e9, 5, nomadapi.MemoryStats{Usage: 7}),
		grouptask.Load: usage(4e9, 50, nomadapi.MemoryStats{RSS: 100}),
	}}
	must.Eq(t, twin.Usage{At: time.Unix(3, 0), CPUCores: 0.25, Memory: 12}, groupUsage(all))
	all.Tasks["cache"] = nil
	must.Eq(t, twin.Usage{}, groupUsage(all))
}
