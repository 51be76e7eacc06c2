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
	c := command.New("policy diff", command.OneOpt("FROM", "TO"), "Show what two policies say differently", `
Shows which arguments and blocks of two policies differ. FROM and TO are files that
end in .hcl, "-" for standard input, or the names under which "oakum policy list" has
applied ones. Layout and comments do not count. Two files are compared offline, and
whether they are valid is for "oakum policy validate" to say.

With -version, FROM is the name of an applied policy, and that version of it is compared
with TO, or with the one that is in force.

The exit code is 2 when something differs.

    $ oakum policy diff web-tier web-tier.hcl
    $ oakum policy diff -version=3 web-tier`).Remote().Reads().Prints()
	version := versionFlag(c)
	c.Run = func(ctx context.Context, args []string) error {
		switch {
		case *version < 0:
			return command.Usage("-version: want a number from 1")
		case *version == 0 && len(args) == 1:
			return command.Usage("give TO, or the -version of FROM that is compared with the one in force")
		case *version > 0 && isPolicyFile(args[0]):
			return command.Usage("-version: FROM is a file; want the name of an applied policy")
		case len(args) == 1:
			args = append(args, args[0])
		}
		if args[0] == "-" && args[1] == "-" {
			return command.Usage("FROM and TO: only one of them can be standard input")
		}
		var sides [2]api.SourceFile
		for i, arg := range args {
			var err error
			of := 0
			if i == 0 {
				of = *version
			}
			if sides[i], err = policySide(ctx, e, c, arg, of); err != nil {
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

// isPolicyFile reports whether an argument names a file, and not an applied policy.
func isPolicyFile(arg string) bool { return arg == "-" || strings.HasSuffix(arg, policySuffix) }

// policySide reads one of two policies: a file, or an applied one. Version is that of an
// applied one; 0 for the one in force.
func policySide(ctx context.Context, e *command.Env, c *command.Command, arg string, version int) (api.SourceFile, error) {
	if isPolicyFile(arg) {
		return input.WithFiles(arg, e.Stdin)
	}
	cl, err := c.Dial(e)
	if err != nil {
		return api.SourceFile{}, err
	}
	defer cl.Close()
	p, err := policyOf(ctx, cl, c, arg, version)
	if err != nil && version == 0 && api.AsError(err).Code == api.CodeNotFound {
		return api.SourceFile{}, fmt.Errorf("%w\n  \"oakum policy list\" has the names of applied policies; the name of a file ends in %s", err, policySuffix)
	}
	if err != nil {
		return api.SourceFile{}, err
	}
	return p.File, nil
}
