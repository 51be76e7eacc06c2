package patching

import (
	"context"
	"io"

	"github.com/oakumhq/oakum/internal/cli/command"
	"github.com/oakumhq/oakum/internal/cli/input"
	"github.com/oakumhq/oakum/internal/cli/view"
	"github.com/oakumhq/oakum/internal/inventory"
)

func inventoryShow(e *command.Env) *command.Command {
	c := command.New("inventory show", command.Many("FILE"), "Show what is installed", `
Reads inventories, CycloneDX or SPDX as JSON, and shows their packages, with the
release and the source package of each, and the entries that nothing can be compared
with. Of a directory, every *.json file in it is read. Nothing is contacted.`).Prints()
	c.Run = func(_ context.Context, args []string) error {
		list, err := input.Inventories(args)
		if err != nil {
			return err
		}
		return e.Show(c.Out, list, func(w io.Writer) { view.Inventories(w, list) })
	}
	return c
}

func inventoryDiff(e *command.Env) *command.Command {
	c := command.New("inventory diff", command.Two("FROM", "TO"), "Show what differs between two inventories", `
Shows the packages that came, went, or have another version. Nothing is contacted.

The exit code is 2 when something differs.`).Prints()
	c.Run = func(_ context.Context, args []string) error {
		from, err := input.Inventory(args[0])
		if err != nil {
			return err
		}
		to, err := input.Inventory(args[1])
		if err != nil {
			return err
		}
		d := inventory.Diff(from, to)
		if err := e.Show(c.Out, d, func(w io.Writer) { view.InventoryDiff(w, d) }); err != nil {
			return err
		}
		if len(d.Changes) > 0 {
			return command.No("")
		}
		return nil
	}
	return c
}
