// Command oakum is both the server and its command line.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/oakumhq/oakum/internal/cli"
	"github.com/oakumhq/oakum/server"
)

// version is set by the linker, which can set nothing but a package variable.
var version = "dev"

func main() {
	ctx, stop := interruptible()
	code := cli.Run(ctx, cli.Options{
		Args:    os.Args[1:],
		Stdin:   os.Stdin,
		Stdout:  os.Stdout,
		Stderr:  os.Stderr,
		Getenv:  os.Getenv,
		Now:     time.Now,
		Version: version,
		Agent:   runAgent,
	})
	stop()
	os.Exit(code)
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
