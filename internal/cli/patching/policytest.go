package patching

import (
	"context"
	"strings"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/internal/cli/command"
	"github.com/oakumhq/oakum/internal/cli/input"
	"github.com/oakumhq/oakum/internal/cli/view"
	"github.com/oakumhq/oakum/policies"
	"github.com/oakumhq/oakum/policies/policytest"
)

func policyTest(e *command.Env) *command.Command {
	c := command.New("policy test", command.Many("PATH"), "Run policies against written examples", `
Decides on every example of the *.policytest.hcl files with the policies of the
other *.hcl files, and compares the decision with what the example expects.
Nothing is contacted. A directory means its *.hcl files. The built-in policy
takes part, as it does in a server.

The exit code is 2 when an example failed.

    $ oakum policy test policies/`).Prints()
	plugins := c.PluginFlag()
	verbose := c.Flags.Bool("v", false, "Show the examples that passed too.")
	c.Run = func(ctx context.Context, args []string) error {
		tests, files, err := readTests(e, args)
		if err != nil {
			return err
		}
		schemas, stop, err := strategies(ctx, *plugins)
		if err != nil {
			return err
		}
		defer stop()
		results, diags := policytest.Run(tests, files, schemas)
		if wrong := policies.DiagnosticsError(diags, append(tests, files...)); wrong != nil {
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

// readTests reads all files and parts them into examples and policies.
func readTests(e *command.Env, args []string) (tests, files []api.SourceFile, err error) {
	paths, err := input.Expand(args, policySuffix, "")
	if err != nil {
		return nil, nil, err
	}
	for _, path := range paths {
		file, err := input.WithFiles(path, e.Stdin)
		if err != nil {
			return nil, nil, err
		}
		if strings.HasSuffix(path, testSuffix) {
			tests = append(tests, file)
		} else {
			files = append(files, file)
		}
	}
	if len(tests) == 0 {
		return nil, nil, api.Errorf(api.CodeInvalid, "no examples: none of the files ends in %s", testSuffix)
	}
	return tests, append(policies.Builtin(), files...), nil
}
