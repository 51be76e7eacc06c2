package cli

import (
	"context"
	"fmt"
	"io"
	"strings"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/api/client"
	"github.com/oakumhq/oakum/internal/cli/view"
	"github.com/oakumhq/oakum/plugins/conformance"
	"github.com/oakumhq/oakum/plugins/host"
	"github.com/oakumhq/oakum/policies"
)

func pluginList(e *env) *command {
	c := newCommand("plugin list", none(), "List the strategies of the server", `
Lists the strategy plugins of the server, and whether each answers.`).remote().reads().prints()
	c.run = c.asks(e, func(ctx context.Context, cl *client.Client, _ []string) error {
		all, _, err := cl.Plugins(ctx, c.query())
		if err != nil {
			return err
		}
		return e.show(c.out, all, func(w io.Writer) {
			t := view.NewTable("Name", "Version", "From", "State", "Arguments")
			for _, p := range all {
				t.Add(p.Name, p.Version, pluginFrom(p), pluginState(p), schemaText(p.Schema))
			}
			t.Print(w, "")
		})
	})
	return c
}

func pluginFrom(p api.PluginInfo) string {
	if p.Builtin {
		return "built in"
	}
	return p.Path
}

func pluginState(p api.PluginInfo) string {
	if p.Healthy {
		return "ok"
	}
	return "away: " + p.Error
}

func schemaText(s api.ConfigSchema) string {
	attributes := make([]string, 0, len(s.Attributes))
	for _, a := range s.Attributes {
		text := a.Name + " " + a.Type
		if a.Required {
			text += " (required)"
		} else if len(a.Default) > 0 {
			text += fmt.Sprintf(" = %s", a.Default)
		}
		attributes = append(attributes, text)
	}
	return strings.Join(attributes, ", ")
}

// pluginFlag names plugins whose strategies an offline check shall know.
func pluginFlag(c *command) *[]string {
	var paths []string
	c.flags.Var((*list)(&paths), "plugin",
		"`Path` of a strategy plugin whose strategy the files use. It is started. May be given several times.")
	return &paths
}

// strategies returns the schemas of the built-in strategies and of plugins, and
// what stops them.
func strategies(ctx context.Context, paths []string) (policies.Schemas, func(), error) {
	further := map[string]api.ConfigSchema{}
	for _, path := range paths {
		info, _, err := host.Verify(ctx, path)
		if err != nil {
			return nil, nil, err
		}
		further[info.Name] = info.Schema
	}
	h, err := host.New(ctx, host.Options{})
	if err != nil {
		return nil, nil, err
	}
	schemas := func(name string) (api.ConfigSchema, bool) {
		if schema, ok := further[name]; ok {
			return schema, true
		}
		return h.Schema(name)
	}
	return schemas, func() { _ = h.Close() }, nil // only built-ins: nothing to report
}

// verification is what plugin verify found out.
type verification struct {
	Plugin api.PluginInfo       `json:"plugin"`
	Checks []conformance.Result `json:"checks"`
}

func pluginVerify(e *env) *command {
	c := newCommand("plugin verify", one("PATH"), "Check a strategy plugin", `
Starts a strategy plugin on this machine, asks what it is, and runs the
conformance suite on it. It prints the plugin's checksum, which the agent's
configuration must name.

  The exit code is 2 when a check failed.`).prints()
	c.run = func(ctx context.Context, args []string) error {
		info, results, err := host.Verify(ctx, args[0])
		if err != nil {
			return err
		}
		err = e.show(c.out, verification{info, results}, func(w io.Writer) {
			view.Fields(w, "Strategy", info.Name, "Version", info.Version, "Protocol", fmt.Sprint(info.Protocol),
				"Path", info.Path, "SHA-256", info.SHA256, "Arguments", schemaText(info.Schema))
			fmt.Fprintln(w)
			for _, r := range results {
				mark := "pass"
				if !r.Passed {
					mark = "FAIL"
				}
				fmt.Fprintf(w, "%s  %s: %s\n", mark, r.Check, r.Detail)
			}
		})
		if failed := conformance.Failed(results); err == nil && len(failed) > 0 {
			return no("%d of %s failed.", len(failed), view.Count(len(results), "check"))
		}
		return err
	}
	return c
}
