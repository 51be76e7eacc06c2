package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/api/client"
)

func eventStream(e *env) *command {
	c := newCommand("event stream", none(), "Follow what happens", `
Prints each event of the record as it happens, until it is interrupted. Without
-index it begins now; with it, it begins with what the server still remembers
from that index on.

    $ oakum event stream -topic=rollout -topic=effect`).remote().reads().prints()
	index := c.flags.Uint64("index", 0, "Begin at this `index` of the record.")
	var topics list
	c.flags.Var(&topics, "topic",
		"Only events of this `topic`, or of topic:key. May be given several times. Topics: policy, patch, rollout, effect, simulation, graph, profile, quarantine, brake.")
	c.run = c.asks(e, func(ctx context.Context, cl *client.Client, _ []string) error {
		err := cl.EventStream(ctx, *index, topics, func(ev api.Event) error { return e.printEvent(c, ev) })
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
func (e *env) printEvent(c *command, ev api.Event) error {
	if c.out.json {
		line, err := json.Marshal(ev)
		if err != nil {
			return fmt.Errorf("encode event: %w", err)
		}
		e.printf("%s\n", line)
		return nil
	}
	if c.out.template != "" {
		return e.show(c.out, ev, nil)
	}
	e.printf("%s  %-8d  %-10s  %-20s  %s\n", ev.At.UTC().Format("15:04:05"), ev.Index, ev.Topic, ev.Type, ev.Text)
	return nil
}
