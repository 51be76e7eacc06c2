// Command oakum is both the server and its command line.
package main

import (
	"context"
	"os"
	"os/signal"
	"runtime/debug"
	"syscall"
	"time"

	"github.com/oakumhq/oakum/internal/cli"
	"github.com/oakumhq/oakum/internal/cli/command"
	"github.com/oakumhq/oakum/server"
)

// version is the release that this is, or comes before. The linker may set it: it
// can set nothing but a package variable.
var version = "0.1.0-dev"

func main() {
	ctx, stop := interruptible()
	code := cli.Run(ctx, command.Options{
		Args:   os.Args[1:],
		Stdin:  os.Stdin,
		Stdout: os.Stdout,
		Stderr: os.Stderr,
		Getenv: os.Getenv,
		Now:    time.Now,
		Build:  build(),
		Agent:  runAgent,
		Rules:  readRules,
	})
	stop()
	os.Exit(code)
}

// build is this program's version, with the commit and the commit's date where Go
// built it in a checkout.
func build() command.Build {
	b := command.Build{Version: version}
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return b
	}
	for _, s := range info.Settings {
		switch s.Key {
		case "vcs.revision":
			b.Commit = s.Value
		case "vcs.time":
			b.Date = s.Value
		case "vcs.modified":
			b.Modified = s.Value == "true"
		}
	}
	return b
}

// interruptible returns a context that ends at the first interrupt or SIGTERM,
// with the signal as its cause. The second one ends the process.
func interruptible() (context.Context, func()) {
	ctx, cancel := context.WithCancelCause(context.Background())
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	go func() {
		select {
		case sent := <-signals:
			signal.Stop(signals)
			cancel(&server.SignalError{Signal: sent})
		case <-ctx.Done():
		}
	}()
	return ctx, func() { signal.Stop(signals); cancel(nil) }
}
