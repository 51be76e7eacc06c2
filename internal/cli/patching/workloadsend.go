package patching

import (
	"context"
	"os"
	"os/signal"
	"sync"
	"syscall"
	"time"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/internal/cli/command"
	"github.com/oakumhq/oakum/internal/cli/input"
	"github.com/oakumhq/oakum/internal/sender"
	"github.com/oakumhq/oakum/internal/workload"
)

func workloadSend(e *command.Env) *command.Command {
	c := command.New("workload send", command.One("FILE"), "Send a workload to a twin in its sandbox", `
Sends the requests of a workload file to a loopback address, and writes one line of
JSON a second: what became of each request, with its status and latency. Simulations
of containers and programs run this command in the twin's own network namespace.

It checks the health of what it asks until it gets the signal SIGHUP. Then it warms
up, sends the requests for the duration, and ends.

    $ oakum workload send -base=http://127.0.0.1:8080 -health=/health web.ndjson`)
	var o sender.Options
	c.Flags.StringVar(&o.Base, "base", "", "The `address` to ask, such as http://127.0.0.1:8080. Only loopback addresses are asked.")
	c.Flags.StringVar(&o.Health, "health", "/", "The `path` of the health check.")
	c.Flags.Float64Var(&o.Rate, "rate", 5, "How `many` requests to send a second, up to 400.")
	c.Flags.Uint64Var(&o.Seed, "seed", 0, "The `number` that chooses the order of the requests.")
	c.Flags.DurationVar(&o.WarmUp, "warm-up", 15*time.Second, "The longest `time` of the warm-up, which does not count.")
	c.Flags.DurationVar(&o.Duration, "duration", time.Minute, "The `time` to send requests for.")
	out := c.Flags.String("out", "", "The `file` to write the report to. Default: standard output.")
	now := c.Flags.Bool("now", false, "Begin at once, without a signal.")
	c.Run = func(ctx context.Context, args []string) error {
		text, err := input.Limited(args[0])
		if err != nil {
			return err
		}
		if o.Workload, err = workload.Parse(args[0], []byte(text)); err != nil {
			return err
		}
		start, stop := startSignal(*now)
		defer stop()
		if *out == "" {
			o.Out = e.Stdout
			return sender.Run(ctx, o, start)
		}
		file, err := os.Create(*out)
		if err != nil {
			return api.Errorf(api.CodeInvalid, "write report: %s", input.Cause(err))
		}
		o.Out = file
		err = sender.Run(ctx, o, start)
		if e := file.Close(); err == nil {
			err = e
		}
		return err
	}
	return c
}

// startSignal returns a channel that is closed at the first SIGHUP, or is closed
// already.
func startSignal(now bool) (start <-chan struct{}, stop func()) {
	started := make(chan struct{})
	begin := sync.OnceFunc(func() { close(started) })
	if now {
		begin()
	}
	signals := make(chan os.Signal, 1)
	ended := make(chan struct{})
	signal.Notify(signals, syscall.SIGHUP)
	go func() {
		for {
			select {
			case <-signals:
				begin()
			case <-ended:
				return
			}
		}
	}()
	return started, func() { signal.Stop(signals); close(ended) }
}
