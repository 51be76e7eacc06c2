package policies_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/hashicorp/hcl/v2"
	"github.com/shoenig/test/must"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/policies"
)

const goodPatch = `patch "openssl-3.0.16" {
  description = "OpenSSL 3.0.16 in the web tier image"
  severity    = "critical"
  fixes       = ["CVE-2026-0001"]

  affects "deb" {
    package = "openssl"
    below   = "3.0.16-1~deb12u1"
  }

  target {
    namespace = "prod"
    jobs      = ["web", "billing-*"]
    where     = target.meta.os == "debian-12"
  }

  apply "image" {
    task  = "vm"
    image = "/images/web-3.0.16.qcow2"
  }
}
`

func TestParsePatch_ReadsEveryField(t *testing.T) {
	t.Parallel()
	file := api.SourceFile{Name: "patches/openssl.hcl", Text: goodPatch}
	patch, diags := policies.ParsePatch(file)
	must.False(t, diags.HasErrors())
	must.Eq(t, api.Patch{
		Name: "openssl-3.0.16", Description: "OpenSSL 3.0.16 in the web tier image", Severity: api.SeverityCritical,
		Fixes:   []string{"CVE-2026-0001"},
		Affects: []api.Affected{{Ecosystem: "deb", Package: "openssl", Below: "3.0.16-1~deb12u1"}},
		Targets: []api.TargetSelector{{Namespace: "prod", Jobs: []string{"web", "billing-*"}, Where: `target.meta.os == "debian-12"`}},
		Apply:   []api.Apply{{Kind: api.ApplyImage, Task: "vm", Image: "/images/web-3.0.16.qcow2"}},
		Digest:  patch.Digest, File: file,
	}, patch)
	must.EqOp(t, 64, len(patch.Digest))

	relaid, diags := policies.ParsePatch(api.SourceFile{Name: "other.hcl", Text: "# a comment\n" + goodPatch})
	must.False(t, diags.HasErrors())
	must.EqOp(t, patch.Digest, relaid.Digest)
	changed, diags := policies.ParsePatch(api.SourceFile{Name: "other.hcl", Text: strings.Replace(goodPatch, "3.0.16.qcow2", "3.0.17.qcow2", 1)})
	must.False(t, diags.HasErrors())
	must.NotEqOp(t, patch.Digest, changed.Digest)
}

func TestParsePatch_ReadsJobsAndScripts(t *testing.T) {
	t.Parallel()
	text := `patch "two" {
  severity = "low"
  target { jobs = ["cart"] }
  apply "job" {
    task   = "server"
    config = { image = "web:3", args = ["-v", 2], tls = { on = true } }
    env    = { VERSION = "2.0", LIMIT = 5 }
  }
  apply "script" {
    task   = "vm"
    script = file("fix/patch.sh")
  }
}`
	file := api.SourceFile{Name: "two.hcl", Text: text, Files: map[string]string{"fix/patch.sh": "#!/bin/sh\n"}}
	must.Eq(t, []string{"fix/patch.sh"}, policies.FilesWanted(file))
	patch, diags := policies.ParsePatch(file)
	must.Nil(t, policies.DiagnosticsError(diags, []api.SourceFile{file}))
	must.Eq(t, []api.Apply{
		{Kind: api.ApplyJob, Task: "server", Env: map[string]string{"VERSION": "2.0", "LIMIT": "5"}, Config: map[string]any{
			"image": "web:3", "args": []any{"-v", 2.0}, "tls": map[string]any{"on": true}}},
		{Kind: api.ApplyScript, Task: "vm", Script: "#!/bin/sh\n"},
	}, patch.Apply)
	must.EqOp(t, "default", patch.Targets[0].Namespace)
}

func TestFilesWanted_StaysInTheFolder(t *testing.T) {
	t.Parallel()
	text := `patch "x" {
  a = file("/etc/shadow")
  b = file("../secret")
  c = file("b.sh")
  d = file("./a/../a.sh")
  e = file("b.sh")
}`
	must.Eq(t, []string{"./a/../a.sh", "b.sh"}, policies.FilesWanted(api.SourceFile{Name: "x", Text: text}))
}

// TestLoad_NamesTheMistakeAndItsPlace holds the exact text of every diagnostic. The files that begin
// with patch are patch files, the others policy files.
func TestLoad_NamesTheMistakeAndItsPlace(t *testing.T) {
	t.Parallel()
	paths, err := filepath.Glob("testdata/bad/*.hcl")
	must.NoError(t, err)
	must.SliceNotEmpty(t, paths)
	for _, path := range paths {
		name := filepath.Base(path)
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			text, err := os.ReadFile(path)
			must.NoError(t, err)
			file := api.SourceFile{Name: name, Text: string(text)}
			var diags hcl.Diagnostics
			if strings.HasPrefix(name, "patch") {
				_, diags = policies.ParsePatch(file)
			} else {
				_, diags = policies.ParsePolicy(file, schemas)
			}
			inFile(t, file, diags)
			failure := policies.DiagnosticsError(diags, []api.SourceFile{file})
			must.NotNil(t, failure)
			golden(t, filepath.Join("bad", strings.TrimSuffix(name, ".hcl")+".golden"), failure.Error()+"\n")
		})
	}
}

// inFile checks that every diagnostic points into the file.
func inFile(t testing.TB, file api.SourceFile, diags hcl.Diagnostics) {
	t.Helper()
	for _, d := range diags {
		must.NotNil(t, d.Subject, must.Sprint(d))
		must.EqOp(t, file.Name, d.Subject.Filename)
		must.Between(t, 0, d.Subject.Start.Byte, len(file.Text), must.Sprint(d))
		must.Between(t, d.Subject.Start.Byte, d.Subject.End.Byte, len(file.Text), must.Sprint(d))
		must.Between(t, 1, d.Subject.Start.Line, strings.Count(file.Text, "\n")+1, must.Sprint(d))
	}
}

func TestLoad_FindsDuplicates(t *testing.T) {
	t.Parallel()
	files := []api.SourceFile{
		{Name: "a.hcl", Text: `policy "x" {}`},
		{Name: "b.hcl", Text: "\npolicy \"x\" {}"},
	}
	_, diags := policies.Load(files, schemas)
	must.EqError(t, policies.DiagnosticsError(diags, files),
		"1 error in b.hcl\n  b.hcl:2,1: Duplicate name; policy \"x\" was already written at a.hcl:1,1. | policy \"x\" {}")
}

func TestMatches_SelectsTargets(t *testing.T) {
	t.Parallel()
	patch, diags := policies.ParsePatch(api.SourceFile{Name: "p.hcl", Text: goodPatch})
	must.False(t, diags.HasErrors())
	target := facts().Target
	cases := []struct {
		name   string
		change func(*api.Target)
		want   bool
	}{
		{"named", func(*api.Target) {}, true},
		{"pattern", func(t *api.Target) { t.Job = "billing-eu" }, true},
		{"other job", func(t *api.Target) { t.Job = "web2" }, false},
		{"other namespace", func(t *api.Target) { t.Namespace = "dev" }, false},
		{"other system", func(t *api.Target) { t.Meta = map[string]string{"os": "debian-11"} }, false},
		{"no metadata", func(t *api.Target) { t.Meta = nil }, false},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			changed := target
			c.change(&changed)
			got, err := policies.Matches(patch, changed)
			must.NoError(t, err)
			must.EqOp(t, c.want, got)
		})
	}
	selector, err := policies.NewSelector(patch)
	must.NoError(t, err)
	must.Eq(t, []api.TargetRef{{Namespace: "prod", Job: "web"}}, selector.Named())
}

func TestMatches_RefusesWhatItCannotEvaluate(t *testing.T) {
	t.Parallel()
	text := strings.Replace(goodPatch, `target.meta.os == "debian-12"`, `target.meta.weight > 3`, 1)
	patch, diags := policies.ParsePatch(api.SourceFile{Name: "p.hcl", Text: text})
	must.False(t, diags.HasErrors())
	_, err := policies.Matches(patch, facts().Target)
	must.ErrorContains(t, err, "select prod/web/web: target[0].where of p.hcl:1,1: Operation failed")
}

func TestFormat_IsStable(t *testing.T) {
	t.Parallel()
	got, diags := policies.Format(api.SourceFile{Name: "a.hcl", Text: "policy \"a\" {\ndeadline=\"5m\"\n  prefer =   \"none\"\n}\n"})
	must.False(t, diags.HasErrors())
	must.EqOp(t, "policy \"a\" {\n  deadline = \"5m\"\n  prefer   = \"none\"\n}\n", got)
	builtin := policies.Builtin()[0]
	got, diags = policies.Format(builtin)
	must.False(t, diags.HasErrors())
	must.EqOp(t, builtin.Text, got)
	_, diags = policies.Format(api.SourceFile{Name: "a.hcl", Text: "policy {"})
	must.True(t, diags.HasErrors())
}
