package cli

import (
	"context"
	"io"
	"path/filepath"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/internal/cli/view"
	"github.com/oakumhq/oakum/internal/inventory"
)

func inventoryShow(e *env) *command {
	c := newCommand("inventory show", many("FILE"), "Show what is installed", `
Reads inventories, CycloneDX or SPDX as JSON, and shows their packages, with the
release and the source package of each, and the entries that nothing can be compared
with. Of a directory, every *.json file in it is read. Nothing is contacted.`).prints()
	c.run = func(_ context.Context, args []string) error {
		list, err := readInventories(args)
		if err != nil {
			return err
		}
		return e.show(c.out, list, func(w io.Writer) { view.Inventories(w, list) })
	}
	return c
}

func inventoryDiff(e *env) *command {
	c := newCommand("inventory diff", two("FROM", "TO"), "Show what differs between two inventories", `
Shows the packages that came, went, or have another version. Nothing is contacted.

The exit code is 2 when something differs.`).prints()
	c.run = func(_ context.Context, args []string) error {
		from, err := readInventory(args[0])
		if err != nil {
			return err
		}
		to, err := readInventory(args[1])
		if err != nil {
			return err
		}
		d := inventory.Diff(from, to)
		if err := e.show(c.out, d, func(w io.Writer) { view.InventoryDiff(w, d) }); err != nil {
			return err
		}
		if len(d.Changes) > 0 {
			return no("")
		}
		return nil
	}
	return c
}

// readInventories reads files, and every file of directories.
func readInventories(paths []string) ([]api.Inventory, error) {
	files, err := expand(paths, ".json", "")
	if err != nil {
		return nil, err
	}
	list := make([]api.Inventory, len(files))
	for i, path := range files {
		if list[i], err = readInventory(path); err != nil {
			return nil, err
		}
	}
	return list, nil
}

func readInventory(path string) (api.Inventory, error) {
	document, err := readUpTo(path, inventory.DocumentMax)
	if err != nil {
		return api.Inventory{}, err
	}
	return inventory.Parse(filepath.ToSlash(path), document)
}
