// Command demo tells Oakum's story on a real stack, from nothing: Nomad,
// Consul with its mesh, Vault, Prometheus and QEMU on loopback, the example
// shop with its load, and three Oakum servers. Each scene prints the command
// that shows the same, and checks that what it tells is so.
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
	"github.com/oakumhq/oakum/examples/shop/deploy"
)

func main() {
	keep := flag.Bool("keep", false, "leave everything running at the end")
	only := flag.String("only", "", "comma-separated scenes to play: good, green, rejected, load, leader")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, *keep, *only); err != nil {
		fmt.Fprintf(os.Stderr, "\n✗ %v\n", err)
		stop()
		os.Exit(1)
	}
}

// teller narrates, and holds what the scenes need.
type teller struct {
	began    time.Time
	root     string
	cluster  *daemon.Cluster
	shop     deploy.Env
	patches  map[string]string // paths by name, with this machine's folder of images
	pipeline string            // identity token
	manager  string            // identity token
}

func run(ctx context.Context, keep bool, only string) (err error) {
	t := &teller{began: time.Now()}
	if t.root, err = stack.RepositoryRoot(); err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "oakum-demo-")
	if err != nil {
		return fmt.Errorf("make a folder: %w", err)
	}
	t.chapter("The stack: Nomad, Consul, Vault, Prometheus and QEMU on loopback")
	st, err := stack.Up(ctx, stack.Options{
		Dir: dir, BinDir: filepath.Join(t.root, ".stack", "bin"), PortOffset: stack.AnyOffset, Clients: 1, Bound: !keep, Log: indented{},
	})
	if err != nil {
		return err
	}
	if keep {
		fmt.Printf("  everything stays up; end it with: go run ./e2e/stack/cmd/stack down -dir=%s\n", dir)
	} else {
		defer func() {
			t.chapter("Taking everything down")
			ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 2*time.Minute)
			defer cancel()
			err = errors.Join(err, st.Down(ctx), os.RemoveAll(dir))
		}()
	}
	if err := t.open(ctx, st.Env(), dir, st.Offset()); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, t.cluster.Stop()) }()
	if err := t.scenes(ctx, only); err != nil {
		return err
	}
	fmt.Printf("\n✓ The whole story took %s.\n", time.Since(t.began).Round(time.Second))
	return nil
}

// open brings up the shop and three Oakum servers.
func (t *teller) open(ctx context.Context, env stack.Env, dir string, offset int) error {
	t.chapter("A shop to patch: six services in Consul's mesh, ten instances of catalog, four VMs of store")
	var err error
	if t.shop, err = deploy.FromVariables(func(name string) string { return env.Map()[name] }, t.root); err != nil {
		return err
	}
	if t.patches, err = deploy.RenderPatches(t.shop, t.root, filepath.Join(dir, "patches")); err != nil {
		return err
	}
	wait := env.KeepIntentionsFresh(ctx, "front", "backoffice", "catalog", "cart", "pricing", "store")
	_ = wait // it ends with the context, when the demo does
	within, cancel := context.WithTimeout(ctx, 5*time.Minute)
	defer cancel()
	if err := deploy.Up(within, t.shop, slog.New(slog.NewTextHandler(indented{}, &slog.HandlerOptions{ReplaceAttr: terse}))); err != nil {
		return err
	}
	t.chapter("Three Oakum servers, which get their Nomad and Consul tokens by way of Vault")
	t.cluster, err = daemon.Start(ctx, env, daemon.Options{
		Binary: filepath.Join(t.root, "bin", "oakum"), Dir: filepath.Join(dir, "oakum"), Servers: 3, PortOffset: offset,
	})
	if err != nil {
		return err
	}
	if t.pipeline, err = daemon.PipelineToken(ctx, env); err != nil {
		return err
	}
	if t.manager, err = daemon.UserToken(ctx, env, "alice", env.AlicePasswordFile); err != nil {
		return err
	}
	t.say("A caller without a token is turned away:")
	res := t.cluster.Oakum(ctx, "", "rollout", "list")
	if res.Code == 0 {
		return errors.New("a caller without a token was let in")
	}
	t.quote(res.Stderr)
	t.say("The pipeline proves itself with an identity token that Vault signed. alice may steer rollouts.")
	if err := t.show(ctx, t.manager, "operator", "raft", "list-peers"); err != nil {
		return err
	}
	return t.show(ctx, t.pipeline, "policy", "apply", filepath.Join(t.root, "examples", "policies", "shop.hcl"))
}

// chapter begins a part of the story.
func (t *teller) chapter(title string) {
	fmt.Printf("\n━━ %s  [%s]\n", title, time.Since(t.began).Round(time.Second))
}

func (t *teller) say(format string, args ...any) { fmt.Printf("  "+format+"\n", args...) }

func (t *teller) quote(text string) {
	for line := range strings.Lines(strings.TrimRight(text, "\n")) {
		fmt.Print("  │ " + line)
	}
	fmt.Println()
}

// show prints a command as the reader would type it, and what it answers.
func (t *teller) show(ctx context.Context, token string, args ...string) error {
	t.say("$ oakum %s", t.typed(args))
	res := t.cluster.Oakum(ctx, token, args...)
	t.quote(res.Stdout + res.Stderr)
	if res.Code != 0 {
		return fmt.Errorf("oakum %s: exit code %d", strings.Join(args, " "), res.Code)
	}
	return nil
}

func (t *teller) typed(args []string) string {
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
