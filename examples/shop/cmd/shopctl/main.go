// Command shopctl brings the example shop up on a running stack and takes it
// down. It reads the stack's addresses and tokens from the environment:
//
//	. .stack/env && go run ./examples/shop/cmd/shopctl up
//
// Further commands: traffic prints the bytes per second of every edge of the
// mesh, and patches DIR writes the example patches with the images' real path.
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
)

const usage = "usage: shopctl [-repository=DIR] [-entries=SERVICE=RPS,...] [-swing=LOW:HIGH] [-timeout=DURATION] up|down|traffic|patches DIR"

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
	entries := flags.String("entries", "", "load, such as front=32,backoffice=12")
	swing := flags.String("swing", "", "multiples of the load between which it swings, such as 0.5:3")
	timeout := flags.Duration("timeout", 4*time.Minute, "for the whole command")
	if err := flags.Parse(args); err != nil {
		return err
	}
	env, err := deploy.FromVariables(os.Getenv, *repository)
	if err != nil {
		return err
	}
	env.Entries, env.Swing = *entries, *swing
	ctx, cancel := context.WithTimeout(ctx, *timeout)
	defer cancel()
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
		`sum by (src, dst) (rate(consul_proxy_upstream_rx_bytes[15s]) + rate(consul_proxy_upstream_tx_bytes[15s]))`)
	if err != nil {
		return err
	}
	for _, s := range series {
		fmt.Printf("%-12s -> %-12s %8.0f B/s\n", s.Labels["src"], s.Labels["dst"], s.Value)
	}
	return nil
}
