package nomad

import (
	"cmp"
	"context"
	"slices"
	"sync"

	nomadapi "github.com/hashicorp/nomad/api"
	"golang.org/x/sync/errgroup"

	"github.com/oakumhq/oakum/api"
)

// nodes is what the last look at the client nodes has found.
type nodes struct {
	turn turn
	read map[string]seenNode[api.Node] // by ID
}

// seenNode is what was taken from a node, as it was at a modify index.
type seenNode[T any] struct {
	modify uint64
	of     T
}

// eachNode takes what is wanted from each client node, by ID. A node is read again only when
// it has changed since the former look. One that can't be read is left out where spared says
// that its error may be; one that has gone since the list is.
func eachNode[T any](ctx context.Context, c *Client, former map[string]seenNode[T], take func(*nomadapi.Node) T, spared func(error) bool) (map[string]seenNode[T], error) {
	listCtx, cancel := context.WithTimeout(ctx, CallTimeout)
	defer cancel()
	stubs, _, err := c.api.Nodes().List(c.Query(listCtx, ""))
	if err != nil {
		return nil, Explain("list nodes", err)
	}
	next := make(map[string]seenNode[T], len(stubs))
	var mu sync.Mutex
	group, groupCtx := errgroup.WithContext(ctx)
	group.SetLimit(layoutWidth)
	for _, stub := range stubs {
		if have, ok := former[stub.ID]; ok && have.modify == stub.ModifyIndex {
			mu.Lock()
			next[stub.ID] = have
			mu.Unlock()
			continue
		}
		group.Go(func() error {
			callCtx, cancel := context.WithTimeout(groupCtx, CallTimeout)
			defer cancel()
			node, _, err := c.api.Nodes().Info(stub.ID, c.Query(callCtx, ""))
			switch err := Explain("read node "+stub.Name, err); {
			case api.IsCode(err, api.CodeNotFound), err != nil && spared(err):
				return nil
			case err != nil:
				return err
			}
			mu.Lock()
			defer mu.Unlock()
			next[stub.ID] = seenNode[T]{modify: stub.ModifyIndex, of: take(node)}
			return nil
		})
	}
	return next, group.Wait()
}

// Nodes lists the client nodes by name, with what their agents say of their systems.
func (c *Client) Nodes(ctx context.Context) ([]api.Node, error) {
	l := &c.nodes
	if err := l.turn.take(ctx, "list nodes"); err != nil {
		return nil, err
	}
	defer l.turn.give()
	next, err := eachNode(ctx, c, l.read, describe, func(error) bool { return false })
	if err != nil {
		return nil, err
	}
	l.read = next
	out := make([]api.Node, 0, len(next))
	for _, n := range next {
		out = append(out, n.of)
	}
	slices.SortFunc(out, func(a, b api.Node) int { return cmp.Or(cmp.Compare(a.Name, b.Name), cmp.Compare(a.ID, b.ID)) })
	return out, nil
}

// describe is what an agent says of its node.
func describe(n *nomadapi.Node) api.Node {
	var drivers []string
	for name, d := range n.Drivers {
		if d != nil && d.Detected && d.Healthy {
			drivers = append(drivers, name)
		}
	}
	slices.Sort(drivers)
	return api.Node{
		Drivers: drivers, Ineligible: n.SchedulingEligibility == nomadapi.NodeSchedulingIneligible,
		ID: n.ID, Name: n.Name, Pool: n.NodePool, Status: n.Status,
		OS: n.Attributes["os.name"], OSVersion: n.Attributes["os.version"], Kernel: n.Attributes["kernel.version"],
	}
}
