//go:build e2e

package cluster_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/raft"
	raftboltdb "github.com/hashicorp/raft-boltdb/v2"
	"github.com/shoenig/test/must"
	"go.etcd.io/bbolt"

	"github.com/oakumhq/oakum/e2e/daemon"
	"github.com/oakumhq/oakum/internal/wait"
)

// version is a binary and what is to be known of it.
type version struct {
	binary string
	name   string
	level  int  // newest cluster level that it supports
	tls    bool // whether its configuration knows TLS
	plain  bool // and plain_http, and asks for it
}

// supported is how the newest level stands in the source, by its number or by the name of
// a constant of the same file.
var supported = regexp.MustCompile(`(\bSupported(?:Level)? = )(\w+)`)

// previous builds the commit before this one from git's store. In a clone that
// does not have it, this commit stands in for it.
func previous(t *testing.T, root string) version {
	t.Helper()
	if err := exec.CommandContext(t.Context(), "git", "-C", root, "rev-parse", "--verify", "--quiet", "HEAD~1^{commit}").Run(); err != nil {
		t.Log("this clone has no previous commit: this one, under another version, stands in for it")
		return build(t, root, "previous")
	}
	dir := t.TempDir()
	must.NoError(t, shell(t, root, fmt.Sprintf("git archive HEAD~1 | tar -x -C '%s'", dir)))
	return build(t, dir, "previous")
}

// next builds this tree as the release after it would be: it supports one more
// cluster level, so that there is one to raise.
func next(t *testing.T, root string) version {
	t.Helper()
	file, text := levelSource(t, root)
	raised := supported.ReplaceAllStringFunc(text, func(found string) string {
		return supported.FindStringSubmatch(found)[1] + strconv.Itoa(newest(t, text)+1)
	})
	must.NotEq(t, text, raised)
	dir := t.TempDir()
	copied := filepath.Join(dir, filepath.Base(file))
	must.NoError(t, os.WriteFile(copied, []byte(raised), 0o644))
	overlay, err := json.Marshal(map[string]map[string]string{"Replace": {file: copied}})
	must.NoError(t, err)
	must.NoError(t, os.WriteFile(filepath.Join(dir, "overlay.json"), overlay, 0o644))
	v := build(t, root, "next", "-overlay="+filepath.Join(dir, "overlay.json"))
	v.level++
	return v
}

func build(t *testing.T, root, name string, flags ...string) version {
	t.Helper()
	v := version{binary: filepath.Join(t.TempDir(), "oakum-"+name), name: name}
	args := append([]string{"build", "-o", v.binary, "-ldflags=-X main.version=" + name}, flags...)
	cmd := exec.CommandContext(t.Context(), "go", append(args, "./cmd/oakum")...)
	cmd.Dir = root
	out, err := cmd.CombinedOutput()
	must.NoError(t, err, must.Sprint(string(out)))
	_, text := levelSource(t, root)
	v.level = newest(t, text)
	blocks, err := os.ReadFile(filepath.Join(root, "server", "config", "blocks.go"))
	must.NoError(t, err)
	v.tls = strings.Contains(string(blocks), `hcl:"tls,block"`)
	if block, err := os.ReadFile(filepath.Join(root, "server", "config", "tls.go")); err == nil {
		v.plain = strings.Contains(string(block), `hcl:"plain_http,optional"`)
	}
	return v
}

// levelSource finds the file that says which levels a version supports: not every
// version has it in the same one.
func levelSource(t *testing.T, root string) (file, text string) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(root, "server", "state", "*.go"))
	must.NoError(t, err)
	deeper, err := filepath.Glob(filepath.Join(root, "server", "state", "levels", "*.go"))
	must.NoError(t, err)
	for _, file := range slices.Concat(deeper, files) {
		text, err := os.ReadFile(file)
		must.NoError(t, err)
		if supported.Match(text) && !strings.HasSuffix(file, "_test.go") {
			return file, string(text)
		}
	}
	t.Fatalf("no file of %s says which level is supported", root)
	return "", ""
}

// newest is the newest level that a file which levelSource found says.
func newest(t *testing.T, text string) int {
	t.Helper()
	says := supported.FindStringSubmatch(text)[2]
	if named := regexp.MustCompile(`\b` + says + ` += (\d+)`).FindStringSubmatch(text); named != nil {
		says = named[1]
	}
	level, err := strconv.Atoi(says)
	must.NoError(t, err)
	return level
}

func shell(t *testing.T, dir, line string) error {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "sh", "-c", line)
	cmd.Dir = dir
	out, err := cmd.CombinedOutput()
	if err != nil {
		return fmt.Errorf("%s: %w: %s", line, err, out)
	}
	return nil
}

// TestRollingUpgrade replaces the servers one by one by a newer version while
// callers write, with a new leader over old followers on the way.
func TestRollingUpgrade(t *testing.T) {
	root, err := filepath.Abs(filepath.Join("..", ".."))
	must.NoError(t, err)
	old, fresh := previous(t, root), next(t, root)
	t.Logf("from level %d (TLS %v) to level %d", old.level, old.tls, fresh.level)
	must.Less(t, fresh.level, old.level)
	o := options{Options: daemon.Options{Servers: 3, Binary: old.binary}}
	switch certified := certificates(t); {
	case !old.tls:
		o.TLS = plain
	case !old.plain:
		o.TLS = func(i int, dir string) (string, error) {
			block, err := certified(i, dir)
			return strings.Replace(block, "  plain_http = true\n", "", 1), err
		}
	}
	c := run(t, o)
	l := c.Load(t.Context(), "rolling")
	flows(t, l, "the old version works")

	upgrade := func(s *daemon.Server) {
		s.Terminate()
		below(t, s, old.level)
		if !old.tls {
			must.NoError(t, s.Configure("tls {\n  insecure = true\n}\n"))
		}
		if old.tls && !old.plain {
			must.NoError(t, s.Reconfigure(plainHTTP))
		}
		s.Binary = fresh.binary
		must.NoError(t, s.Start())
		rejoined(t, c, s)
		self, err := s.Client.Self(t.Context())
		must.NoError(t, err)
		must.Eq(t, fresh.name, self.Version)
		flows(t, l, "the cluster works with "+s.Name+" of the new version")
	}
	first := c.Others(leader(t, c))[0]
	upgrade(first)
	wait.For(t, "the server of the new version leads", func() bool {
		now, err := c.Leader(t.Context())
		if err != nil || now == first {
			return err == nil
		}
		_ = now.Client.TransferLeadership(t.Context()) // to either of the others; again if it was not the one
		return false
	})
	flows(t, l, "a new leader works with old followers")
	lasts(t, 3*time.Second) // long enough for a leader that would raise the level too early
	for _, s := range c.Servers {
		info, err := s.Client.State(t.Context())
		must.NoError(t, err)
		must.LessEq(t, old.level, info.Level, must.Sprintf("%s: the level is for all", s.Name))
	}
	for _, s := range c.Others(first) {
		upgrade(s)
	}
	wait.For(t, "the level rises once all servers are new", func() bool {
		info, err := leader(t, c).Client.State(t.Context())
		return err == nil && info.Level == fresh.level
	})
	flows(t, l, "the new version works")
	verdict(t, c, l, true)
	for _, s := range c.Servers {
		for _, sign := range []string{"panic:", "unknown to this server", "goroutine 1 ["} {
			must.StrNotContains(t, s.Log(), sign, must.Sprint(s.Name))
		}
	}
}

// below reads the log of a server that has stopped: no command in it is newer
// than a level.
func below(t *testing.T, s *daemon.Server, level int) {
	t.Helper()
	store, err := raftboltdb.New(raftboltdb.Options{
		Path: filepath.Join(s.Data, "raft", "raft", "raft.db"), BoltOptions: &bbolt.Options{ReadOnly: true, Timeout: time.Second},
	})
	must.NoError(t, err)
	defer func() { must.NoError(t, store.Close()) }()
	first, err := store.FirstIndex()
	must.NoError(t, err)
	last, err := store.LastIndex()
	must.NoError(t, err)
	commands := 0
	for i := first; i <= last; i++ {
		var entry raft.Log
		must.NoError(t, store.GetLog(i, &entry))
		if entry.Type != raft.LogCommand {
			continue
		}
		var envelope struct{ Level int } // what comes first in an entry, in every format
		must.NoError(t, json.NewDecoder(bytes.NewReader(entry.Data)).Decode(&envelope))
		must.LessEq(t, level, envelope.Level, must.Sprintf("%s: log index %d", s.Name, i))
		commands++
	}
	must.Positive(t, commands)
}
