package patching

import (
	"context"
	"errors"
	"net"
	"os"
	"time"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/internal/cli/command"
	"github.com/oakumhq/oakum/internal/cli/input"
	"github.com/oakumhq/oakum/internal/sender"
)

func workloadSend(e *command.Env) *command.Command {
	c := command.New("workload send", command.Opt("FILE"), "Send a workload to a twin in its sandbox", `
Sends the requests of a workload file to a loopback address, and writes one line of
JSON a second: what became of each request, with its status and latency. Simulations
of containers and programs run this command in the twin's own network namespace.

It checks the health of what it asks until it gets the signal SIGHUP. Then it warms
up, sends the requests for the duration, and ends.

    $ oakum workload send -base=http://127.0.0.1:8080 -health=/health web.ndjson

With -relay and no FILE it forwards what a load program sends to that address, and
reports that. It goes on forwarding after the duration, until it is interrupted.`)
	var o sender.RelayOptions
	c.Flags.StringVar(&o.Base, "base", "", "The `address` to ask, such as http://127.0.0.1:8080. Only loopback addresses are asked.")
	c.Flags.StringVar(&o.Health, "health", "/", "The `path` of the health check.")
	c.Flags.Float64Var(&o.Rate, "rate", 5, "How `many` requests to send a second, up to 400.")
	c.Flags.Uint64Var(&o.Seed, "seed", 0, "The `number` that chooses the order of the requests.")
	c.Flags.DurationVar(&o.WarmUp, "warm-up", 15*time.Second, "The longest `time` of the warm-up, which does not count.")
	c.Flags.DurationVar(&o.Duration, "duration", time.Minute, "The `time` to send requests for.")
	out := c.Flags.String("out", "", "The `file` to write the report to. Default: standard output.")
	now := c.Flags.Bool("now", false, "Begin at once, without a signal.")
	relay := c.Flags.String("relay", "", "The loopback `address` at which a load program finds the twin, such as 127.0.0.1:9999.")
	c.Flags.StringVar(&o.Folder, "folder", ".", "With -relay, the `folder` in which the task of the load program is told to begin and leaves its exit code.")
	c.Run = func(ctx context.Context, args []string) (err error) {
		if (*relay == "") != (len(args) == 1) {
			return command.Usage("want a FILE of requests, or -relay for a load program, and not both")
		}
		send := func(ctx context.Context, start <-chan struct{}) error { return sender.Run(ctx, o.Options, start) }
		if *relay != "" {
			send = func(ctx context.Context, start <-chan struct{}) error { return sender.Relay(ctx, o, start) }
			if o.Listener, err = (&net.ListenConfig{}).Listen(ctx, "tcp", *relay); err != nil {
				return api.Errorf(api.CodeInvalid, "listen for the load program: %v", err)
			}
		} else if o.Workload, err = input.Workload(args[0]); err != nil {
			return err
		}
		start, stop := sender.StartSignal(*now)
		defer stop()
		if *out == "" {
			o.Out = e.Stdout
			return send(ctx, start)
		}
		file, err := os.Create(*out)
		if err != nil {
			return api.Errorf(api.CodeInvalid, "write report: %s", input.Cause(err))
		}
		o.Out = file
		return errors.Join(send(ctx, start), file.Close())
	}
	return c
}
