package operating

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"time"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/api/client"
	"github.com/oakumhq/oakum/internal/cli/command"
	"github.com/oakumhq/oakum/internal/cli/input"
	"github.com/oakumhq/oakum/internal/cli/view"
)

// redacted replaces values that a bug report must not contain.
const redacted = "(redacted)"

// debugLines is how many log lines go into a bundle: all that the server keeps.
const debugLines = 1000

func operatorDebug(e *command.Env) *command.Command {
	c := command.New("operator debug", command.None(), "Collect what a bug report needs", `
Writes what the API tells into one .tar.gz: health, servers, autopilot, open
effects, rollouts, graph, profiles, events, metrics and the last lines of the
log; with enable_debug on the server also its goroutines and its heap.

It holds no tokens, no job specifications, and of patches neither scripts nor
environment nor configuration. Look through it before you pass it on: names of
jobs, services and people are in it.`).Remote().Reads()
	path := c.Flags.String("output", "", "`Path` of the file. Default: oakum-debug-<time>.tar.gz.")
	c.Run = c.Asks(e, func(ctx context.Context, cl *client.Client, _ []string) error {
		now := e.Now().UTC()
		name := *path
		if name == "" {
			name = "oakum-debug-" + now.Format("20060102T150405Z") + ".tar.gz"
		}
		missing := 0
		err := input.Replace(name, func(w io.Writer) (err error) {
			missing, err = collect(ctx, cl, c.Query(), w, now)
			return err
		})
		if err != nil {
			return err
		}
		e.Printf("Wrote %s.\n", name)
		if missing > 0 {
			e.Warnf("%s could not be read; the file says why.\n", view.Count(missing, "part"))
		}
		return nil
	})
	return c
}

// part is one file of the bundle.
type part struct {
	name string
	read func() ([]byte, error)
}

// answers makes a part of an answer of the API.
func answers[T any](name string, ask func() (T, error)) part {
	return part{name + ".json", func() ([]byte, error) {
		answer, err := ask()
		if err != nil {
			return nil, err
		}
		return json.MarshalIndent(answer, "", "  ")
	}}
}

// texts makes a part of what is text already.
func texts(name string, ask func(io.Writer) error) part {
	return part{name, func() ([]byte, error) {
		var out bytes.Buffer
		err := ask(&out)
		return out.Bytes(), err
	}}
}

// parts is the whole bundle.
func parts(ctx context.Context, cl *client.Client, q client.Query) []part {
	return []part{
		answers("health", func() (api.HealthReport, error) { return cl.Health(ctx) }),
		answers("self", func() (api.AgentSelf, error) { return cl.Self(ctx) }),
		answers("state", func() (api.StateInfo, error) { return cl.State(ctx) }),
		answers("peers", func() ([]api.ServerInfo, error) { return cl.Peers(ctx, q) }),
		answers("autopilot", func() (api.AutopilotConfig, error) { return cl.Autopilot(ctx, q) }),
		answers("autopilot-health", func() (api.AutopilotState, error) { return cl.AutopilotState(ctx) }),
		answers("rollout-audit", func() ([]api.OpenIntent, error) { return cl.RolloutAudit(ctx, q) }),
		answers("policies", func() ([]api.Policy, error) { all, _, err := cl.Policies(ctx, q); return all, err }),
		answers("rollouts", func() ([]api.Rollout, error) { all, _, err := cl.Rollouts(ctx, q); return redactRollouts(all), err }),
		answers("simulations", func() ([]api.Simulation, error) { all, _, err := cl.Simulations(ctx, q); return all, err }),
		answers("quarantines", func() ([]api.Quarantine, error) { all, _, err := cl.Quarantines(ctx, q); return all, err }),
		answers("graph", func() (api.Graph, error) { g, _, err := cl.Graph(ctx, q); return redactGraph(g), err }),
		answers("profiles", func() ([]api.Profile, error) { all, _, err := cl.Profiles(ctx, q); return all, err }),
		answers("plugins", func() ([]api.PluginInfo, error) { all, _, err := cl.Plugins(ctx, q); return all, err }),
		answers("events", func() ([]api.Event, error) { all, err := cl.Events(ctx, 0); return redactEvents(all), err }),
		texts("metrics.txt", func(w io.Writer) error { return cl.Metrics(ctx, w) }),
		texts("log.txt", func(w io.Writer) error { return cl.RecentLog(ctx, debugLines, w) }),
		texts("goroutine.txt", func(w io.Writer) error { return cl.ProcessProfile(ctx, "goroutine", w) }),
		texts("heap.txt", func(w io.Writer) error { return cl.ProcessProfile(ctx, "heap", w) }),
	}
}

// collect writes the archive. A part that cannot be read is replaced by the
// reason, so that the archive of a sick server is still worth something.
func collect(ctx context.Context, cl *client.Client, q client.Query, w io.Writer, now time.Time) (int, error) {
	zipped := gzip.NewWriter(w)
	archive := tar.NewWriter(zipped)
	missing := 0
	for _, p := range parts(ctx, cl, q) {
		text, err := p.read()
		if err != nil {
			missing++
			if text, err = json.MarshalIndent(api.AsError(err), "", "  "); err != nil {
				return missing, fmt.Errorf("encode %s: %w", p.name, err)
			}
		}
		head := &tar.Header{Name: "oakum-debug/" + p.name, Mode: 0o600, Size: int64(len(text)), ModTime: now}
		if err := archive.WriteHeader(head); err != nil {
			return missing, fmt.Errorf("write archive: %w", err)
		}
		if _, err := archive.Write(text); err != nil {
			return missing, fmt.Errorf("write archive: %w", err)
		}
	}
	if err := archive.Close(); err != nil {
		return missing, fmt.Errorf("write archive: %w", err)
	}
	return missing, zipped.Close()
}

// redactRollouts removes what may contain secrets: the changes of the patches, and
// the former jobs. The API does not send former jobs in the first place.
func redactRollouts(all []api.Rollout) []api.Rollout {
	for i := range all {
		for j, a := range all[i].Apply {
			all[i].Apply[j] = redactApply(a)
		}
		if all[i].Former != nil {
			all[i].Former.Job = nil
		}
	}
	return all
}

func redactApply(a api.Apply) api.Apply {
	if a.Script != "" {
		a.Script = redacted
	}
	if a.Verify != nil {
		a.Verify = &api.Verify{Command: redacted}
	}
	a.Env, a.Config = maps.Clone(a.Env), maps.Clone(a.Config)
	for key := range a.Env {
		a.Env[key] = redacted
	}
	for key := range a.Config {
		a.Config[key] = redacted
	}
	return a
}

// redactGraph takes out the values of the targets' metadata, which jobs may
// keep anything in.
func redactGraph(g api.Graph) api.Graph {
	for i := range g.Targets {
		meta := maps.Clone(g.Targets[i].Target.Meta)
		for key := range meta {
			meta[key] = redacted
		}
		g.Targets[i].Target.Meta = meta
	}
	return g
}

// redactEvents takes out what events carry beside their sentence.
func redactEvents(all []api.Event) []api.Event {
	for i := range all {
		all[i].Payload = nil
	}
	return all
}
