package nomad

import (
	"cmp"
	"context"
	"slices"
	"strings"
	"sync"

	nomadapi "github.com/hashicorp/nomad/api"
	"golang.org/x/sync/errgroup"

	"github.com/oakumhq/oakum/internal/graph"
	"github.com/oakumhq/oakum/internal/twin"
)

// servicesPerLook is how many known services one look reads again after Nomad's
// catalog has changed. Nomad says that the catalog changed, but not which service.
// New services are read at once. In a catalog with more services than this, a
// change of a known service is seen some looks later.
const servicesPerLook = 500

// registered is one service as it was read last.
type registered struct {
	index uint64 // of the whole catalog when it was read; 0 when that was not known
	list  []graph.Registration
}

// Directory reads the services in Nomad's own catalog, and the services that jobs
// look up in Nomad's catalog or in Consul's. It reads jobs of every type, periodic
// jobs too.
func (c *Client) Directory(ctx context.Context) (graph.Directory, error) {
	if err := c.layout.turn.take(ctx, "list services"); err != nil {
		return graph.Directory{}, err
	}
	defer c.layout.turn.give()
	facts, err := c.jobFacts(ctx)
	if err != nil {
		return graph.Directory{}, err
	}
	out := graph.Directory{Needs: make(map[graph.Pair][]string)}
	for _, f := range facts {
		for pair, details := range f.needs {
			for _, d := range details {
				if !slices.Contains(out.Needs[pair], d) {
					out.Needs[pair] = append(out.Needs[pair], d)
				}
			}
		}
	}
	for _, details := range out.Needs {
		slices.Sort(details)
	}
	spaces, meta, err := c.services(ctx)
	if err != nil {
		if forbidden(err) {
			out.Partial = "nomad does not show its services to this token"
			return out, nil
		}
		return graph.Directory{}, Explain("list services", err)
	}
	if err := c.catalogue(ctx, spaces, meta.LastIndex); err != nil {
		return graph.Directory{}, err
	}
	for _, r := range c.layout.registered {
		out.Registrations = append(out.Registrations, r.list...)
	}
	slices.SortFunc(out.Registrations, func(a, b graph.Registration) int {
		return cmp.Or(strings.Compare(a.Service, b.Service), strings.Compare(a.Instance, b.Instance), strings.Compare(a.Address, b.Address))
	})
	return out, nil
}

func (c *Client) services(ctx context.Context) ([]*nomadapi.ServiceRegistrationListStub, *nomadapi.QueryMeta, error) {
	ctx, cancel := context.WithTimeout(ctx, CallTimeout)
	defer cancel()
	return c.api.Services().List(c.Query(ctx, "*"))
}

// catalogue updates the registered services to an index of the catalog. It reads
// every new service. Of the known ones it reads those first that were read longest
// ago. It keeps what it has read when it returns an error. The caller holds the
// layout's turn.
func (c *Client) catalogue(ctx context.Context, spaces []*nomadapi.ServiceRegistrationListStub, index uint64) error {
	next := make(map[[2]string]registered)
	var unknown, old [][2]string
	for _, space := range spaces {
		for _, s := range space.Services {
			key := [2]string{space.Namespace, s.ServiceName}
			have, ok := c.layout.registered[key]
			switch {
			case !ok:
				unknown = append(unknown, key)
				continue
			case index == 0 || have.index != index:
				old = append(old, key)
			}
			next[key] = have
		}
	}
	slices.SortFunc(old, func(a, b [2]string) int {
		return cmp.Or(cmp.Compare(next[a].index, next[b].index), strings.Compare(a[0], b[0]), strings.Compare(a[1], b[1]))
	})
	err := c.readServices(ctx, append(unknown, old[:min(len(old), servicesPerLook)]...), index, next)
	c.layout.registered = next
	return err
}

// readServices reads the instances of some services into known.
func (c *Client) readServices(ctx context.Context, keys [][2]string, index uint64, known map[[2]string]registered) error {
	var mu sync.Mutex
	group, groupCtx := errgroup.WithContext(ctx)
	group.SetLimit(layoutWidth)
	for _, key := range keys {
		if groupCtx.Err() != nil {
			break
		}
		group.Go(func() error {
			callCtx, cancel := context.WithTimeout(groupCtx, CallTimeout)
			defer cancel()
			list, _, err := c.api.Services().Get(key[1], c.Query(callCtx, key[0]))
			if err != nil {
				return Explain("read service "+key[1], err)
			}
			found := registered{index: index}
			for _, r := range list {
				if !strings.HasPrefix(r.JobID, twin.Prefix) {
					found.list = append(found.list, graph.Registration{Service: r.ServiceName, Instance: r.AllocID, Address: hostPort(r.Address, r.Port)})
				}
			}
			mu.Lock()
			defer mu.Unlock()
			known[key] = found
			return nil
		})
	}
	if err := group.Wait(); err != nil {
		return err
	}
	if ctx.Err() != nil {
		return Explain("read services", ctx.Err())
	}
	return nil
}
