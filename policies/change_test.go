package policies_test

import (
	"testing"
	"time"

	"github.com/shoenig/test/must"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/policies"
	"github.com/oakumhq/oakum/policies/policytest"
)

func setting(config map[string]any, env map[string]string) policies.Facts {
	f := facts()
	f.Patch.Apply = []api.Apply{{Kind: api.ApplyJob, Task: "server", Config: config, Env: env}}
	return f
}

func TestDecide_RefusesKeysThatNoPolicyAllows(t *testing.T) {
	t.Parallel()
	const wide = `policy "wide" {
  changes { allow = ["docker.privileged", "docker.vol*"] }
}
`
	for name, tc := range map[string]struct {
		config map[string]any
		env    map[string]string
		driver string
		policy string
		want   string
	}{
		"an image":         {config: map[string]any{"image": "web:2"}},
		"a variable":       {env: map[string]string{"LOG_LEVEL": "debug"}},
		"privileged":       {config: map[string]any{"image": "web:2", "privileged": true}, want: "sets docker.privileged of task server, and no policy allows it"},
		"host volumes":     {config: map[string]any{"volumes": []any{"/:/host"}}, want: "sets docker.volumes of task server"},
		"another's pids":   {config: map[string]any{"pid_mode": "host"}, want: "sets docker.pid_mode of task server"},
		"a host's command": {config: map[string]any{"command": "/bin/sh"}, driver: "raw_exec", want: "sets raw_exec.command of task server"},
		"a machine's args": {config: map[string]any{"args": []any{"-device"}}, driver: "qemu", want: "sets qemu.args of task server"},
		"a loader":         {env: map[string]string{"LD_PRELOAD": "/x.so"}, want: "sets env.LD_PRELOAD of task server"},
		"allowed":          {config: map[string]any{"privileged": true, "volumes": []any{"a:b"}}, policy: wide},
		"not that one":     {config: map[string]any{"pid_mode": "host"}, policy: wide, want: `policy "wide" does not allow it (a.hcl:2,3)`},
		"where it applies": {
			config: map[string]any{"privileged": true}, policy: "policy \"other\" {\n  applies = target.namespace == \"sandbox\"\n  changes { allow = [\"docker.*\"] }\n}",
			want: "no policy allows it",
		},
		"denied": {config: map[string]any{"image": "web:2"}, policy: "policy \"still\" {\n  changes { deny = [\"docker.image\"] }\n}", want: `policy "still" denies it (a.hcl:2,3)`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := setting(tc.config, tc.env)
			if tc.driver != "" {
				f.Target.Tasks[0].Driver = tc.driver
			}
			lib := load(t)
			if tc.policy != "" {
				lib = load(t, tc.policy)
			}
			d, err := lib.Decide(f)
			if tc.want == "" {
				must.NoError(t, err)
				if tc.policy != "" {
					must.EqOp(t, "allows docker.privileged of task server", because(t, d, "changes").Reason)
				}
				return
			}
			must.ErrorContains(t, err, tc.want)
			must.True(t, api.IsCode(err, api.CodePermissionDenied))
		})
	}
}

// Two targets that differ in nothing but the driver of the task are told apart.
func TestDecide_AsksAboutTheDriverOfEachTarget(t *testing.T) {
	t.Parallel()
	f := setting(map[string]any{"command": "x"}, nil)
	s := load(t).Session(f.Patch, f.Cluster, f.Now)
	_, err := s.Decide(f.Target, f.Criticality, nil, nil)
	must.NoError(t, err)
	other := f.Target
	other.Tasks = []api.Task{{Name: "server", Driver: "raw_exec"}}
	_, err = s.Decide(other, f.Criticality, nil, nil)
	must.ErrorContains(t, err, "raw_exec.command")
}

func TestDecide_KnowsWhoSubmittedWhat(t *testing.T) {
	t.Parallel()
	lib := load(t, `policy "p" {
  applies = patch.submitted_by == "e-1"
  approval {
    when = length([for c in patch.changes : c.key if c.key == "docker.image" && c.value == "web:2"]) > 0
  }
}`)
	for name, tc := range map[string]struct {
		submitter, image string
		want             int
	}{
		"both":          {"e-1", "web:2", 1},
		"another image": {"e-1", "web:3", 0},
		"another one":   {"e-2", "web:2", 0},
		"nobody":        {"", "web:2", 0},
	} {
		f := setting(map[string]any{"image": tc.image}, nil)
		f.Patch.Submitter, f.Patch.SubmittedBy = tc.submitter, "e-1" // a name is the caller's own choice
		d, err := lib.Decide(f)
		must.NoError(t, err, must.Sprint(name))
		must.EqOp(t, tc.want, d.Approval.Count, must.Sprint(name))
	}
}

func TestChanges_NameTheMistake(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		`changes {}`:                            "changes needs allow or deny",
		`changes { allow = ["privileged"] }`:    `"privileged" is no key: want a driver and a key`,
		`changes { allow = "docker.image" }`:    "a.hcl:2,19",
		`changes { allows = ["docker.image"] }`: `Did you mean "allow"?`,
	} {
		files := []api.SourceFile{{Name: "a.hcl", Text: "policy \"p\" {\n" + text + "\n}"}}
		_, diags := policies.Load(files, schemas)
		must.ErrorContains(t, policies.DiagnosticsError(diags, files), want)
	}
}

func TestTests_SayWhatAPatchChanges(t *testing.T) {
	t.Parallel()
	results, diags := policytest.Run([]api.SourceFile{{Name: "x.policytest.hcl", Text: `test "refused" {
  target { job = "web" }
  patch { changes = { "docker.privileged" = "true" } }
  expect { refused = "docker.privileged" }
}
test "taken" {
  target { job = "web" }
  patch { changes = { "docker.image" = "web:2", "env.A" = "b" } }
  expect { strategy = "blue_green" }
}`}}, policies.Builtin(), schemas)
	must.False(t, diags.HasErrors())
	must.Len(t, 2, results)
	for _, r := range results {
		must.True(t, r.Passed, must.Sprint(r.Failures, r.Refusal))
	}
}

func TestDecide_KeepsTheEarliestExpiryOfAConsent(t *testing.T) {
	t.Parallel()
	asks := func(name, expires string) string {
		return "policy \"" + name + "\" {\n  approval { " + expires + " }\n}\n"
	}
	for name, tc := range map[string]struct {
		policies string
		want     time.Duration
	}{
		"none":     {asks("a", "count = 1"), 0},
		"one":      {asks("a", `expires = "24h"`) + asks("b", "count = 1"), 24 * time.Hour},
		"earliest": {asks("a", `expires = "24h"`) + asks("b", `expires = "90m"`) + asks("c", `expires = "48h"`), 90 * time.Minute},
	} {
		d, err := load(t, tc.policies).Decide(facts())
		must.NoError(t, err, must.Sprint(name))
		must.EqOp(t, tc.want, d.Approval.Expires.D(), must.Sprint(name))
		must.EqOp(t, 1, d.Approval.Count)
	}
	files := []api.SourceFile{{Name: "a.hcl", Text: asks("a", `expires = "1s"`)}}
	_, diags := policies.Load(files, schemas)
	must.ErrorContains(t, policies.DiagnosticsError(diags, files), "a.hcl:2,")
}
