package cli

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"sort"
	"strings"

	"github.com/hashicorp/cli"

	"github.com/oakumhq/oakum/api/client"
	"github.com/oakumhq/oakum/internal/cli/input"
	"github.com/oakumhq/oakum/internal/cli/view"
)

// command is one command, with its flags ready to be parsed.
type command struct {
	name     string // such as "policy apply"
	takes    arguments
	synopsis string
	text     string // help, without usage and options
	flags    *flag.FlagSet
	general  map[string]bool // flags that many commands have
	run      func(ctx context.Context, args []string) error
	conn     *connection
	out      *output
}

// arguments says what stands on the command line beside the flags.
type arguments struct {
	names string // as in the usage, such as "FILE..."
	least int
	most  int // -1 means any number
}

func none() arguments            { return arguments{} }
func one(name string) arguments  { return arguments{names: name, least: 1, most: 1} }
func opt(name string) arguments  { return arguments{names: "[" + name + "]", most: 1} }
func two(a, b string) arguments  { return arguments{names: a + " " + b, least: 2, most: 2} }
func many(name string) arguments { return arguments{names: name + "...", least: 1, most: -1} }

func (a arguments) check(args []string) error {
	if len(args) >= a.least && (a.most < 0 || len(args) <= a.most) {
		return nil
	}
	switch {
	case a.most == 0:
		return usage("this command takes no arguments, not %q", args[0])
	case len(args) < a.least:
		return usage("this command needs: %s", a.names)
	}
	return usage("too many arguments: %q; this command takes %s", args[a.most:], a.names)
}

func newCommand(name string, takes arguments, synopsis, text string) *command {
	flags := flag.NewFlagSet(name, flag.ContinueOnError)
	flags.SetOutput(io.Discard) // parse errors are printed by report
	return &command{name: name, takes: takes, synopsis: synopsis, text: text, flags: flags, general: map[string]bool{}}
}

// parse reads flags before, between and after the arguments, until "--".
func parse(flags *flag.FlagSet, args []string) ([]string, error) {
	var rest []string
	for {
		if err := flags.Parse(args); err != nil {
			if errors.Is(err, flag.ErrHelp) {
				return nil, flag.ErrHelp
			}
			return nil, usage("%v", err)
		}
		left := flags.Args()
		if len(left) == 0 {
			return rest, nil
		}
		if used := len(args) - len(left); used > 0 && args[used-1] == "--" {
			return append(rest, left...), nil
		}
		rest = append(rest, left[0])
		args = left[1:]
	}
}

// reader is a command that an interrupt ends though it waits for a pipe or a terminal: no
// read of one ends by itself then. It has nothing to finish.
func reader(build func(*env) *command) func(*env) *command {
	return func(e *env) *command {
		c := build(e)
		run := c.run
		c.run = func(ctx context.Context, args []string) error {
			_, err := input.UnlessInterrupted(ctx, func() (struct{}, error) { return struct{}{}, run(ctx, args) })
			return err
		}
		return c
	}
}

func (c *command) usage() string {
	words := []string{"oakum", c.name, "[options]"}
	if c.takes.names != "" {
		words = append(words, c.takes.names)
	}
	return strings.Join(words, " ")
}

// help is made from the flags themselves, so it lists exactly the flags that
// exist.
func (c *command) help() string {
	var b strings.Builder
	fmt.Fprintf(&b, "Usage: %s\n\n%s\n", c.usage(), view.Indent(strings.TrimSpace(c.text), "  "))
	own, general := "", ""
	c.flags.VisitAll(func(f *flag.Flag) {
		entry := "\n" + flagHelp(f)
		if c.general[f.Name] {
			general += entry
		} else {
			own += entry
		}
	})
	if general != "" {
		fmt.Fprintf(&b, "\nGeneral options:\n%s", general)
	}
	if own != "" {
		title := strings.ToUpper(c.name[:1]) + c.name[1:]
		fmt.Fprintf(&b, "\n%s options:\n%s", title, own)
	}
	return strings.TrimRight(b.String(), "\n")
}

func flagHelp(f *flag.Flag) string {
	value, text := flag.UnquoteUsage(f)
	head := "  -" + f.Name
	if value != "" {
		head += "=<" + strings.ToLower(value) + ">"
	}
	return head + "\n" + view.Indent(view.Wrap(text, 72), "    ") + "\n"
}

// connection holds the flags that say how to reach the agent.
type connection struct {
	config client.Config
	stale  bool
	filter string
}

// remote gives a command the flags to reach the agent.
func (c *command) remote() *command {
	c.conn = &connection{}
	c.flags.StringVar(&c.conn.config.Address, "address", "",
		"The `address` of an Oakum server. Default: OAKUM_ADDR, or "+client.DefaultAddress+".")
	c.flags.StringVar(&c.conn.config.Token, "token", "",
		"The `token` that says who you are: an identity token or a Vault token. Default: OAKUM_TOKEN.")
	c.flags.StringVar(&c.conn.config.CACert, "ca-cert", "",
		"`Path` of the PEM file that signs the server's certificate. Default: OAKUM_CACERT.")
	c.flags.StringVar(&c.conn.config.ClientCert, "client-cert", "",
		"`Path` of your own PEM certificate. Default: OAKUM_CLIENT_CERT.")
	c.flags.StringVar(&c.conn.config.ClientKey, "client-key", "",
		"`Path` of its key. Default: OAKUM_CLIENT_KEY.")
	for _, name := range []string{"address", "token", "ca-cert", "client-cert", "client-key"} {
		c.general[name] = true
	}
	return c
}

// reads adds the flags that choose which server answers.
func (c *command) reads() *command {
	c.flags.BoolVar(&c.conn.stale, "stale", false,
		"Let the server that is asked answer from its own copy of the state, even when there is no leader.")
	c.general["stale"] = true
	return c
}

// filters adds the flags that select the items of a list.
func (c *command) filters(example string) *command {
	c.flags.StringVar(&c.conn.filter, "filter", "", "An `expression` over the fields of the JSON, such as '"+example+"'.")
	return c
}

func (c *command) query() client.Query {
	return client.Query{Stale: c.conn.stale, Filter: c.conn.filter}
}

// dial builds the client from the flags and the environment.
func (c *command) dial(e *env) (*client.Client, error) {
	return client.New(c.conn.config.FromEnv(e.Getenv))
}

// asks makes the run function of a command that calls the agent.
func (c *command) asks(e *env, run func(ctx context.Context, cl *client.Client, args []string) error) func(context.Context, []string) error {
	return func(ctx context.Context, args []string) error {
		cl, err := c.dial(e)
		if err != nil {
			return err
		}
		defer cl.Close()
		return run(ctx, cl, args)
	}
}

// listing makes the run function of a command that shows all things of a kind in a
// table, or says that there are none.
func listing[T any](e *env, c *command, all func(*client.Client, context.Context, client.Query) ([]T, client.Meta, error),

	empty string, head []string, row func(T) []string,
) func(context.Context, []string) error {
	return c.asks(e, func(ctx context.Context, cl *client.Client, _ []string) error {
		found, _, err := all(cl, ctx, c.query())
		if err != nil {
			return err
		}
		return e.show(c.out, found, func(w io.Writer) {
			if len(found) == 0 {
				fmt.Fprintln(w, empty)
				return
			}
			t := view.NewTable(head...)
			for _, f := range found {
				t.Add(row(f)...)
			}
			t.Print(w, "")
		})
	})
}

// prints gives a command -json and -t.
func (c *command) prints() *command {
	c.out = &output{}
	c.flags.BoolVar(&c.out.json, "json", false, "Print the answer of the API as JSON.")
	c.flags.StringVar(&c.out.template, "t", "", "Print the answer through a Go `template`, such as '{{.Status}}'.")
	return c
}

// overview is the help of the program: the commands of a daily user first.
func overview(all map[string]cli.CommandFactory) string {
	const common = " agent graph patch policy rollout simulate "
	var names []string
	for name := range all {
		names = append(names, name)
	}
	sort.Strings(names)
	var first, other strings.Builder
	for _, name := range names {
		cmd, err := all[name]()
		if err != nil {
			continue // our factories never fail
		}
		to := &other
		if strings.Contains(common, " "+name+" ") {
			to = &first
		}
		fmt.Fprintf(to, "    %-12s%s\n", name, cmd.Synopsis())
	}
	return "Usage: oakum [-version] [-help] <command> [args]\n\n" +
		"Oakum patches a Nomad fleet while it runs.\n\n" +
		"Common commands:\n" + first.String() + "\nOther commands:\n" + strings.TrimRight(other.String(), "\n")
}
