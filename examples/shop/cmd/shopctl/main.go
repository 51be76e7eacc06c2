// Command shopctl brings the example shop up on a running stack and takes it
// down. It reads the stack's addresses and tokens from the environment:
//
//	. .stack/env && go run ./examples/shop/cmd/shopctl up
//
// Further commands: traffic prints the bytes per second of every edge of the
// mesh, weigh what half a minute of all this takes of the machine, and patches DIR
// writes the example patches with the images' real path.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/oakumhq/oakum/examples/shop/deploy"
	"github.com/oakumhq/oakum/examples/shop/weigh"
)

const usage = "usage: shopctl [-repository=DIR] [-entries=SERVICE=RPS,...] [-swing=LOW:HIGH] [-timeout=DURATION] up|down|traffic|weigh|patches DIR"

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	err := run(ctx, os.Args[1:])
	stop()
	if err != nil && !errors.Is(err, flag.ErrHelp) {
		fmt.Fprintln(os.Stderr, "shopctl:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string) error {
	flags := flag.NewFlagSet("shopctl", flag.ContinueOnError)
	repository := flags.String("repository", ".", "folder of the repository")
	entries := flags.String("entries", "", "load, such as front=5,backoffice=19")
	swing := flags.String("swing", "", "multiples of the load between which it swings, such as 0.5:3")
	timeout := flags.Duration("timeout", 4*time.Minute, "for the whole command")
	if err := flags.Parse(args); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, *timeout)
	defer cancel()
	if flags.Arg(0) == "weigh" { // whatever runs here, and whoever started it
		return weighed(ctx)
	}
	env, err := deploy.FromVariables(os.Getenv, *repository)
	if err != nil {
		return err
	}
	env.Entries, env.Swing = *entries, *swing
	log := slog.New(slog.NewTextHandler(os.Stderr, nil))
	switch flags.Arg(0) {
	case "up":
		return deploy.Up(ctx, env, log)
	case "down":
		return deploy.Down(ctx, env, log)
	case "patches":
		if flags.NArg() != 2 {
			return errors.New(usage)
		}
		_, err := deploy.RenderPatches(env, *repository, flags.Arg(1))
		return err
	case "traffic":
		return traffic(ctx, env)
	}
	return errors.New(usage)
}

func traffic(ctx context.Context, env deploy.Env) error {
	series, err := deploy.Query(ctx, env,
		`sum by (src, dst) (rate(consul_proxy_upstream_rx_bytes[30s]) + rate(consul_proxy_upstream_tx_bytes[30s]))`)
	if err != nil {
		return err
	}
	for _, s := range series {
		fmt.Printf("%-12s -> %-12s %8.0f B/s\n", s.Labels["src"], s.Labels["dst"], s.Value)
	}
	return nil
}

// weighed prints what each kind of process takes of one processor and of memory.
func weighed(ctx context.Context) error {
	const proc, length = "/proc", 30 * time.Second
	before, err := weigh.Read(proc, time.Now())
	if err != nil {
		return err
	}
	select {
	case <-time.After(length):
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	after, err := weigh.Read(proc, time.Now())
	if err != nil {
		return err
	}
	sum := weigh.Share{Class: weigh.Class{Name: "together"}}
	for _, s := range after.Since(before) {
		row(s)
		sum.Processes += s.Processes
		sum.Processor += s.Processor
		sum.Resident += s.Resident
	}
	row(sum)
	return nil
}

func row(s weigh.Share) {
	fmt.Printf("%-22s %4d processes %6.1f %% of a processor %6d MiB\n", s.Name, s.Processes, 100*s.Processor, s.Resident>>20)
}
