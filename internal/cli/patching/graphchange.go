package patching

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"strconv"
	"time"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/api/client"
	"github.com/oakumhq/oakum/internal/cli/command"
	"github.com/oakumhq/oakum/internal/cli/view"
	"github.com/oakumhq/oakum/internal/graph"
)

func graphFindings(e *command.Env) *command.Command {
	c := command.New("graph findings", command.None(), "List what somebody should look at in the graph", `
Lists edges that nobody declared, with the intention to add; declarations that
nobody uses, with the one to remove; attempts that are refused; single points;
and sources that cannot be trusted.

With -kind, only findings of that kind, and the exit code is 2 when there are
some:

    $ oakum graph findings -kind=denied_attempt`).Remote().Reads().Prints()
	kind := c.Flags.String("kind", "", "Only findings of this `kind`: undeclared, off_mesh, though_denied, stale, single_point, denied_attempt, unknown or source.")
	c.Run = c.Asks(e, func(ctx context.Context, cl *client.Client, _ []string) error {
		found, _, err := cl.GraphFindings(ctx, c.Query())
		if err != nil {
			return err
		}
		if *kind != "" {
			all := found.Findings
			found.Findings = []api.Finding{}
			for _, f := range all {
				if string(f.Kind) == *kind {
					found.Findings = append(found.Findings, f)
				}
			}
		}
		if err := e.Show(c.Out, found, func(w io.Writer) { view.Findings(w, found) }); err != nil {
			return err
		}
		if *kind != "" && len(found.Findings) > 0 {
			return command.No("")
		}
		return nil
	})
	return c
}

func graphDiff(e *command.Env) *command.Command {
	c := command.New("graph diff", command.None(), "Show what changed in the graph between two moments", `
Shows the edges and services that came, went or changed their state. A moment is
an index of the record, a time, or how long ago it was. It reaches back as far
as the record does.

    $ oakum graph diff -from=2h
    $ oakum graph diff -from=2026-11-01T12:00:00Z -to=2026-11-02T12:00:00Z
    $ oakum graph diff -from=1204 -to=1310

The exit code is 2 when something changed.`).Remote().Reads().Prints()
	from := c.Flags.String("from", "", "The earlier `moment`; the beginning of the record without it.")
	to := c.Flags.String("to", "", "The later `moment`; now without it.")
	c.Run = c.Asks(e, func(ctx context.Context, cl *client.Client, _ []string) error {
		d, _, err := cl.GraphDiff(ctx, moment(*from, e.Now()), moment(*to, e.Now()), c.Query())
		if err != nil {
			return err
		}
		if err := e.Show(c.Out, d, func(w io.Writer) { view.Delta(w, d.Delta) }); err != nil {
			return err
		}
		if !d.Delta.Empty() {
			return command.No("")
		}
		return nil
	})
	return c
}

// moment turns an age such as 24h into a time. It passes any other text to the
// server.
func moment(text string, now time.Time) string {
	if ago, err := time.ParseDuration(text); err == nil {
		if _, err := strconv.ParseUint(text, 10, 64); err != nil {
			return now.Add(-ago).UTC().Format(time.RFC3339)
		}
	}
	return text
}

func graphWatch(e *command.Env) *command.Command {
	c := command.New("graph watch", command.None(), "Follow how the graph changes", `
Prints each edge and service that comes, goes or changes its state, as it
happens, until it is interrupted. With -json, one object for each change.`).Remote().Reads().Prints()
	c.Run = c.Asks(e, func(ctx context.Context, cl *client.Client, _ []string) error {
		before, meta, err := cl.Graph(ctx, c.Query())
		if err != nil {
			return err
		}
		return follow(ctx, e, c, cl, before, meta.Index)
	})
	return c
}

// follow prints each change of the graph until the context ends. It goes on
// through elections and restarts of a server.
func follow(ctx context.Context, e *command.Env, c *command.Command, cl *client.Client, before api.Graph, index uint64) error {
	warned, answered := "", e.Now()
	for {
		q := c.Query()
		q.Index, q.Wait = index, watchWait
		next, meta, err := cl.Graph(ctx, q)
		switch {
		case ctx.Err() != nil:
			return nil // interrupting is how this command ends
		case err == nil:
			answered, warned = e.Now(), ""
			if index = meta.Index; q.Index > index {
				index = 0 // the state was restored from a snapshot
			}
			if d := graph.Diff(before, next, 0); !d.Empty() {
				if err := printChange(e, c, next.At, d); err != nil {
					return err
				}
			}
			before = next
		case !passing(err) || e.Now().Sub(answered) > patience:
			return err
		default:
			if line := api.AsError(err).Message; line != warned {
				e.Warnf("%s  %s; trying again\n", e.Now().UTC().Format("15:04:05"), line)
				warned = line
			}
			if pause(ctx, retryEvery) != nil {
				return nil
			}
		}
	}
}

func printChange(e *command.Env, c *command.Command, at time.Time, d api.GraphDelta) error {
	if c.Out.JSON {
		line, err := json.Marshal(d)
		if err != nil {
			return fmt.Errorf("encode change: %w", err)
		}
		e.Printf("%s\n", line)
		return nil
	}
	if c.Out.Template != "" {
		return e.Show(c.Out, d, nil)
	}
	e.Printf("%s\n", at.UTC().Format(time.RFC3339))
	view.Delta(e.Stdout, d)
	return nil
}
