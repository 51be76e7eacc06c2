package operating

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/api/client"
	"github.com/oakumhq/oakum/internal/cli/command"
)

func eventStream(e *command.Env) *command.Command {
	c := command.New("event stream", command.None(), "Follow what happens", `
Prints each event of the record as it happens, until it is interrupted. Without
-index it begins now; with it, it begins with what the server still remembers
from that index on.

    $ oakum event stream -topic=rollout -topic=effect`).Remote().Reads().Prints()
	index := c.Flags.Uint64("index", 0, "Begin at this `index` of the record.")
	var topics command.List
	c.Flags.Var(&topics, "topic",
		"Only events of this `topic`, or of topic:key. May be given several times. Topics: policy, patch, rollout, effect, simulation, graph, profile, quarantine, brake.")
	c.Run = c.Asks(e, func(ctx context.Context, cl *client.Client, _ []string) error {
		err := cl.EventStream(ctx, *index, topics, func(ev api.Event) error { return printEvent(e, c, ev) })
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

// printEvent writes one line per event; with -json one JSON object per line.
func printEvent(e *command.Env, c *command.Command, ev api.Event) error {
	if c.Out.JSON {
		line, err := json.Marshal(ev)
		if err != nil {
			return fmt.Errorf("encode event: %w", err)
		}
		e.Printf("%s\n", line)
		return nil
	}
	if c.Out.Template != "" {
		return e.Show(c.Out, ev, nil)
	}
	e.Printf("%s  %-8d  %-10s  %-20s  %s\n", ev.At.UTC().Format("15:04:05"), ev.Index, ev.Topic, ev.Type, ev.Text)
	return nil
}
