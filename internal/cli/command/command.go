package command

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/oakumhq/oakum/api/client"
	"github.com/oakumhq/oakum/internal/cli/input"
	"github.com/oakumhq/oakum/internal/cli/tokenfile"
	"github.com/oakumhq/oakum/internal/cli/view"
)

// Command is one command, with its flags ready to be parsed.
type Command struct {
	Name     string // such as "policy apply"
	Synopsis string
	Flags    *flag.FlagSet
	Run      func(ctx context.Context, args []string) error
	Out      *Output // after Prints

	takes   Arguments
	text    string          // help, without usage and options
	general map[string]bool // flags that many commands have
	conn    *connection
}

// Arguments says what stands on the command line beside the flags.
type Arguments struct {
	names string // as in the usage, such as "FILE..."
	least int
	most  int // -1 means any number
}

// None is a command line of flags only.
func None() Arguments { return Arguments{} }

// One is one argument.
func One(name string) Arguments { return Arguments{names: name, least: 1, most: 1} }

// Opt is one argument that may be left out.
func Opt(name string) Arguments { return Arguments{names: "[" + name + "]", most: 1} }

// OneOpt is one argument, and another one that may be left out.
func OneOpt(a, b string) Arguments { return Arguments{names: a + " [" + b + "]", least: 1, most: 2} }

// Two is two arguments.
func Two(a, b string) Arguments { return Arguments{names: a + " " + b, least: 2, most: 2} }

// Many is one argument or more.
func Many(name string) Arguments { return Arguments{names: name + "...", least: 1, most: -1} }

func (a Arguments) check(args []string) error {
	if len(args) >= a.least && (a.most < 0 || len(args) <= a.most) {
		return nil
	}
	switch {
	case a.most == 0:
		return Usage("this command takes no arguments, not %q", args[0])
	case len(args) < a.least:
		return Usage("this command needs: %s", a.names)
	}
	return Usage("too many arguments: %q; this command takes %s", args[a.most:], a.names)
}

// New builds a command. text is its help, without usage and options.
func New(name string, takes Arguments, synopsis, text string) *Command {
	flags := flag.NewFlagSet(name, flag.ContinueOnError)
	flags.SetOutput(io.Discard) // parse errors are printed by report
	return &Command{Name: name, takes: takes, Synopsis: synopsis, text: text, Flags: flags, general: map[string]bool{}}
}

// parse reads flags before, between and after the Arguments, until "--".
func parse(flags *flag.FlagSet, args []string) ([]string, error) {
	var rest []string
	for {
		if err := flags.Parse(args); err != nil {
			if errors.Is(err, flag.ErrHelp) {
				return nil, flag.ErrHelp
			}
			return nil, Usage("%v%s", err, wanted(flags, err))
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

// wanted says how a time is written, where the flag package says "parse error" of one.
func wanted(flags *flag.FlagSet, err error) string {
	_, rest, _ := strings.Cut(err.Error(), " for flag -")
	name, _, _ := strings.Cut(rest, ":")
	if f := flags.Lookup(name); f != nil {
		if g, ok := f.Value.(flag.Getter); ok {
			if _, ok := g.Get().(time.Duration); ok {
				return ": want a time such as 90s, 15m or 720h"
			}
		}
	}
	return ""
}

// Reader is a command that an interrupt ends though it waits for a pipe or a terminal: no
// read of one ends by itself then. It has nothing to finish.
func Reader(build func(*Env) *Command) func(*Env) *Command {
	return func(e *Env) *Command {
		c := build(e)
		run := c.Run
		c.Run = func(ctx context.Context, args []string) error {
			_, err := input.UnlessInterrupted(ctx, func() (struct{}, error) { return struct{}{}, run(ctx, args) })
			return err
		}
		return c
	}
}

// Usage is the command line in one line.
func (c *Command) Usage() string {
	words := []string{"oakum", c.Name, "[options]"}
	if c.takes.names != "" {
		words = append(words, c.takes.names)
	}
	return strings.Join(words, " ")
}

// Takes is what stands on the command line beside the flags, as the usage shows it.
func (c *Command) Takes() string { return c.takes.names }

// Help is made from the flags themselves, so it lists exactly the flags that
// exist.
func (c *Command) Help() string {
	var b strings.Builder
	fmt.Fprintf(&b, "Usage: %s\n\n%s\n", c.Usage(), view.Indent(strings.TrimSpace(c.text), "  "))
	own, general := "", ""
	c.Flags.VisitAll(func(f *flag.Flag) {
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
		title := strings.ToUpper(c.Name[:1]) + c.Name[1:]
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

// Remote gives a command the flags to reach the agent.
func (c *Command) Remote() *Command {
	c.conn = &connection{}
	c.Flags.StringVar(&c.conn.config.Address, "address", "",
		"The `address` of an Oakum server. Default: OAKUM_ADDR, or "+client.DefaultAddress+".")
	c.Flags.StringVar(&c.conn.config.Token, "token", "",
		"The `token` that says who you are: an identity token or a Vault token. Default: OAKUM_TOKEN, or what oakum login has kept.")
	c.Flags.StringVar(&c.conn.config.CACert, "ca-cert", "",
		"`Path` of the PEM file that signs the server's certificate. Default: OAKUM_CACERT.")
	c.Flags.StringVar(&c.conn.config.ClientCert, "client-cert", "",
		"`Path` of your own PEM certificate. Default: OAKUM_CLIENT_CERT.")
	c.Flags.StringVar(&c.conn.config.ClientKey, "client-key", "",
		"`Path` of its key. Default: OAKUM_CLIENT_KEY.")
	for _, name := range []string{"address", "token", "ca-cert", "client-cert", "client-key"} {
		c.general[name] = true
	}
	return c
}

// Reads adds the flags that choose which server answers.
func (c *Command) Reads() *Command {
	c.Flags.BoolVar(&c.conn.stale, "stale", false,
		"Let the server that is asked answer from its own copy of the state, even when there is no leader.")
	c.general["stale"] = true
	return c
}

// Filters adds the flags that select the items of a list.
func (c *Command) Filters(example string) *Command {
	c.Flags.StringVar(&c.conn.filter, "filter", "", "An `expression` over the fields of the JSON, such as '"+example+"'.")
	return c
}

// Query is what the flags ask of a list or a look.
func (c *Command) Query() client.Query {
	return client.Query{Stale: c.conn.stale, Filter: c.conn.filter}
}

// Address is the address of the server that the flags and the environment name.
func (c *Command) Address(e *Env) string {
	address := c.conn.config.FromEnv(e.Getenv).Address
	if !strings.Contains(address, "://") {
		address = "http://" + address
	}
	return strings.TrimSuffix(address, "/")
}

// Dial builds the client from the flags, the environment, and the token that login has
// kept for the server.
func (c *Command) Dial(e *Env) (*client.Client, error) {
	config := c.conn.config.FromEnv(e.Getenv)
	if config.Token == "" {
		kept, err := tokenfile.Of(e.Getenv).Read(c.Address(e), e.Now())
		if err != nil {
			return nil, err
		}
		config.Token = kept.Token
	}
	return client.New(config)
}

// Asks makes the run function of a command that calls the agent.
func (c *Command) Asks(e *Env, run func(ctx context.Context, cl *client.Client, args []string) error) func(context.Context, []string) error {
	return func(ctx context.Context, args []string) error {
		cl, err := c.Dial(e)
		if err != nil {
			return err
		}
		defer cl.Close()
		return run(ctx, cl, args)
	}
}

// Listing makes the run function of a command that shows all things of a kind in a
// table, or says that there are none.
func Listing[T any](e *Env, c *Command, all func(*client.Client, context.Context, client.Query) ([]T, client.Meta, error),

	empty string, head []string, row func(T) []string,
) func(context.Context, []string) error {
	return c.Asks(e, func(ctx context.Context, cl *client.Client, _ []string) error {
		found, _, err := all(cl, ctx, c.Query())
		if err != nil {
			return err
		}
		return e.Show(c.Out, found, func(w io.Writer) {
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

// Prints gives a command -json and -t.
func (c *Command) Prints() *Command {
	c.Out = &Output{}
	c.Flags.BoolVar(&c.Out.JSON, "json", false, "Print the answer of the API as JSON.")
	c.Flags.StringVar(&c.Out.Template, "t", "", "Print the answer through a Go `template`, such as '{{.Status}}'.")
	return c
}

// Family is a noun that holds commands, such as policy.
type Family struct{ Name, Synopsis, Help string }
