package cli

import (
	"context"
	"io"
	"time"

	"github.com/oakumhq/oakum/api/client"
	"github.com/oakumhq/oakum/internal/cli/view"
)

// intentLong is how long an effect usually takes at most: Nomad places a stage
// within a minute or two, and a simulation within a quarter of an hour.
const intentLong = 15 * time.Minute

func rolloutAudit(e *env) *command {
	c := newCommand("operator rollout-audit", none(), "List effects whose outcome is not known", `
Lists what Oakum announced in its log that it would do to the world and whose
outcome is not there yet: which rollout, what, since when, announced by which
server in which term, and what is in its way. A new leader verifies each of them
before it does anything.

The exit code is 2 when one is older than -older-than.`).remote().reads().prints()
	old := c.flags.Duration("older-than", intentLong, "The `time` after which an open effect is too old.")
	c.run = c.asks(e, func(ctx context.Context, cl *client.Client, _ []string) error {
		open, err := cl.RolloutAudit(ctx, c.query())
		if err != nil {
			return err
		}
		if err := e.show(c.out, open, func(w io.Writer) { view.Intents(w, open, e.Now()) }); err != nil {
			return err
		}
		late := 0
		for _, i := range open {
			if e.Now().Sub(i.Intended) > *old {
				late++
			}
		}
		if late > 0 {
			return no("%s open for more than %s", view.Count(late, "effect"), view.Span(*old))
		}
		return nil
	})
	return c
}
