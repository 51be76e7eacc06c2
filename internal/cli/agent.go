package cli

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"runtime"
	"strings"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/api/client"
)

// list is a flag that may be given several times.
type list []string

// String joins the values.
func (l *list) String() string { return strings.Join(*l, ",") }

// Set appends one.
func (l *list) Set(value string) error {
	*l = append(*l, value)
	return nil
}

func agentCommand(e *env) *command {
	c := newCommand("agent", none(), "Run an Oakum server", `
Runs a server in the foreground until it is interrupted.

-dev runs one server in memory, without Vault: everybody who reaches it may do
everything, and everything is forgotten when it stops. Nomad, Consul and
Prometheus are looked for at NOMAD_ADDR, CONSUL_HTTP_ADDR and PROMETHEUS_ADDR,
or at their usual ports on this machine.

    $ oakum agent -dev

A server for real has a configuration, and keeps its state on disk:

    $ oakum agent -config=/etc/oakum.d

On SIGHUP the server reads its certificates again and asks Vault for a new one
where they come from there. One that is of no use is refused in the log, and the
former stays in use.`)
	opts := AgentOptions{}
	c.flags.BoolVar(&opts.Dev, "dev", false, "Run one server in memory, without authentication.")
	c.flags.Var((*list)(&opts.Config), "config",
		"`Path` of a configuration file, or of a directory whose *.hcl files are read. May be given several times; what comes later adds to what came before.")
	c.flags.StringVar(&opts.LogLevel, "log-level", "", "The `level` to log from: debug, info, warn or error. Overrides the configuration.")
	c.run = func(ctx context.Context, _ []string) error {
		if opts.Dev == (len(opts.Config) > 0) {
			return usage("give either -dev or -config")
		}
		switch opts.LogLevel {
		case "", "debug", "info", "warn", "error":
		default:
			return usage("-log-level: %q is none of debug, info, warn, error", opts.LogLevel)
		}
		if e.Agent == nil {
			return api.Errorf(api.CodeUnavailable, "this program was built without the server")
		}
		opts.Version, opts.Stderr = e.Build.Version, e.Stderr
		return e.Agent(ctx, opts)
	}
	return c
}

func versionCommand(e *env) *command {
	c := newCommand("version", none(), "Print the version", `
Prints the version of this program, the commit that it was built from, and the
commit's date. The last two are missing where it was not built in a checkout.`).prints()
	c.run = func(context.Context, []string) error {
		commit, date := cmp.Or(e.Build.Commit, "unknown"), cmp.Or(e.Build.Date, "unknown")
		if e.Build.Modified {
			commit += ", with changes"
		}
		answer := map[string]string{
			"Version": e.Build.Version, "Commit": commit, "Date": date,
			"Go": runtime.Version(), "Platform": runtime.GOOS + "/" + runtime.GOARCH,
		}
		return e.show(c.out, answer, func(w io.Writer) {
			fields(w, "Oakum", e.Build.Version, "Commit", commit, "Date", date, "Go", answer["Go"], "Platform", answer["Platform"])
		})
	}
	return c
}

func statusCommand(e *env) *command {
	c := newCommand("status", none(), "Show the health of a server", `
Shows whether the server is ready, who leads the cluster, whom the server takes
you for, and how far each source of facts can be trusted now.

The exit code is 2 when the server is not ready.`).remote().prints()
	c.run = c.asks(e, func(ctx context.Context, cl *client.Client, _ []string) error {
		health, err := cl.Health(ctx)
		if err != nil {
			return err
		}
		self, selfErr := cl.Self(ctx)
		err = e.show(c.out, health, func(w io.Writer) { e.printStatus(w, cl, health, self, selfErr) })
		if err == nil && !health.Ready {
			return no("")
		}
		return err
	})
	return c
}

func (e *env) printStatus(w io.Writer, cl *client.Client, health api.HealthReport, self api.AgentSelf, selfErr error) {
	who := self.Identity.Name + " (" + self.Identity.Via + ")"
	if selfErr != nil {
		who = "unknown: " + api.AsError(selfErr).Message
	} else if self.AuthOff {
		who = "anybody: authentication is off (-dev)"
	}
	ready := "yes"
	if !health.Ready {
		ready = "no: " + strings.Join(health.Because, ", ")
	}
	fields(w, "Server", health.Server+" at "+cl.Address(), "Version", self.Version, "Ready", ready,
		"Look at", strings.Join(health.Warnings, ", "), "Leader", health.Leader, "You are", who, "Your rights", capabilities(self.Identity.Capabilities))
	if len(health.Sources) == 0 {
		return
	}
	fmt.Fprintln(w)
	t := newTable("Source", "State", "Since", "Detail")
	for _, s := range health.Sources {
		since, detail := s.Since, s.Partial
		if s.Failures > 0 {
			since, detail = s.Failing, count(s.Failures, "failure")+" in a row: "+s.Error
		} else if s.Error != "" {
			detail = s.Error
		}
		state := string(s.State())
		if s.State() == api.SourceWhole {
			state = "ok"
		}
		t.add(s.Name, state, age(e.Now(), since), detail)
	}
	t.print(w, "")
}

func capabilities(caps []api.Capability) string {
	words := make([]string, len(caps))
	for i, c := range caps {
		words[i] = string(c)
	}
	return strings.Join(words, " ")
}
