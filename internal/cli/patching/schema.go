package patching

import (
	"context"
	"io"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/internal/cli/command"
	"github.com/oakumhq/oakum/internal/cli/view"
	"github.com/oakumhq/oakum/policies"
)

func policySchema(e *command.Env) *command.Command {
	c := command.New("policy schema", command.None(), "Show what policy files take", `
Shows every block and argument of a policy file, with its type, its range, its
default and the cluster level that it needs, as this program reads them. It works
offline, with the built-in strategies; name further ones with -plugin. Defaults are
those of the policy that ships, where that one says the argument for every target.

    $ oakum policy schema -json`).Prints()
	plugins := c.PluginFlag()
	c.Run = func(ctx context.Context, _ []string) error {
		blocks, err := policySchemaOf(ctx, *plugins)
		if err != nil {
			return err
		}
		return e.Show(c.Out, blocks, func(w io.Writer) { view.Schema(w, blocks) })
	}
	return c
}

// policySchemaOf is the schema with the built-in strategies and those of plugins.
func policySchemaOf(ctx context.Context, plugins []string) ([]api.BlockSchema, error) {
	h, err := asked(ctx, plugins)
	if err != nil {
		return nil, err
	}
	defer func() { _ = h.Close() }()
	return policies.Schema(schemasByName(h.List()))
}

func schemasByName(all []api.PluginInfo) map[string]api.ConfigSchema {
	out := map[string]api.ConfigSchema{}
	for _, p := range all {
		out[p.Name] = p.Schema
	}
	return out
}

func patchSchema(e *command.Env) *command.Command {
	c := command.New("patch schema", command.None(), "Show what patch files take", `
Shows every block and argument of a patch file, with its type, its range, its default
and the cluster level that it needs, as this program reads them. It works offline.

    $ oakum patch schema -json`).Prints()
	c.Run = func(context.Context, []string) error {
		blocks := policies.PatchSchema()
		return e.Show(c.Out, blocks, func(w io.Writer) { view.Schema(w, blocks) })
	}
	return c
}
