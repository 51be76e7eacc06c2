package operating

import (
	"context"
	"io"
	"time"

	"github.com/oakumhq/oakum/api/client"
	"github.com/oakumhq/oakum/internal/cli/command"
	"github.com/oakumhq/oakum/internal/cli/view"
)

// intentLong is how long an effect usually takes at most: Nomad places a stage
// within a minute or two, and a simulation within a quarter of an hour.
const intentLong = 15 * time.Minute

func rolloutAudit(e *command.Env) *command.Command {
	c := command.New("operator rollout-audit", command.None(), "List effects whose outcome is not known", `
Lists open effects: changes that Oakum has announced in its log, and whose outcome
is not recorded yet. Each line names the rollout, the effect, its age, the server
and the term that announced it, and what prevents its end. A new leader verifies
each of them before it changes anything.

The exit code is 2 when one is older than -older-than.`).Remote().Reads().Prints()
	old := c.Flags.Duration("older-than", intentLong, "The `time` after which an open effect is too old.")
	c.Run = c.Asks(e, func(ctx context.Context, cl *client.Client, _ []string) error {
		open, err := cl.RolloutAudit(ctx, c.Query())
		if err != nil {
			return err
		}
		if err := e.Show(c.Out, open, func(w io.Writer) { view.Intents(w, open, e.Now()) }); err != nil {
			return err
		}
		late := 0
		for _, i := range open {
			if e.Now().Sub(i.Intended) > *old {
				late++
			}
		}
		if late > 0 {
			return command.No("%s open for more than %s", view.Count(late, "effect"), view.Span(*old))
		}
		return nil
	})
	return c
}
