package operating

import (
	"context"
	"flag"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/api/client"
	"github.com/oakumhq/oakum/internal/cli/command"
	"github.com/oakumhq/oakum/internal/cli/view"
)

func autopilotGet(e *command.Env) *command.Command {
	c := command.New("operator autopilot get", command.None(), "Show how autopilot is set", `
Shows when autopilot takes a server for healthy, when a newcomer may vote, and
when a dead server is taken out.`).Remote().Reads().Prints()
	c.Run = c.Asks(e, func(ctx context.Context, cl *client.Client, _ []string) error {
		config, err := cl.Autopilot(ctx, c.Query())
		if err != nil {
			return err
		}
		return e.Show(c.Out, config, func(w io.Writer) { view.Autopilot(w, config) })
	})
	return c
}

func autopilotSet(e *command.Env) *command.Command {
	c := command.New("operator autopilot set", command.None(), "Change how autopilot is set", `
Changes the settings that are given and keeps the others. The cluster keeps the
values, and every later leader goes by them.

    $ oakum operator autopilot set -cleanup-dead-servers=false`).Remote()
	var want api.AutopilotConfig
	var dead, contact, stable time.Duration
	c.Flags.BoolVar(&want.CleanupDeadServers, "cleanup-dead-servers", false, "Whether dead servers are taken out of the cluster.")
	c.Flags.DurationVar(&dead, "dead-server-threshold", 0, "The `time` after which a silent server is dead, 1m or more.")
	c.Flags.DurationVar(&contact, "last-contact-threshold", 0, "The `time` without word from the leader after which a server is not healthy.")
	c.Flags.Uint64Var(&want.MaxTrailingLogs, "max-trailing-logs", 0, "The `number` of log entries behind which a server is not healthy.")
	c.Flags.UintVar(&want.MinQuorum, "min-quorum", 0, "The `number` of voters that a cleanup leaves at least.")
	c.Flags.DurationVar(&stable, "server-stabilization-time", 0, "The `time` for which a newcomer must be healthy before it votes.")
	c.Run = c.Asks(e, func(ctx context.Context, cl *client.Client, _ []string) error {
		given := map[string]bool{}
		c.Flags.Visit(func(f *flag.Flag) { given[f.Name] = true })
		next, err := cl.Autopilot(ctx, client.Query{})
		if err != nil {
			return err
		}
		changed := false
		for name, set := range map[string]func(){
			"cleanup-dead-servers":      func() { next.CleanupDeadServers = want.CleanupDeadServers },
			"dead-server-threshold":     func() { next.DeadServerThreshold = api.Duration(dead) },
			"last-contact-threshold":    func() { next.LastContactThreshold = api.Duration(contact) },
			"max-trailing-logs":         func() { next.MaxTrailingLogs = want.MaxTrailingLogs },
			"min-quorum":                func() { next.MinQuorum = want.MinQuorum },
			"server-stabilization-time": func() { next.ServerStabilizationTime = api.Duration(stable) },
		} {
			if given[name] {
				set()
				changed = true
			}
		}
		if !changed {
			return command.Usage("give at least one setting to change")
		}
		if next, err = cl.SetAutopilot(ctx, next); err != nil {
			return err
		}
		view.Autopilot(e.Stdout, next)
		return nil
	})
	return c
}

func autopilotHealth(e *command.Env) *command.Command {
	c := command.New("operator autopilot health", command.None(), "Show the health of every server", `
Shows what the leader sees of the servers: who is healthy, who votes, how far
behind each is, and how many voters may be lost without an outage.

The exit code is 2 when a server is not healthy or its state differs.`).Remote().Prints()
	c.Run = c.Asks(e, func(ctx context.Context, cl *client.Client, _ []string) error {
		seen, err := cl.AutopilotState(ctx)
		if err != nil {
			return err
		}
		err = e.Show(c.Out, seen, func(w io.Writer) {
			view.Fields(w, "Healthy", view.YesNo(seen.Healthy), "Voters that may be lost", fmt.Sprint(seen.FailureTolerance),
				"Leader", seen.Leader, "Voters", strings.Join(seen.Voters, " "))
			fmt.Fprintln(w)
			view.Servers(w, seen.Servers, e.Now())
			for _, d := range seen.Divergent {
				fmt.Fprintf(w, "\nThe state of %s differs from the leader's at index %d, seen %s ago.\n", d.Server, d.Index, view.Age(e.Now(), d.Since))
			}
		})
		if err == nil && (!seen.Healthy || len(seen.Divergent) > 0) {
			return command.No("")
		}
		return err
	})
	return c
}
