package changes_test

import (
	"testing"

	"github.com/shoenig/test/must"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/policies/changes"
)

func TestAllowed_IsWhatStaysInsideOfATask(t *testing.T) {
	t.Parallel()
	for key, want := range map[string]bool{
		"docker.image": true, "docker.args": true, "podman.image": true, "exec.command": true, "java.jar_path": true, "qemu.image_path": true,
		"docker.privileged": false, "docker.volumes": false, "docker.mounts": false, "docker.mount": false, "docker.pid_mode": false,
		"docker.ipc_mode": false, "docker.network_mode": false, "docker.userns_mode": false, "docker.cap_add": false, "docker.devices": false,
		"docker.security_opt": false, "docker.runtime": false, "docker.auth": false, "docker.sysctl": false, "docker.storage_opt": false,
		"docker.Image": false, "podman.privileged": false, "podman.volumes": false,
		"exec.pid_mode": false, "exec.ipc_mode": false, "exec.cap_add": false, "java.pid_mode": false,
		"raw_exec.command": false, "raw_exec.args": false, "qemu.args": false, "qemu.accelerator": false, "qemu.port_map": false,
		"unknown.image": false, "containerd-driver.image": false,
		"env.LOG_LEVEL": true, "env._x9": true,
		"env.LD_PRELOAD": false, "env.LD_LIBRARY_PATH": false, "env.LD-PRELOAD": false, "env.LD.PRELOAD": false, "env.9": false, "env.": false,
		"env.BASH_ENV": false, "env.NODE_OPTIONS": false, "env.PYTHONPATH": false, "env.JAVA_TOOL_OPTIONS": false, "env.PATH": false,
		"env.JAVA_HOME": false, "env.GIT_SSH_COMMAND": false, "env.HOME": false, "env.HOMEPAGE": true,
	} {
		must.EqOp(t, want, changes.Allowed(key), must.Sprint(key))
	}
}

func TestOf_NamesKeysByDriver(t *testing.T) {
	t.Parallel()
	target := api.Target{Driver: "docker", Tasks: []api.Task{{Name: "web", Driver: "docker"}, {Name: "vm", Driver: "qemu"}}}
	got := changes.Of([]api.Apply{
		{Kind: api.ApplyImage, Task: "vm", Image: "local/web.qcow2", Source: "https://x/web.qcow2"},
		{Kind: api.ApplyJob, Task: "web", Config: map[string]any{"privileged": true, "image": "web:2", "args": []any{"-v"}}, Env: map[string]string{"A": "b"}},
		{Kind: api.ApplyJob, Task: "gone", Config: map[string]any{"image": "x"}},
	}, target)
	must.Eq(t, []changes.Change{
		{Task: "gone", Key: "unknown.image", Value: "x"},
		{Task: "vm", Driver: "qemu", Key: "qemu.image_path", Value: "https://x/web.qcow2", Path: "local/web.qcow2"},
		{Task: "web", Driver: "docker", Key: "docker.args", Value: `["-v"]`},
		{Task: "web", Driver: "docker", Key: "docker.image", Value: "web:2"},
		{Task: "web", Driver: "docker", Key: "docker.privileged", Value: "true"},
		{Task: "web", Driver: "docker", Key: "env.A", Value: "b"},
	}, got)
	must.Eq(t, []changes.Change{{Task: "vm", Driver: "qemu", Key: "qemu.image_path"}},
		changes.Of([]api.Apply{{Kind: api.ApplyScript, Task: "vm", Script: "true"}}, target), must.Sprint("a script makes an image"))
}

func TestJudge_WantsAllRulesToAllow(t *testing.T) {
	t.Parallel()
	key := func(k string) []changes.Change { return []changes.Change{{Task: "t", Key: k}} }
	a := changes.Rule{Policy: "a", At: "a.hcl:1,1", Allow: []string{"docker.vol*"}}
	b := changes.Rule{Policy: "b", At: "b.hcl:1,1", Allow: []string{"docker.volumes", "env.LD_PRELOAD"}, Deny: []string{"docker.image"}}
	for name, tc := range map[string]struct {
		key   string
		rules []changes.Rule
		want  string // "" when it may go
		by    int    // rules that allowed it
	}{
		"shipped":            {key: "docker.image"},
		"shipped, two rules": {key: "docker.args", rules: []changes.Rule{a, b}},
		"nobody":             {key: "docker.volumes", want: `the patch sets docker.volumes of task t, and no policy allows it: changes { allow = ["docker.volumes"] } would`},
		"one":                {key: "docker.volumes", rules: []changes.Rule{a}, by: 1},
		"both":               {key: "docker.volumes", rules: []changes.Rule{a, b}, by: 2},
		"only the second":    {key: "env.LD_PRELOAD", rules: []changes.Rule{a, b}, want: `the patch sets env.LD_PRELOAD of task t, and policy "a" does not allow it (a.hcl:1,1)`},
		"denied":             {key: "docker.image", rules: []changes.Rule{a, b}, want: `the patch sets docker.image of task t, and policy "b" denies it (b.hcl:1,1)`},
	} {
		by := 0
		err := changes.Judge(key(tc.key), tc.rules, func(changes.Rule, changes.Change) { by++ })
		if tc.want == "" {
			must.NoError(t, err, must.Sprint(name))
			must.EqOp(t, tc.by, by, must.Sprint(name))
			continue
		}
		must.EqError(t, err, tc.want, must.Sprint(name))
		must.True(t, api.IsCode(err, api.CodePermissionDenied))
	}
}

// TestJudge_LetsADiskBeAFileOnly has paths in which Nomad sees a file of the task's own, and
// QEMU the node's.
func TestJudge_LetsADiskBeAFileOnly(t *testing.T) {
	t.Parallel()
	vm := api.Target{Driver: "qemu", Tasks: []api.Task{{Name: "vm", Driver: "qemu"}}}
	wide := changes.Rule{Policy: "wide", Allow: []string{"qemu.*"}}
	for path, want := range map[string]bool{
		"/images/web-2.qcow2": true, "local/web-2.qcow2": true, "local/web:2.qcow2": true,
		"/images/web.qcow2,file=/dev/sda": false, "local/web.qcow2,file=nbd:10.0.0.1:10809": false,
		"fat:rw:/etc": false, "file:/dev/sda": false, "json:{}": false, "nbd://10.0.0.1/disk": false, "": true,
		"/images/${meta.disk}": false, `/images/%{ if true }x%{ endif }`: false,
	} {
		for kind, apply := range map[string]api.Apply{
			"image": {Kind: api.ApplyImage, Task: "vm", Image: path, Source: "https://x/web.qcow2?a,b"},
			"job":   {Kind: api.ApplyJob, Task: "vm", Config: map[string]any{"image_path": path}},
		} {
			list := changes.Of([]api.Apply{apply}, vm)
			err := changes.Judge(list, nil, nil)
			must.EqOp(t, want, err == nil, must.Sprintf("%s %s: %v", kind, path, err))
			if !want {
				must.ErrorContains(t, err, "is no plain path")
			}
			must.NoError(t, changes.Judge(list, []changes.Rule{wide}, func(changes.Rule, changes.Change) {}))
		}
	}
	list := changes.Of([]api.Apply{{Kind: api.ApplyJob, Task: "vm", Config: map[string]any{"image_path": []any{"/x"}}}}, vm)
	must.ErrorContains(t, changes.Judge(list, nil, nil), "is no plain path")
}

// TestJudge_DeniesTheVariableThatNomadSets: Nomad puts an underscore for what can't stand in
// a name.
func TestJudge_DeniesTheVariableThatNomadSets(t *testing.T) {
	t.Parallel()
	rule := changes.Rule{Policy: "p", At: "p.hcl:1,1", Allow: []string{"env.*"}, Deny: []string{"env.LD_PRELOAD"}}
	for _, name := range []string{"LD_PRELOAD", "LD-PRELOAD", "LD PRELOAD", "LD/PRELOAD"} {
		err := changes.Judge([]changes.Change{{Task: "t", Key: "env." + name}}, []changes.Rule{rule}, func(changes.Rule, changes.Change) {})
		must.ErrorContains(t, err, `policy "p" denies it`, must.Sprint(name))
	}
}
