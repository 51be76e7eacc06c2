package collector

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/internal/inventory"
	"github.com/oakumhq/oakum/internal/twin"
)

const (
	// nodesKey is the key of the record that owns the jobs which read nodes.
	nodesKey = "nodes"
	// nodesAtOnce bounds the nodes of one job: each is an allocation, and the list of their
	// IDs a constraint that Nomad holds against every node.
	nodesAtOnce = 500
)

// Nodes are the client nodes, and what reads them.
type Nodes interface {
	Nodes(ctx context.Context) ([]api.Node, error)
	// ReadNodes reads what is installed on each of some nodes. An error means that its job may
	// be left.
	ReadNodes(ctx context.Context, spec twin.NodesSpec) (map[string]twin.NodePackages, error)
}

// someNodes has those nodes read that are due, many by one job. It returns whether there were
// any.
func (c *Collector) someNodes(ctx context.Context) (bool, error) {
	last := map[string]api.InventoryReading{}
	for _, r := range c.o.Record.Readings() {
		if r.Origin == api.InventoryNode {
			last[r.Of] = r
		}
	}
	var nodes []api.Node
	if c.o.Nodes != nil {
		var err error
		if nodes, err = c.o.Nodes.Nodes(ctx); err != nil {
			return false, fmt.Errorf("list nodes: %w", err)
		}
	}
	if err := c.forgetNodes(ctx, nodes, last); err != nil {
		return false, err
	}
	now := time.Now()
	due := slices.DeleteFunc(slices.Clone(nodes), func(n api.Node) bool {
		r, have := last[inventory.OfNode(n.ID)]
		return inventory.Unreadable(&n) != "" || have && !c.nodeDue(r, now)
	})
	if len(due) == 0 {
		return false, nil
	}
	slices.SortStableFunc(due, func(a, b api.Node) int {
		return last[inventory.OfNode(a.ID)].Began.Compare(last[inventory.OfNode(b.ID)].Began)
	})
	return true, c.readNodes(ctx, due[:min(len(due), nodesAtOnce)])
}

// nodeDue reports whether a node is to be read again. One that was read is when half of the
// time is over for which that counts.
func (c *Collector) nodeDue(last api.InventoryReading, now time.Time) bool {
	switch {
	case last.Ended.IsZero(): // this leader reads nothing else, so nobody reads it
		return true
	case last.Error != "":
		return !now.Before(last.Next)
	}
	return now.Sub(last.Ended) >= inventory.NodeMaxAge(c.o.MaxAge)/2
}

// forgetNodes drops the readings of nodes that are gone. Nodes are none where they aren't
// read.
func (c *Collector) forgetNodes(ctx context.Context, nodes []api.Node, last map[string]api.InventoryReading) error {
	there := map[string]bool{}
	for _, n := range nodes {
		there[inventory.OfNode(n.ID)] = true
	}
	var drop []string
	for of, r := range last {
		if !there[of] && r.Key != nodesKey {
			drop = append(drop, r.Key)
		}
	}
	if len(drop) == 0 {
		return nil
	}
	slices.Sort(drop)
	return c.o.Record.Change(ctx, nil, drop...)
}

// nodeKey is the key of the reading of a node.
func nodeKey(id string) string { return "node:" + id }

// readNodes has nodes read by one job, and records how that went on each.
func (c *Collector) readNodes(ctx context.Context, nodes []api.Node) error {
	job, err := newJob()
	if err != nil {
		return err
	}
	spec, keys := twin.NodesSpec{Job: job, RPMFormat: inventory.RPMFormat}, []string{nodesKey}
	for _, n := range nodes {
		spec.Nodes, keys = append(spec.Nodes, n.ID), append(keys, nodeKey(n.ID))
	}
	began := time.Now().UTC()
	err = c.change(ctx, keys, func(r *api.InventoryReading) {
		id, _ := strings.CutPrefix(r.Key, nodeKey(""))
		r.Origin, r.Of = api.InventoryNode, inventory.OfNode(id)
		r.Began, r.Ended = began, time.Time{}
		if r.Key == nodesKey {
			c.inUse = job
			r.Owned = append(r.Owned, object(twin.NodesNamespace, job))
		}
	})
	if err != nil {
		return err
	}
	c.o.Logger.Info("reading of nodes begins", "nodes", len(nodes))
	within, cancel := context.WithTimeoutCause(ctx, c.o.Within, api.Errorf(api.CodeTimeout, "it took longer than %s", c.o.Within))
	defer cancel()
	reported, left := c.o.Nodes.ReadNodes(within, spec)
	if ctx.Err() != nil {
		return context.Cause(ctx) // the next leader reads them anew
	}
	failed := map[string]error{}
	for _, n := range nodes {
		if err := c.keepNode(ctx, n, reported); err != nil {
			failed[nodeKey(n.ID)] = err
			c.o.Logger.Warn("read what is installed on a node", "node", n.Name, "error", err)
		}
	}
	c.o.Logger.Info("reading of nodes ends", "nodes", len(nodes), "failed", len(failed))
	return c.change(ctx, keys, func(r *api.InventoryReading) {
		if r.Key != nodesKey {
			ends(r, failed[r.Key])
			return
		}
		c.inUse = ""
		if ends(r, left); left == nil {
			r.Owned = slices.DeleteFunc(r.Owned, object(twin.NodesNamespace, job).Is)
		}
	})
}

// keepNode keeps what a node has told.
func (c *Collector) keepNode(ctx context.Context, n api.Node, reported map[string]twin.NodePackages) error {
	got, ok := reported[n.ID]
	if !ok || got.Err != nil {
		return cmp.Or(got.Err, error(api.Errorf(api.CodeUnavailable, "the node has told nothing")))
	}
	inv, err := inventory.FromImage(n.Name, got.Databases)
	if err != nil {
		return err
	}
	inv.TakenAt = time.Now().UTC()
	return c.o.Record.Keep(ctx, inventory.OfNode(n.ID), api.InventoryNode, inv)
}
