package service

import (
	"errors"
	"testing"
	"time"

	"github.com/shoenig/test/must"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/internal/inventory"
	"github.com/oakumhq/oakum/server/state"
)

func TestNodes_AreThoseOfNomad(t *testing.T) {
	f := newFixture(t)
	f.fleet.nodes = []api.Node{{ID: "n1", Name: "one"}}
	found, err := f.Nodes(t.Context())
	must.NoError(t, err)
	must.Len(t, 1, found)
	must.StrContains(t, found[0].Missing, "nobody has read what is installed there")
	f.fleet.err = errors.New("no route")
	_, err = f.Nodes(t.Context())
	must.ErrorContains(t, err, "list nodes: no route")
}

// TestNodes_HaveInventories keeps what was read on a node, in the place of what was read there
// before, for as long as Nomad has the node.
func TestNodes_HaveInventories(t *testing.T) {
	f := newFixture(t)
	now := epoch()
	f.opt.Now = func() time.Time { return now }
	f.fleet.nodes = []api.Node{{ID: "n1", Name: "one", Status: "ready", Drivers: []string{inventory.NodeDriver}}}
	keep := func(version string) {
		t.Helper()
		must.NoError(t, f.InventoryRead(t.Context(), inventory.OfNode("n1"), api.InventoryNode, api.Inventory{
			Source: "one", Format: "dpkg", TakenAt: now, Packages: []api.Package{{Ecosystem: "deb", Name: "bash", Version: version}},
		}))
	}
	keep("5.2.15-1")
	keep("5.2.15-2")
	found, err := f.Nodes(t.Context())
	must.NoError(t, err)
	must.EqOp(t, "", found[0].Missing)
	inv, err := f.Inventory(found[0].Record.Of, found[0].Record.Hash)
	must.NoError(t, err)
	must.EqOp(t, "5.2.15-2", inv.Packages[0].Version)
	must.Len(t, 1, f.state.InventoriesOf(inventory.OfNode("n1")))
	names, err := f.InstalledNames()
	must.NoError(t, err)
	must.SliceEmpty(t, names.Blind(), must.Sprint("no target has what a node has"))

	_, err = f.PutInventory(t.Context(), api.InventoryGiven{Image: inventory.OfNode("n1")}, []byte(`{"bomFormat":"CycloneDX","specVersion":"1.6"}`), ada())
	must.ErrorContains(t, err, "is a node")
	now = epoch().Add(unseenAfter)
	must.NoError(t, f.noteInventories(t.Context()))
	must.Len(t, 1, f.state.InventoriesOf(inventory.OfNode("n1")))
	found, err = f.Nodes(t.Context())
	must.NoError(t, err)
	must.StrContains(t, found[0].Missing, "stale")
	var forgotten []string
	f.log.meet = func(cmd state.Command) {
		if forget, ok := cmd.(*state.InventoriesForget); ok {
			forgotten = append(forgotten, forget.Of...)
		}
	}
	f.fleet.nodes = nil
	now = now.Add(unseenAfter)
	must.NoError(t, f.noteInventories(t.Context()))
	must.Eq(t, []string{inventory.OfNode("n1")}, forgotten, must.Sprint("the node is gone"))
}
