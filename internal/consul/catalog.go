package consul

import (
	"cmp"
	"context"
	"maps"
	"net/url"
	"slices"
	"strings"
	"sync"

	consulapi "github.com/hashicorp/consul/api"
	"golang.org/x/sync/errgroup"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/internal/graph"
)

// scanWidth is how many services are read at once. Consul answers one in about
// a millisecond; eight keep 20,000 services under a few seconds without
// crowding out the agent's other callers.
const scanWidth = 8

// scanAgain is how many known services one scan reads again: Consul tells that its
// catalog changed and not where. New services are read at once; in a larger
// catalog a change of an old one is seen some scans later.
const scanAgain = 500

// registration is one service instance in the catalog.
type registration struct {
	service, id, node string
	kind              consulapi.ServiceKind
	address           string // host:port, or ""
	// proxyFor is the service that a mesh proxy stands for, and upstreams are
	// what it was told to reach. Both are empty for anything else.
	proxyFor  string
	upstreams []upstream // each once
	mode      consulapi.ProxyMode
}

// upstream is one thing that a proxy was told to reach.
type upstream struct {
	service string // or the name of a prepared query
	query   bool
}

// catalog is all registrations as they were read last. It is not changed after it
// is made.
type catalog struct {
	registrations []registration // sorted by service, ID, node
	partial       string         // what the token hides, or ""
}

// scanned is what the catalog had of one service name.
type scanned struct {
	index   uint64 // of the whole catalog when it was read
	list    []registration
	partial string
}

// registrations scans the catalog: as much of it as a look may, after Consul's
// catalog index has moved. While that stands still it costs one call. What was
// read is kept after an error.
func (c *Client) registrations(ctx context.Context) (*catalog, error) {
	c.scanning.Lock() // two scans at once would only do the same work twice
	defer c.scanning.Unlock()
	q, cancel := c.query(ctx)
	defer cancel()
	names, meta, err := c.api.Catalog().Services(q)
	if err != nil {
		return nil, explain("list services", err)
	}
	if len(names) == 0 {
		// Consul lists itself, and does not tell an anonymous caller that it hides
		// anything. An empty catalog is never the truth.
		return nil, api.Errorf(api.CodePermissionDenied, "consul: list services: it shows none to this token, not even itself")
	}
	due := c.due(names, meta.LastIndex)
	if len(due) == 0 && c.catalog != nil && c.catalog.partial == "" && len(names) == len(c.scanned) {
		return c.catalog, nil
	}
	if err := c.scan(ctx, due, meta.LastIndex); err != nil {
		return nil, err
	}
	c.catalog = c.gather(names)
	if text := filtered("services", meta); text != "" {
		c.catalog.partial = text
	}
	return c.catalog, nil
}

// due lists the services to read: those that are not known, and of the others
// those that were read longest ago, if at an older index. One whose answer was
// not whole is always due.
func (c *Client) due(names map[string][]string, index uint64) []string {
	var unknown, old []string
	for name := range names {
		have, ok := c.scanned[name]
		switch {
		case !ok:
			unknown = append(unknown, name)
		case index == 0 || have.index != index || have.partial != "":
			old = append(old, name)
		}
	}
	slices.Sort(unknown)
	slices.SortFunc(old, func(a, b string) int {
		return cmp.Or(cmp.Compare(c.scanned[a].index, c.scanned[b].index), strings.Compare(a, b))
	})
	return append(unknown, old[:min(len(old), scanAgain)]...)
}

// scan reads the instances of some services.
func (c *Client) scan(ctx context.Context, names []string, index uint64) error {
	var mu sync.Mutex
	group, groupCtx := errgroup.WithContext(ctx)
	group.SetLimit(scanWidth)
	for _, name := range names {
		if groupCtx.Err() != nil {
			break
		}
		group.Go(func() error {
			q, cancel := c.query(groupCtx)
			defer cancel()
			var rows []*row
			meta, err := c.api.Raw().Query("/v1/catalog/service/"+url.PathEscape(name), &rows, q)
			if err != nil {
				return explain("read service "+name, err)
			}
			found := scanned{index: index, partial: filtered("instances", meta)}
			for _, s := range rows {
				found.list = append(found.list, register(s))
			}
			slices.SortFunc(found.list, func(a, b registration) int {
				return cmp.Or(strings.Compare(a.service, b.service), strings.Compare(a.id, b.id), strings.Compare(a.node, b.node))
			})
			mu.Lock()
			defer mu.Unlock()
			c.scanned[name] = found
			return nil
		})
	}
	if err := group.Wait(); err != nil {
		return err
	}
	if ctx.Err() != nil {
		return explain("read services", ctx.Err())
	}
	return nil
}

// gather puts what was read of the services that exist together, and forgets the
// others.
func (c *Client) gather(names map[string][]string) *catalog {
	out := &catalog{}
	maps.DeleteFunc(c.scanned, func(name string, _ scanned) bool {
		_, exists := names[name]
		return !exists
	})
	for _, name := range slices.Sorted(maps.Keys(c.scanned)) {
		found := c.scanned[name]
		out.registrations = append(out.registrations, found.list...)
		if found.partial != "" {
			out.partial = found.partial
		}
	}
	return out
}

func register(s *row) registration {
	r := registration{service: graph.Name(s.Partition, s.Namespace, s.ServiceName), id: s.ServiceID, node: s.Node, kind: s.ServiceKind, address: s.address()}
	if s.ServiceProxy == nil || s.ServiceProxy.DestinationServiceName == "" {
		return r
	}
	r.mode = s.ServiceProxy.Mode
	r.proxyFor = graph.Name(s.Partition, s.Namespace, s.ServiceProxy.DestinationServiceName)
	for _, u := range s.ServiceProxy.Upstreams {
		if u.DestinationName == "" {
			continue
		}
		name := graph.Name(or(u.DestinationPartition, s.Partition), or(u.DestinationNamespace, s.Namespace), u.DestinationName)
		next := upstream{service: beyond(name, u.DestinationPeer, u.Datacenter, s.Datacenter)}
		if u.DestinationType == consulapi.UpstreamDestTypePreparedQuery {
			next = upstream{service: u.DestinationName, query: true}
		}
		if !slices.Contains(r.upstreams, next) {
			r.upstreams = append(r.upstreams, next)
		}
	}
	return r
}
