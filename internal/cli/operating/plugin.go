package operating

import (
	"context"
	"fmt"
	"io"
	"strings"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/api/client"
	"github.com/oakumhq/oakum/internal/cli/command"
	"github.com/oakumhq/oakum/internal/cli/view"
	"github.com/oakumhq/oakum/plugins/conformance"
	"github.com/oakumhq/oakum/plugins/host"
)

func pluginList(e *command.Env) *command.Command {
	c := command.New("plugin list", command.None(), "List the strategies of the server", `
Lists the strategy plugins of the server, and whether each answers.`).Remote().Reads().Prints()
	c.Run = c.Asks(e, func(ctx context.Context, cl *client.Client, _ []string) error {
		all, _, err := cl.Plugins(ctx, c.Query())
		if err != nil {
			return err
		}
		return e.Show(c.Out, all, func(w io.Writer) {
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

// verification is what plugin verify found out.
type verification struct {
	Plugin api.PluginInfo       `json:"plugin"`
	Checks []conformance.Result `json:"checks"`
}

func pluginVerify(e *command.Env) *command.Command {
	c := command.New("plugin verify", command.One("PATH"), "Check a strategy plugin", `
Starts a strategy plugin on this machine, asks what it is, and runs the
conformance suite on it. It prints the plugin's checksum, which the agent's
configuration must name.

  The exit code is 2 when a check failed.`).Prints()
	c.Run = func(ctx context.Context, args []string) error {
		info, results, err := host.Verify(ctx, args[0])
		if err != nil {
			return err
		}
		err = e.Show(c.Out, verification{info, results}, func(w io.Writer) {
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
			return command.No("%d of %s failed.", len(failed), view.Count(len(results), "check"))
		}
		return err
	}
	return c
}
