package operating

import (
	"context"
	"fmt"
	"io"
	"strings"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/api/client"
	"github.com/oakumhq/oakum/internal/access"
	"github.com/oakumhq/oakum/internal/access/authtest"
	"github.com/oakumhq/oakum/internal/cli/command"
	"github.com/oakumhq/oakum/internal/cli/input"
	"github.com/oakumhq/oakum/internal/cli/view"
	"github.com/oakumhq/oakum/policies"
)

// explained is one question about what a caller may do, with its answer.
type explained struct {
	Capability api.Capability `json:"capability"`
	On         string         `json:"on,omitempty"` // namespace/job; empty for everywhere
	May        bool           `json:"may"`
	Part       bool           `json:"part,omitempty"` // not everywhere, but somewhere
	Why        string         `json:"why"`
}

// explain answers one question about a caller.
func explain(by api.Identity, c api.Capability, on string, ref *api.TargetRef) explained {
	out := explained{Capability: c, On: on, May: true, Why: "authentication is off: everybody may do everything"}
	switch {
	case by.Via == api.ViaDev:
		return out
	case len(by.Grants) == 0: // no rule applies: JSON leaves an empty list out
		out.May, out.Why = false, "no rule gives it"
		return out
	}
	out.May, out.Why = access.Explain(by.Grants, c, ref)
	switch says := access.Says(by.Grants, c); {
	case ref == nil && len(says) == 0:
		out.Why = "no rule gives it"
	case ref == nil && !out.May && by.Can(c):
		out.Part, out.Why = true, strings.Join(says, "; ")
	}
	return out
}

func (a explained) word() string {
	if a.Part {
		return "in part"
	}
	return view.YesNo(a.May)
}

func authExplain(e *command.Env) *command.Command {
	c := command.New("auth explain", command.None(), "Say what you may do, and by which rule", `
Shows who you are to the server, and for each capability whether you have it and
which auth rule gives or denies it. With -on, on one job; without, everywhere.

    $ oakum auth explain
    $ oakum auth explain -on=shop/web-1 -capability=patch-submit

With -capability, the exit code is 2 when you lack it there.`).Remote().Prints()
	on := c.Flags.String("on", "", "The namespace and the `job` that it is about, as shop/web-1. Default: everywhere.")
	capability := c.Flags.String("capability", "", "Only this `capability`.")
	c.Run = c.Asks(e, func(ctx context.Context, cl *client.Client, _ []string) error {
		list := api.Capabilities()
		if *capability != "" {
			list = []api.Capability{api.Capability(*capability)}
			if !access.Knows(list[0]) {
				return api.Errorf(api.CodeInvalid, "-capability: there is no capability %q; want one of %s", *capability, access.CapabilityNames())
			}
		}
		ref, err := authtest.Place(*on)
		if err != nil {
			return api.Errorf(api.CodeInvalid, "-on: %v", err)
		}
		by, err := cl.Identity(ctx)
		if err != nil {
			return err
		}
		var answers []explained
		for _, one := range list {
			answers = append(answers, explain(by, one, *on, ref))
		}
		out := struct {
			Identity api.Identity `json:"identity"`
			Answers  []explained  `json:"answers"`
		}{by, answers}
		if err := e.Show(c.Out, out, func(w io.Writer) { printExplained(w, by, answers, e.Width) }); err != nil {
			return err
		}
		if *capability != "" && !answers[0].May {
			return command.No("")
		}
		return nil
	})
	return c
}

func printExplained(w io.Writer, by api.Identity, answers []explained, width int) {
	expires := "never"
	if !by.Expires.IsZero() {
		expires = view.Stamp(by.Expires)
	}
	view.Fields(w, "Name", by.Name, "Subject", by.Subject, "Via", by.Via, "Groups", strings.Join(by.Groups, ", "), "Expires", expires)
	fmt.Fprintln(w)
	t := view.NewTable("Capability", "May", "Because")
	for _, a := range answers {
		t.Add(string(a.Capability), a.word(), a.Why)
	}
	t.PrintWithin(w, "", width)
}

// testSuffix is how a file of examples of auth rules ends.
const testSuffix = ".authtest.hcl"

func authTest(e *command.Env) *command.Command {
	c := command.New("auth test", command.Many("PATH"), "Run auth rules against written examples", `
Holds the auth rules of a configuration to every example of the *.authtest.hcl
files: which claims a caller has, what they may do and what they may not. Nothing
is contacted. A directory means its *.authtest.hcl files. The configuration is read
whole, as the agent reads it.

The exit code is 2 when an example failed.

    $ oakum auth test -config=/etc/oakum.d tests/`).Prints()
	var configs command.List
	c.Flags.Var(&configs, "config", "A configuration file, or a directory of them. Can be given several times.")
	verbose := c.Flags.Bool("v", false, "Show the examples that passed too.")
	c.Run = func(_ context.Context, args []string) error {
		if len(configs) == 0 {
			return api.Errorf(api.CodeInvalid, "-config: want the configuration that holds the auth rules")
		}
		files, err := authTests(e, args)
		if err != nil {
			return err
		}
		rules, err := e.Rules(configs)
		if err != nil {
			return err
		}
		results, diags := authtest.Run(files, rules)
		if wrong := policies.DiagnosticsError(diags, files); wrong != nil {
			return wrong
		}
		examples := make([]view.Example, len(results))
		for i, r := range results {
			examples[i] = view.Example{Name: r.Name, Range: r.Range, Failures: r.Failures}
		}
		return e.ShowExamples(c.Out, results, examples, *verbose)
	}
	return c
}

func authTests(e *command.Env, args []string) ([]api.SourceFile, error) {
	paths, err := input.Expand(args, testSuffix, "")
	if err != nil {
		return nil, err
	}
	return input.Each(paths, func(path string) (api.SourceFile, error) { return input.Source(path, e.Stdin) })
}
