package patching

import (
	"context"
	"fmt"
	"io"
	"strings"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/internal/cli/command"
	"github.com/oakumhq/oakum/internal/cli/input"
	"github.com/oakumhq/oakum/policies"
)

func policyDiff(e *command.Env) *command.Command {
	c := command.New("policy diff", command.Two("FROM", "TO"), "Show what two policies say differently", `
Shows which arguments and blocks of two policies differ. FROM and TO are files that
end in .hcl, "-" for standard input, or the names under which "oakum policy list" has
applied ones. Layout and comments do not count. Two files are compared offline, and
whether they are valid is for "oakum policy validate" to say.

The exit code is 2 when something differs.

    $ oakum policy diff web-tier web-tier.hcl`).Remote().Reads().Prints()
	c.Run = func(ctx context.Context, args []string) error {
		if args[0] == "-" && args[1] == "-" {
			return command.Usage("FROM and TO: only one of them can be standard input")
		}
		var sides [2]api.SourceFile
		for i, arg := range args {
			var err error
			if sides[i], err = policySide(ctx, e, c, arg); err != nil {
				return err
			}
		}
		changes, diags := policies.Diff(sides[0], sides[1])
		if wrong := policies.DiagnosticsError(diags, sides[:]); wrong != nil {
			return wrong
		}
		err := e.Show(c.Out, changes, func(w io.Writer) {
			for _, d := range changes {
				switch {
				case d.From == "":
					fmt.Fprintf(w, "+ %s: %s\n", d.Where, d.To)
				case d.To == "":
					fmt.Fprintf(w, "- %s: %s\n", d.Where, d.From)
				default:
					fmt.Fprintf(w, "~ %s: %s -> %s\n", d.Where, d.From, d.To)
				}
			}
			if len(changes) == 0 {
				fmt.Fprintln(w, "Both say the same.")
			}
		})
		if err != nil {
			return err
		}
		if len(changes) > 0 {
			return command.No("")
		}
		return nil
	}
	return c
}

// policySide reads one of two policies: a file, or an applied one.
func policySide(ctx context.Context, e *command.Env, c *command.Command, arg string) (api.SourceFile, error) {
	if arg == "-" || strings.HasSuffix(arg, policySuffix) {
		return input.WithFiles(arg, e.Stdin)
	}
	cl, err := c.Dial(e)
	if err != nil {
		return api.SourceFile{}, err
	}
	defer cl.Close()
	p, _, err := cl.Policy(ctx, arg, c.Query())
	if api.AsError(err).Code == api.CodeNotFound {
		return api.SourceFile{}, fmt.Errorf("%w\n  \"oakum policy list\" has the names of applied policies; the name of a file ends in %s", err, policySuffix)
	}
	if err != nil {
		return api.SourceFile{}, err
	}
	return p.File, nil
}
