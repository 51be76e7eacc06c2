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
	"fmt"
	"sort"
	"strings"

	"github.com/hashicorp/cli"

	"github.com/oakumhq/oakum/internal/cli/command"
	"github.com/oakumhq/oakum/internal/cli/operating"
	"github.com/oakumhq/oakum/internal/cli/patching"
	"github.com/oakumhq/oakum/internal/cli/view"
	"github.com/oakumhq/oakum/internal/spell"
)

// noCommand is the library's exit code for an unknown command.
const noCommand = 127

// commands is every command of the program.
func commands() []func(*command.Env) *command.Command {
	return append(operating.Commands(), patching.Commands()...)
}

// families are the nouns that the commands hang under.
func families() []command.Family { return append(patching.Families(), operating.Families()...) }

// Run executes the command line and returns the exit code.
func Run(ctx context.Context, opt command.Options) int {
	e := command.NewEnv(opt)
	factories := map[string]cli.CommandFactory{}
	for _, build := range commands() {
		name := build(e).Name
		factories[name] = func() (cli.Command, error) {
			return &bound{ctx: ctx, env: e, cmd: build(e)}, nil
		}
	}
	for _, f := range families() {
		factories[f.Name] = func() (cli.Command, error) { return family{f, e}, nil }
	}
	program := &cli.CLI{
		Name:        "oakum",
		Version:     opt.Build.Version,
		Args:        opt.Args,
		Commands:    factories,
		HelpFunc:    overview,
		HelpWriter:  opt.Stdout,
		ErrorWriter: opt.Stderr,

		Autocomplete: true,
	}
	code, err := program.Run()
	if err != nil {
		e.Warnf("Error: %v\n", err)
		return command.ExitError
	}
	if code == noCommand && len(opt.Args) > 0 {
		e.Warnf("\n")
		unknown(e, program.Subcommand())
	}
	if code != command.ExitDone && code != command.ExitNo && code != command.ExitDoubt {
		return command.ExitError
	}
	return code
}

// unknown says that there is no command of a name, and which one is meant when
// one is spelled almost like it.
func unknown(e *command.Env, name string) {
	e.Warnf("Error: there is no command %q%s\n", "oakum "+name, nearest(e, name))
}

// nearest suggests the command or family beside a name that is the fewest
// letters away, and at most two.
func nearest(e *command.Env, name string) string {
	var known []string
	for _, build := range commands() {
		known = append(known, build(e).Name)
	}
	for _, f := range families() {
		known = append(known, f.Name)
	}
	best := spell.Nearest(name, known)
	if best == "" {
		return ""
	}
	return fmt.Sprintf("; did you mean %q?", "oakum "+best)
}

// bound is a command as the library wants it.
type bound struct {
	ctx context.Context // the library's Run has none
	env *command.Env
	cmd *command.Command
}

var _ cli.Command = (*bound)(nil)

// Help returns the full help.
func (b *bound) Help() string { return b.cmd.Help() }

// Synopsis returns one line for the list of commands.
func (b *bound) Synopsis() string { return b.cmd.Synopsis }

// Run executes the command.
func (b *bound) Run(args []string) int { return b.env.Execute(b.ctx, b.cmd, args) }

// family is a noun that holds commands, such as policy.
type family struct {
	command.Family
	env *command.Env
}

var _ cli.Command = family{}

// Help returns the help; the library appends the commands.
func (f family) Help() string {
	return "Usage: oakum " + f.Name + " <subcommand> [options] [args]\n\n" + view.Indent(strings.TrimSpace(f.Family.Help), "  ")
}

// Synopsis returns one line for the list of commands.
func (f family) Synopsis() string { return f.Family.Synopsis }

// Run asks the library for the help.
func (f family) Run(args []string) int {
	if len(args) > 0 {
		unknown(f.env, f.Name+" "+args[0])
		f.env.Warnf("\n")
	}
	return cli.RunResultHelp
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
		fmt.Fprintf(to, "    %-15s%s\n", name, cmd.Synopsis())
	}
	return "Usage: oakum [-version] [-help] [-autocomplete-(un)install] <command> [args]\n\n" +
		"Oakum patches a Nomad fleet while it runs.\n\n" +
		"Common commands:\n" + first.String() + "\nOther commands:\n" + strings.TrimRight(other.String(), "\n")
}
