package operating

import (
	"cmp"
	"context"
	"io"
	"runtime"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/api/client"
	"github.com/oakumhq/oakum/internal/cli/command"
	"github.com/oakumhq/oakum/internal/cli/view"
)

func agentCommand(e *command.Env) *command.Command {
	c := command.New("agent", command.None(), "Run an Oakum server", `
Runs a server in the foreground until it is interrupted.

-dev runs one server in memory, without Vault. Everybody who reaches the server
may do everything. The server keeps nothing when it stops. It looks for Nomad,
Consul and Prometheus at NOMAD_ADDR, CONSUL_HTTP_ADDR and PROMETHEUS_ADDR, or at
their usual ports on this machine.

    $ oakum agent -dev

A production server has a configuration, and keeps its state on disk:

    $ oakum agent -config=/etc/oakum.d

On SIGHUP the server reads its certificates again. When they come from Vault, it
asks Vault for a new one. A certificate that can't be used is refused in the log,
and the former one stays in use.`)
	opts := command.AgentOptions{}
	c.Flags.BoolVar(&opts.Dev, "dev", false, "Run one server in memory, without authentication.")
	c.Flags.Var((*command.List)(&opts.Config), "config",
		"`Path` of a configuration file, or of a directory whose *.hcl files are read. May be given several times: a later file overrides the earlier ones, and its blocks add to theirs.")
	c.Flags.StringVar(&opts.LogLevel, "log-level", "", "The `level` to log from: trace, debug, info, warn or error. Overrides the configuration.")
	c.Run = func(ctx context.Context, _ []string) error {
		if opts.Dev == (len(opts.Config) > 0) {
			return command.Usage("give either -dev or -config")
		}
		switch opts.LogLevel {
		case "", "debug", "info", "warn", "error":
		default:
			return command.Usage("-log-level: %q is none of debug, info, warn, error", opts.LogLevel)
		}
		if e.Agent == nil {
			return api.Errorf(api.CodeUnavailable, "this program was built without the server")
		}
		opts.Version, opts.Stderr = e.Build.Version, e.Stderr
		return e.Agent(ctx, opts)
	}
	return c
}

func versionCommand(e *command.Env) *command.Command {
	c := command.New("version", command.None(), "Print the version", `
Prints the version of this program, the commit that it was built from, and the
commit's date. The last two are missing where it was not built in a checkout.`).Prints()
	c.Run = func(context.Context, []string) error {
		commit, date := cmp.Or(e.Build.Commit, "unknown"), cmp.Or(e.Build.Date, "unknown")
		if e.Build.Modified {
			commit += ", with changes"
		}
		answer := map[string]string{
			"Version": e.Build.Version, "Commit": commit, "Date": date,
			"Go": runtime.Version(), "Platform": runtime.GOOS + "/" + runtime.GOARCH,
		}
		return e.Show(c.Out, answer, func(w io.Writer) {
			view.Fields(w, "Oakum", e.Build.Version, "Commit", commit, "Date", date, "Go", answer["Go"], "Platform", answer["Platform"])
		})
	}
	return c
}

func statusCommand(e *command.Env) *command.Command {
	c := command.New("status", command.None(), "Show the health of a server", `
Shows whether the server is ready, who leads the cluster, whom the server takes
you for, and how far each source of facts can be trusted now.

The exit code is 2 when the server is not ready.`).Remote().Prints()
	c.Run = c.Asks(e, func(ctx context.Context, cl *client.Client, _ []string) error {
		health, err := cl.Health(ctx)
		if err != nil {
			return err
		}
		self, selfErr := cl.Self(ctx)
		err = e.Show(c.Out, health, func(w io.Writer) { view.Status(w, cl.Address(), health, self, selfErr, e.Now(), e.Width) })
		if err == nil && !health.Ready {
			return command.No("")
		}
		return err
	})
	return c
}
