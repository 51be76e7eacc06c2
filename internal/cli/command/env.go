// Package command is what all commands of oakum share: flags, how to reach a server, how
// answers are printed, and exit codes.
package command

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"time"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/internal/access/authtest"
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

// RulesReader reads the auth rules of a configuration: files and directories, merged in
// order.
type RulesReader func(config []string) (authtest.Rules, error)

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
	Rules  RulesReader
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
	ExitDone  = 0
	ExitError = 1
	ExitNo    = 2
	ExitDoubt = 3
)

// noError is the answer no: the command did what it was asked, and the outcome is
// not the hoped-for one.
type noError struct{ text string }

// Error returns the answer in words.
func (e *noError) Error() string { return e.text }

// Unknown is the answer that nobody knows: the command did what it was asked, and
// what could not be looked at may hold the answer no.
type Unknown struct{}

// Error says so in words.
func (Unknown) Error() string { return "unknown" }

// No is the answer no, in words; the exit code is 2.
func No(format string, args ...any) error { return &noError{fmt.Sprintf(format, args...)} }

// usageError is a command line that does not make sense.
type usageError struct{ text string }

// Error returns what is wrong with it.
func (e *usageError) Error() string { return e.text }

// Usage is a command line that does not make sense, and why.
func Usage(format string, args ...any) error { return &usageError{fmt.Sprintf(format, args...)} }

// Env is what a command works with.
type Env struct {
	Options
	Width    int  // how many characters a line of the terminal has
	Terminal bool // results go to a terminal
}

// NewEnv is what commands work with. What they print is harmless to a terminal.
func NewEnv(opt Options) *Env {
	e := &Env{Options: opt, Width: columns(opt.Stdout), Terminal: terminal(opt.Stdout)}
	e.Stdout, e.Stderr = harmless(opt.Stdout), harmless(opt.Stderr)
	return e
}

// Printf writes a result.
func (e *Env) Printf(format string, args ...any) { fmt.Fprintf(e.Stdout, format, args...) }

// Warnf writes to standard error.
func (e *Env) Warnf(format string, args ...any) { fmt.Fprintf(e.Stderr, format, args...) }

// Execute parses the flags and runs one command.
func (e *Env) Execute(ctx context.Context, c *Command, args []string) int {
	rest, err := parse(c.Flags, args)
	if err == nil {
		err = c.takes.check(rest)
	}
	if err == nil {
		err = c.Run(ctx, rest)
	}
	return e.report(c, err)
}

// report prints a failure as a person needs it, and picks the exit code.
func (e *Env) report(c *Command, err error) int {
	if err == nil {
		return ExitDone
	}
	if errors.Is(err, flag.ErrHelp) {
		e.Printf("%s\n", c.Help())
		return ExitDone
	}
	if refused, ok := errors.AsType[*noError](err); ok {
		if refused.text != "" {
			e.Warnf("%s\n", refused.text)
		}
		return ExitNo
	}
	if errors.Is(err, Unknown{}) {
		return ExitDoubt
	}
	if errors.Is(err, context.Canceled) {
		e.Warnf("Interrupted.\n")
		return ExitError
	}
	if c.Out != nil && c.Out.JSON {
		e.failure(err)
		return ExitError
	}
	e.Warnf("Error: %v\n", err)
	if _, ok := errors.AsType[*usageError](err); ok {
		e.Warnf("\nUsage: %s\nFor help: oakum %s -help\n", c.Usage(), c.Name)
	}
	if api.IsCode(err, api.CodeUnauthenticated) {
		e.Warnf("\nThe token comes from -token, OAKUM_TOKEN or oakum login.\n")
	}
	return ExitError
}

// failure prints an error as the API sends errors, for a program that asked for JSON.
func (e *Env) failure(err error) {
	said := api.AsError(err)
	if _, ok := errors.AsType[*usageError](err); ok {
		said = &api.Error{Code: api.CodeInvalid, Message: err.Error()}
	}
	if text, err := json.MarshalIndent(said, "", "  "); err == nil { // of strings it always is
		e.Warnf("%s\n", text)
	}
}
