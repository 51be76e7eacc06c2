package consul

import (
	"cmp"
	"context"
	"iter"
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

// scanWidth is how many services are read at once. Consul answers one in about a
// millisecond. Eight at once read 20,000 services in a few seconds and leave the
// agent time for other callers.
const scanWidth = 8

// scanAgain is how many known services one scan reads again. Consul says that its
// catalog changed, but not which service. New services are read at once. In a
// catalog with more services than this, a change of a known service is seen some
// scans later.
const scanAgain = 500

// registration is one service instance in the catalog.
type registration struct {
	service, id, node string
	kind              consulapi.ServiceKind
	address           string // host:port, or ""
	// proxyFor is the service that a mesh proxy belongs to, and upstreams are the
	// proxy's upstreams. Both are empty for other instances.
	proxyFor  string
	upstreams []upstream // each once
	mode      consulapi.ProxyMode
}

// upstream is one upstream of a proxy.
type upstream struct {
	service string // or the name of a prepared query
	query   bool
}

// catalog holds all registrations that were read. It never changes after it was
// made.
type catalog struct {
	services [][]registration // by name of the service; those of one by ID and node
	partial  string           // what the token hides, or ""
}

// all walks the registrations, sorted by service, ID and node.
func (c *catalog) all() iter.Seq[*registration] {
	return func(yield func(*registration) bool) {
		for _, list := range c.services {
			for i := range list {
				if !yield(&list[i]) {
					return
				}
			}
		}
	}
}

// gateways walks the gateways with their kinds, each once, sorted by service.
func (c *catalog) gateways() iter.Seq2[string, consulapi.ServiceKind] {
	return func(yield func(string, consulapi.ServiceKind) bool) {
		last := ""
		for r := range c.all() {
			if !gateway(r.kind) || r.service == last {
				continue
			}
			if last = r.service; !yield(r.service, r.kind) {
				return
			}
		}
	}
}

// scanned is one service as it was read last.
type scanned struct {
	index   uint64 // of the whole catalog when it was read
	list    []registration
	partial string
}

// registrations returns the catalog. It reads services only when Consul's catalog
// index has moved, at most as many as one scan may; otherwise it makes one call.
// What was read before an error is kept.
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
		// Consul itself is in the catalog, so an empty list is never true.
		// Consul does not say to an anonymous caller that it hides services.
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

// due lists the services to read: first the new ones, then the known ones of an
// older index, of which those come first that were read longest ago. A service
// whose answer was partial is always due.
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
	known := make(interned)
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
			found := scanned{index: index, list: make([]registration, 0, len(rows)), partial: filtered("instances", meta)}
			for _, s := range rows {
				found.list = append(found.list, register(s))
			}
			slices.SortFunc(found.list, func(a, b registration) int {
				return cmp.Or(strings.Compare(a.service, b.service), strings.Compare(a.id, b.id), strings.Compare(a.node, b.node))
			})
			mu.Lock()
			defer mu.Unlock()
			known.names(found.list)
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

// interned holds each name once. Every instance of a large fleet repeats its node's
// name, its service's and those of its upstreams, and each answer brings them anew.
type interned map[string]string

func (in interned) name(name *string) {
	if have, ok := in[*name]; ok {
		*name = have
		return
	}
	in[*name] = *name
}

func (in interned) names(list []registration) {
	for i := range list {
		r := &list[i]
		in.name(&r.service)
		in.name(&r.node)
		in.name(&r.proxyFor)
		for j := range r.upstreams {
			in.name(&r.upstreams[j].service)
		}
	}
}

// gather makes a catalog of the services that exist, and drops the others.
func (c *Client) gather(names map[string][]string) *catalog {
	out := &catalog{services: make([][]registration, 0, len(names))}
	maps.DeleteFunc(c.scanned, func(name string, _ scanned) bool {
		_, exists := names[name]
		return !exists
	})
	for _, name := range slices.Sorted(maps.Keys(c.scanned)) {
		found := c.scanned[name]
		out.services = append(out.services, found.list) // a scan replaces a list and never changes one
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
		next := upstream{service: elsewhere(name, u.DestinationPeer, u.Datacenter, s.Datacenter)}
		if u.DestinationType == consulapi.UpstreamDestTypePreparedQuery {
			next = upstream{service: u.DestinationName, query: true}
		}
		if !slices.Contains(r.upstreams, next) {
			r.upstreams = append(r.upstreams, next)
		}
	}
	return r
}
