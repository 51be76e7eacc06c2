package cli

import (
	"context"
	"fmt"
	"io"
	"time"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/api/client"
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
		if err := e.show(c.out, open, func(w io.Writer) { e.printIntents(w, open) }); err != nil {
			return err
		}
		late := 0
		for _, i := range open {
			if e.Now().Sub(i.Intended) > *old {
				late++
			}
		}
		if late > 0 {
			return no("%s open for more than %s", count(late, "effect"), span(*old))
		}
		return nil
	})
	return c
}

func (e *env) printIntents(w io.Writer, open []api.OpenIntent) {
	if len(open) == 0 {
		fmt.Fprintln(w, "No effect is open.")
		return
	}
	t := newTable("Rollout", "Target", "Status", "Effect", "Open for", "Announced by", "In its way")
	for _, i := range open {
		effect, by := string(i.Kind), i.By
		if i.Stage > 0 {
			effect += fmt.Sprintf(" %d", i.Stage)
		}
		if i.Term > 0 {
			by += fmt.Sprintf(" (term %d)", i.Term)
		}
		t.add(i.Rollout, i.Target.String(), string(i.Status), effect, age(e.Now(), i.Intended), by, i.Trouble)
	}
	t.print(w, "")
}
