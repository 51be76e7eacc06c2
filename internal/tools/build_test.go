package tools_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/shoenig/test/must"
)

// built runs build.sh in a module of one file, and returns what it said.
func built(t *testing.T, goMod, source string, env ...string) (out, said string, err error) {
	t.Helper()
	script, err := filepath.Abs("build.sh")
	must.NoError(t, err)
	dir := t.TempDir()
	must.NoError(t, os.WriteFile(filepath.Join(dir, "go.mod"), []byte("module example.org/greet\n\ngo 1.26\n"+goMod), 0o644))
	must.NoError(t, os.WriteFile(filepath.Join(dir, "greet.go"), []byte("package main\n\n"+source), 0o644))
	out = filepath.Join(dir, "bin", "greet")
	command := exec.CommandContext(t.Context(), script, out, ".", "-buildvcs=false")
	command.Dir, command.Env = dir, append(os.Environ(), env...)
	text, err := command.CombinedOutput()
	return out, string(text), err
}

func TestBuild(t *testing.T) {
	out, said, err := built(t, "", "func main() {}\n")
	must.NoError(t, err, must.Sprint(said))
	must.FileExists(t, out)
	must.EqOp(t, "building "+out+": minutes the first time, seconds afterwards\n", said)
}

func TestBuild_SaysWhatToDo(t *testing.T) {
	const wants, source = "\nrequire example.org/hello v1.0.0\n", "import _ \"example.org/hello\"\n\nfunc main() {}\n"
	for name, c := range map[string]struct{ goMod, source, env, says string }{
		"no go":      {"", "func main() {}\n", "GO=go-of-nowhere", "build: there is no go-of-nowhere on PATH: install Go from https://go.dev/dl\n"},
		"no network": {wants, source, "GOPROXY=off", "build: Oakum's modules can't be had: connect this machine to the module proxy that go env GOPROXY names (off)\n"},
		"full disk":  {"", "func main() {}\n", "GO=" + full(t), "is full: make room for 2 GB, or set GOCACHE, GOMODCACHE or TMPDIR to a folder of another disk\n"},
		"bad source": {"", "func main() { nonsense() }\n", "GOPROXY=off", "undefined: nonsense\n"},
	} {
		t.Run(name, func(t *testing.T) {
			out, said, err := built(t, c.goMod, c.source, c.env, "GOFLAGS=-mod=mod", "GONOSUMDB=*")
			must.Error(t, err)
			must.StrHasSuffix(t, c.says, said)
			must.FileNotExists(t, out)
		})
	}
}

// full is a go command that can't write what it compiles.
func full(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "go")
	script := "#!/bin/sh\n[ \"$1\" = env ] && { echo /cache; echo /modules; exit; }\necho 'compile: write /cache/ab: no space left on device'\nexit 1\n"
	must.NoError(t, os.WriteFile(path, []byte(script), 0o755))
	return path
}
