package program

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/shoenig/test/must"

	"github.com/oakumhq/oakum/internal/wait"
)

// rig is a checkout with one tool module, a cache, and a PATH of its own.
type rig struct {
	provider
	program Program
	said    *bytes.Buffer
}

// newRig makes a checkout whose only program is greet. Its module is replaced
// by a folder, so that nothing is downloaded.
func newRig(t *testing.T, cacheDir string) *rig {
	t.Helper()
	root := t.TempDir()
	folder := filepath.Join(root, "e2e", "stack", "greet")
	files := map[string]string{
		"go.mod":          "module example.org/tools\n\ngo 1.26\n\ntool example.org/greet\n\nrequire example.org/greet v1.2.3\n\nreplace example.org/greet => ./source\n",
		"go.sum":          "",
		"source/go.mod":   "module example.org/greet\n\ngo 1.26\n",
		"source/greet.go": "package main\n\nfunc main() { println(\"greet v1.2.3\") }\n",
	}
	for name, text := range files {
		path := filepath.Join(folder, name)
		must.NoError(t, os.MkdirAll(filepath.Dir(path), 0o755))
		must.NoError(t, os.WriteFile(path, []byte(text), 0o644))
	}
	links := filepath.Join(root, ".stack", "bin")
	must.NoError(t, os.MkdirAll(links, 0o755))
	said := &bytes.Buffer{}
	return &rig{
		provider: provider{Options: Options{Root: root, Links: links, Cache: cacheDir, Log: said}, cache: cache{cacheDir}},
		program:  Program{Name: "greet", Module: "example.org/greet", From: "v1.2.0", Below: "v1.3.0", tell: "version"},
		said:     said,
	}
}

// provide does for the rig's program what Provide does for each.
func (r *rig) provide(ctx context.Context) error {
	s, found, err := r.find(ctx, r.program)
	if err != nil || found {
		return err
	}
	return r.make(ctx, s)
}

func (r *rig) linked(t *testing.T) string {
	t.Helper()
	path, err := filepath.EvalSymlinks(filepath.Join(r.Links, "greet"))
	must.NoError(t, err)
	return path
}

// install puts a program into a folder of PATH that tells that version.
func install(t *testing.T, tells string) string {
	t.Helper()
	dir := t.TempDir()
	path := filepath.Join(dir, "greet")
	must.NoError(t, os.WriteFile(path, []byte("#!/bin/sh\necho '"+tells+"'\n"), 0o755))
	t.Setenv("PATH", dir+string(filepath.ListSeparator)+os.Getenv("PATH"))
	return path
}

func TestProvide_secondCheckoutBuildsNothing(t *testing.T) {
	shared := t.TempDir()
	first, second := newRig(t, shared), newRig(t, shared)
	must.NoError(t, first.provide(t.Context()))
	must.StrContains(t, first.said.String(), "greet            v1.2.3 built in")
	must.EqOp(t, "v1.2.3", told(t.Context(), first.linked(t), "version"))

	must.NoError(t, second.provide(t.Context()))
	must.StrContains(t, second.said.String(), "v1.2.3 in the cache")
	must.EqOp(t, first.linked(t), second.linked(t))
}

func TestProvide_twoAtOnceBuildOnce(t *testing.T) {
	shared := t.TempDir()
	rigs := []*rig{newRig(t, shared), newRig(t, shared), newRig(t, shared)}
	var all sync.WaitGroup
	failed := make([]error, len(rigs))
	for i, r := range rigs {
		all.Go(func() { failed[i] = r.provide(t.Context()) })
	}
	all.Wait()
	must.NoError(t, errors.Join(failed...))
	built := 0
	for _, r := range rigs {
		built += strings.Count(r.said.String(), "built in")
		must.EqOp(t, rigs[0].linked(t), r.linked(t))
	}
	must.EqOp(t, 1, built)
}

// What goes into a program decides whether another one fits.
func TestProvide_anotherModuleIsBuiltAnew(t *testing.T) {
	shared := t.TempDir()
	first, second := newRig(t, shared), newRig(t, shared)
	must.NoError(t, first.provide(t.Context()))
	must.NoError(t, os.WriteFile(filepath.Join(second.folder("greet"), "go.sum"), []byte("example.org/x v1.0.0 h1:AAAA=\n"), 0o644))
	must.NoError(t, second.provide(t.Context()))
	must.NotEq(t, first.linked(t), second.linked(t))
}

func TestProvide_halfAProgramDoesNotCount(t *testing.T) {
	for name, damage := range map[string]func(t *testing.T, program string){
		"shortened":     func(t *testing.T, program string) { must.NoError(t, os.Truncate(program, 1000)) },
		"undescribed":   func(t *testing.T, program string) { must.NoError(t, os.Remove(beside(program))) },
		"half a record": func(t *testing.T, program string) { must.NoError(t, os.Truncate(beside(program), 5)) },
		"not to be run": func(t *testing.T, program string) { must.NoError(t, os.Chmod(program, 0o644)) },
		"gone":          func(t *testing.T, program string) { must.NoError(t, os.Remove(program)) },
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, t.TempDir())
			must.NoError(t, r.provide(t.Context()))
			damage(t, r.linked(t))
			r.said.Reset()
			must.NoError(t, r.provide(t.Context()))
			must.StrContains(t, r.said.String(), "built in")
			must.EqOp(t, "v1.2.3", told(t.Context(), r.linked(t), "version"))
		})
	}
}

func beside(program string) string { return filepath.Join(filepath.Dir(program), entryFile) }

// Whoever was killed while building leaves a folder that the next one removes.
func TestFill_sweepsWhatWasInterrupted(t *testing.T) {
	c := cache{t.TempDir()}
	left := filepath.Join(c.root, unfinished("greet-v1")+"123")
	must.NoError(t, os.MkdirAll(left, 0o755))
	other := filepath.Join(c.root, unfinished("greet-v2")+"123")
	must.NoError(t, os.MkdirAll(other, 0o755))
	_, err := c.fill(t.Context(), "greet", "greet-v1", "v1", func() {}, func(into string) error {
		return os.WriteFile(filepath.Join(into, "greet"), []byte("x"), 0o755)
	})
	must.NoError(t, err)
	must.DirNotExists(t, left)
	must.DirExists(t, other) // somebody else may be at that one

	_, err = c.fill(t.Context(), "greet", "greet-v3", "v3", func() {}, func(string) error { return errors.New("no") })
	must.ErrorContains(t, err, "no")
	must.SliceEmpty(t, glob(t, c.root, unfinished("greet-v3")+"*"))
}

func glob(t *testing.T, parts ...string) []string {
	t.Helper()
	found, err := filepath.Glob(filepath.Join(parts...))
	must.NoError(t, err)
	return found
}

func TestFill_dropsWhatNobodyUses(t *testing.T) {
	c := cache{t.TempDir()}
	put := func(key string) {
		_, err := c.fill(t.Context(), "greet", key, "v1", func() {}, func(into string) error {
			return os.WriteFile(filepath.Join(into, "greet"), []byte("x"), 0o755)
		})
		must.NoError(t, err)
	}
	put("greet-v1")
	put("greet-v2")
	long := time.Now().Add(-keepFor - time.Hour)
	must.NoError(t, os.Chtimes(filepath.Join(c.root, "greet-v1"), long, long))
	put("greet-v3")
	must.EqOp(t, "", c.find("greet", "greet-v1"))
	must.NotEq(t, "", c.find("greet", "greet-v2"))

	must.NoError(t, os.Chtimes(filepath.Join(c.root, "greet-v2"), long, long))
	must.NotEq(t, "", c.find("greet", "greet-v2")) // it is used
	put("greet-v4")
	must.NotEq(t, "", c.find("greet", "greet-v2"))
}

func TestFind_path(t *testing.T) {
	for _, c := range []struct {
		tells string
		taken bool
		says  string
	}{
		{"Greet v1.2.9 (built on 2026-01-01)", true, "v1.2.9 on PATH"},
		{"greet, version 1.2.0+ds (branch: x)", true, "v1.2.0+ds on PATH"},
		{"Greet v1.1.9", false, "is not taken: it is v1.1.9, and the stack needs v1.2.0 or later, below v1.3.0"},
		{"Greet v1.3.0", false, "is not taken: it is v1.3.0"},
		{"Greet v1.2.9-dev", false, "is not taken: it is v1.2.9-dev"},
		{"usage: greet [-x]", false, "is not taken: it is of no version that it tells"},
	} {
		t.Run(c.tells, func(t *testing.T) {
			path := install(t, c.tells)
			r := newRig(t, t.TempDir())
			_, found, err := r.find(t.Context(), r.program)
			must.NoError(t, err)
			must.EqOp(t, c.taken, found)
			must.StrContains(t, r.said.String(), c.says)
			must.StrContains(t, r.said.String(), path)
			if found {
				must.EqOp(t, path, r.linked(t))
			}
		})
	}
}

// A script on PATH may wait for something that it has started. Whoever has no
// patience with it is told so, and not that a version is missing.
func TestFind_pathHangs(t *testing.T) {
	path := install(t, "")
	must.NoError(t, os.WriteFile(path, []byte("#!/bin/sh\necho asked >\"$0.asked\"\nsleep 600\n"), 0o755))
	r := newRig(t, t.TempDir())
	ctx, cancel := context.WithCancelCause(t.Context())
	defer cancel(nil)
	found := make(chan error, 1)
	go func() {
		_, _, err := r.find(ctx, r.program)
		found <- err
	}()
	wait.For(t, "the program is asked", func() bool { return len(glob(t, path+".asked")) > 0 })
	cancel(errors.New("somebody typed ^C"))
	must.EqError(t, <-found, "provide greet: somebody typed ^C")
	must.EqOp(t, "", r.said.String())
}

func TestFind_pathWhenTold(t *testing.T) {
	install(t, "Greet v1.2.9")
	r := newRig(t, t.TempDir())
	r.Build = true
	_, found, err := r.find(t.Context(), r.program)
	must.NoError(t, err)
	must.False(t, found)
}

// The folder of links may be on PATH itself. What it holds was found earlier,
// and must not be linked to itself.
func TestFind_passesItsOwnLinksOver(t *testing.T) {
	path := install(t, "Greet v1.2.9")
	r := newRig(t, t.TempDir())
	t.Setenv("PATH", r.Links+string(filepath.ListSeparator)+os.Getenv("PATH"))
	for range 2 {
		must.NoError(t, r.provide(t.Context()))
		must.EqOp(t, path, r.linked(t))
	}
}

func TestProvide_noNetwork(t *testing.T) {
	r := newRig(t, t.TempDir())
	must.NoError(t, os.WriteFile(filepath.Join(r.folder("greet"), "go.mod"),
		[]byte("module example.org/tools\n\ngo 1.26\n\ntool example.org/greet\n\nrequire example.org/greet v1.2.3\n"), 0o644))
	must.NoError(t, os.WriteFile(filepath.Join(r.folder("greet"), "go.sum"), []byte(
		"example.org/greet v1.2.3 h1:47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=\nexample.org/greet v1.2.3/go.mod h1:47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=\n"), 0o644))
	t.Setenv("GOPROXY", "off")
	t.Setenv("GOMODCACHE", t.TempDir())
	err := r.provide(t.Context())
	must.ErrorContains(t, err, "provide greet: its modules cannot be had (")
	must.ErrorContains(t, err, "GOPROXY=off")
	must.ErrorContains(t, err, "put a greet of v1.2.0 or later, below v1.3.0 on PATH")
	must.StrNotContains(t, err.Error(), "\n")
	must.SliceEmpty(t, glob(t, r.Cache, ".greet*"))
}

func TestProvide_brokenSource(t *testing.T) {
	r := newRig(t, t.TempDir())
	must.NoError(t, os.WriteFile(filepath.Join(r.folder("greet"), "source", "greet.go"), []byte("package main\n\nfunc main() { nonsense() }\n"), 0o644))
	must.ErrorContains(t, r.provide(t.Context()), "undefined: nonsense")
	must.SliceEmpty(t, glob(t, r.Cache, ".greet*"))
	must.SliceEmpty(t, glob(t, r.Links, "*"))
}

// Whoever interrupts a build ends what it started, and leaves nothing.
// A disk may fill while modules are downloaded and when the program is half written.
// Either is told in one sentence, and leaves nothing that the next one would take.
func TestProvide_leavesNothingOnAFullDisk(t *testing.T) {
	golang, err := exec.LookPath("go")
	must.NoError(t, err)
	for _, fails := range []string{"list", "build"} {
		t.Run(fails, func(t *testing.T) {
			r := newRig(t, t.TempDir())
			dir := t.TempDir()
			script := fmt.Sprintf("#!/bin/sh\n[ \"$1\" = %s ] || exec %s \"$@\"\n"+
				"[ \"$1\" = list ] || echo half >\"$4\"\necho 'go: writing' >&2\necho 'go: write it: No space left on device' >&2\nexit 1\n", fails, golang)
			must.NoError(t, os.WriteFile(filepath.Join(dir, "go"), []byte(script), 0o755))
			usual := os.Getenv("PATH")
			t.Setenv("PATH", dir+string(filepath.ListSeparator)+usual)
			err := r.provide(t.Context())
			must.ErrorContains(t, err, "provide greet: the disk of ")
			must.ErrorContains(t, err, " is full (")
			must.StrNotContains(t, err.Error(), "\n")
			must.SliceEmpty(t, glob(t, r.Links, "*"))
			for _, left := range append(glob(t, r.Cache, "*"), glob(t, r.Cache, ".*")...) {
				must.StrHasSuffix(t, ".lock", left)
			}
			t.Setenv("PATH", usual)
			must.NoError(t, r.provide(t.Context()))
			must.StrHasPrefix(t, r.Cache, r.linked(t))
		})
	}
}

func TestProvide_interrupted(t *testing.T) {
	r := newRig(t, t.TempDir())
	ctx, cancel := context.WithCancelCause(t.Context())
	r.Log = onWrite(func(line string) {
		if strings.Contains(line, "building") {
			cancel(errors.New("somebody typed ^C"))
		}
	})
	must.ErrorContains(t, r.provide(ctx), "somebody typed ^C")
	must.SliceEmpty(t, glob(t, r.Cache, ".greet*"))
	r.Log = r.said
	must.NoError(t, r.provide(t.Context()))
}

type onWrite func(line string)

func (f onWrite) Write(text []byte) (int, error) {
	f(string(text))
	return len(text), nil
}

func TestFromEnvironment(t *testing.T) {
	t.Setenv("HOME", "/home/somebody")
	t.Setenv("XDG_CACHE_HOME", "")
	t.Setenv("STACK", "")
	o, err := FromEnvironment("/checkout", nil)
	must.NoError(t, err)
	must.False(t, o.Build)
	must.EqOp(t, "/checkout/.stack/bin", o.Links)
	must.EqOp(t, "/home/somebody/.cache/oakum/stack", o.Cache)
	t.Setenv("STACK", "build")
	o, err = FromEnvironment("/checkout", nil)
	must.NoError(t, err)
	must.True(t, o.Build)
	t.Setenv("STACK", "system")
	_, err = FromEnvironment("/checkout", nil)
	must.ErrorContains(t, err, `read STACK: "system": want build`)
	t.Setenv("STACK", "")
	t.Setenv("HOME", "")
	_, err = FromEnvironment("/checkout", nil)
	must.ErrorContains(t, err, "set HOME or XDG_CACHE_HOME")
}

// The versions that are built must be among those that are taken, and the page
// about the stack must tell them.
func TestCatalog(t *testing.T) {
	page, err := os.ReadFile("../README.md")
	must.NoError(t, err)
	for _, p := range append(Catalog(), qemu()) {
		must.StrContains(t, string(page), fmt.Sprintf("| `%s` | %s |", p.Name, p.Range()))
		if p.Module == "" {
			continue
		}
		goMod, err := os.ReadFile(filepath.Join("..", p.Name, "go.mod"))
		must.NoError(t, err)
		version, err := required(goMod, p.Module)
		must.NoError(t, err)
		must.True(t, p.takes(version), must.Sprintf("%s %s is built, and PATH may have %s", p.Name, version, p.Range()))
	}
}

func TestProgress(t *testing.T) {
	dir := t.TempDir()
	must.NoError(t, os.WriteFile(filepath.Join(dir, "large.go"), make([]byte, 6000), 0o644))
	must.NoError(t, os.WriteFile(filepath.Join(dir, "small.go"), make([]byte, 3000), 0o644))
	p := newProgress()
	fmt.Fprintf(p, `{"ImportPath": "large", "Dir": %q, "GoFiles": ["large.go"], "Stale": true}
{"ImportPath": "small", "Dir": %[1]q, "GoFiles": ["small.go"], "Stale": true}
{"ImportPath": "cached", "Dir": %[1]q, "GoFiles": ["small.go"]}
`, dir)
	must.NoError(t, p.read())
	must.EqOp(t, 3, p.packages)
	must.EqOp(t, "0 of 2 packages", p.far(time.Second))
	must.False(t, p.line("cached"))
	must.False(t, p.line("large: cannot compile"))
	must.True(t, p.line("large"))
	// 6,000 of 9,000 bytes and a twelfth of all 12,000 for linking: four tenths are left.
	must.EqOp(t, "1 of 2 packages, 60 % of the work; about 40s left", p.far(time.Minute))
	must.True(t, p.line("small"))
	must.EqOp(t, "linking; 1m30s so far", p.far(90*time.Second))
}

func TestFullest(t *testing.T) {
	dir := t.TempDir()
	free, ok := freeAt(filepath.Join(dir, "not", "there", "yet"))
	must.True(t, ok)
	must.Positive(t, free)
	found, left := fullest([]place{{"A", "/proc"}, {"B", dir}})
	must.EqOp(t, place{"A", "/proc"}, found) // which never has room
	must.EqOp(t, 0, left)
}
