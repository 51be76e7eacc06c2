package operating

import (
	"context"
	"errors"
	"slices"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/api/client"
	"github.com/oakumhq/oakum/internal/cli/command"
)

// recentLines is how many earlier log lines monitor prints first.
const recentLines = 50

func monitorCommand(e *command.Env) *command.Command {
	c := command.New("monitor", command.None(), "Follow the log of a server", `
Prints what the server at the address logs, until it is interrupted. With
-log-level=debug it also prints what the server does not write to its own log.

    $ oakum monitor -log-level=debug

A reader that is too slow loses lines, and is told how many.`).Remote()
	level := c.Flags.String("log-level", "info", "The `level` to print from: trace, debug, info, warn or error.")
	recent := c.Flags.Int("recent", recentLines, "Begin with up to this `number` of lines of the past.")
	c.Run = c.Asks(e, func(ctx context.Context, cl *client.Client, _ []string) error {
		if !slices.Contains([]string{"trace", "debug", "info", "warn", "error"}, *level) {
			return command.Usage("-log-level: %q is none of trace, debug, info, warn, error", *level)
		}
		if *recent < 0 {
			return command.Usage("-recent: want 0 or more, not %d", *recent)
		}
		err := cl.Monitor(ctx, *level, *recent, func(line string) error { e.Printf("%s\n", line); return nil })
		if errors.Is(err, context.Canceled) {
			return nil // interrupting is how this command ends
		}
		if err == nil {
			return api.Errorf(api.CodeUnavailable, "the server closed the stream")
		}
		return err
	})
	return c
}
