package patching

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/api/client"
	"github.com/oakumhq/oakum/internal/cli/command"
	"github.com/oakumhq/oakum/internal/cli/input"
	"github.com/oakumhq/oakum/internal/cli/view"
	"github.com/oakumhq/oakum/internal/inventory"
)

// inventoryForms says what the arguments of show and diff may be.
const inventoryForms = `
An inventory is a file, CycloneDX or SPDX as JSON, and is then read offline; or one
that the cluster keeps:

    sha256:0a1b...       by the digest of what it describes, 12 digits or more
    image:NAME           by the name of an image, as jobs have it
    target:NAMESPACE/JOB/GROUP
                         of what a target runs now
    node:NAME            of a client node of Nomad, by its name or ID

Where several of one thing differ, #HASH at the end chooses one.`

func inventoryShow(e *command.Env) *command.Command {
	c := command.New("inventory show", command.Many("INVENTORY"), "Show what is installed", `
Shows the packages of inventories, with the release and the source package of each, and
the entries that nothing can be compared with. Of a directory, every *.json file in it
is read.
`+inventoryForms+`

The exit code is 3 when a task of a target has no inventory, and when that of a node
counts no more.`).Remote().Reads().Prints()
	c.Run = c.Asks(e, func(ctx context.Context, cl *client.Client, args []string) error {
		r := inventories{cl: cl, query: c.Query()}
		list, err := r.all(ctx, args)
		if err != nil {
			return err
		}
		for _, m := range r.missing {
			e.Warnf("%s, task %s: %s\n", m.Target, m.Task, m.Missing)
		}
		for _, n := range r.old {
			e.Warnf("node %s: nobody knows what is installed there now: %s\n", n.Name, n.Missing)
		}
		if err := e.Show(c.Out, list, func(w io.Writer) { view.Inventories(w, list) }); err != nil {
			return err
		}
		if len(r.missing)+len(r.old) > 0 {
			return command.Unknown{}
		}
		return nil
	})
	return c
}

func inventoryDiff(e *command.Env) *command.Command {
	c := command.New("inventory diff", command.Two("FROM", "TO"), "Show what differs between two inventories", `
Shows the packages that came, went, or have another version.
`+inventoryForms+`

The exit code is 2 when something differs.`).Remote().Reads().Prints()
	c.Run = c.Asks(e, func(ctx context.Context, cl *client.Client, args []string) error {
		r := inventories{cl: cl, query: c.Query()}
		var sides [2]api.Inventory
		for i, arg := range args {
			list, err := r.one(ctx, arg)
			switch {
			case err != nil:
				return err
			case len(r.missing) > 0:
				return api.Errorf(api.CodeNotFound, "%s: %s", arg, r.missing[0].Missing)
			case len(list) != 1:
				return api.Errorf(api.CodeInvalid, "%s: it is %d inventories, want one", arg, len(list))
			}
			sides[i] = list[0]
		}
		d := inventory.Diff(sides[0], sides[1])
		if err := e.Show(c.Out, d, func(w io.Writer) { view.InventoryDiff(w, d) }); err != nil {
			return err
		}
		if len(d.Changes) > 0 {
			return command.No("")
		}
		return nil
	})
	return c
}

// inventories reads inventories from files and from the cluster.
type inventories struct {
	cl      *client.Client
	query   client.Query
	missing []api.TargetInventory // tasks of targets that have none
	old     []api.Node            // whose inventories count no more
}

// all reads inventories, and says of all files that can't be read why.
func (r *inventories) all(ctx context.Context, args []string) ([]api.Inventory, error) {
	var files []string
	list := []api.Inventory{}
	for _, arg := range args {
		if isFile(arg) {
			files = append(files, arg)
			continue
		}
		found, err := r.one(ctx, arg)
		if err != nil {
			return nil, err
		}
		list = append(list, found...)
	}
	if len(files) == 0 {
		return list, nil
	}
	read, err := input.Inventories(files)
	return append(list, read...), elsewhere(err, files...)
}

// elsewhere says how the inventories of the cluster are named, where there is no such file.
func elsewhere(err error, paths ...string) error {
	if err == nil || !slices.ContainsFunc(paths, func(p string) bool { _, err := os.Stat(p); return os.IsNotExist(err) }) {
		return err
	}
	return fmt.Errorf("%w\n  one that the cluster keeps is sha256:DIGEST, image:NAME, target:NAMESPACE/JOB/GROUP or node:NAME", err)
}

func isFile(arg string) bool {
	for _, prefix := range []string{"sha256:", "image:", "target:", "node:"} {
		if strings.HasPrefix(arg, prefix) {
			return false
		}
	}
	return true
}

// one reads what an argument names: several inventories, where a target has several tasks.
func (r *inventories) one(ctx context.Context, arg string) ([]api.Inventory, error) {
	if isFile(arg) {
		inv, err := input.Inventory(arg)
		return []api.Inventory{inv}, elsewhere(err, arg)
	}
	name, hash, _ := strings.Cut(arg, "#")
	if text, ok := strings.CutPrefix(name, "target:"); ok {
		return r.ofTarget(ctx, text)
	}
	if text, ok := strings.CutPrefix(name, "node:"); ok {
		return r.ofNode(ctx, text)
	}
	inv, _, err := r.cl.Inventory(ctx, strings.TrimPrefix(name, "image:"), hash, r.query)
	return []api.Inventory{inv}, err
}

func (r *inventories) ofTarget(ctx context.Context, text string) ([]api.Inventory, error) {
	ref, err := api.ParseTargetRef(text)
	if err != nil {
		return nil, err
	}
	found, _, err := r.cl.TargetInventories(ctx, &ref, r.query)
	if err != nil {
		return nil, err
	}
	list := []api.Inventory{}
	for _, f := range found {
		if f.Record == nil {
			r.missing = append(r.missing, f)
			continue
		}
		inv, _, err := r.cl.Inventory(ctx, f.Record.Of, f.Record.Hash, r.query)
		if err != nil {
			return nil, err
		}
		list = append(list, inv)
	}
	return list, nil
}

// ofNode reads what was found on a node last, however long ago. Its name may be its ID, or
// the beginning of it, as lists show it.
func (r *inventories) ofNode(ctx context.Context, text string) ([]api.Inventory, error) {
	nodes, _, err := r.cl.Nodes(ctx, r.query)
	if err != nil {
		return nil, err
	}
	nodes = slices.DeleteFunc(nodes, func(n api.Node) bool {
		return n.Name != text && n.ID != text && (len(text) < nodeLeast || !strings.HasPrefix(n.ID, text))
	})
	switch {
	case len(nodes) == 0:
		return nil, api.Errorf(api.CodeNotFound, "node %q: Nomad has none of this name or ID", text)
	case len(nodes) > 1:
		return nil, api.Errorf(api.CodeConflict, "node %q: %d nodes are called so; say the ID of one", text, len(nodes))
	case nodes[0].Record == nil:
		return nil, api.Errorf(api.CodeNotFound, "node %q has no inventory: %s", text, nodes[0].Missing)
	case nodes[0].Missing != "":
		r.old = append(r.old, nodes[0])
	}
	inv, _, err := r.cl.Inventory(ctx, nodes[0].Record.Of, nodes[0].Record.Hash, r.query)
	return []api.Inventory{inv}, err
}

// nodeLeast is how many characters of a node's ID name it, as lists show them.
const nodeLeast = 8

func inventoryList(e *command.Env) *command.Command {
	c := command.New("inventory list", command.None(), "List the inventories that the cluster keeps", `
Lists the inventories that the cluster keeps: of what, from where, how old, and when
something that runs it was last seen. With -targets it says for each target which
inventory it has, or why it has none. With -nodes it lists the client nodes of Nomad,
with their systems, the kernels that run there, how many packages are installed, and
why that is not known.`).Remote().Reads().Filters("origin == put").Prints()
	targets := c.Flags.Bool("targets", false, "List the targets instead, with the inventory of what each runs.")
	nodes := c.Flags.Bool("nodes", false, "List the client nodes of Nomad instead.")
	c.Run = c.Asks(e, func(ctx context.Context, cl *client.Client, _ []string) error {
		switch {
		case *targets && *nodes:
			return command.Usage("want one of -targets and -nodes")
		case *nodes:
			found, _, err := cl.Nodes(ctx, c.Query())
			if err != nil {
				return err
			}
			return e.Show(c.Out, found, func(w io.Writer) { view.Nodes(w, found, e.Now()) })
		case *targets:
			found, _, err := cl.TargetInventories(ctx, nil, c.Query())
			if err != nil {
				return err
			}
			return e.Show(c.Out, found, func(w io.Writer) { view.TargetInventories(w, found, e.Now()) })
		}
		found, _, err := cl.Inventories(ctx, c.Query())
		if err != nil {
			return err
		}
		return e.Show(c.Out, found, func(w io.Writer) { view.InventoryRecords(w, found, e.Now()) })
	})
	return c
}

func inventoryPut(e *command.Env) *command.Command {
	c := command.New("inventory put", command.One("FILE"), "Have the cluster keep an inventory", `
Has the cluster keep an inventory, CycloneDX or SPDX as JSON, under the digest of what
it describes. Without -digest, -image and -target, that is the digest that the document
names.

    $ oakum inventory put -digest=sha256:0a1b... web.cdx.json
    $ oakum inventory put -target=prod/web/vm web.cdx.json

An inventory with other packages than the one that is kept stands beside it: nobody
knows then what is installed, until -replace says which one is right.

The exit code is 3 when the inventories of one thing differ.`).Remote().Prints()
	var in api.InventoryGiven
	c.Flags.StringVar(&in.Digest, "digest", "", "The `digest` of what it describes: sha256: and 64 hexadecimal digits.")
	c.Flags.StringVar(&in.Image, "image", "", "The `name` of the image that it describes, as jobs have it. For images whose digest nobody knows.")
	c.Flags.StringVar(&in.Target, "target", "", "The `target` that runs what it describes: namespace/job/group.")
	c.Flags.StringVar(&in.Task, "task", "", "The `task` of the target, where it has several.")
	c.Flags.BoolVar(&in.Replace, "replace", false, "Take the place of other inventories of the same thing.")
	c.Run = c.Asks(e, func(ctx context.Context, cl *client.Client, args []string) error {
		document, err := input.UpTo(args[0], inventory.DocumentMax)
		if err != nil {
			return err
		}
		in.Source = filepath.ToSlash(args[0])
		receipt, err := cl.PutInventory(ctx, in, document)
		if err != nil {
			return err
		}
		if err := e.Show(c.Out, receipt, func(w io.Writer) { view.InventoryReceipt(w, receipt) }); err != nil {
			return err
		}
		if len(receipt.Differs) > 0 {
			return command.Unknown{}
		}
		return nil
	})
	return c
}
