package patching

import (
	"context"
	"fmt"
	"io"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/internal/cli/command"
	"github.com/oakumhq/oakum/internal/cli/view"
	"github.com/oakumhq/oakum/policies"
)

// shipped is a policy file that ships, as policy library prints it.
type shipped struct {
	Name  string `json:"name"`
	About string `json:"about"`
	Text  string `json:"text"`
	Tests string `json:"tests"`
}

func policyLibrary(e *command.Env) *command.Command {
	c := command.New("policy library", command.Opt("NAME"), "Print the policies that ship", `
Lists the policy files that ship with Oakum, or prints one, to be copied, changed
and applied. "default" is in force in every cluster. With -tests the written
examples of the file are printed, which "oakum policy test" runs. Nothing is
contacted.

    $ oakum policy library zero-downtime-web > zero-downtime-web.hcl`).Prints()
	tests := c.Flags.Bool("tests", false, "Print the examples of the policy instead.")
	c.Run = func(_ context.Context, args []string) error {
		all := []shipped{}
		for _, p := range policies.Shipped() {
			all = append(all, shipped{Name: p.Name, About: p.About(), Text: p.Text, Tests: p.Tests})
		}
		if len(args) == 0 {
			if *tests {
				return command.Usage("-tests is for one policy: give its name")
			}
			return e.Show(c.Out, all, func(w io.Writer) {
				t := view.NewTable("Name", "About")
				for _, p := range all {
					t.Add(p.Name, p.About)
				}
				t.Print(w, "")
			})
		}
		for _, p := range all {
			if p.Name != args[0] {
				continue
			}
			return e.Show(c.Out, p, func(w io.Writer) {
				if *tests {
					fmt.Fprint(w, p.Tests)
				} else {
					fmt.Fprint(w, p.Text)
				}
			})
		}
		return api.Errorf(api.CodeNotFound, "no policy %q ships with Oakum; \"oakum policy library\" lists those that do", args[0])
	}
	return c
}
