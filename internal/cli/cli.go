// Package cli is the oakum command: a thin layer over the HTTP API. It knows
// package api and its client, the policy language (which runs offline), and
// nothing of the server; the agent command calls a function that main hands in.
//
// Conventions, shared by all commands: flags have a single dash and may stand
// before or after the arguments; -json and -t print what the API said; results
// go to standard output and everything else to standard error; the exit code is
// 0 when the command did what was asked, 1 on an error, 2 when it was done and the
// answer is no, and 3 when it was done and nobody knows the answer.
package cli

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/hashicorp/cli"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/internal/cli/view"
	"github.com/oakumhq/oakum/internal/spell"
)

// AgentOptions is what `oakum agent` was asked to run.
type AgentOptions struct {
	Dev      bool
	Config   []string // files and directories, merged in order
	LogLevel string   // overrides the configuration when set
	Version  string
	Stderr   io.Writer
}

// AgentRunner runs an agent until ctx ends.
type AgentRunner func(ctx context.Context, opt AgentOptions) error

// Options holds everything outside of this package that the commands use.
type Options struct {
	Args   []string // without the program's name
	Stdin  io.Reader
	Stdout io.Writer
	Stderr io.Writer
	Getenv func(string) string
	Now    func() time.Time
	Build  Build
	Agent  AgentRunner
}

// Build says which build of the program this is.
type Build struct {
	Version  string // such as "0.1.0", or "0.1.0-dev" before it
	Commit   string // as 40 hexadecimal digits; "" outside of a checkout
	Date     string // of the commit, in RFC 3339; "" outside of a checkout
	Modified bool   // whether files were changed since the commit
}

// Exit codes.
const (
	exitDone  = 0
	exitError = 1
	exitNo    = 2
	exitDoubt = 3

	exitUnknown = 127 // the library's word for an unknown command
)

// noError is the answer no: the command did what it was asked, and the outcome is
// not the hoped-for one.
type noError struct{ text string }

// Error returns the answer in words.
func (e *noError) Error() string { return e.text }

// doubtError is the answer that nobody knows: the command did what it was asked, and
// what could not be looked at may hold the answer no.
type doubtError struct{}

// Error says so in words.
func (doubtError) Error() string { return "unknown" }

func no(format string, args ...any) error { return &noError{fmt.Sprintf(format, args...)} }

// usageError is a command line that does not make sense.
type usageError struct{ text string }

// Error returns what is wrong with it.
func (e *usageError) Error() string { return e.text }

func usage(format string, args ...any) error { return &usageError{fmt.Sprintf(format, args...)} }

// env is what a command works with.
type env struct {
	Options
}

func (e *env) printf(format string, args ...any) { fmt.Fprintf(e.Stdout, format, args...) }

func (e *env) warnf(format string, args ...any) { fmt.Fprintf(e.Stderr, format, args...) }

// Run executes the command line and returns the exit code.
func Run(ctx context.Context, opt Options) int {
	e := &env{opt}
	factories := map[string]cli.CommandFactory{}
	for _, build := range commands() {
		name := build(e).name
		factories[name] = func() (cli.Command, error) {
			return &bound{cmd: build(e), run: func(c *command, args []string) int { return e.execute(ctx, c, args) }}, nil
		}
	}
	for _, f := range families() {
		factories[f.name] = func() (cli.Command, error) { return family{f, e}, nil }
	}
	program := &cli.CLI{
		Name:        "oakum",
		Version:     opt.Build.Version,
		Args:        opt.Args,
		Commands:    factories,
		HelpFunc:    overview,
		HelpWriter:  opt.Stdout,
		ErrorWriter: opt.Stderr,
	}
	code, err := program.Run()
	if err != nil {
		e.warnf("Error: %v\n", err)
		return exitError
	}
	if code == exitUnknown && len(opt.Args) > 0 {
		e.warnf("\n")
		e.unknown(program.Subcommand())
	}
	if code != exitDone && code != exitNo && code != exitDoubt {
		return exitError
	}
	return code
}

// unknown says that there is no command of a name, and which one is meant when
// one is spelled almost like it.
func (e *env) unknown(name string) {
	e.warnf("Error: there is no command %q%s\n", "oakum "+name, e.nearest(name))
}

// nearest suggests the command or family beside a name that is the fewest
// letters away, and at most two.
func (e *env) nearest(name string) string {
	var known []string
	for _, build := range commands() {
		known = append(known, build(e).name)
	}
	for _, f := range families() {
		known = append(known, f.name)
	}
	best := spell.Nearest(name, known)
	if best == "" {
		return ""
	}
	return fmt.Sprintf("; did you mean %q?", "oakum "+best)
}

// execute parses the flags and runs one command.
func (e *env) execute(ctx context.Context, c *command, args []string) int {
	rest, err := parse(c.flags, args)
	if err == nil {
		err = c.takes.check(rest)
	}
	if err == nil {
		err = c.run(ctx, rest)
	}
	return e.report(c, err)
}

// report prints a failure as a person needs it, and picks the exit code.
func (e *env) report(c *command, err error) int {
	if err == nil {
		return exitDone
	}
	if errors.Is(err, flag.ErrHelp) {
		e.printf("%s\n", c.help())
		return exitDone
	}
	if refused, ok := errors.AsType[*noError](err); ok {
		if refused.text != "" {
			e.warnf("%s\n", refused.text)
		}
		return exitNo
	}
	if errors.Is(err, doubtError{}) {
		return exitDoubt
	}
	if errors.Is(err, context.Canceled) {
		e.warnf("Interrupted.\n")
		return exitError
	}
	e.warnf("Error: %v\n", err)
	if _, ok := errors.AsType[*usageError](err); ok {
		e.warnf("\nUsage: %s\nFor help: oakum %s -help\n", c.usage(), c.name)
	}
	if api.IsCode(err, api.CodeUnauthenticated) {
		e.warnf("\nThe token comes from -token or OAKUM_TOKEN.\n")
	}
	return exitError
}

// bound is a command as the library wants it.
type bound struct {
	cmd *command
	run func(*command, []string) int
}

var _ cli.Command = (*bound)(nil)

// Help returns the full help.
func (b *bound) Help() string { return b.cmd.help() }

// Synopsis returns one line for the list of commands.
func (b *bound) Synopsis() string { return b.cmd.synopsis }

// Run executes the command.
func (b *bound) Run(args []string) int { return b.run(b.cmd, args) }

// family is a noun that holds commands, such as policy.
type family struct {
	familyText
	env *env
}

// familyText describes a family.
type familyText struct{ name, synopsis, help string }

var _ cli.Command = family{}

// Help returns the help; the library appends the commands.
func (f family) Help() string {
	return "Usage: oakum " + f.name + " <subcommand> [options] [args]\n\n" + view.Indent(strings.TrimSpace(f.help), "  ")
}

// Synopsis returns one line for the list of commands.
func (f family) Synopsis() string { return f.synopsis }

// Run asks the library for the help.
func (f family) Run(args []string) int {
	if len(args) > 0 {
		f.env.unknown(f.name + " " + args[0])
		f.env.warnf("\n")
	}
	return cli.RunResultHelp
}
