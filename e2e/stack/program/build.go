package program

import (
	"context"
	"crypto/sha256"
	"debug/buildinfo"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/mod/modfile"
)

// linkShare is the part of a whole build that linking takes: with everything
// else cached, Nomad and Vault take a twelfth of the time that they take cold.
const linkShare = 12

// folder is where the module is that requires a program.
func (p provider) folder(name string) string { return filepath.Join(p.Root, "e2e", "stack", name) }

// moduleSource tells what a program is built from: the versions of all its
// modules, and the compiler with its target.
func (p provider) moduleSource(ctx context.Context, program Program) (source, error) {
	s := source{Program: program}
	goMod, err := os.ReadFile(filepath.Join(p.folder(program.Name), "go.mod"))
	if err != nil {
		return s, fmt.Errorf("provide %s: %w", program.Name, err)
	}
	goSum, err := os.ReadFile(filepath.Join(p.folder(program.Name), "go.sum"))
	if err != nil {
		return s, fmt.Errorf("provide %s: %w", program.Name, err)
	}
	if s.version, err = required(goMod, program.Module); err != nil {
		return s, fmt.Errorf("provide %s: %w", program.Name, err)
	}
	env, err := p.golang(ctx, program, "env", "-json", "GOVERSION", "GOOS", "GOARCH", "CGO_ENABLED").Output()
	if err != nil {
		return s, fmt.Errorf("provide %s: ask go for its version: %w", program.Name, err)
	}
	var compiler struct{ GOVERSION string }
	if err := json.Unmarshal(env, &compiler); err != nil {
		return s, fmt.Errorf("provide %s: ask go for its version: %w", program.Name, err)
	}
	sum := sha256.New()
	for _, part := range [][]byte{goMod, goSum, env, []byte(program.tags)} {
		fmt.Fprintf(sum, "%d\n%s", len(part), part)
	}
	const enough = 6 // bytes of the hash tell the few builds of one version apart
	s.key = fmt.Sprintf("%s-%s-%s-%s", program.Name, s.version, compiler.GOVERSION, hex.EncodeToString(sum.Sum(nil)[:enough]))
	return s, nil
}

// required reads the version of a module that a go.mod requires.
func required(goMod []byte, module string) (string, error) {
	file, err := modfile.ParseLax("go.mod", goMod, nil)
	if err != nil {
		return "", fmt.Errorf("read required version: %w", err)
	}
	for _, r := range file.Require {
		if r.Mod.Path == module {
			return r.Mod.Version, nil
		}
	}
	return "", fmt.Errorf("read required version: no requirement of %s", module)
}

// golang is a call of the go command in the module of a program.
func (p provider) golang(ctx context.Context, program Program, args ...string) *exec.Cmd {
	command := exec.CommandContext(ctx, "go", args...)
	command.Dir, command.Env = p.folder(program.Name), append(os.Environ(), "GOWORK=off", "GOFLAGS=-mod=readonly")
	return command
}

// build makes a program from source.
func (p provider) build(ctx context.Context, s source, into string) error {
	began := time.Now()
	// A go command that is interrupted leaves its work, which here goes with into.
	scratch := filepath.Join(into, "work")
	if err := os.Mkdir(scratch, 0o755); err != nil {
		return fmt.Errorf("make a folder: %w", err)
	}
	work, err := p.plan(ctx, s, scratch)
	if err != nil {
		return err
	}
	out := filepath.Join(into, s.Name)
	command := p.golang(ctx, s.Program, "build", "-v", "-o", out, "-tags", s.tags, s.Module)
	command.Env = append(command.Env, "TMPDIR="+scratch, "GOTMPDIR=")
	said, err := p.follow(ctx, s.Name, command, work)
	if err := errors.Join(err, os.RemoveAll(scratch)); err != nil {
		return failure(ctx, "build it", err, said)
	}
	info, err := buildinfo.ReadFile(out)
	if err != nil {
		return fmt.Errorf("read what was built: %w", err)
	}
	if info.Main.Path != s.Module || info.Main.Version != s.version {
		return fmt.Errorf("read what was built: it is %s %s, not %s %s", info.Main.Path, info.Main.Version, s.Module, s.version)
	}
	p.tell(s.Name, "%s built in %s", s.version, time.Since(began).Round(time.Second))
	return nil
}

// plan downloads the modules of a program, and lists what of it has to be
// compiled.
func (p provider) plan(ctx context.Context, s source, scratch string) (*progress, error) {
	p.tell(s.Name, "%s: looking for its modules", s.version)
	// Unless EmbedFiles are asked for, whatever embeds files counts as stale.
	command := p.golang(ctx, s.Program, "list", "-deps", "-json=ImportPath,Dir,GoFiles,Stale,EmbedFiles", "-tags", s.tags, s.Module)
	command.Env = append(command.Env, "TMPDIR="+scratch, "GOTMPDIR=")
	listed := newProgress()
	command.Stdout = listed
	downloads := &downloads{}
	said, err := p.follow(ctx, s.Name, command, downloads)
	if err != nil {
		if ctx.Err() != nil || diskIsFull(said) {
			return nil, failure(ctx, "download its modules", err, said)
		}
		first, _, _ := strings.Cut(said, "\n")
		return nil, fmt.Errorf("its modules cannot be had (%s): connect this machine to the module proxy that go env GOPROXY names, or put a %s of %s on PATH",
			first, s.Name, s.Range())
	}
	if err := listed.read(); err != nil {
		return nil, fmt.Errorf("list what to build: %w", err)
	}
	p.tell(s.Name, "%s: building; %d of %d packages have to be compiled", s.version, len(listed.stale), listed.packages)
	return listed, nil
}

// failure tells why a command failed: by what it said, unless it was ended.
func failure(ctx context.Context, what string, err error, said string) error {
	if ctx.Err() != nil {
		return fmt.Errorf("%s: %w", what, context.Cause(ctx))
	}
	return fmt.Errorf("%s: %w: %s", what, err, said)
}

// explain puts what to do in the place of an error that comes from a full disk,
// whatever it says: a go command that can't write its cache finds no packages.
func (p provider) explain(err error) error {
	var env struct{ GOCACHE, GOMODCACHE string }
	text, askErr := exec.Command("go", "env", "-json", "GOCACHE", "GOMODCACHE").Output() //nolint:noctx // answered at once
	if askErr = errors.Join(askErr, json.Unmarshal(text, &env)); askErr != nil {
		return err
	}
	at, free := fullest([]place{{"XDG_CACHE_HOME", p.Cache}, {"GOCACHE", env.GOCACHE}, {"GOMODCACHE", env.GOMODCACHE}, {"", p.Links}})
	if free >= fullBelow && !diskIsFull(err.Error()) {
		return err
	}
	first, _, _ := strings.Cut(err.Error(), ":")
	if at.variable == "" { // links are made where the checkout is
		return fmt.Errorf("%s: the disk of %s is full (%d MB are left): make room there", first, at.path, free>>20)
	}
	return fmt.Errorf("%s: the disk of %s is full (%d MB are left): make room there, all programs together need about 6 GB, or set %s to a folder of another disk",
		first, at.path, free>>20, at.variable)
}
