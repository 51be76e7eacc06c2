// Command stack builds, starts and ends the real stack on loopback.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"

	"github.com/oakumhq/oakum/e2e/stack"
	"github.com/oakumhq/oakum/e2e/stack/program"
)

const usage = `Usage: stack COMMAND [options]

  build              find the stack's programs on PATH or in the user's cache, build the
                     rest, and link them in .stack/bin; STACK=build takes none from PATH
  up                 start a stack in the background
  down               end it and everything that runs on it
  status             list its components
  stop NAME          stop one component; its state stays
  start NAME         start it again
  env                print its addresses and tokens as shell exports
  discover           (run by up) tell Prometheus which services to scrape
  guard DIR          (run by tests) take the stack down when they are over

Options of up, down, status, stop, start and env:
  -dir=PATH          directory of the stack (default .stack/run)
Options of up:
  -offset=N          added to every default port; a multiple of 1000
  -clients=N         Nomad clients (default 1)
`

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	defer stop()
	if err := run(ctx, os.Args[1:], os.Stdout, os.Stderr); err != nil {
		fmt.Fprintf(os.Stderr, "stack: %v\n", err)
		stop()
		os.Exit(1) // the deferred stop has just run
	}
}

// run carries out one command.
func run(ctx context.Context, args []string, out, progress io.Writer) error {
	if len(args) == 0 {
		_, _ = io.WriteString(progress, usage)
		return errors.New("no command")
	}
	switch { // what runs beside a stack, outside of the repository
	case args[0] == "discover":
		return discover(ctx, args[1:], progress)
	case args[0] == "guard" && len(args) == 2:
		return stack.Guard(ctx, args[1], os.Stdin)
	}
	root, err := stack.RepositoryRoot()
	if err != nil {
		return err
	}
	flags := flag.NewFlagSet("stack "+args[0], flag.ContinueOnError)
	flags.SetOutput(progress)
	flags.Usage = func() { fmt.Fprint(progress, usage) }
	options := stack.Options{Log: progress}
	flags.StringVar(&options.Dir, "dir", filepath.Join(root, ".stack", "run"), "directory of the stack")
	flags.IntVar(&options.PortOffset, "offset", 0, "added to every default port")
	flags.IntVar(&options.Clients, "clients", 1, "Nomad clients")
	if err := flags.Parse(args[1:]); err != nil {
		return err
	}
	switch args[0] {
	case "build":
		return provide(ctx, root, progress)
	case "up":
		return up(ctx, root, options)
	case "down":
		return stack.Down(ctx, options.Dir)
	case "status", "stop", "start", "env":
		s, err := stack.Open(options.Dir)
		if err != nil {
			return err
		}
		return inspect(ctx, s, args[0], flags.Arg(0), out)
	case "help", "-h", "-help", "--help":
		fmt.Fprint(out, usage)
		return nil
	default:
		return fmt.Errorf("unknown command %q\n\n%s", args[0], usage)
	}
}

// provide finds or builds the stack's programs.
func provide(ctx context.Context, root string, progress io.Writer) error {
	options, err := program.FromEnvironment(root, progress)
	if err != nil {
		return err
	}
	return program.Provide(ctx, options)
}

// up starts the stack and leaves its addresses in .stack/env when it is the
// one in the default place.
func up(ctx context.Context, root string, options stack.Options) error {
	s, err := stack.Up(ctx, options)
	if err != nil {
		return err
	}
	path := filepath.Join(s.Env().Dir, "env")
	if err := s.Env().WriteEnv(path); err != nil {
		return err
	}
	if s.Env().Dir == filepath.Join(root, ".stack", "run") {
		path = filepath.Join(root, ".stack", "env")
		if err := s.Env().WriteEnv(path); err != nil {
			return err
		}
	}
	fmt.Fprintf(options.Log, "addresses and tokens: . %s\n", path)
	return nil
}

func inspect(ctx context.Context, s *stack.Stack, command, name string, out io.Writer) error {
	switch command {
	case "stop":
		return s.Stop(ctx, name)
	case "start":
		return s.Start(ctx, name)
	case "env":
		fmt.Fprint(out, s.Env().Shell())
		return nil
	}
	var dead []string
	for _, component := range s.Components() {
		if pid, running := s.Running(component); running {
			fmt.Fprintf(out, "%-18s running  pid %d\n", component, pid)
			continue
		}
		dead = append(dead, component)
		fmt.Fprintf(out, "%-18s stopped  %s\n", component, s.LogPath(component))
	}
	if len(dead) > 0 {
		return fmt.Errorf("%d of %d components do not run", len(dead), len(s.Components()))
	}
	return nil
}

// discover runs the component that stands in for Consul discovery.
func discover(ctx context.Context, args []string, progress io.Writer) error {
	flags := flag.NewFlagSet("stack discover", flag.ContinueOnError)
	flags.SetOutput(progress)
	addr := flags.String("consul", "http://127.0.0.1:8500", "address of Consul")
	tokenFile := flags.String("token-file", "", "file with a Consul token")
	file := flags.String("file", "", "file_sd file to keep up to date")
	if err := flags.Parse(args); err != nil {
		return err
	}
	token, err := os.ReadFile(*tokenFile)
	if err != nil {
		return fmt.Errorf("read token: %w", err)
	}
	log := slog.New(slog.NewTextHandler(progress, nil))
	return stack.Discovery{ConsulAddr: *addr, Token: string(token), File: *file, Log: log}.Run(ctx)
}
