package patching

import (
	"context"
	"fmt"
	"io"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/api/client"
	"github.com/oakumhq/oakum/internal/cli/command"
	"github.com/oakumhq/oakum/internal/cli/view"
	"github.com/oakumhq/oakum/internal/graph"
)

func graphShow(e *command.Env) *command.Command {
	c := command.New("graph show", command.None(), "Show the application as it is known", `
Shows the services, the edges between them, and what makes a target critical. A
terminal gets a tree of what each entry depends on; a file or a pipe gets a table
with one line for each edge. -evidence shows why each edge is believed:

    $ oakum graph show -evidence

States of an edge:
  confirmed            declared or allowed, and observed
  observed_undeclared  observed, and declared by nobody
  observed_off_mesh    observed outside of the mesh only
  observed_denied      observed although it is denied
  declared_only        declared, and not observed
  declared_stale       declared, and not observed for a long time
  unknown              no source can tell
  denied               denied, and not observed
  denied_attempted     denied, and tried all the same
  shared               both services use the same node, rack or volume

Observed edges order patches. Declared and unknown edges widen the upper bound of
a blast radius.`).Remote().Reads().Prints()
	format := c.Flags.String("format", "", "The `format`: table, tree, json, dot or mermaid. Default: tree in a terminal, table elsewhere.")
	evidence := c.Flags.Bool("evidence", false, "Show a table with each evidence of each edge.")
	c.Run = c.Asks(e, func(ctx context.Context, cl *client.Client, _ []string) error {
		switch {
		case *evidence && *format != "" && *format != "table":
			return command.Usage("-evidence: only a table shows it, have -format=%s", *format)
		case *format == "" && e.Terminal && !*evidence:
			*format = "tree"
		case *format == "":
			*format = "table"
		}
		return draw(ctx, e, c, cl, *format, *evidence)
	})
	return c
}

func graphExport(e *command.Env) *command.Command {
	c := command.New("graph export", command.None(), "Write the graph for another program", `
Writes the graph as a drawing or as JSON:

    $ oakum graph export -format=dot | dot -Tsvg > graph.svg`).Remote().Reads()
	c.Out = &command.Output{}
	format := c.Flags.String("format", "dot", "The `format`: dot, mermaid or json.")
	c.Run = c.Asks(e, func(ctx context.Context, cl *client.Client, _ []string) error {
		return draw(ctx, e, c, cl, *format, false)
	})
	return c
}

// draw shows the graph in a format.
func draw(ctx context.Context, e *command.Env, c *command.Command, cl *client.Client, format string, evidence bool) error {
	write, err := graphWriter(format, evidence)
	if err != nil {
		return err
	}
	g, _, err := cl.Graph(ctx, c.Query())
	if err != nil {
		return err
	}
	c.Out.JSON = c.Out.JSON || format == "json"
	return e.Show(c.Out, g, func(w io.Writer) { fmt.Fprint(w, write(g)) })
}

// graphWriter returns what writes a graph in a format. JSON is the API's own.
func graphWriter(format string, evidence bool) (func(api.Graph) string, error) {
	switch format {
	case "table", "json":
		return func(g api.Graph) string { return graph.Table(g, evidence) }, nil
	case "tree":
		return graph.Tree, nil
	case "dot":
		return graph.DOT, nil
	case "mermaid":
		return graph.Mermaid, nil
	}
	return nil, command.Usage("-format: %q is none of table, tree, json, dot, mermaid", format)
}

func graphImpact(e *command.Env) *command.Command {
	c := command.New("graph impact", command.Opt("SERVICE"), "Show what would suffer without a service or a place", `
Shows everything that depends on a service, directly or through others, and the
parts of its criticality score. With -without, shows what the loss of a node, a
rack or a volume would do:

    $ oakum graph impact store
    $ oakum graph impact -without=node-7
    $ oakum graph impact -without=rack/r2
    $ oakum graph impact -without=csi/orders`).Remote().Reads().Prints()
	without := c.Flags.String("without", "", "The `place` that is lost: a node, rack/NAME, csi/NAME or NODE/VOLUME.")
	c.Run = c.Asks(e, func(ctx context.Context, cl *client.Client, args []string) error {
		if (*without == "") == (len(args) == 0) {
			return command.Usage("want either a service or -without")
		}
		if *without != "" {
			w, _, err := cl.GraphWithout(ctx, *without, c.Query())
			if err != nil {
				return err
			}
			return e.Show(c.Out, w, func(out io.Writer) { view.Without(out, w) })
		}
		i, _, err := cl.GraphImpact(ctx, args[0], c.Query())
		if err != nil {
			return err
		}
		return e.Show(c.Out, i, func(w io.Writer) { view.Impact(w, i) })
	})
	return c
}
