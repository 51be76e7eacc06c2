// Command demo shows Oakum's main job from nothing. It runs on a fleet in memory,
// or, with -real, on Nomad, Consul with its mesh, Vault, Prometheus and QEMU on
// loopback, with the example shop and its load. Three real Oakum servers run
// beside it. Each scene prints the command that shows the same, and checks that
// its own sentences are true.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/oakumhq/oakum/e2e/daemon"
	"github.com/oakumhq/oakum/e2e/stack"
)

// closeTimeout bounds the end of everything.
const closeTimeout = 2 * time.Minute

func main() {
	onReal := flag.Bool("real", false, "on real Nomad, Consul, Vault, Prometheus and QEMU instead of the model")
	keep := flag.Bool("keep", false, "at the end, leave everything running until Ctrl-C")
	only := flag.String("only", "", "comma-separated scenes to play: graph, tried, good, green, rejected, load, leader")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	defer stop()
	var g setting = &modelled{}
	if *onReal {
		g = &realStack{}
	}
	if err := run(ctx, g, *only, *keep); err != nil {
		fmt.Fprintf(os.Stderr, "\n✗ %v\n", err)
		stop()
		os.Exit(1)
	}
}

// narrator narrates, and holds what the scenes need.
type narrator struct {
	began    time.Time
	root     string
	setting  setting
	cluster  *daemon.Cluster
	patches  map[string]string // paths by name
	pipeline string            // identity token
	manager  string            // identity token
}

// setting is the fleet on which the demo runs.
type setting interface {
	// Open brings the fleet up and says how the servers reach it.
	Open(ctx context.Context, t *narrator) (daemon.Options, stack.Env, error)
	// Policy is the file below examples that says how the fleet is patched.
	Policy() string
	// Scenes are the parts of the story in their order.
	Scenes(t *narrator) []scene
	// Graph are the commands that show who depends on whom.
	Graph() [][]string
	// Tokens are those of the pipeline and of a release manager.
	Tokens(ctx context.Context) (pipeline, manager string, err error)
	// Close takes everything down.
	Close(ctx context.Context, t *narrator) error
}

func run(ctx context.Context, g setting, only string, keep bool) (err error) {
	t := &narrator{began: time.Now(), setting: g}
	if t.root, err = stack.RepositoryRoot(); err != nil {
		return err
	}
	if err := known(only, g.Scenes(t)); err != nil {
		return err
	}
	if err := needLoopback(); err != nil {
		return err
	}
	ctx, broken := context.WithCancelCause(ctx)
	defer broken(nil)
	go watchParent(ctx, os.Getppid, broken)
	err = t.narrate(ctx, only, keep)
	switch {
	case errors.Is(context.Cause(ctx), errOrphaned):
		err = errOrphaned
	case err != nil && ctx.Err() != nil:
		err = errors.New("interrupted") // whatever broke off, it was for that
	}
	if errors.Is(err, syscall.EADDRINUSE) {
		err = fmt.Errorf("no port of this machine is free: end programs that hold many, or have net.ipv4.ip_local_port_range hold more: %w", err)
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), closeTimeout)
	defer cancel()
	return errors.Join(err, g.Close(ctx, t))
}

// narrate opens the setting and plays the scenes. With keep it then waits for ctx.
func (t *narrator) narrate(ctx context.Context, only string, keep bool) (err error) {
	options, env, err := t.setting.Open(ctx, t)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	go watchRoom(ctx, options.Dir, cancel)
	defer func() {
		if t.cluster != nil {
			err = errors.Join(err, t.cluster.Stop())
		}
	}()
	if err := t.played(ctx, options, env, only); err != nil {
		if full := context.Cause(ctx); errors.Is(full, syscall.ENOSPC) {
			return full // whatever broke off, it was for that
		}
		return err
	}
	fmt.Printf("\n✓ The whole story took %s.\n", time.Since(t.began).Round(time.Second))
	t.more(keep)
	if keep {
		<-ctx.Done()
	}
	return nil
}

// played starts the servers and tells the scenes.
func (t *narrator) played(ctx context.Context, o daemon.Options, env stack.Env, only string) error {
	if err := t.open(ctx, o, env); err != nil {
		return err
	}
	return t.scenes(ctx, only)
}

// more names the commands that show what the story did not.
func (t *narrator) more(keep bool) {
	t.chapter("To see more")
	if keep {
		t.say("Everything runs until Ctrl-C. In another terminal:")
		t.say("export OAKUM_ADDR=%s OAKUM_TOKEN=%s", t.cluster.Any().HTTP, t.manager)
		t.say("That token is alice's, who may simulate and steer. The pipeline's may submit patches:")
		t.say("export OAKUM_TOKEN=%s", t.pipeline)
	} else {
		t.say("make demo KEEP=1            # tells it again, and leaves everything up for these:")
	}
	for _, command := range []string{
		"bin/oakum graph show        # who depends on whom; -evidence says why; graph findings, graph impact SERVICE",
		"bin/oakum profile list      # what is usual, learned by hour of the week",
		"bin/oakum rollout history   # each decision, with its reasons",
	} {
		t.say("%s", command)
	}
	if !keep {
		t.say("make demo-real              # the story on real Nomad, Consul, Vault, Prometheus and QEMU (Debian, root)")
	}
}

// open starts three Oakum servers beside the fleet.
func (t *narrator) open(ctx context.Context, o daemon.Options, env stack.Env) (err error) {
	o.Binary, o.Servers = filepath.Join(t.root, "bin", "oakum"), 3
	if t.cluster, err = daemon.Start(ctx, env, o); err != nil {
		return err
	}
	if t.pipeline, t.manager, err = t.setting.Tokens(ctx); err != nil {
		return err
	}
	t.say("A caller without a token is turned away:")
	res := t.cluster.Oakum(ctx, "", "rollout", "list")
	if res.Code == 0 {
		return errors.New("a caller without a token was let in")
	}
	t.quote(res.Stderr)
	t.say("The pipeline proves itself with an identity token that its issuer signed. alice may steer rollouts.")
	if err := t.healthy(ctx); err != nil {
		return err
	}
	if err := t.show(ctx, t.manager, "operator", "raft", "list-peers"); err != nil {
		return err
	}
	return t.show(ctx, t.pipeline, "policy", "apply", filepath.Join(t.root, "examples", t.setting.Policy()))
}

// chapter begins a part of the story.
func (t *narrator) chapter(title string) {
	fmt.Printf("\n━━ %s  [%s]\n", title, time.Since(t.began).Round(time.Second))
}

func (t *narrator) say(format string, args ...any) { fmt.Printf("  "+format+"\n", args...) }

func (t *narrator) quote(text string) {
	for line := range strings.Lines(strings.TrimRight(text, "\n")) {
		fmt.Print("  │ " + line)
	}
	fmt.Println()
}

// answeredNo is the exit code of a command that was carried out and whose answer is no,
// as that of a simulation which the patch did not pass.
const answeredNo = 2

// show prints a command as the reader would type it, and what it answers.
func (t *narrator) show(ctx context.Context, token string, args ...string) error {
	t.say("$ oakum %s", t.typed(args))
	res := t.cluster.Oakum(ctx, token, args...)
	t.quote(res.Stdout + res.Stderr)
	if res.Code != 0 && res.Code != answeredNo {
		return fmt.Errorf("oakum %s: exit code %d", strings.Join(args, " "), res.Code)
	}
	return nil
}

func (t *narrator) typed(args []string) string {
	return strings.ReplaceAll(strings.Join(args, " "), t.root+"/", "")
}

// indented writes lines below the chapter that they belong to.
type indented struct{}

func (indented) Write(p []byte) (int, error) {
	for line := range strings.Lines(string(p)) {
		fmt.Print("  " + line)
	}
	return len(p), nil
}

// terse leaves the time and the level away: the chapters tell the time.
func terse(_ []string, a slog.Attr) slog.Attr {
	if a.Key == slog.TimeKey || a.Key == slog.LevelKey {
		return slog.Attr{}
	}
	return a
}
