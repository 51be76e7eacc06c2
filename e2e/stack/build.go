package stack

import (
	"context"
	"crypto/sha256"
	"debug/buildinfo"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// tool is one program that is built from a tool module of its own, so that its
// hundreds of dependencies stay out of the product's go.mod.
type tool struct {
	name    string // of the program and of its module's folder
	path    string // module path, which is also the path of its main package
	tags    string
	typical time.Duration // cold build on two cores
}

func tools() []tool {
	return []tool{
		{"statsd_exporter", "github.com/prometheus/statsd_exporter", "", time.Minute},
		{"consul", "github.com/hashicorp/consul", "", 5 * time.Minute},
		{"nomad", "github.com/hashicorp/nomad", "", 6 * time.Minute},
		{"vault", "github.com/hashicorp/vault", "minimal", 6 * time.Minute},
	}
}

// stamp stands beside a built program and says from what it was built.
type stamp struct {
	Module  string  `json:"module"` // hash of the tool module's go.mod and go.sum
	Seconds float64 `json:"seconds"`
}

// builder builds into one folder and tells a person how it gets on.
type builder struct {
	root string // of the repository
	bin  string
	log  io.Writer
}

// Build provides every program of the stack: it builds what is missing or out
// of date into .stack/bin, and takes the rest from Debian. With STACK=system
// it only checks that PATH has them. Nothing to do takes well under a second.
func Build(ctx context.Context, root string, progress io.Writer) error {
	b := builder{root: root, bin: filepath.Join(root, ".stack", "bin"), log: progress}
	if err := os.MkdirAll(b.bin, 0o755); err != nil {
		return fmt.Errorf("build stack: %w", err)
	}
	var failed []error
	if os.Getenv("STACK") == "system" {
		for _, name := range []string{"consul", "vault", "nomad", "statsd_exporter", "prometheus"} {
			path, err := FindBinary(b.bin, name)
			if err != nil {
				failed = append(failed, err)
				continue
			}
			b.say("%-16s %s", name, path)
		}
	} else {
		for _, t := range tools() {
			failed = append(failed, b.tool(ctx, t))
		}
		failed = append(failed, b.prometheus(ctx))
	}
	failed = append(failed, b.debian(ctx))
	if err := errors.Join(failed...); err != nil {
		return fmt.Errorf("build stack: %w", err)
	}
	b.say("the stack's programs are ready in %s", b.bin)
	return nil
}

func (b builder) say(format string, args ...any) { fmt.Fprintf(b.log, format+"\n", args...) }

// tool builds one program unless the one that is there fits its module.
func (b builder) tool(ctx context.Context, t tool) error {
	folder := filepath.Join(b.root, "e2e", "stack", t.name)
	program, stampPath := filepath.Join(b.bin, t.name), filepath.Join(b.bin, t.name+".stamp")
	hash, err := moduleHash(folder)
	if err != nil {
		return fmt.Errorf("build %s: %w", t.name, err)
	}
	version, err := wanted(folder, t.path)
	if err != nil {
		return fmt.Errorf("build %s: %w", t.name, err)
	}
	var last stamp
	stampErr := readJSON(stampPath, &last)
	have := built(program, t.path)
	switch {
	case have == version && stampErr == nil && last.Module == hash:
		b.say("%-16s %s is built", t.name, version)
		return nil
	case have == version && errors.Is(stampErr, os.ErrNotExist):
		// Somebody put the right version there: it counts.
		b.say("%-16s %s was there", t.name, version)
		return writeJSON(stampPath, stamp{Module: hash})
	}
	expect := fmt.Sprintf("about %s on two idle cores", t.typical)
	if last.Seconds > 0 {
		expect = fmt.Sprintf("%.0f s the last time", last.Seconds)
	}
	b.say("%-16s %s: building (%s)", t.name, version, expect)
	began := time.Now()
	args := []string{"build", "-o", program + ".new"}
	if t.tags != "" {
		args = append(args, "-tags", t.tags)
	}
	command := exec.CommandContext(ctx, "go", append(args, t.path)...)
	command.Dir, command.Env = folder, append(os.Environ(), "GOWORK=off", "GOFLAGS=-mod=readonly")
	if err := b.follow(ctx, t.name, command); err != nil {
		return fmt.Errorf("build %s: %w", t.name, err)
	}
	if err := os.Rename(program+".new", program); err != nil {
		return fmt.Errorf("build %s: %w", t.name, err)
	}
	took := time.Since(began)
	b.say("%-16s %s built in %s", t.name, version, took.Round(time.Second))
	return writeJSON(stampPath, stamp{Module: hash, Seconds: took.Seconds()})
}

// follow runs a command and says every ten seconds that it goes on.
func (b builder) follow(ctx context.Context, name string, command *exec.Cmd) error {
	const every = 10 * time.Second
	began := time.Now()
	done := make(chan error, 1)
	var text []byte
	go func() {
		var err error
		text, err = command.CombinedOutput()
		done <- err
	}()
	ticker := time.NewTicker(every)
	defer ticker.Stop()
	for {
		select {
		case err := <-done:
			if err != nil {
				return errors.Join(fmt.Errorf("%w: %s", err, strings.TrimSpace(string(text))), ctx.Err())
			}
			return nil
		case <-ticker.C:
			b.say("%-16s still at it after %s", name, time.Since(began).Round(time.Second))
		}
	}
}

// moduleHash tells one state of a tool module from another.
func moduleHash(folder string) (string, error) {
	sum := sha256.New()
	for _, name := range []string{"go.mod", "go.sum"} {
		text, err := os.ReadFile(filepath.Join(folder, name))
		if err != nil {
			return "", fmt.Errorf("hash module: %w", err)
		}
		sum.Write(text)
	}
	return hex.EncodeToString(sum.Sum(nil)), nil
}

// wanted reads the version that the tool module requires.
func wanted(folder, path string) (string, error) {
	text, err := os.ReadFile(filepath.Join(folder, "go.mod"))
	if err != nil {
		return "", fmt.Errorf("read wanted version: %w", err)
	}
	for line := range strings.Lines(string(text)) {
		fields := strings.Fields(strings.TrimPrefix(strings.TrimSpace(line), "require "))
		if len(fields) >= 2 && fields[0] == path {
			return fields[1], nil
		}
	}
	return "", fmt.Errorf("read wanted version: %s does not require %s", filepath.Join(folder, "go.mod"), path)
}

// built returns the version that a program was built from, or "".
func built(program, path string) string {
	info, err := buildinfo.ReadFile(program)
	if err != nil {
		return ""
	}
	if info.Main.Path != path { // Main is the module of the main package
		return ""
	}
	return info.Main.Version
}
