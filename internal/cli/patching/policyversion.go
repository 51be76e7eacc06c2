package patching

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/api/client"
	"github.com/oakumhq/oakum/internal/cli/command"
	"github.com/oakumhq/oakum/internal/cli/view"
)

// versionFlag adds the flag that names a version of an applied policy.
func versionFlag(c *command.Command) *int {
	return c.Flags.Int("version", 0, "The `number` of a version, as \"oakum policy history\" lists them.")
}

// policyOf reads an applied policy: a version of it, or with 0 the one in force.
func policyOf(ctx context.Context, cl *client.Client, c *command.Command, name string, version int) (api.Policy, error) {
	if version < 0 {
		return api.Policy{}, command.Usage("-version: want a number from 1")
	}
	if version == 0 {
		p, _, err := cl.Policy(ctx, name, c.Query())
		return p, err
	}
	p, _, err := cl.PolicyVersion(ctx, name, version, c.Query())
	return p, err
}

func policyHistory(e *command.Env) *command.Command {
	c := command.New("policy history", command.One("NAME"), "List the versions of a policy", `
Lists who applied which version of a policy, and when, the newest first. It is the one
in force. The last six are kept until the policy is deleted. A file that is applied
again as it is makes no version.

    $ oakum policy history web-tier
    $ oakum policy diff -version=3 web-tier`).Remote().Reads().Prints()
	c.Run = c.Asks(e, func(ctx context.Context, cl *client.Client, args []string) error {
		all, _, err := cl.PolicyVersions(ctx, args[0], c.Query())
		if err != nil {
			return err
		}
		slices.Reverse(all)
		return e.Show(c.Out, all, func(w io.Writer) {
			if len(all) == 0 {
				fmt.Fprintln(w, "No versions: the policy was applied before the cluster kept them.")
				return
			}
			t := view.NewTable("Version", "Blocks", "Applied", "By", "Digest")
			for _, v := range all {
				t.Add(strconv.Itoa(v.Version), strings.Join(v.Blocks, " "), view.Stamp(v.AppliedAt), v.AppliedBy, v.Digest[:12])
			}
			t.Print(w, "")
		})
	})
	return c
}

func policyRevert(e *command.Env) *command.Command {
	c := command.New("policy revert", command.Two("NAME", "VERSION"), "Apply a former version of a policy", `
Applies a version of a policy again, as "oakum policy apply" would: it is checked with
all others that are in force, and becomes the newest version. Rollouts under way keep
what was decided when they began.

    $ oakum policy revert web-tier 3`).Remote().Prints()
	c.Run = c.Asks(e, func(ctx context.Context, cl *client.Client, args []string) error {
		version, err := strconv.Atoi(args[1])
		if err != nil || version < 1 {
			return command.Usage("VERSION: %q is no number from 1", args[1])
		}
		former, _, err := cl.PolicyVersion(ctx, args[0], version, client.Query{})
		if err != nil {
			return err
		}
		p, err := cl.ApplyPolicy(ctx, former.File)
		if err != nil {
			return err
		}
		return e.Show(c.Out, p, func(w io.Writer) {
			fmt.Fprintf(w, "Applied version %d of %s again: it is version %d now.\n", version, p.Name, p.Version)
		})
	})
	return c
}
